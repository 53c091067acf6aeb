//! The clock of pauses, dwells and bakes: it stands still while nobody sees the weight that was asked for.
//!
//! A router that has lost control sends everything to stable; one that says nothing may. A pause that ran on meanwhile would
//! have watched nobody. So what is to be watched for a time is timed by this clock and not by the log's; at which moments
//! somebody sees is said by what routers report of themselves, not by who was there to read it: control may have been away,
//! and learns of it afterwards.

use std::time::Duration;

use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// The time of a rollout that counts as watched. Of constant size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// Milliseconds that did not count, of stretches that are over.
    lost: i64,
    /// The end of the last of these stretches.
    until: Timestamp,
    /// Since when nobody sees the weight; `None`: somebody does.
    blind: Option<Timestamp>,
    /// What routers have told since the last look: from the first moment to the last one in which it did not hold.
    told: Option<(Timestamp, Timestamp)>,
}

impl Watch {
    /// A router tells that the weight did not hold between these moments. In whatever order such words come, they add up to
    /// the same.
    pub fn unseen(&mut self, from: Timestamp, to: Timestamp) {
        let (first, last) = self.told.unwrap_or((from, to));
        self.told = Some((first.min(from), last.max(to)));
    }

    /// Whether something was told that no look has taken in yet.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether the weight is seen at this moment; `last`: when it was seen last, as far as is known.
    pub fn look(&mut self, sees: bool, last: Timestamp, now: Timestamp) {
        let told = self.told.take();
        let first = told.map(|(from, _)| from);
        let from = self.blind.into_iter().chain(first).min();
        if !sees {
            self.blind = Some(from.unwrap_or(last).max(self.until).min(now));
            return;
        }
        let Some(from) = from else { return };
        let end = match (self.blind.take(), told) {
            (Some(_), _) | (None, None) => now,
            (None, Some((_, to))) => to.min(now),
        };
        let from = from.max(self.until);
        self.lost = self.lost.saturating_add(end.0.saturating_sub(from.0).max(0));
        self.until = self.until.max(end);
    }

    /// What this clock shows at a moment of the log.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Timestamp {
        let moment = self.blind.map_or(now, |since| since.min(now));
        Timestamp(moment.0.saturating_sub(self.lost))
    }

    /// When this clock will show that; `None`: it stands still.
    #[must_use]
    pub fn when(&self, shown: Timestamp) -> Option<Timestamp> {
        let moment = Timestamp(shown.0.saturating_add(self.lost));
        self.blind.is_none().then_some(moment)
    }

    /// Since when it stands still.
    #[must_use]
    pub fn stands(&self) -> Option<Timestamp> {
        self.blind
    }

    /// How much time did not count, of what is over.
    #[must_use]
    pub fn lost(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.lost).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    #[test]
    fn it_stands_still_while_nobody_sees() {
        let mut watch = Watch::default();
        watch.look(true, at(10), at(10));
        assert_eq!((watch.at(at(10)), watch.when(at(15))), (at(10), Some(at(15))));
        watch.look(false, at(11), at(12));
        assert_eq!((watch.at(at(60)), watch.when(at(15))), (at(11), None));
        watch.look(false, at(11), at(50));
        assert_eq!(watch.stands(), Some(at(11)));
        watch.look(true, at(61), at(61));
        assert_eq!((watch.at(at(61)), watch.when(at(15))), (at(11), Some(at(65))));
    }

    #[test]
    fn what_is_told_afterwards_counts_once_in_any_order() {
        let told = [(20, 21), (10, 11), (11, 20), (15, 21)];
        for turn in 0..told.len() {
            let mut watch = Watch::default();
            let words = told.iter().cycle().skip(turn).take(told.len());
            words.for_each(|(from, to)| watch.unseen(at(*from), at(*to)));
            assert!(watch.is_told());
            watch.look(true, at(30), at(30));
            assert_eq!(watch.lost(), Duration::from_secs(11));
            // The same stretch told once more by somebody who is late.
            watch.unseen(at(12), at(20));
            watch.look(true, at(31), at(31));
            assert_eq!(watch.lost(), Duration::from_secs(11));
        }
    }
}
