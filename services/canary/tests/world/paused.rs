//! The other controller: paused past its lease, it goes on with what it held.

use auspex_canary::control::{Asked, Rules};

use super::{Will, World, most};

/// A controller that goes on with what it held when it was paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Paused {
    /// How many orders another one has given since.
    pub age: u8,
    /// What it asked last, saved and not sent.
    pub asked: Asked,
    /// All that it holds. Where an older copy is refused it does not matter what else that is.
    pub copy: Option<Box<World>>,
}

impl World {
    /// The controller in office is paused past its lease between saving and sending, or, where nothing fences it, anywhere;
    /// another one goes on from what is saved. Once instances have died less is promised, and less is to be broken.
    pub fn pause(&self) -> Option<Self> {
        let may = self.paused.is_none() && !self.failed && (self.outbox || !self.fenced);
        may.then(|| Self {
            paused: Some(Paused {
                age: 0,
                asked: self.asked,
                copy: (!self.fenced).then(|| Box::new(self.clone())),
            }),
            ..self.clone()
        })
    }

    /// What was paused goes on by what it holds, which is older than what is saved. Where that is refused, nothing happens.
    pub fn goes_on(&self, will: Will, rules: Rules) -> Option<Self> {
        let copy = self.paused.as_ref()?.copy.as_ref()?;
        let made = copy.decide(will, rules)?;
        let mut world = self.clone();
        world.paused = None;
        world.grow_older();
        (world.phase, world.asked, world.outbox) = (made.phase, made.asked, true);
        (world.weighed, world.sized) = (made.weighed, made.sized);
        Some(world)
    }

    /// What was paused between saving and sending sends now.
    pub fn sends_late(&self) -> Option<Self> {
        let Paused { age, asked, .. } = *self.paused.as_ref().filter(|_| self.mail.len() <= most())?;
        let mut world = self.clone();
        world.paused = None;
        world.post(asked, age);
        Some(world)
    }

    /// A late letter that everybody has seen already, or a younger one, is put aside whenever it comes.
    pub(super) fn forget_what_moves_nothing(&mut self) {
        let (router, scaler, fenced) = (self.router.age, self.scaler.age, self.fenced);
        self.paused
            .take_if(|paused| fenced && router <= paused.age && scaler <= paused.age);
    }
}
