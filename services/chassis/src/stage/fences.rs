//! Where the last fact on each subject stands in the log, as far as its only writer knows.
//!
//! Whoever puts a fact behind the one that it takes for the last is refused by the server once there is a newer one. An owner that
//! was stopped for minutes and goes on says nothing then, even if it had saved before it stopped.

use std::collections::HashMap;

use crate::bus::Outgoing;

/// Places of last facts, by their subjects.
#[derive(Debug, Default)]
pub(super) struct Fences(HashMap<String, u64>);

impl Fences {
    /// A fact stands here. What was there already has the place of the first time, which is not the last any more.
    pub(super) fn note(&mut self, subject: String, place: u64) {
        let last = self.0.entry(subject).or_default();
        *last = place.max(*last);
    }

    /// What this fact has to follow; `None`: not known.
    pub(super) fn before(&self, fact: &Outgoing) -> Option<u64> {
        self.0.get(fact.subject()).copied()
    }

    /// Forgets all: the log does not keep its facts for ever, and there is no end of subjects.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}
