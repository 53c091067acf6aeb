//! Latency and other distributions, from mergeable histograms.
//!
//! Cuts carry the verdict, the time-uniform DKW bound carries the effect that is shown, and a quantile whose tail is still too
//! thin for the number of requests is called so.

mod cuts;
pub mod dkw;
mod histogram;

use serde::{Deserialize, Serialize};

use self::cuts::{Cuts, Plan};
pub use self::histogram::{Histogram, HistogramError};
use crate::numeric::real;
use crate::plan::first;
use crate::values::Direction;
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// What counts as worse, and the least to judge by. Fixed for the life of a [`HistogramTest`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistogramSettings {
    /// Which way is worse. Default increase.
    pub direction: Direction,
    /// Ratio by which a quantile may not be let through, above 1. Default 1.25.
    pub margin: f64,
    /// Share of units that may lie beyond a cut without concern, within (0, 1). Default 0.005.
    pub margin_abs: f64,
    /// The owner's threshold (an SLO) in the metric's unit, which takes half of the weight. Default none.
    pub threshold: Option<f64>,
    /// Quantile whose difference is shown, within (0, 1). Default 0.95.
    pub quantile: f64,
    /// Level of the interval for that difference, within (0, 1). Default 0.05.
    pub level: f64,
    /// Units of either track below which no verdict is given. Default 50.
    pub min_samples: u64,
    /// Units of the baseline that fix the cuts. Default 100.
    pub min_baseline: u64,
    /// Consecutive intervals with one track alone that count as silence of the other. Default 3.
    pub silent_after: u32,
}

impl Default for HistogramSettings {
    fn default() -> Self {
        Self {
            direction: Direction::Increase,
            margin: 1.25,
            margin_abs: 0.005,
            threshold: None,
            quantile: 0.95,
            level: 0.05,
            min_samples: 50,
            min_baseline: 100,
            silent_after: 3,
        }
    }
}

/// Bounds that are kept of any histogram, so that a state stays below 4 kB.
const KEPT: usize = 36;

/// Running evidence about one metric that is a distribution. Below 4 kB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistogramTest {
    candidate: Histogram,
    baseline: Histogram,
    cuts: Cuts,
    silent_candidate: u32,
    silent_baseline: u32,
}

/// What the histograms absorbed so far say. Logarithms are natural.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistogramEvidence {
    /// Log e-value against "nowhere beyond the baseline".
    pub log_e_worse: f64,
    /// Log e-value against "somewhere beyond the baseline by the margin".
    pub log_e_safe: f64,
    /// Difference of the quantile, candidate minus baseline, in the metric's unit, to the middle of a bucket.
    pub effect: Option<f64>,
    /// Lower end of its interval, all looks together; minus infinity when unbounded.
    pub low: f64,
    /// Upper end; infinite while the tail is too thin.
    pub high: f64,
    /// Units of the candidate.
    pub samples: u64,
    /// Units of the baseline.
    pub baseline_samples: u64,
    /// Mean size of clusters in force: the evidence is divided by it.
    pub dispersion: f64,
    /// The quantile cannot be judged yet: its tail is thinner than the bound is wide.
    pub tail_too_thin: bool,
    /// The candidate has been silent beside its baseline for long enough to say so.
    pub silent_candidate: bool,
    /// The baseline has been silent beside the candidate for long enough to say so.
    pub silent_baseline: bool,
    /// There are fewer units than the least that a verdict may rest on.
    pub too_few: bool,
}

impl HistogramTest {
    /// An empty test.
    #[must_use]
    pub fn new(_settings: &HistogramSettings) -> Self {
        Self::default()
    }

    /// Adds one closed interval before the change: it places the cuts, then teaches how failures cluster.
    pub fn absorb_history(
        &mut self,
        settings: &HistogramSettings,
        candidate: &Histogram,
        baseline: &Histogram,
    ) {
        if self.cuts.is_empty() {
            self.baseline.gather(&candidate.merge(baseline), KEPT);
            self.place(settings);
        } else {
            self.cuts.absorb(&Histogram::default(), baseline);
        }
    }

    /// Adds one closed interval after the change. An empty histogram is a silent track.
    pub fn absorb(&mut self, settings: &HistogramSettings, candidate: &Histogram, baseline: &Histogram) {
        let (n, m) = (candidate.total(), baseline.total());
        let silent = |before: u32, this: u64, other: u64| match (this, other) {
            (0, 0) => before,
            (0, _) => before.saturating_add(1),
            _ => 0,
        };
        self.silent_candidate = silent(self.silent_candidate, n, m);
        self.silent_baseline = silent(self.silent_baseline, m, n);
        self.cuts.absorb(candidate, baseline);
        if m > 0 {
            self.baseline.gather(baseline, KEPT);
        }
        if n > 0 && m > 0 {
            self.candidate.gather(candidate, KEPT);
        }
        self.place(settings);
    }

    fn place(&mut self, settings: &HistogramSettings) {
        if self.cuts.is_empty() && self.baseline.total() >= settings.min_baseline.max(1) {
            let plan = Plan {
                up: settings.direction != Direction::Decrease,
                down: settings.direction != Direction::Increase,
                margin: settings.margin.max(1.0),
                margin_abs: settings.margin_abs.clamp(0.0, 1.0),
                threshold: settings.threshold,
            };
            self.cuts = Cuts::choose(&self.baseline, &plan);
        }
    }

    /// Log e-value for harm alone, cheaper than the whole evidence.
    #[must_use]
    pub fn log_e_worse(&self) -> f64 {
        self.cuts.log_worse()
    }

    /// How much longer until a decision is likely, as a part of what was absorbed so far, at the same traffic: the longer of
    /// the times until a candidate with `effect` times as many units beyond each cut is called worse, and until one that equals
    /// its baseline may pass. None when never, or when nothing is known yet.
    pub(crate) fn remaining(
        &self,
        settings: &HistogramSettings,
        levels: &Levels,
        effect: f64,
    ) -> Option<f64> {
        const LONGEST: f64 = 1e6;
        let (n, m) = (real(self.candidate.total()), real(self.baseline.total()));
        if n <= 0.0 || m <= 0.0 || self.cuts.is_empty() || !(effect.is_finite() && effect > 1.0) {
            return None;
        }
        let ahead = |part: f64, risk: f64| self.cuts.foreseen(&self.baseline, (part * n, part * m), risk);
        let enough = |part: f64| (1.0 + part) * n.min(m) >= real(settings.min_samples);
        let detect = first(LONGEST, |part| {
            enough(part) && ahead(part, effect).log_worse() >= levels.log_alarm()
        })?;
        let pass = first(LONGEST, |part| {
            enough(part) && ahead(part, 1.0).log_safe() >= levels.log_pass()
        })?;
        Some(detect.max(pass))
    }

    /// What has been absorbed so far says this.
    #[must_use]
    pub fn evidence(&self, settings: &HistogramSettings) -> HistogramEvidence {
        let level = if settings.level > 0.0 && settings.level < 1.0 {
            settings.level
        } else {
            0.05
        };
        let p = if settings.quantile > 0.0 && settings.quantile < 1.0 {
            settings.quantile
        } else {
            0.95
        };
        let (n, m) = (self.candidate.total(), self.baseline.total());
        let (low, high) = dkw::quantile_difference(&self.candidate, &self.baseline, p, level);
        let middle = |histogram: &Histogram| {
            histogram.quantile(p).map(|edges| match edges {
                (low, high) if low.is_finite() && high.is_finite() => 0.5 * (low + high),
                (low, high) => {
                    if low.is_finite() {
                        low
                    } else {
                        high
                    }
                }
            })
        };
        let effect = middle(&self.candidate)
            .zip(middle(&self.baseline))
            .map(|(c, b)| c - b);
        let silent = |run: u32| settings.silent_after > 0 && run >= settings.silent_after;
        HistogramEvidence {
            log_e_worse: self.cuts.log_worse(),
            log_e_safe: self.cuts.log_safe(),
            effect: effect.filter(|x| x.is_finite()),
            low,
            high,
            samples: n,
            baseline_samples: m,
            dispersion: self.cuts.dispersion(),
            tail_too_thin: dkw::radius(n.min(m), level / 2.0, 1) >= p.min(1.0 - p),
            silent_candidate: silent(self.silent_candidate),
            silent_baseline: silent(self.silent_baseline),
            too_few: n.min(m) < settings.min_samples.max(1) || self.cuts.is_empty(),
        }
    }
}

/// The verdict that the evidence permits at these levels.
#[must_use]
pub fn judge_histograms(evidence: &HistogramEvidence, levels: &Levels) -> Ruling {
    let none = |reason| Ruling::new(Verdict::NoEvidence, reason);
    if evidence.too_few {
        return none(match evidence {
            HistogramEvidence {
                silent_candidate: true,
                ..
            } => Reason::SilentCandidate,
            HistogramEvidence {
                silent_baseline: true,
                ..
            } => Reason::SilentBaseline,
            _ => Reason::TooFewSamples,
        });
    }
    let small = evidence.log_e_safe >= levels.log_pass();
    match (evidence.log_e_worse >= levels.log_alarm(), small) {
        (true, true) => Ruling::new(Verdict::NoWorse, Reason::WithinMargin),
        (true, false) => Ruling::new(Verdict::Worse, Reason::HarmProven),
        _ if evidence.silent_candidate => none(Reason::SilentCandidate),
        _ if evidence.silent_baseline => none(Reason::SilentBaseline),
        (false, true) => Ruling::new(Verdict::NoWorse, Reason::NoWorseByDifference),
        (false, false) if evidence.tail_too_thin => Ruling::new(Verdict::Undecided, Reason::TailTooThin),
        (false, false) => Ruling::new(Verdict::Undecided, Reason::StillWatching),
    }
}
