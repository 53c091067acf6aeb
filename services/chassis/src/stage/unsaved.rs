//! Which keys have been absorbed into and are not saved, by how long they have been so: what the cursor may not pass.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use auspex_proto::Timestamp;

/// Which changes are to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that somebody waits for.
    Urgent,
    /// Those that have waited since this sequence or longer, the longest waiting first, at most so many.
    Until(u64, usize),
    /// All.
    All,
}

/// Keys that have been absorbed into and are not saved.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// With the first message that was absorbed into each since it was saved.
    keys: BTreeMap<String, u64>,
    /// The same by that message, with the time of the log before it. What `keys` knows nothing of is over.
    order: VecDeque<(u64, Timestamp, String)>,
    /// Those of them that somebody waits for: they have something to publish, or the verb calls what they absorbed urgent.
    urgent: BTreeSet<String>,
}

impl Touched {
    /// A message was absorbed into a key; before it the log had this time.
    pub(super) fn note(&mut self, key: &str, seq: u64, before: Timestamp) {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), seq);
            self.order.push_back((seq, before, key.to_owned()));
        }
    }

    /// Somebody waits for this key.
    pub(super) fn hurry(&mut self, key: &str) {
        self.urgent.insert(key.to_owned());
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes those that are to be saved.
    pub(super) fn take(&mut self, which: Which) -> Vec<String> {
        let mut taken: Vec<String> = std::mem::take(&mut self.urgent).into_iter().collect();
        for key in &taken {
            self.keys.remove(key);
        }
        let (until, most) = match which {
            Which::Urgent => (0, 0),
            Which::Until(until, most) => (until, most),
            Which::All => (u64::MAX, usize::MAX),
        };
        let most = most.saturating_add(taken.len());
        while let Some((seq, _, _)) = self.front() {
            if *seq > until || taken.len() >= most {
                break;
            }
            if let Some((_, _, key)) = self.order.pop_front() {
                self.keys.remove(&key);
                taken.push(key);
            }
        }
        taken
    }

    /// The last message before the first that is not saved, and the time of the log there; `None`: all is saved.
    pub(super) fn saved_to(&mut self) -> Option<(u64, Timestamp)> {
        let (seq, before, _) = self.front()?;
        Some((seq.saturating_sub(1), *before))
    }

    /// The one that has waited longest.
    fn front(&mut self) -> Option<&(u64, Timestamp, String)> {
        while let Some((seq, _, key)) = self.order.front() {
            if self.keys.get(key) == Some(seq) {
                break;
            }
            self.order.pop_front();
        }
        self.order.front()
    }
}
