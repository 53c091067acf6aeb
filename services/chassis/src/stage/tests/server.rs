//! What outlives an owner: log, bucket and cursor.

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::{Fact, FactKind, Timestamp};

use crate::stage::under_way::Said;

pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) fact: Fact,
}

/// What outlives a crash.
#[derive(Default)]
pub(super) struct Server {
    pub(super) log: Vec<Entry>,
    pub(super) bucket: BTreeMap<String, (u64, Vec<u8>)>,
    pub(super) revision: u64,
    /// By id: where it stands first, and its bytes.
    pub(super) published: BTreeMap<String, (u64, Vec<u8>)>,
    /// By subject: where the last one stands, and its cause.
    pub(super) last: BTreeMap<String, (u64, u64)>,
    pub(super) places: u64,
    /// Whether the server has forgotten the ids of what it was told.
    pub(super) forgetful: bool,
    /// Its revision, and what it says.
    pub(super) cursor: (u64, u64, i64),
}

impl Server {
    /// Where it stands on the log.
    pub(super) fn publish(&mut self, said: &Said) -> Result<u64, End> {
        let (message, id) = (&said.message, said.message.message_id());
        if let Some((place, before)) = self.published.get(id) {
            assert_eq!(before, message.payload(), "{id} was said otherwise");
            if !self.forgetful {
                return Ok(*place);
            }
        }
        let (last, before) = self.last.get(message.subject()).copied().unwrap_or_default();
        let cause = Fact::decode(FactKind::Event, message.payload())
            .map(|fact| fact.meta().cause)
            .unwrap_or_default();
        if let Some(after) = said.after {
            if after != last {
                return Err(GONE);
            }
            assert!(cause > before, "{id} comes late");
        }
        self.places += 1;
        self.last
            .insert(message.subject().to_owned(), (self.places, cause));
        let new = || (self.places, message.payload().to_vec());
        self.published.entry(id.to_owned()).or_insert_with(new);
        Ok(self.places)
    }
}

/// Why an owner ends: a crash, or a newer owner, or else what the next one is to step over.
#[derive(Debug)]
pub(super) struct End(pub(super) BTreeSet<u64>);

pub(super) const GONE: End = End(BTreeSet::new());
