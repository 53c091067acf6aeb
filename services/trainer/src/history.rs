//! What was known of the rows before: the outcomes of a group's last rows that had matured by then, and the time of day. For
//! rows of CI, where a failing build tends to be followed by another.
//!
//! An outcome counts from its row's time plus the delay on, and never for its own row: with the delay of a build, what is
//! learned from is what the next build could have known.

use std::collections::VecDeque;

use auspex_learn::Matrix;

use crate::context;
use crate::sample::Sample;
use crate::table::choice::{Choice, Feature};

/// The columns that are added, in order; the last two only when the time is a time.
pub const NAMES: [&str; 7] = [
    "history.last_failed",
    "history.rate_10",
    "history.rate_50",
    "history.since_failure",
    "history.known",
    "time.hour",
    "time.weekday",
];

/// Known outcomes that are looked back at.
const BACK: usize = 50;

/// What is known of one group.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Rows on their way to their outcome: when it is known, and what it is.
    waiting: VecDeque<(f64, bool)>,
    /// The last outcomes, the newest last.
    last: VecDeque<bool>,
    since: Option<u32>,
    count: u32,
}

impl Known {
    fn settle(&mut self, now: f64) {
        while self.waiting.front().is_some_and(|(known, _)| *known < now) {
            let Some((_, failed)) = self.waiting.pop_front() else {
                break;
            };
            self.last.push_back(failed);
            if self.last.len() > BACK {
                self.last.pop_front();
            }
            self.count += 1;
            self.since = match (failed, self.since) {
                (true, _) => Some(0),
                (false, Some(since)) => Some(since + 1),
                (false, None) => None,
            };
        }
    }

    fn rate(&self, of: usize) -> f32 {
        let newest = self.last.iter().rev().take(of);
        let (failed, all) = newest.fold((0.0, 0.0), |(f, n), failed| {
            (f + f32::from(u8::from(*failed)), n + 1.0)
        });
        if all > 0.0 { failed / all } else { f32::NAN }
    }

    fn values(&self) -> [f32; 5] {
        let whole = |count: u32| count.min(1000) as f32;
        [
            self.last
                .back()
                .map_or(f32::NAN, |failed| f32::from(u8::from(*failed))),
            self.rate(10),
            self.rate(50),
            self.since.map_or(f32::NAN, whole),
            whole(self.count),
        ]
    }
}

/// Adds the columns to a sample, and to what was chosen when they are not there yet. `past` is what came before, when it is a
/// table of its own.
pub fn add(past: Option<&Sample>, sample: &mut Sample, choice: &mut Choice, delay: f64) {
    let clock = choice.wanted.time.is_some();
    let names = if clock {
        NAMES.as_slice()
    } else {
        NAMES.get(..5).unwrap_or_default()
    };
    for name in names {
        if choice.features.iter().all(|feature| feature.name != *name) {
            choice.features.push(Feature {
                name: (*name).to_owned(),
                codes: None,
            });
        }
    }
    let mut known = std::collections::BTreeMap::<u32, Known>::new();
    if let Some(past) = past {
        for ((time, group), failed) in past.times.iter().zip(&past.groups).zip(&past.labels) {
            known
                .entry(*group)
                .or_default()
                .waiting
                .push_back((time + delay, *failed));
        }
    }
    let width = sample.table.width() + names.len();
    let mut values = Vec::with_capacity(sample.rows() * width);
    for (row, ((time, group), failed)) in sample
        .table
        .iter()
        .zip(sample.times.iter().zip(&sample.groups).zip(&sample.labels))
    {
        let own = known.entry(*group).or_default();
        own.settle(*time);
        values.extend_from_slice(row);
        values.extend(own.values());
        if clock {
            values.extend(context::clock(*time));
        }
        own.waiting.push_back((time + delay, *failed));
    }
    sample.table = Matrix::new(values, width);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::choice::Wanted;

    #[test]
    fn outcomes_count_once_they_are_known_and_never_for_their_own_row() {
        let mut sample = Sample {
            table: Matrix::new(vec![0.0; 5], 1),
            labels: vec![true, false, true, false, false],
            times: vec![0.0, 10.0, 20.0, 30.0, 86_400.0],
            groups: vec![0; 5],
            ..Sample::default()
        };
        let mut choice = Choice {
            wanted: Wanted {
                time: Some("t".to_owned()),
                ..Wanted::default()
            },
            ..Choice::default()
        };
        add(None, &mut sample, &mut choice, 15.0);
        assert_eq!(choice.features.len(), 7);
        let row = |row: usize| sample.table.row(row)[1..].to_vec();
        assert!(row(1)[0].is_nan() && row(1)[4] == 0.0);
        assert_eq!(row(2)[..5], [1.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(row(3)[..5], [0.0, 0.5, 0.5, 1.0, 2.0]);
        assert_eq!(row(4), [0.0, 0.5, 0.5, 1.0, 4.0, 0.0, 4.0]);
    }
}
