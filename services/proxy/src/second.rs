//! Which interval ends when. Pure.

use std::time::Duration;

use auspex_proto::Timestamp;

/// The length of an interval, aligned to the unix second, so that those of two proxies meet.
pub const SECOND: Duration = Duration::from_secs(1);

/// Where the open interval begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    start: Timestamp,
}

impl Second {
    /// Begins at the boundary before `now`.
    #[must_use]
    pub fn begin(now: Timestamp) -> Self {
        Self {
            start: now.boundary(SECOND),
        }
    }

    /// How long to wait for the next boundary.
    #[must_use]
    pub fn wait(now: Timestamp) -> Duration {
        now.next_boundary(SECOND).since(now)
    }

    /// Ends the interval at the last boundary: its start and length; `None` when none has passed. After a pause of the
    /// process it is one long interval, not a burst. A clock set back begins anew; the counts go to the next interval.
    pub fn end(&mut self, now: Timestamp) -> Option<(Timestamp, Duration)> {
        let (start, end) = (self.start, now.boundary(SECOND));
        if end > start {
            self.start = end;
            return Some((start, end.since(start)));
        }
        if start.since(end) > SECOND {
            self.start = end;
        }
        None
    }

    /// Ends it wherever it is: the last interval of a process.
    pub fn cut(&mut self, now: Timestamp) -> Option<(Timestamp, Duration)> {
        let start = self.start;
        self.start = now;
        (now > start).then(|| (start, now.since(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn intervals_meet_at_the_second_whatever_the_timer_does() {
        let mut second = Second::begin(Timestamp(1_400));
        assert_eq!(Second::wait(Timestamp(1_400)), ms(600));
        assert_eq!(second.end(Timestamp(1_999)), None, "the timer came early");
        assert_eq!(second.end(Timestamp(2_003)), Some((Timestamp(1_000), ms(1_000))));
        assert_eq!(
            second.end(Timestamp(182_900)),
            Some((Timestamp(2_000), ms(180_000))),
            "one, not a burst"
        );
        assert_eq!(second.end(Timestamp(90_000)), None, "the clock was set back");
        assert_eq!(
            second.end(Timestamp(91_001)),
            Some((Timestamp(90_000), ms(1_000)))
        );
        assert_eq!(second.cut(Timestamp(91_400)), Some((Timestamp(91_000), ms(400))));
        assert_eq!(second.cut(Timestamp(91_400)), None);
    }
}
