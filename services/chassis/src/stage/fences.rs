//! Where the last fact on each subject stands in the log, as far as its only writer knows.
//!
//! Whoever puts a fact behind the one that it takes for the last is refused by the server once there is a newer one. An owner that
//! was stopped for minutes and goes on says nothing then, even if it had saved before it stopped.

use std::collections::HashMap;

use crate::bus::Outgoing;

/// Subjects of a partition that are known; beyond it all are forgotten, and the next fact of each waits for its save.
const MOST: usize = 16_384;

/// Places of last facts, by their subjects.
#[derive(Debug, Default)]
pub(super) struct Fences(HashMap<String, u64>);

impl Fences {
    /// A fact stands here. What was there already has the place of the first time, which is not the last any more.
    pub(super) fn note(&mut self, subject: String, place: u64) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let last = self.0.entry(subject).or_default();
        *last = place.max(*last);
    }

    /// What this fact has to follow; `None`: not known.
    pub(super) fn before(&self, fact: &Outgoing) -> Option<u64> {
        self.0.get(fact.subject()).filter(|_| fact.is_fact()).copied()
    }
}
