//! How long changes that nobody waits for have waited to be saved.
//!
//! They are saved each at its own age rather than all at one beat: what came in over half a second goes out over half a second,
//! and what is urgent finds the bus free.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long such a change waits for others to the same key.
const WAIT: Duration = Duration::from_millis(400);
/// Changes this close to each other are of one age.
const STEP: Duration = Duration::from_millis(100);
/// Between two bites, when more is of age than one takes.
const PAUSE: Duration = Duration::from_millis(2);

/// When the log had come how far.
#[derive(Debug, Default)]
pub(super) struct Aging {
    /// The oldest first.
    marks: VecDeque<(Instant, u64)>,
    /// What was absorbed up to here is of age.
    until: u64,
    /// When to take the rest of what the last bite left behind.
    rest: Option<Instant>,
}

impl Aging {
    /// Something was absorbed, the last of it at this sequence.
    pub(super) fn note(&mut self, now: Instant, seq: u64) {
        match self.marks.back_mut() {
            Some((at, last)) if now.saturating_duration_since(*at) < STEP => *last = seq,
            _ => self.marks.push_back((now, seq)),
        }
    }

    /// When something is of age.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.rest.or_else(|| Some(self.marks.front()?.0 + WAIT))
    }

    /// Up to where what was absorbed is of age.
    pub(super) fn until(&mut self, now: Instant) -> u64 {
        while let Some((at, seq)) = self.marks.front() {
            if now < *at + WAIT {
                break;
            }
            self.until = *seq;
            self.marks.pop_front();
        }
        self.until
    }

    /// A bite was taken, of all that is of age or of a part.
    pub(super) fn bitten(&mut self, now: Instant, all: bool) {
        self.rest = (!all).then_some(now + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_of_age_in_its_own_time() {
        let (mut aging, start) = (Aging::default(), Instant::now());
        assert_eq!(aging.next_at(), None);
        for (ms, seq) in [(0, 3), (10, 4), (200, 9)] {
            aging.note(start + Duration::from_millis(ms), seq);
        }
        assert_eq!(aging.next_at(), Some(start + WAIT));
        assert_eq!(aging.until(start + WAIT - Duration::from_millis(1)), 0);
        assert_eq!(aging.until(start + WAIT), 4);
        assert_eq!(aging.next_at(), Some(start + WAIT + Duration::from_millis(200)));
        aging.bitten(start + WAIT, false);
        assert_eq!(aging.next_at(), Some(start + WAIT + PAUSE));
        aging.bitten(start + WAIT + PAUSE, true);
        assert_eq!(aging.until(start + 2 * WAIT), 9);
        assert_eq!(aging.next_at(), None);
    }
}
