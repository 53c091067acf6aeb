//! What the owner of a partition knows of one key: its state, its outbox, and how much of them is saved.

use auspex_proto::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::bus::Outgoing;

/// What tells one saved state from another: half of its SHA-256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(state: &[u8]) -> Self {
        let mut half = [0; 16];
        half.iter_mut()
            .zip(Sha256::digest(state))
            .for_each(|(to, from)| *to = from);
        Self(half)
    }
}

/// A key as its owner knows it; [`super::value::Value`] is what the bucket holds of it.
pub(crate) struct Slot<S> {
    pub(crate) state: S,
    /// The last message absorbed.
    pub(crate) seq: u64,
    /// What the last save published, or is about to; before it, what was still under way then.
    pub(crate) outbox: Vec<Outgoing>,
    /// How many of the outbox an earlier save has sent.
    pub(super) sent_before: usize,
    /// How many, at the end of the outbox, are sent and not acknowledged: the next save keeps them.
    pub(super) under_way: usize,
    /// Whether the outbox holds what no message of the log caused: an errand's dead letters. Its sequence does not tell
    /// whether they went out, so whoever takes over sends them again.
    pub(crate) owes: bool,
    /// The bucket's revision of this key; 0 when it is not there yet.
    pub(crate) revision: u64,
    /// A digest of the state as last saved: unchanged it is not saved again. The bytes themselves would be a second copy of
    /// every state in memory.
    pub(super) saved: Digest,
    pub(super) touched: bool,
    pub(super) due: Option<Timestamp>,
}

impl<S> Slot<S> {
    /// Something is about to be put in: what has arrived goes, what is under way stays.
    pub(super) fn touch(&mut self) {
        if !self.touched {
            let arrived = self.outbox.len().saturating_sub(self.under_way);
            self.outbox.drain(..arrived);
            self.owes &= !self.outbox.is_empty();
            self.sent_before = self.outbox.len();
            self.touched = true;
        }
    }

    /// What was not sent is sent, before it is saved.
    pub(super) fn spoken(&mut self) {
        self.under_way += self.unsent().len();
        self.sent_before = self.outbox.len();
    }

    /// All that was under way has arrived. Of a key that is to be saved still, it need not be saved.
    pub(super) fn arrived(&mut self) {
        self.under_way = 0;
        if self.touched {
            self.outbox.drain(..self.sent_before.min(self.outbox.len()));
            self.sent_before = 0;
        }
    }

    /// What was not sent yet.
    pub(super) fn unsent(&self) -> &[Outgoing] {
        self.outbox.get(self.sent_before..).unwrap_or_default()
    }
}

impl<S: Default> Slot<S> {
    pub(super) fn empty() -> Self {
        Self {
            state: S::default(),
            seq: 0,
            outbox: Vec::new(),
            sent_before: 0,
            under_way: 0,
            revision: 0,
            saved: Digest::default(),
            owes: false,
            touched: false,
            due: None,
        }
    }
}
