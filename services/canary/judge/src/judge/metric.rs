//! One metric: its kind, its running test, and the samples of an open interval.

use super::{JudgeError, MetricLook, Options, Spec};
use crate::counts::{CountSettings, CountTest, Counts, judge_counts};
use crate::distributions::{Histogram, HistogramSettings, HistogramTest, judge_histograms};
use crate::plan::Traffic;
use crate::rows::{Row, Sample, Track};
use crate::values::{Direction, Pair, ValueSettings, ValueTest, judge_values};
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// The samples of one metric in one interval, by track.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    candidate: Vec<Sample>,
    baseline: Vec<Sample>,
}

impl Cell {
    /// Whether the sample was new; one that repeats another of its track and interval is not.
    pub(super) fn add(&mut self, track: Track, sample: &Sample) -> bool {
        let side = if track == Track::Candidate {
            &mut self.candidate
        } else {
            &mut self.baseline
        };
        let new = !side.contains(sample);
        if new {
            side.push(sample.clone());
        }
        new
    }
}

/// Mean of an interval's samples, in sorted order so that the order of arrival cannot move a bit.
fn mean(samples: &[Sample]) -> Option<f64> {
    let mut values: Vec<f64> = samples
        .iter()
        .filter_map(|s| if let Sample::Value(v) = s { Some(*v) } else { None })
        .collect();
    values.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    (!values.is_empty()).then(|| values.iter().map(|v| v / count).sum())
}

fn sum(samples: &[Sample]) -> (u64, u64) {
    samples
        .iter()
        .fold((0u64, 0u64), |(bads, totals), sample| match sample {
            Sample::Counts { bad, total } => (bads.saturating_add(*bad), totals.saturating_add(*total)),
            _ => (bads, totals),
        })
}

fn merge(samples: &[Sample]) -> Histogram {
    samples
        .iter()
        .fold(Histogram::default(), |merged, sample| match sample {
            Sample::Histogram(histogram) => merged.merge(histogram),
            _ => merged,
        })
}

/// The running test of a metric, of one kind from its first row on.
#[derive(Clone, Debug)]
enum Test {
    Unknown,
    Counts(Box<CountTest>),
    Value(Box<ValueTest>),
    Histogram(Box<HistogramTest>),
}

impl Test {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counts(_) => "counts",
            Self::Value(_) => "value",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    test: Test,
    direction: Option<Direction>,
    weight: f64,
    critical: bool,
    /// Harm was called: a later look does not take it back.
    sealed: bool,
    /// Milliseconds of the first and the last interval after the change, and their number.
    span: Option<(i64, i64, u64)>,
}

impl Metric {
    pub(super) fn new(spec: &Spec) -> Self {
        let weight = if spec.weight.is_finite() {
            spec.weight.max(0.0)
        } else {
            0.0
        };
        let Spec {
            direction, critical, ..
        } = *spec;
        Self {
            test: Test::Unknown,
            direction,
            weight,
            critical,
            sealed: false,
            span: None,
        }
    }

    pub(super) const fn weight(&self) -> f64 {
        self.weight
    }

    pub(super) const fn critical(&self) -> bool {
        self.critical
    }

    pub(super) const fn sealed(&self) -> bool {
        self.sealed
    }

    /// Takes the kind of the first row, and refuses another kind afterwards.
    pub(super) fn accept(&mut self, row: &Row) -> Result<(), JudgeError> {
        let fresh = match &row.sample {
            Sample::Counts { .. } => Test::Counts(Box::default()),
            Sample::Value(_) => Test::Value(Box::default()),
            Sample::Histogram(_) => Test::Histogram(Box::default()),
        };
        if matches!(self.test, Test::Unknown) {
            self.test = fresh;
        } else if self.test.kind() != fresh.kind() {
            let (old, new) = (self.test.kind(), fresh.kind());
            return Err(JudgeError::KindChanged {
                metric: row.metric.clone(),
                old,
                new,
            });
        }
        self.critical |= row.critical;
        Ok(())
    }

    /// Failures of which fewer are worse (conversions, say) are judged with the tracks exchanged.
    fn exchanged(&self) -> bool {
        self.direction == Some(Direction::Decrease)
    }

    fn counts(options: &Options) -> CountSettings {
        CountSettings {
            margin: options.margin,
            margin_abs: options.margin_abs,
            ..CountSettings::default()
        }
    }

    fn values(&self, options: &Options) -> ValueSettings {
        let direction = self.direction.unwrap_or_default();
        ValueSettings {
            direction,
            margin: options.margin,
            ..ValueSettings::default()
        }
    }

    fn histograms(&self, options: &Options) -> HistogramSettings {
        let direction = self.direction.unwrap_or(Direction::Increase);
        let Options {
            margin, margin_abs, ..
        } = *options;
        HistogramSettings {
            direction,
            margin,
            margin_abs,
            ..HistogramSettings::default()
        }
    }

    /// Adds a closed interval, before or after the change.
    pub(super) fn absorb(&mut self, options: &Options, cell: &Cell, at: i64, changed: bool) {
        let exchanged = self.exchanged();
        let (values, histograms) = (self.values(options), self.histograms(options));
        if changed {
            let (first, _, count) = self.span.unwrap_or((at, at, 0));
            self.span = Some((first, at, count + 1));
        }
        match &mut self.test {
            Test::Unknown => {}
            Test::Counts(test) => {
                let (mut candidate, mut baseline) = (sum(&cell.candidate), sum(&cell.baseline));
                if exchanged {
                    std::mem::swap(&mut candidate, &mut baseline);
                }
                let counts = Counts {
                    candidate_bad: candidate.0,
                    candidate_total: candidate.1,
                    baseline_bad: baseline.0,
                    baseline_total: baseline.1,
                };
                if changed {
                    test.absorb(&Self::counts(options), &counts);
                } else {
                    test.absorb_history(&counts);
                }
            }
            Test::Value(test) => {
                let pair = Pair {
                    candidate: mean(&cell.candidate),
                    baseline: mean(&cell.baseline),
                };
                if changed {
                    test.absorb(&values, &pair)
                } else {
                    test.absorb_history(&values, &pair)
                }
            }
            Test::Histogram(test) => {
                let (candidate, baseline) = (merge(&cell.candidate), merge(&cell.baseline));
                if changed {
                    test.absorb(&histograms, &candidate, &baseline);
                } else {
                    test.absorb_history(&histograms, &candidate, &baseline);
                }
            }
        }
    }

    /// What the metric shows at levels that are its share; seals harm.
    pub(super) fn look(&mut self, name: &str, options: &Options, levels: &Levels) -> MetricLook {
        let mut look = MetricLook::blank(name, self.test.kind());
        let ruling = match &self.test {
            Test::Unknown => Ruling::new(Verdict::NoEvidence, Reason::MissingSeries),
            Test::Counts(test) => self.look_counts(test, options, levels, &mut look),
            Test::Value(test) => {
                let evidence = test.evidence(&self.values(options));
                look.evidence(evidence.log_e_worse, evidence.log_e_safe);
                look.estimate(evidence.effect, evidence.low, evidence.high);
                look.samples = evidence.samples;
                look.assumes = Some(evidence.assumes);
                judge_values(&evidence, levels)
            }
            Test::Histogram(test) => {
                let evidence = test.evidence(&self.histograms(options));
                look.evidence(evidence.log_e_worse, evidence.log_e_safe);
                look.estimate(evidence.effect, evidence.low, evidence.high);
                look.samples = evidence.samples;
                look.dispersion = Some(evidence.dispersion);
                judge_histograms(&evidence, levels)
            }
        };
        self.sealed |= ruling.verdict == Verdict::Worse;
        let sealed = Ruling::new(Verdict::Worse, Reason::HarmProven);
        let ruling = if self.sealed { sealed } else { ruling };
        (look.verdict, look.reason) = (ruling.verdict, ruling.reason);
        look
    }

    fn look_counts(
        &self,
        test: &CountTest,
        options: &Options,
        levels: &Levels,
        look: &mut MetricLook,
    ) -> Ruling {
        let settings = Self::counts(options);
        let evidence = test.evidence(&settings);
        look.evidence(evidence.log_e_worse, evidence.log_e_safe);
        look.dispersion = Some(evidence.dispersion);
        look.diff_upper = Some(evidence.diff_upper);
        let ruling = judge_counts(&evidence, levels);
        if let (Verdict::Undecided, Some((first, last, count))) = (ruling.verdict, self.span) {
            // The first interval's own length is unknown: the others tell it.
            let others = crate::numeric::real(count.saturating_sub(1));
            let lasted = super::seconds(last.saturating_sub(first)) * (others + 1.0) / others.max(1.0);
            let traffic = Traffic::observed(&evidence, lasted);
            look.remaining =
                traffic.and_then(|traffic| test.remaining(&settings, levels, &traffic, options.effect));
        }
        if !self.exchanged() {
            look.samples = evidence.samples;
            look.estimate(evidence.effect, evidence.low, evidence.high);
            return ruling;
        }
        look.samples = evidence.baseline_samples;
        look.estimate(
            evidence.effect.map(f64::recip),
            evidence.high.recip(),
            evidence.low.recip(),
        );
        let reason = match ruling.reason {
            Reason::SilentCandidate => Reason::SilentBaseline,
            Reason::SilentBaseline => Reason::SilentCandidate,
            other => other,
        };
        Ruling { reason, ..ruling }
    }
}
