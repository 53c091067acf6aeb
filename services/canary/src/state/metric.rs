//! A listed metric: what is open of it in an interval, and the test of its kind.
//!
//! Its kind is that of what is observed first: counts before histograms before values. What comes as another kind later is
//! not judged. Bounded per metric: a test of at most 4 kB, and [`MOST_HISTOGRAMS`] open histograms of at most 0.5 kB with
//! [`MOST_TOLD`] observations told apart: 11 kB.

use std::collections::{BTreeMap, BTreeSet};

use auspex_judge::numeric::real;
use auspex_judge::{
    CountSettings, CountTest, Counts, Direction, Histogram, HistogramSettings, HistogramTest, Pair,
    ValueSettings, ValueTest,
};
use auspex_proto::Track;
use auspex_proto::observation::Value;
use serde::{Deserialize, Serialize};

use crate::document::Listed;
use crate::terms::Terms;

/// Most observations of a metric that are told apart while their intervals are open.
pub const MOST_TOLD: usize = 128;
/// Most histograms of a metric that are open: six intervals of both tracks.
pub const MOST_HISTOGRAMS: usize = 12;
/// Bounds that are kept of a histogram: as many as its test keeps.
const MOST_BOUNDS: usize = 36;

/// What both tracks reported of a metric in one interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cell {
    /// Units, when it is counted.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    /// Of stable and candidate.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none")]
    histograms: Option<[Histogram; 2]>,
    /// Of stable and candidate, by what tells observations apart: added up in one order, whatever theirs was.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    values: Option<[BTreeMap<u64, f64>; 2]>,
    #[serde(rename = "s")]
    seen: BTreeSet<u64>,
}

impl Cell {
    /// Whether the candidate reported anything.
    #[must_use]
    pub fn has_candidate(&self) -> bool {
        let valued = self.values.as_ref().is_some_and(|[_, c]| !c.is_empty());
        let spread = self.histograms.as_ref().is_some_and(|[_, c]| c.total() > 0);
        valued || spread || self.counts.is_some_and(|c| c.candidate_total > 0)
    }

    /// How many observations it tells apart.
    #[must_use]
    pub fn told(&self) -> usize {
        self.seen.len() + self.values.iter().flatten().map(BTreeMap::len).sum::<usize>()
    }

    /// Whether it holds histograms.
    #[must_use]
    pub fn has_histograms(&self) -> bool {
        self.histograms.is_some()
    }

    /// Whether this observation is known already.
    #[must_use]
    pub fn knows(&self, key: u64) -> bool {
        let valued = self.values.iter().flatten().any(|track| track.contains_key(&key));
        valued || self.seen.contains(&key)
    }

    /// Adds an observation that is told apart by its key; `false`: a histogram that nobody can read.
    pub fn add(&mut self, key: u64, value: &Value, track: Track) -> bool {
        match value {
            Value::Counts { bad, total } => {
                let counts = self.counts.get_or_insert_default();
                super::window::count(counts, track, *bad, *total);
                self.seen.insert(key);
            }
            Value::Histogram { bounds, counts, .. } => {
                let Ok(read) = Histogram::new(bounds.clone(), counts.clone()) else {
                    return false;
                };
                let [stable, candidate] = self.histograms.get_or_insert_default();
                let sum = match track {
                    Track::Stable => stable,
                    Track::Candidate => candidate,
                };
                *sum = sum.merge(&read.thin(MOST_BOUNDS));
                self.seen.insert(key);
            }
            Value::Gauge(value) => {
                let [stable, candidate] = self.values.get_or_insert_default();
                let track = match track {
                    Track::Stable => stable,
                    Track::Candidate => candidate,
                };
                track.insert(key, *value);
            }
        }
        true
    }

    /// Without what its candidate reported: an earlier rollout's.
    #[must_use]
    pub fn before(self) -> Self {
        let stable_counts = |counts: Counts| Counts {
            candidate_bad: 0,
            candidate_total: 0,
            ..counts
        };
        Self {
            counts: self.counts.map(stable_counts),
            histograms: self.histograms.map(|[stable, _]| [stable, Histogram::default()]),
            values: self.values.map(|[stable, _]| [stable, BTreeMap::new()]),
            seen: self.seen,
        }
    }
}

/// Running evidence about a listed metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// Nothing has been observed yet.
    #[default]
    Nothing,
    /// Bad units among units.
    Counts(Box<CountTest>),
    /// Units of which fewer are worse, and that are the exception, as orders among visits. Judged with the tracks exchanged: of
    /// visits without an order, which are the rule, a ratio shows nothing.
    Fewer(Box<CountTest>),
    /// Units of which more are worse, and fewer: twice the same counts, the tracks exchanged in the second. `rest`: counted is
    /// what was not, for what was is the rule.
    Either {
        /// More of them.
        more: Box<CountTest>,
        /// Fewer of them.
        fewer: Box<CountTest>,
        /// The others are counted.
        #[serde(default)]
        rest: bool,
    },
    /// A distribution.
    Histogram(Box<HistogramTest>),
    /// A value per interval.
    Values(Box<ValueTest>),
}

impl Test {
    /// An empty test of what is observed first.
    fn of(listed: &Listed, cell: &Cell) -> Self {
        match cell {
            Cell {
                counts: Some(counts), ..
            } => match (listed.exception(counts), listed.direction) {
                (None, _) => Self::Nothing,
                (Some(exception), Some(Direction::Either)) => Self::Either {
                    more: Box::default(),
                    fewer: Box::default(),
                    rest: !exception,
                },
                (Some(true), Some(Direction::Decrease)) => Self::Fewer(Box::default()),
                _ => Self::Counts(Box::default()),
            },
            Cell {
                histograms: Some(_), ..
            } => Self::Histogram(Box::default()),
            Cell { values: Some(_), .. } => Self::Values(Box::default()),
            _ => Self::Nothing,
        }
    }

    /// Adds a closed interval; `trial`: the candidate has had weight in it.
    pub fn absorb(&mut self, terms: &Terms, listed: &Listed, cell: Cell, trial: bool) {
        let cell = if trial { cell } else { cell.before() };
        if *self == Self::Nothing {
            *self = Self::of(listed, &cell);
        }
        match (self, cell) {
            (
                Self::Counts(test),
                Cell {
                    counts: Some(counts), ..
                },
            ) => {
                test.absorb(&listed.counts(terms), &listed.bad(counts));
            }
            (
                Self::Fewer(test),
                Cell {
                    counts: Some(counts), ..
                },
            ) => {
                test.absorb(&listed.counts(terms), &counts.exchanged());
            }
            (
                Self::Either { more, fewer, rest },
                Cell {
                    counts: Some(counts), ..
                },
            ) => {
                let counts = if *rest { others(counts) } else { counts };
                more.absorb(&listed.counts(terms), &counts);
                fewer.absorb(&listed.counts(terms), &counts.exchanged());
            }
            (
                Self::Histogram(test),
                Cell {
                    histograms: Some([stable, candidate]),
                    ..
                },
            ) => {
                let settings = listed.histogram(terms);
                if trial {
                    test.absorb(&settings, &candidate, &stable);
                } else {
                    test.absorb_history(&settings, &candidate, &stable);
                }
            }
            (
                Self::Values(test),
                Cell {
                    values: Some([stable, candidate]),
                    ..
                },
            ) if trial => {
                let pair = Pair {
                    candidate: mean(&candidate),
                    baseline: mean(&stable),
                };
                test.absorb(&listed.values(terms), &pair);
            }
            _ => {}
        }
    }
}

fn mean(values: &BTreeMap<u64, f64>) -> Option<f64> {
    let count = real(values.len() as u64);
    // Divided before they are added, so that great values cannot overflow.
    (!values.is_empty()).then(|| values.values().map(|value| value / count).sum())
}

impl Listed {
    /// How its counts are judged.
    #[must_use]
    pub fn counts(&self, terms: &Terms) -> CountSettings {
        CountSettings {
            margin: self.margin.unwrap_or(terms.counts.margin),
            margin_abs: self.margin_abs.unwrap_or(terms.counts.margin_abs),
            min_samples: least(terms),
            silent_after: terms.silent_after,
            ..terms.counts
        }
    }

    /// How its histograms are judged.
    #[must_use]
    pub fn histogram(&self, terms: &Terms) -> HistogramSettings {
        let usual = HistogramSettings::default();
        HistogramSettings {
            direction: self.direction.unwrap_or(usual.direction),
            margin: self.margin.unwrap_or(terms.counts.margin),
            margin_abs: self.margin_abs.unwrap_or(terms.counts.margin_abs),
            threshold: self.threshold,
            quantile: self.quantile.unwrap_or(usual.quantile),
            min_samples: least(terms),
            silent_after: terms.silent_after,
            ..usual
        }
    }

    /// How its values are judged.
    #[must_use]
    pub fn values(&self, terms: &Terms) -> ValueSettings {
        let usual = ValueSettings::default();
        ValueSettings {
            direction: self.direction.unwrap_or(usual.direction),
            margin: self.margin.unwrap_or(terms.counts.margin),
            silent_after: terms.silent_after,
            ..usual
        }
    }

    /// Whether what is counted is the exception among all units; `None`: nothing has been counted. Which it is the first
    /// interval tells, both tracks together: their sum is what the test takes as given, so it may be chosen by.
    fn exception(&self, counts: &Counts) -> Option<bool> {
        let all = counts.candidate_total.saturating_add(counts.baseline_total);
        let counted = counts.candidate_bad.saturating_add(counts.baseline_bad);
        (all > 0).then_some(counted <= all / 2)
    }

    /// Counts as the test wants them: where fewer bad ones are worse, the others are the bad ones.
    fn bad(&self, counts: Counts) -> Counts {
        match self.direction {
            Some(Direction::Decrease) => others(counts),
            _ => counts,
        }
    }
}

/// The units that were not counted.
fn others(counts: Counts) -> Counts {
    Counts {
        candidate_bad: counts.candidate_total.saturating_sub(counts.candidate_bad),
        baseline_bad: counts.baseline_total.saturating_sub(counts.baseline_bad),
        ..counts
    }
}

/// A schedule that needs no evidence still judges what is listed.
fn least(terms: &Terms) -> u64 {
    match terms.counts.min_samples {
        0 => CountSettings::default().min_samples,
        least => least,
    }
}
