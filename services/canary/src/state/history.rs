//! What users of a service got before its next rollout: failures that come in clusters are told from harm by how they have
//! scattered so far (law 8), so every rollout begins with the intervals before it.
//!
//! While no rollout of a service is under way, the counts of its stable track add up per interval. An interval closes by the
//! log's time alone, at the first of its boundaries that is past the interval's end and lateness; whether an observation is
//! in time depends on nothing but itself and the time of the log. So neither order nor batches matter.
//!
//! Bounded: [`MOST_SERVICES`] services of at most 1.3 kB, their open intervals of together at most 37 kB: 100 kB; usually
//! some 0.5 kB per service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auspex_judge::Counts;
use auspex_proto::observation::{Observation, Value};
use auspex_proto::{Timestamp, Track};
use serde::{Deserialize, Serialize};

use super::window::key;

/// Most services of a project whose past is kept; further ones begin without.
pub const MOST_SERVICES: usize = 48;
/// Closed intervals that are kept of a service; where failures are rare, rows of several: up to a quarter of an hour at 1 s.
pub const KEPT: usize = 60;
/// A row is of at most two to the power of so many intervals.
const MOST_DOUBLED: u8 = 4;
/// Failures per row, on average, from which rows are not made longer: with fewer, nobody sees whether they come in clusters.
const TELLING: u64 = 2;
/// Fewest rows that lengthening may leave.
const FEWEST: usize = 8;
/// Most observations of a project that are told apart while their intervals are open; further ones are left out.
const MOST_SEEN: usize = 2_048;
/// Intervals that an observation may lie ahead of the log's time: clocks differ.
const AHEAD: u32 = 2;
/// Most intervals that stay open for what comes late, whatever the lateness.
const MOST_LATE: u32 = 12;
/// A service that has been silent for so long is forgotten: its past may no longer resemble its present.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Width of the intervals and how long they stay open, as configured.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Width of an interval.
    pub width: Duration,
    /// How long it stays open after its end.
    pub lateness: Duration,
}

impl Clock {
    /// What begins before this is closed.
    fn closed(self, now: Timestamp) -> Timestamp {
        let lateness = self.lateness.min(self.width * MOST_LATE);
        (now.boundary(self.width) - lateness).boundary(self.width)
    }

    fn life(self) -> Duration {
        FORGOTTEN.max(self.width * 4)
    }
}

/// The past of a project's services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histories(BTreeMap<String, History>);

/// The past of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct History {
    /// When it was last heard of, on trial or not; a boundary.
    heard: Timestamp,
    /// By start of the interval.
    open: BTreeMap<i64, Open>,
    /// Errors, requests, slow ones, requests per row of intervals; the newest last.
    kept: Vec<[u32; 4]>,
    /// Every row is of `2^doubled` intervals, the last one of `filled`.
    doubled: u8,
    filled: u8,
}

/// An interval that is not closed yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Open {
    /// Errors, requests, slow ones, requests.
    counts: [u64; 4],
    seen: BTreeSet<u64>,
}

impl Histories {
    /// Adds what the stable track of a service that is not on trial did. Other metrics and late ones are left out.
    pub fn add(&mut self, seen: &Observation, now: Timestamp, clock: Clock) {
        let (at, Value::Counts { bad, total }) = (place(&seen.metric), &seen.value) else {
            return;
        };
        let Some(at) = at.filter(|_| seen.track != Some(Track::Candidate)) else {
            return;
        };
        let end = seen.start + seen.length - Duration::from_millis(1);
        let start = end.boundary(clock.width);
        if start < clock.closed(now) || start > now.boundary(clock.width) + clock.width * AHEAD {
            return;
        }
        let service = seen.service.as_str();
        if !self.0.contains_key(service) && self.0.len() >= MOST_SERVICES {
            return;
        }
        let room = self.0.values().map(History::told_apart).sum::<usize>() < MOST_SEEN;
        let history = self.0.entry(service.to_owned()).or_default();
        history.heard = history.heard.max(now.boundary(clock.width));
        history.close(clock.closed(now));
        if room {
            let key = key(seen, Track::Stable);
            history
                .open
                .entry(start.0)
                .or_default()
                .add(key, at, (*bad, *total));
        }
    }

    /// Notes that a service is alive, though on trial.
    pub fn touch(&mut self, service: &str, now: Timestamp, clock: Clock) {
        if let Some(history) = self.0.get_mut(service) {
            history.heard = history.heard.max(now.boundary(clock.width));
        }
    }

    /// Forgets services that have been silent for long.
    pub fn forget(&mut self, now: Timestamp, clock: Clock) {
        let now = now.boundary(clock.width);
        self.0
            .retain(|_, history| now.since(history.heard) <= clock.life());
    }

    /// A rollout of the service begins: its closed intervals by `requests` and by `slow`, the oldest first. They are kept for
    /// the next one; what is open is not.
    pub fn begin(&mut self, service: &str, now: Timestamp, clock: Clock) -> [Vec<Counts>; 2] {
        self.forget(now, clock);
        let Some(history) = self.0.get_mut(service) else {
            return [Vec::new(), Vec::new()];
        };
        history.close(clock.closed(now));
        history.open.clear();
        let counts = |bad: u32, total: u32| Counts {
            baseline_bad: bad.into(),
            baseline_total: total.into(),
            ..Counts::default()
        };
        [0, 2].map(|at| {
            let mut rows = history.kept.clone();
            while rows.len() >= 2 * FEWEST && failures(&rows, at) < TELLING.saturating_mul(rows.len() as u64)
            {
                rows = paired(&rows);
            }
            let row = |row: [u32; 4]| row.get(at).copied().zip(row.get(at + 1).copied());
            let pairs = rows.into_iter().filter_map(row);
            pairs.map(|(bad, total)| counts(bad, total)).collect()
        })
    }
}

impl History {
    fn told_apart(&self) -> usize {
        self.open.values().map(|open| open.seen.len()).sum()
    }

    fn close(&mut self, until: Timestamp) {
        let open = self.open.split_off(&until.0);
        for (_, interval) in std::mem::replace(&mut self.open, open) {
            self.keep(interval.counts.map(|n| u32::try_from(n).unwrap_or(u32::MAX)));
        }
    }

    fn keep(&mut self, interval: [u32; 4]) {
        let full = 1 << self.doubled;
        if let Some(last) = self.kept.last_mut().filter(|_| self.filled < full) {
            *last = sum(last, &interval);
            self.filled += 1;
            return;
        }
        if self.kept.len() >= KEPT {
            let few = failures(&self.kept, 0) < TELLING * KEPT as u64;
            if few && self.doubled < MOST_DOUBLED {
                self.kept = paired(&self.kept);
                self.doubled += 1;
            } else {
                self.kept.remove(0);
            }
        }
        self.kept.push(interval);
        self.filled = 1;
    }
}

/// Failures in all rows.
fn failures(rows: &[[u32; 4]], at: usize) -> u64 {
    let bad = rows.iter().filter_map(|row| row.get(at));
    bad.map(|bad| u64::from(*bad)).sum()
}

/// Each two rows as one; of an odd number the oldest is left out.
fn paired(rows: &[[u32; 4]]) -> Vec<[u32; 4]> {
    let mut pairs: Vec<[u32; 4]> = rows
        .rchunks_exact(2)
        .filter_map(|pair| Some(sum(pair.first()?, pair.last()?)))
        .collect();
    pairs.reverse();
    pairs
}

fn sum(a: &[u32; 4], b: &[u32; 4]) -> [u32; 4] {
    let [a0, a1, a2, a3] = *a;
    let [b0, b1, b2, b3] = *b;
    [
        a0.saturating_add(b0),
        a1.saturating_add(b1),
        a2.saturating_add(b2),
        a3.saturating_add(b3),
    ]
}

impl Open {
    fn add(&mut self, key: u64, at: usize, (bad, total): (u64, u64)) {
        if !self.seen.insert(key) {
            return;
        }
        for (sum, n) in self.counts.iter_mut().skip(at).zip([bad.min(total), total]) {
            *sum = sum.saturating_add(n);
        }
    }
}

/// Where a metric's counts stand.
fn place(metric: &str) -> Option<usize> {
    match metric {
        "requests" => Some(0),
        "slow" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use auspex_proto::ServiceName;

    use super::*;

    const CLOCK: Clock = Clock {
        width: Duration::from_secs(1),
        lateness: Duration::from_secs(1),
    };

    fn observed(service: usize, start: i64, instance: &str, bad: u64) -> Observation {
        Observation {
            service: ServiceName::new(format!("service-{service}")).unwrap(),
            track: None,
            region: String::new(),
            metric: "requests".to_owned(),
            instance: instance.to_owned(),
            start: Timestamp(start),
            length: CLOCK.width,
            value: Value::Counts { bad, total: 100 },
        }
    }

    fn rows(histories: &Histories, now: i64) -> Vec<(u64, u64)> {
        let [requests, _] = histories.clone().begin("service-0", Timestamp(now), CLOCK);
        let row = |counts: &Counts| (counts.baseline_bad, counts.baseline_total);
        requests.iter().map(row).collect()
    }

    #[test]
    fn instances_add_up_repeats_and_late_ones_do_not() {
        let mut histories = Histories::default();
        for (now, start, instance, bad) in [
            (11_050, 10_000, "a", 1),
            (11_900, 10_000, "b", 2),
            (11_950, 10_000, "a", 1),
            (12_050, 11_000, "a", 0),
            // Its interval closed at 12 s.
            (12_050, 10_000, "c", 50),
            // A clock that is far ahead.
            (12_050, 90_000, "c", 50),
        ] {
            histories.add(&observed(0, start, instance, bad), Timestamp(now), CLOCK);
        }
        assert_eq!(rows(&histories, 12_500), [(3, 200)], "11 s is open");
        assert_eq!(rows(&histories, 13_000), [(3, 200), (0, 100)]);
        assert_eq!(rows(&histories, 611_000), [(3, 200), (0, 100)]);
        assert_eq!(rows(&histories, 620_000), [], "ten minutes of silence");
    }

    #[test]
    fn the_state_is_bounded_whoever_reports() {
        let mut histories = Histories::default();
        for second in 0..100_i64 {
            for service in 0..60 {
                for instance in 0..20 {
                    let mut seen = observed(service, second * 1_000, &format!("i{instance}"), 1 << 40);
                    seen.value = Value::Counts {
                        bad: 1 << 40,
                        total: 1 << 41,
                    };
                    histories.add(&seen, Timestamp(second * 1_000 + 1_050), CLOCK);
                }
            }
        }
        assert_eq!(histories.0.len(), MOST_SERVICES);
        let size = rmp_serde::to_vec_named(&histories).unwrap().len();
        assert!(size < 100_000, "{size}");
    }
}
