//! Which keys have been absorbed into and are not saved, by how long they have been so: what the cursor may not pass.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use auspex_proto::Timestamp;

/// Which changes are to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that somebody waits for.
    Urgent,
    /// Those that somebody waits for or that have spoken, and of those that are of age the longest waiting, at most so many.
    Until(Ages, usize),
    /// All.
    All,
}

/// Up to which message what was absorbed is of age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ages {
    /// Where somebody may look at the state.
    pub(crate) seen: u64,
    /// Where only its owner does.
    pub(crate) unseen: u64,
}

impl Ages {
    /// Everything is of age.
    pub(crate) const ALL: Self = Self {
        seen: u64::MAX,
        unseen: u64::MAX,
    };
}

/// Keys that have been absorbed into and are not saved.
#[derive(Debug, Default)]
pub(super) struct Touched {
    keys: BTreeMap<String, Since>,
    /// Those that somebody may look at, by the first message at whose changes they may.
    seen: Line,
    /// Those that had a change at which only their owner looks, by the first message.
    unseen: Line,
    /// Those of them that somebody waits for: they have something to publish, or the verb calls what they absorbed urgent.
    urgent: BTreeSet<String>,
    /// Those that have published what they had to, and are to be saved shortly.
    spoken: BTreeSet<String>,
}

/// The first message that was absorbed into a key since it was saved, of either kind.
#[derive(Debug, Clone, Copy, Default)]
struct Since {
    seen: Option<u64>,
    unseen: Option<u64>,
}

/// Keys by messages that were absorbed into them, with the time of the log before each. What is not called unsaved is over.
#[derive(Debug, Default)]
struct Line(VecDeque<Waiting>);

impl Touched {
    /// A message was absorbed into a key, at which somebody may look or not; before it the log had this time.
    pub(super) fn note(&mut self, key: &str, (seq, before): (u64, Timestamp), is_seen: bool) {
        let since = match self.keys.get_mut(key) {
            Some(since) => since,
            None => self.keys.entry(key.to_owned()).or_default(),
        };
        let (first, line) = match is_seen {
            true => (&mut since.seen, &mut self.seen),
            false => (&mut since.unseen, &mut self.unseen),
        };
        if first.is_none() {
            *first = Some(seq);
            line.0.push_back((seq, before, key.to_owned()));
        }
    }

    /// Somebody waits for this key.
    pub(super) fn hurry(&mut self, key: &str) {
        self.urgent.insert(key.to_owned());
    }

    /// What this key had to publish is on its way, and nobody waits for its save.
    pub(super) fn spoke(&mut self, key: &str) {
        self.spoken.insert(key.to_owned());
    }

    /// Whether any key is to be saved shortly.
    pub(super) fn has_spoken(&self) -> bool {
        !self.spoken.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes those that are to be saved.
    pub(super) fn take(&mut self, which: Which) -> Vec<String> {
        let mut taken: Vec<String> = std::mem::take(&mut self.urgent).into_iter().collect();
        for key in &taken {
            self.spoken.remove(key);
        }
        if which != Which::Urgent {
            taken.extend(std::mem::take(&mut self.spoken));
        }
        for key in &taken {
            self.keys.remove(key);
        }
        let (ages, most) = match which {
            Which::Urgent => (Ages::default(), 0),
            Which::Until(ages, most) => (ages, most),
            Which::All => (Ages::ALL, usize::MAX),
        };
        let most = most.saturating_add(taken.len());
        while taken.len() < most {
            let Some(key) = self.pop(ages) else { break };
            self.keys.remove(&key);
            taken.push(key);
        }
        taken
    }

    /// Whether any is of age.
    pub(super) fn is_due(&mut self, ages: Ages) -> bool {
        let due = |front: Option<&Waiting>, until: u64| front.is_some_and(|(seq, _, _)| *seq <= until);
        due(self.next_seen(), ages.seen) || due(self.next_unseen(), ages.unseen)
    }

    /// The one of age that has waited longest.
    fn pop(&mut self, ages: Ages) -> Option<String> {
        let first =
            |front: Option<&Waiting>, until: u64| front.map(|(seq, _, _)| *seq).filter(|seq| *seq <= until);
        let seen = first(self.next_seen(), ages.seen);
        let unseen = first(self.next_unseen(), ages.unseen);
        let line = match (seen, unseen) {
            (Some(seen), Some(unseen)) if unseen < seen => &mut self.unseen,
            (Some(_), _) => &mut self.seen,
            (None, Some(_)) => &mut self.unseen,
            (None, None) => return None,
        };
        line.0.pop_front().map(|(_, _, key)| key)
    }

    /// The last message before the first that is not saved, and the time of the log there; `None`: all is saved.
    pub(super) fn saved_to(&mut self) -> Option<(u64, Timestamp)> {
        let seen = self.next_seen().map(place);
        let unseen = self.next_unseen().map(place);
        seen.into_iter().chain(unseen).min_by_key(|(seq, _)| *seq)
    }

    fn next_seen(&mut self) -> Option<&Waiting> {
        let keys = &self.keys;
        self.seen.front(|key| keys.get(key)?.seen)
    }

    fn next_unseen(&mut self) -> Option<&Waiting> {
        let keys = &self.keys;
        self.unseen.front(|key| keys.get(key)?.unseen)
    }
}

type Waiting = (u64, Timestamp, String);

fn place((seq, before, _): &Waiting) -> (u64, Timestamp) {
    (seq.saturating_sub(1), *before)
}

impl Line {
    /// The one that has waited longest; `since` says from which message on a key is unsaved.
    fn front(&mut self, since: impl Fn(&str) -> Option<u64>) -> Option<&Waiting> {
        while let Some((seq, _, key)) = self.0.front() {
            if since(key) == Some(*seq) {
                break;
            }
            self.0.pop_front();
        }
        self.0.front()
    }
}
