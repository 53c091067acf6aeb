//! The judge: evidence about a canary that stays valid however often one looks.
//!
//! Every number here that permits a verdict is an *e-value*: a statistic whose mean is at most 1 at every stopping time when
//! the candidate is healthy. "Roll back when it reaches 1/alpha" therefore errs with probability at most alpha over all
//! looks together, and evidence may be multiplied with prior odds. Pure arithmetic: no clock, no randomness, no input or
//! output; the same intervals give the same bytes.
//!
//! - [`CountTest`]: failures among requests, while the split changes.
//! - [`ValueTest`]: one value per interval and track, autocorrelated however they like.
//! - [`PastTest`]: one series against its own past, where nobody runs beside it ([`series`]).
//! - [`HistogramTest`]: latency and other distributions.
//! - [`posterior`], [`Portfolio`]: a prior beside the evidence.
//! - [`Judge`], [`report`]: rows in, looks out, over any number of metrics. [`mod@plan`]: how long it will take.
//! - [`simulate`]: the proofs, seeded.
//! - [`Verdict`], [`Reason`], [`Levels`]: what is said, why, at which error rates.
//!
//! ```
//! use auspex_judge::{CountSettings, CountTest, Counts, Levels, Verdict, judge_counts};
//!
//! let settings = CountSettings::default();
//! let mut test = CountTest::new(&settings);
//! // Ten seconds of traffic: 4 of 50 failed in the candidate, 9 of 950 beside it.
//! let interval = Counts { candidate_bad: 4, candidate_total: 50, baseline_bad: 9, baseline_total: 950 };
//! test.absorb(&settings, &interval);
//! assert_eq!(judge_counts(&test.evidence(&settings), &Levels::default()).verdict, Verdict::Undecided);
//! test.absorb(&settings, &interval);
//! // One look more, at no cost in certainty: alpha is spent over all looks together.
//! assert_eq!(judge_counts(&test.evidence(&settings), &Levels::default()).verdict, Verdict::Worse);
//! ```

pub mod combine;
pub mod counts;
pub mod distributions;
pub mod judge;
pub mod numeric;
pub mod pairs;
pub mod plan;
pub mod prior;
pub mod report;
pub mod rows;
pub mod series;
pub mod simulate;
pub mod values;
pub mod verdict;

pub use combine::{Overall, Part, combine};
pub use counts::{CountSettings, CountTest, Counts, Evidence, judge_counts};
pub use distributions::{
    Histogram, HistogramError, HistogramEvidence, HistogramSettings, HistogramTest, judge_histograms,
};
pub use judge::{Judge, JudgeError, Look, Looks, MetricLook, Options, Spec};
pub use plan::{Plan, Traffic, plan};
pub use prior::{Portfolio, posterior};
pub use values::{
    Assumption, Direction, Pair, PastTest, ValueEvidence, ValueSettings, ValueTest, judge_values,
};
pub use verdict::{Levels, Reason, Ruling, Verdict};

/// Values computed by independent packages; see `tests/oracles`.
#[cfg(test)]
fn oracle() -> serde_json::Value {
    serde_json::from_str(include_str!("../tests/oracles/vectors.json")).unwrap_or_default()
}

/// The same of one series and of the peer, computed in an environment of their own.
#[cfg(test)]
fn later_oracle() -> serde_json::Value {
    serde_json::from_str(include_str!("../tests/oracles/series.json")).unwrap_or_default()
}
