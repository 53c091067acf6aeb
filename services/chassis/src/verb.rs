//! What a stateful stage has to say for itself: one pure function and where its facts belong.
//!
//! Time, state and input go in as values; outputs come back as values. The loop around it ([`crate::stage`]) does the rest:
//! leases, cursors, saving before publishing, ids, dead letters.

use auspex_proto::{Fact, FactId, Meta, Project, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// A stage's pure function over the facts of a partition, one key at a time.
///
/// A key's new state and outputs may depend on nothing but its old state and the input: then absorbing may stop and go on
/// anywhere, on any replica, and a replay gives the same outputs, byte for byte.
pub trait Verb: Send + Sync + 'static {
    /// What is remembered per key; one KV value below 1 MB, so it must be bounded by construction.
    type State: Serialize + DeserializeOwned + Default + Clone + PartialEq + Send + Sync + 'static;

    /// Which keys a fact bears upon.
    fn route(&self, fact: &Fact) -> Route;

    /// Absorbs one fact into one key's state, and says what follows from it.
    ///
    /// # Errors
    /// [`Reject`] when the fact cannot be absorbed: it becomes a dead letter. The state must then be as it was.
    fn absorb(&self, state: &mut Self::State, input: &Input<'_>) -> Result<Vec<Fact>, Reject>;

    /// Whether somebody waits for what is absorbed of this fact, so that it is to be saved at once. What publishes something
    /// is saved at once anyway; all else a little later, together.
    fn is_urgent(&self, fact: &Fact) -> bool {
        matches!(fact, Fact::Command(_))
    }

    /// Whether anybody but its owner may look at what this fact has just changed in the state. Such a quiet change is saved within
    /// half a second; any other within five, with what comes to the same key meanwhile: that only decides how much is absorbed
    /// again after a crash.
    fn is_seen(&self, state: &Self::State, fact: &Fact) -> bool {
        let _ = (state, fact);
        true
    }

    /// When what follows from a fact goes out.
    fn speech(&self) -> Speech {
        Speech::Saved
    }

    /// The earliest time at which this state wants to be told that time has passed; `None`: it sleeps.
    /// Only `canary` writes ticks.
    fn due(&self, state: &Self::State) -> Option<Timestamp> {
        let _ = state;
        None
    }

    /// Whether nobody will ask for this state any more: its key is then forgotten, sooner or later. What is absorbed into it
    /// afterwards begins anew, and must come to nothing again.
    fn is_over(&self, state: &Self::State, now: Timestamp) -> bool {
        let _ = (state, now);
        false
    }

    /// Whether states that were lost are to be made again from the beginning of the log. Only for a stage whose work is
    /// nothing but its states: what it publishes or carries out it would publish and carry out again.
    fn rebuilds(&self) -> bool {
        false
    }
}

/// When what follows from a fact goes out: what is saved before it fences out an owner who does not know that there is a newer one,
/// and costs it a round trip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speech {
    /// Once the state that knows of it is saved.
    #[default]
    Saved,
    /// At once, and the state that knows of it is saved 2 ms later, where the log itself fences: a single fact, on a subject of whose
    /// last fact its owner knows the place. The server takes it only where none was put behind that one. All else once it is saved, as
    /// what is urgent: who asked may look at the state as soon as there is an answer; it is fenced, too, where it is the only one. For
    /// a stage that alone writes the subjects of its facts, and that makes of the same message the same facts again: a crash before
    /// the save repeats them, and one that makes others under another configuration has then said what it does not know of.
    Fenced,
    /// At once, and the state that knows of it is saved with the quiet changes. After a crash the same facts go out again under the
    /// same ids, and an owner who does not know yet that there is a newer one says what that one says, too. So only for a stage
    /// whose readers go by causes, and never for one whose word moves something.
    First,
}

/// Which keys a fact bears upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// This one; it is created when absent.
    Key(String),
    /// These, in this order; they are created when absent.
    Keys(Vec<String>),
    /// Every key there is in the partition.
    Every,
    /// None.
    Nobody,
}

/// One fact, on its way into one key's state.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The key.
    pub key: &'a str,
    /// The fact.
    pub fact: &'a Fact,
    /// Its sequence in the log.
    pub seq: u64,
    /// The time of the log: never before the time of an earlier input of the same key.
    pub now: Timestamp,
}

impl Input<'_> {
    /// The head of the fact that follows from this input: the `index`-th output of `stage`.
    #[must_use]
    pub fn derive(&self, stage: &str, project: &Project, index: usize) -> Meta {
        Meta {
            id: FactId::derived(stage, self.seq, self.key, index),
            project: project.clone(),
            time: self.now,
            cause: self.seq,
            source: stage.to_owned(),
        }
    }
}

/// Why a fact cannot be absorbed; it becomes a dead letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Reject(pub String);

impl<E: Into<auspex_proto::Invalid>> From<E> for Reject {
    fn from(fault: E) -> Self {
        Self(fault.into().to_string())
    }
}
