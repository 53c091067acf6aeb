//! Where the time of the path goes: the log itself knows when each fact of it was kept.
//!
//! A decision names the score that caused it, the score its vector, the vector its event: each with the server's time. What is
//! before the log and after it is timed here, by the same machine's clock.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use auspex_chassis::testing::bare::Landed;
use auspex_proto::Fact;

use super::super::row::{Row, quantile};

/// The legs of the path, in order.
const LEGS: [&str; 5] = [
    "to the log",
    "log to vector",
    "vector to score",
    "score to decision",
    "decision to its reader",
];

/// When a change was sent, and when its decision was read, in nanoseconds of the machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    began: i128,
    read: i128,
}

/// Changes by their numbers, as they were seen from outside.
#[derive(Debug, Default)]
pub(super) struct Legs {
    seen: BTreeMap<usize, Seen>,
}

impl Legs {
    /// Notes what was seen of some changes.
    pub(super) fn note(&mut self, seen: impl IntoIterator<Item = (usize, Seen)>) {
        self.seen.extend(seen);
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }

    /// The median time of each leg, beside a hop.
    pub(super) fn rows(&self, log: &[Landed], at: &str, (hop, name): (f64, &str)) -> Vec<Row> {
        let times = self.times(log);
        let row = |(leg, times): (&str, &Vec<f64>)| {
            Row::told(format!("of that, {leg}, {at}: p50"), quantile(times, 0.5), "us").beside(hop, name)
        };
        LEGS.into_iter().zip(&times).map(row).collect()
    }

    fn times(&self, log: &[Landed]) -> [Vec<f64>; 5] {
        let by_seq: BTreeMap<u64, &Landed> = log.iter().map(|landed| (landed.seq, landed)).collect();
        let mut times: [Vec<f64>; 5] = Default::default();
        for landed in log {
            let Some((number, chain)) = chain(&by_seq, landed) else {
                continue;
            };
            let Some(seen) = self.seen.get(&number) else {
                continue;
            };
            let [event, vector, score] = chain;
            let places = [seen.began, event, vector, score, landed.nanos, seen.read];
            for (times, (from, to)) in times.iter_mut().zip(places.iter().zip(places.iter().skip(1))) {
                times.push(micros(to - from));
            }
        }
        times
    }
}

impl Seen {
    /// From two instants, by what the clock said at a third.
    pub(super) fn at(began: Instant, read: Instant, clock: (Instant, SystemTime)) -> Self {
        Self {
            began: nanos(began, clock),
            read: nanos(read, clock),
        }
    }
}

/// The number of a scored decision's change, and when its event, vector and score were kept.
fn chain(log: &BTreeMap<u64, &Landed>, decision: &Landed) -> Option<(usize, [i128; 3])> {
    let Fact::Decision(decided) = &decision.fact else {
        return None;
    };
    decided.score.as_ref()?;
    let number = decided.candidate.revision.parse().ok()?;
    let score = log.get(&decided.meta.cause)?;
    let vector = log.get(&score.fact.meta().cause)?;
    let event = log.get(&vector.fact.meta().cause)?;
    Some((number, [event.nanos, vector.nanos, score.nanos]))
}

#[allow(clippy::cast_possible_wrap, reason = "nanoseconds since 1970")]
fn nanos(instant: Instant, (then, clock): (Instant, SystemTime)) -> i128 {
    let clock = clock
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as i128;
    match instant.checked_duration_since(then) {
        Some(later) => clock + later.as_nanos() as i128,
        None => clock - then.duration_since(instant).as_nanos() as i128,
    }
}

#[allow(clippy::cast_precision_loss, reason = "within a minute")]
fn micros(nanos: i128) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use auspex_proto::sample;

    use super::*;

    #[test]
    fn a_decision_is_followed_back_to_its_event_by_causes() {
        let fact = |seq: u64, cause: u64| {
            let meta = sample::meta(&seq.to_string(), "shop", cause).unwrap();
            let fact = Fact::Score(sample::score(meta, "7", 0.1).unwrap());
            let nanos = i128::from(seq) * 10_000;
            Landed { seq, nanos, fact }
        };
        let mut log = vec![fact(1, 0), fact(2, 0), fact(3, 1), fact(5, 3)];
        let meta = sample::meta("d", "shop", 5).unwrap();
        let mut decision = sample::decision(meta, "shop").unwrap();
        decision.candidate = sample::track("7");
        decision.score = Some(auspex_proto::FactId::new("5").unwrap());
        let fact = Fact::Decision(decision);
        let (seq, nanos) = (9, 90_000);
        log.push(Landed { seq, nanos, fact });
        let mut legs = Legs::default();
        let seen = Seen {
            began: 2_000,
            read: 95_000,
        };
        legs.note([(7, seen)]);
        assert_eq!(
            legs.times(&log),
            [[8.0], [20.0], [20.0], [40.0], [5.0]].map(Vec::from)
        );
        // What was not seen from outside is not counted.
        legs.clear();
        assert!(legs.times(&log).iter().all(Vec::is_empty));
    }

    #[test]
    fn instants_are_told_by_what_the_clock_said_at_one_of_them() {
        let (then, clock) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(9));
        let second = Duration::from_secs(1);
        assert_eq!(nanos(then + second, (then, clock)), 10_000_000_000);
        assert_eq!(nanos(then, (then + second, clock)), 8_000_000_000);
    }
}
