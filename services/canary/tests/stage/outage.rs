//! Control is away, and what routers tell afterwards of that time.

use std::time::Duration;

use auspex_proto::{Decision, Fact, Timestamp};

use super::{Second, Stage};

/// The proxy suspends after so many seconds without control.
const LEASE: u64 = 10;

impl Stage {
    /// The proxy tells of a second: when it began, and what it is at the end of it; `None`: suspended, with all users on stable.
    pub fn told(&mut self, start: Timestamp, weight: Option<u8>, alone: bool) {
        let candidate = if alone { 0 } else { u64::from(weight.unwrap_or(0)) };
        let second = Second {
            stable: (100 - candidate, 0),
            candidate: (candidate, 0),
            slow: None,
        };
        let mut batch = self.batch(start, second);
        batch.meta.time = start + Duration::from_secs(1);
        let applied = Self::applied(weight.unwrap_or(0), weight.is_none());
        batch.applied.push(applied);
        self.feed(Fact::Observations(batch)).unwrap();
    }

    /// Bus and control are away for so long. The proxy suspends after its lease; where it has kept its reports they come
    /// before the first tick.
    pub fn away(&mut self, seconds: u64, tells: bool) -> Vec<Decision> {
        let (begun, weight) = (self.now.boundary(Duration::from_secs(1)), self.weight());
        self.now = begun + Duration::from_secs(seconds);
        for second in 0..seconds {
            let start = begun + Duration::from_secs(second);
            // In the last of them it has heard of control again.
            let suspended = second >= LEASE && second + 1 < seconds;
            if tells || second + 1 == seconds {
                self.told(start, (!suspended).then_some(weight), second >= LEASE);
            }
        }
        self.tick()
    }
}
