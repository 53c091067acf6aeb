//! A world small enough to be explored whole: control as it is, routers and scalers that take orders late, twice and out of
//! turn, instances that come slowly and die, and a second controller that goes on where the first stopped.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a test's own world")]

mod paused;

use auspex_canary::control::{Aim, Asked, Order, Rules, Seen, after, order};
use auspex_proto::decision::{Action, Phase};

pub use paused::Paused;

/// Sizes and weights move in steps of this many percent.
pub const STEP: u8 = 50;
/// Orders that are further behind than this are all the same: nobody takes them any more.
const OLD: u8 = 3;
/// Most letters that may be under way when two more are sent: none, or with `AUSPEX_EXPLORE=all` one, so that those of
/// different orders overtake each other (4.2 million worlds, a minute and a half with optimisation).
fn most() -> usize {
    static MOST: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *MOST.get_or_init(|| usize::from(std::env::var_os("AUSPEX_EXPLORE").is_some()))
}

/// An order on its way: how many orders younger there are, and what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mail {
    pub age: u8,
    pub asked: Asked,
    pub to_scaler: bool,
}

/// What a receiver does: how old the order is that it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Follows {
    pub age: u8,
    pub asked: Asked,
}

/// A report that control has: how old the order was that it knew of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heard {
    pub age: u8,
    pub a: u8,
    pub b: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// Saved by compare-and-set: whoever holds an older copy cannot save.
    pub phase: Phase2,
    pub asked: Asked,
    /// How many orders ago weight and sizes last changed.
    pub weighed: u8,
    pub sized: u8,
    /// Saved with the state and not sent yet: a crash between the two leaves it to the next owner.
    pub outbox: bool,
    pub mail: Vec<Mail>,
    pub router: Follows,
    pub scaler: Follows,
    pub stable: u8,
    pub candidate: u8,
    pub of_router: Option<Heard>,
    pub of_scaler: Option<Heard>,
    /// Instances of the candidate have died: from then on capacity may be short through nobody's fault.
    pub failed: bool,
    /// The controller before, when it was paused past its lease and does not know it.
    pub paused: Option<Paused>,
    /// Whether a save by an older copy is refused, as in the product.
    pub fenced: bool,
}

/// Phases in an order, so that worlds can be kept in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase2 {
    Progressing,
    Baking,
    Returning,
    Promoted,
    RolledBack,
}

impl Phase2 {
    pub fn of(phase: Phase) -> Self {
        match phase {
            Phase::Baking => Self::Baking,
            Phase::Returning => Self::Returning,
            Phase::Promoted => Self::Promoted,
            Phase::RolledBack => Self::RolledBack,
            _ => Self::Progressing,
        }
    }

    pub fn phase(self) -> Phase {
        match self {
            Self::Progressing => Phase::Progressing,
            Self::Baking => Phase::Baking,
            Self::Returning => Phase::Returning,
            Self::Promoted => Phase::Promoted,
            Self::RolledBack => Phase::RolledBack,
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack)
    }
}

/// What policy, evidence or a person wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Will {
    Stay,
    Half,
    Everything,
    Settle,
    Back,
}

impl World {
    pub fn new(fenced: bool) -> Self {
        let asked = Asked {
            weight: 0,
            stable: 100,
            candidate: 0,
        };
        let follows = Follows { age: 0, asked };
        Self {
            phase: Phase2::Progressing,
            asked,
            weighed: 0,
            sized: 0,
            outbox: false,
            mail: Vec::new(),
            router: follows,
            scaler: follows,
            stable: 100,
            candidate: 0,
            of_router: None,
            of_scaler: None,
            failed: false,
            paused: None,
            fenced,
        }
    }

    fn post(&mut self, asked: Asked, age: u8) {
        for to_scaler in [false, true] {
            self.mail.push(Mail {
                age,
                asked,
                to_scaler,
            });
        }
        self.mail.sort();
        self.mail.dedup();
    }

    /// What control sees: reports that know of the last move, as in the product.
    pub fn seen(&self) -> Seen {
        let router = self
            .of_router
            .filter(|heard| heard.age <= self.weighed && heard.age < OLD);
        let scaler = self
            .of_scaler
            .filter(|heard| heard.age <= self.sized && heard.age < OLD);
        Seen {
            weights: router.map(|heard| (heard.a, heard.a)),
            stable: scaler.map(|heard| heard.a),
            candidate: scaler.map(|heard| heard.b),
        }
    }

    /// The controller in office carries a wish out, through the product's order and machine; `None`: nothing changes.
    pub fn decide(&self, will: Will, rules: Rules) -> Option<Self> {
        if self.phase.is_over() || self.outbox {
            return None;
        }
        let (action, aim) = self.wish(will)?;
        let next: Order = order(aim, self.asked, self.seen(), rules);
        let action = match action {
            Action::RollBack if next.wait.is_some() => Action::Return,
            Action::Bake if next.asked.weight < 100 => Action::Hold,
            Action::Promote if next.wait.is_some() => Action::Hold,
            action => action,
        };
        let phase = Phase2::of(after(self.phase.phase(), action, true)?);
        if phase == self.phase && next.asked == self.asked {
            return None;
        }
        let mut world = self.clone();
        world.grow_older();
        world.weighed = if next.asked.weight == self.asked.weight {
            older(self.weighed)
        } else {
            0
        };
        let same = (next.asked.stable, next.asked.candidate) == (self.asked.stable, self.asked.candidate);
        world.sized = if same { older(self.sized) } else { 0 };
        world.phase = phase;
        world.asked = next.asked;
        world.outbox = true;
        Some(world)
    }

    fn wish(&self, will: Will) -> Option<(Action, Aim)> {
        Some(match (self.phase, will) {
            (Phase2::Returning, _) => (Action::RollBack, Aim::Nothing),
            (_, Will::Back) => (Action::RollBack, Aim::Nothing),
            (Phase2::Baking, Will::Stay | Will::Everything) => (Action::Hold, Aim::Everything),
            (Phase2::Baking, Will::Settle) if self.seen().weights == Some((100, 100)) => {
                (Action::Promote, Aim::Settled)
            }
            (Phase2::Baking, _) => return None,
            (_, Will::Stay) => (Action::Hold, Aim::Share(self.asked.weight)),
            (_, Will::Half) => (Action::Advance, Aim::Share(STEP)),
            (_, Will::Everything) => (Action::Bake, Aim::Everything),
            (_, Will::Settle) => return None,
        })
    }

    /// A new order makes every other one older.
    fn grow_older(&mut self) {
        for age in [&mut self.router.age, &mut self.scaler.age] {
            *age = older(*age);
        }
        for heard in [&mut self.of_router, &mut self.of_scaler].into_iter().flatten() {
            heard.age = older(heard.age);
        }
        for mail in &mut self.mail {
            mail.age = older(mail.age);
        }
        // Nobody takes what is too old: it might as well not be sent.
        self.paused = self.paused.take().and_then(|paused| {
            let age = older(paused.age);
            (age < OLD || !self.fenced).then_some(Paused { age, ..paused })
        });
    }

    /// The owner, old or new, sends what is saved. What was sent before the crash is sent again.
    pub fn send(&self) -> Option<Self> {
        if !self.outbox || self.mail.len() > most() {
            return None;
        }
        let mut world = self.clone();
        world.outbox = false;
        world.post(self.asked, 0);
        Some(world)
    }

    /// A letter arrives, in whatever order; one that is older than what is followed is put aside.
    pub fn deliver(&self, at: usize) -> Option<Self> {
        let mut world = self.clone();
        if at >= world.mail.len() {
            return None;
        }
        let mail = world.mail.remove(at);
        let receiver = if mail.to_scaler {
            &mut world.scaler
        } else {
            &mut world.router
        };
        if mail.age < receiver.age {
            *receiver = Follows {
                age: mail.age,
                asked: mail.asked,
            };
        }
        Some(world)
    }

    /// Instances come and go, a step at a time, towards what the scaler follows.
    pub fn scale(&self, stable: bool) -> Option<Self> {
        let mut world = self.clone();
        let (now, wanted) = match stable {
            true => (&mut world.stable, self.scaler.asked.stable),
            false => (&mut world.candidate, self.scaler.asked.candidate),
        };
        *now = match (*now).cmp(&wanted) {
            std::cmp::Ordering::Less => (*now + STEP).min(wanted),
            std::cmp::Ordering::Greater => now.saturating_sub(STEP).max(wanted),
            std::cmp::Ordering::Equal => return None,
        };
        Some(world)
    }

    /// Instances of the candidate die.
    pub fn fail(&self) -> Option<Self> {
        let mut world = self.clone();
        world.candidate = self.candidate.checked_sub(STEP)?;
        world.failed = true;
        Some(world)
    }

    pub fn report(&self, scaler: bool) -> Option<Self> {
        let mut world = self.clone();
        if scaler {
            world.of_scaler = Some(Heard {
                age: self.scaler.age,
                a: self.stable,
                b: self.candidate,
            });
        } else {
            world.of_router = Some(Heard {
                age: self.router.age,
                a: self.router.asked.weight,
                b: 0,
            });
        }
        (world != *self).then_some(world)
    }

    /// Everything that may happen next.
    pub fn steps(&self, rules: Rules) -> Vec<Self> {
        let wills = [Will::Stay, Will::Half, Will::Everything, Will::Settle, Will::Back];
        let mut out: Vec<Self> = wills
            .into_iter()
            .filter_map(|will| self.decide(will, rules))
            .collect();
        out.extend(wills.into_iter().filter_map(|will| self.goes_on(will, rules)));
        out.extend(
            [self.pause(), self.send(), self.sends_late()]
                .into_iter()
                .flatten(),
        );
        out.extend((0..self.mail.len()).filter_map(|at| self.deliver(at)));
        out.extend(
            [self.scale(true), self.scale(false), self.fail()]
                .into_iter()
                .flatten(),
        );
        out.extend([self.report(true), self.report(false)].into_iter().flatten());
        out.iter_mut().for_each(Self::forget_what_moves_nothing);
        out
    }

    /// Everybody does their part once, and nobody dies: the fair scheduler.
    pub fn fairly(&self, will: Will, rules: Rules) -> Self {
        let mut world = self.clone();
        world = world.send().unwrap_or(world);
        while let Some(next) = world.deliver(0) {
            world = next;
        }
        world = world.send().unwrap_or(world);
        while let Some(next) = world.deliver(0) {
            world = next;
        }
        for stable in [true, false] {
            while let Some(next) = world.scale(stable) {
                world = next;
            }
        }
        for scaler in [true, false] {
            world = world.report(scaler).unwrap_or(world);
        }
        world.decide(will, rules).unwrap_or(world)
    }
}

fn older(age: u8) -> u8 {
    (age + 1).min(OLD)
}
