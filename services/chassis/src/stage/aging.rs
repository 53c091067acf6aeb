//! How long changes that nobody waits for have waited to be saved.
//!
//! They are saved each at its own age rather than all at one beat: what came in over half a second goes out over half a second,
//! and what is urgent finds the bus free. What only its owner looks at waits longer: the next facts of the same key are then saved
//! with it, and a crash costs no more than absorbing them again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::slots::Ages;

/// How long a change waits for others to the same key, where somebody may look at it.
const SEEN: Duration = Duration::from_millis(400);
/// How long it does where only its owner looks at it.
const UNSEEN: Duration = Duration::from_secs(5);
/// Changes this close to each other are of one age.
const STEP: Duration = Duration::from_millis(100);
/// Between two bites, when more is of age than one takes; and between a word and the save of what knows of it, as long as the word
/// takes to be heard: on a busy machine a save in its back makes it later by a fifth.
const PAUSE: Duration = Duration::from_millis(2);

/// When the log had come how far.
#[derive(Debug)]
pub(super) struct Aging {
    seen: Marks,
    unseen: Marks,
    /// When to take the rest of what the last bite left behind, and what has spoken.
    rest: Option<Instant>,
}

/// When the log had come how far, for changes that wait so long.
#[derive(Debug)]
struct Marks {
    wait: Duration,
    /// The oldest first.
    marks: VecDeque<(Instant, u64)>,
    /// What was absorbed up to here is of age.
    until: u64,
}

impl Default for Aging {
    fn default() -> Self {
        Self {
            seen: Marks::of(SEEN),
            unseen: Marks::of(UNSEEN),
            rest: None,
        }
    }
}

impl Aging {
    /// Something was absorbed, the last of it at this sequence.
    pub(super) fn note(&mut self, now: Instant, seq: u64) {
        self.seen.note(now, seq);
        self.unseen.note(now, seq);
    }

    /// Something was said, and what knows of it is to be saved.
    pub(super) fn spoke(&mut self, now: Instant) {
        self.rest.get_or_insert(now + PAUSE);
    }

    /// When something may be of age.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let next = || self.seen.next_at().into_iter().chain(self.unseen.next_at()).min();
        self.rest.or_else(next)
    }

    /// Up to where what was absorbed is of age.
    pub(super) fn until(&mut self, now: Instant) -> Ages {
        Ages {
            seen: self.seen.until(now),
            unseen: self.unseen.until(now),
        }
    }

    /// A bite was taken, of all that is of age or of a part.
    pub(super) fn bitten(&mut self, now: Instant, all: bool) {
        self.rest = (!all).then_some(now + PAUSE);
    }
}

impl Marks {
    fn of(wait: Duration) -> Self {
        Self {
            wait,
            marks: VecDeque::new(),
            until: 0,
        }
    }

    fn note(&mut self, now: Instant, seq: u64) {
        match self.marks.back_mut() {
            Some((at, last)) if now.saturating_duration_since(*at) < STEP => *last = seq,
            _ => self.marks.push_back((now, seq)),
        }
    }

    fn next_at(&self) -> Option<Instant> {
        Some(self.marks.front()?.0 + self.wait)
    }

    fn until(&mut self, now: Instant) -> u64 {
        while let Some((at, seq)) = self.marks.front() {
            if now < *at + self.wait {
                break;
            }
            self.until = *seq;
            self.marks.pop_front();
        }
        self.until
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
        assert_eq!(aging.next_at(), Some(start + SEEN));
        assert_eq!(aging.until(start + SEEN - Duration::from_millis(1)).seen, 0);
        assert_eq!(aging.until(start + SEEN), Ages { seen: 4, unseen: 0 });
        assert_eq!(aging.next_at(), Some(start + SEEN + Duration::from_millis(200)));
        aging.bitten(start + SEEN, false);
        assert_eq!(aging.next_at(), Some(start + SEEN + PAUSE));
        aging.bitten(start + SEEN + PAUSE, true);
        assert_eq!(aging.until(start + 2 * SEEN), Ages { seen: 9, unseen: 0 });
        assert_eq!(aging.next_at(), Some(start + UNSEEN));
        assert_eq!(aging.until(start + UNSEEN), Ages { seen: 9, unseen: 4 });
        assert_eq!(aging.until(start + 2 * UNSEEN), Ages { seen: 9, unseen: 9 });
        assert_eq!(aging.next_at(), None);
    }

    #[test]
    fn what_has_spoken_is_saved_in_a_moment() {
        let (mut aging, start) = (Aging::default(), Instant::now());
        aging.spoke(start);
        aging.spoke(start + PAUSE / 2);
        assert_eq!(aging.next_at(), Some(start + PAUSE), "the first word counts");
        aging.bitten(start + PAUSE, true);
        assert_eq!(aging.next_at(), None);
    }
}
