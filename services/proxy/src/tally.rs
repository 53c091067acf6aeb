//! What users got, counted per track. Sharded by thread, so that counting one request costs one lock nobody else wants.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use auspex_proto::Track;

use crate::shard::{self, SHARDS};

/// Upper bounds of the latency histogram in microseconds: two per doubling, 0.25 ms to 64 s. Fixed for good, so that
/// histograms of any two proxies and times add up.
pub const BOUNDS_US: [u64; 37] = [
    250, 354, 500, 707, 1_000, 1_414, 2_000, 2_828, 4_000, 5_657, 8_000, 11_314, 16_000, 22_627, 32_000,
    45_255, 64_000, 90_510, 128_000, 181_019, 256_000, 362_039, 512_000, 724_077, 1_024_000, 1_448_155,
    2_048_000, 2_896_309, 4_096_000, 5_792_619, 8_192_000, 11_585_238, 16_384_000, 23_170_475, 32_768_000,
    46_340_950, 65_536_000,
];

/// The counts of one service.
#[derive(Debug, Default)]
pub struct Tally {
    shards: [Shard; SHARDS],
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Interval>);

/// What was counted in one interval, per track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interval {
    /// The version users are on.
    pub stable: Counts,
    /// The version on trial.
    pub candidate: Counts,
}

/// What was counted of one track. Good and bad are counted apart, so that bad never exceeds all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Answered below 500, in full or as far as the client wanted it.
    pub good: u64,
    /// Answered with 500 or above, cut short by the target, or not answered.
    pub bad: u64,
    /// Within the objective, while there is one.
    pub fast: u64,
    /// Beyond the objective, while there is one.
    pub slow: u64,
    /// Given up by the client before any answer: no outcome, so in none of the above but `slow` when it had waited that long.
    pub aborted: u64,
    /// Answers per bound of [`BOUNDS_US`], the last above them all.
    pub latency: [u64; BOUNDS_US.len() + 1],
    /// Of all latencies, microseconds.
    pub sum_us: u64,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Answered below 500.
    Good,
    /// Answered with 500 or above, cut short by the target, or not answered.
    Bad,
    /// Given up by the client before any answer.
    Aborted,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            good: 0,
            bad: 0,
            fast: 0,
            slow: 0,
            aborted: 0,
            latency: [0; BOUNDS_US.len() + 1],
            sum_us: 0,
        }
    }
}

impl Tally {
    /// Counts one exchange. `latency`: from the request's head to the answer's, or to giving up.
    pub fn record(&self, track: Track, ending: Ending, latency: Duration, slo: Option<Duration>) {
        let Some(shard) = self.shards.get(shard::mine()) else {
            return;
        };
        let mut interval = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        match track {
            Track::Stable => interval.stable.record(ending, latency, slo),
            Track::Candidate => interval.candidate.record(ending, latency, slo),
        }
    }

    /// Takes everything counted since the last time. Every exchange is in exactly one interval, in full.
    #[must_use]
    pub fn rotate(&self) -> Interval {
        let mut all = Interval::default();
        for shard in &self.shards {
            let part = std::mem::take(&mut *shard.0.lock().unwrap_or_else(PoisonError::into_inner));
            all.add(&part);
        }
        all
    }
}

impl Interval {
    /// Adds another interval's counts.
    pub fn add(&mut self, other: &Self) {
        self.stable.add(&other.stable);
        self.candidate.add(&other.candidate);
    }
}

impl Counts {
    /// All that had an outcome.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.good + self.bad
    }

    fn record(&mut self, ending: Ending, latency: Duration, slo: Option<Duration>) {
        let slow = slo.map(|slo| latency > slo);
        match ending {
            Ending::Good => self.good += 1,
            Ending::Bad => self.bad += 1,
            Ending::Aborted => {
                self.aborted += 1;
                // Known to be slow once it has waited beyond the objective; before that, not known to be anything.
                self.slow += u64::from(slow == Some(true));
                return;
            }
        }
        match slow {
            Some(true) => self.slow += 1,
            Some(false) => self.fast += 1,
            None => {}
        }
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.latency.get_mut(bucket) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.bad += other.bad;
        self.fast += other.fast;
        self.slow += other.slow;
        self.aborted += other.aborted;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        for (mine, theirs) in self.latency.iter_mut().zip(other.latency) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn rotations_sum_to_all_requests_whoever_counts() {
        let tally = Arc::new(Tally::default());
        let done = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..4_u64)
            .map(|worker| {
                let tally = Arc::clone(&tally);
                std::thread::spawn(move || {
                    for n in 0..20_000_u64 {
                        let track = if n % 4 == worker {
                            Track::Candidate
                        } else {
                            Track::Stable
                        };
                        let ending = if n % 10 == 0 { Ending::Bad } else { Ending::Good };
                        tally.record(
                            track,
                            ending,
                            Duration::from_micros(n),
                            Some(Duration::from_millis(10)),
                        );
                    }
                })
            })
            .collect();
        let rotating = {
            let (tally, done) = (Arc::clone(&tally), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut sum = Interval::default();
                while !done.load(Ordering::SeqCst) {
                    let part = tally.rotate();
                    let answers: u64 = part.stable.latency.iter().sum();
                    assert_eq!(
                        answers,
                        part.stable.total(),
                        "an exchange is in one interval in full"
                    );
                    sum.add(&part);
                }
                sum.add(&tally.rotate());
                sum
            })
        };
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::SeqCst);
        let sum = rotating.join().unwrap();
        assert_eq!(sum.stable.total() + sum.candidate.total(), 80_000);
        assert_eq!(
            (sum.stable.bad + sum.candidate.bad, sum.candidate.total()),
            (8_000, 20_000)
        );
        assert_eq!(sum.stable.slow + sum.candidate.slow, 4 * 9_999);
        assert_eq!(tally.rotate(), Interval::default());
    }

    #[test]
    fn what_a_client_gave_up_has_no_outcome() {
        let mut counts = Counts::default();
        let slo = Some(Duration::from_millis(5));
        counts.record(Ending::Aborted, Duration::from_millis(1), slo);
        counts.record(Ending::Aborted, Duration::from_millis(9), slo);
        assert_eq!(
            (counts.total(), counts.aborted, counts.slow, counts.fast),
            (0, 2, 1, 0)
        );
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let mut counts = Counts::default();
        for us in [0, 250, 251, 65_536_000, 65_536_001] {
            counts.record(Ending::Good, Duration::from_micros(us), None);
        }
        assert_eq!(
            (
                counts.latency[0],
                counts.latency[1],
                counts.latency[36],
                counts.latency[37]
            ),
            (2, 1, 1, 1)
        );
        assert_eq!(counts.fast + counts.slow, 0, "no objective, no judgement");
        assert!(BOUNDS_US.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
