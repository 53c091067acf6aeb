//! One metric: its kind and its running test.

use super::cell::{Cell, Tracks};
use super::{JudgeError, MetricLook, Options, Spec};
use crate::combine::shared;
use crate::counts::{CountSettings, CountTest, Counts, judge_counts};
use crate::distributions::{HistogramSettings, HistogramTest, judge_histograms};
use crate::plan::Traffic;
use crate::rows::{Row, Sample, Track};
use crate::values::{Direction, Pair, PastTest, ValueSettings, ValueTest};
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// The running test of a metric, of one kind from its first row on.
#[derive(Clone, Debug)]
enum Test {
    Unknown,
    Counts(Box<CountTest>),
    /// Any change is worse: more of what is counted, and fewer, each a test of its own.
    CountsEither(Box<CountTest>, Box<CountTest>),
    Value(Box<ValueTest>),
    Past(Box<PastTest>),
    Histogram(Box<HistogramTest>),
}

impl Test {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counts(_) | Self::CountsEither(..) => "counts",
            Self::Value(_) | Self::Past(_) => "value",
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
    alone: bool,
    /// Harm was called: a later look does not take it back.
    sealed: bool,
    /// Milliseconds of the first and the last interval after the change, and their number.
    span: Option<(i64, i64, u64)>,
    /// Tracks that reported it at all, and those whose intervals come in parts.
    seen: Tracks,
    parts: Tracks,
    /// Where fewer are worse, or either way: whether what is counted is the rule rather than the exception.
    usual: Option<bool>,
}

impl Metric {
    pub(super) fn new(spec: &Spec) -> Self {
        let weight = if spec.weight.is_finite() {
            spec.weight.max(0.0)
        } else {
            0.0
        };
        let Spec {
            direction,
            critical,
            alone,
            ..
        } = *spec;
        Self {
            test: Test::Unknown,
            direction,
            weight,
            critical,
            alone,
            sealed: false,
            span: None,
            seen: Tracks::default(),
            parts: Tracks::default(),
            usual: None,
        }
    }

    pub(super) const fn weight(&self) -> f64 {
        self.weight
    }

    pub(super) const fn critical(&self) -> bool {
        self.critical
    }

    /// Whether it is one series against its own past.
    pub(super) const fn alone(&self) -> bool {
        self.alone
    }

    pub(super) const fn seen(&self) -> Tracks {
        self.seen
    }

    pub(super) const fn parts(&self) -> Tracks {
        self.parts
    }

    /// Notes a sample of a track; `differs`: it is another than the first of its interval.
    pub(super) const fn note(&mut self, track: Track, differs: bool) {
        self.seen.set(track);
        if differs {
            self.parts.set(track);
        }
    }

    /// Takes the kind of the first row, and refuses another kind afterwards.
    pub(super) fn accept(&mut self, row: &Row) -> Result<(), JudgeError> {
        let fresh = match &row.sample {
            Sample::Counts { .. } if self.direction == Some(Direction::Either) => {
                Test::CountsEither(Box::default(), Box::default())
            }
            Sample::Counts { .. } => Test::Counts(Box::default()),
            Sample::Value(_) if self.alone => Test::Past(Box::default()),
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

    /// Counts of which fewer are worse (conversions, say) are judged with the tracks exchanged.
    fn exchanged(&self) -> bool {
        self.direction == Some(Direction::Decrease) && self.usual != Some(true)
    }

    /// Counts as the test wants them. Where fewer are worse (or any change is) and what is counted is the rule (successes), the
    /// exception is counted instead: a ratio of two large shares shows nothing. Which of the two it is the first interval tells, both tracks
    /// together: their sum is what the test takes as given, so it may be chosen by.
    fn oriented(&mut self, cell: &Cell) -> Counts {
        let ((c, n), (b, m)) = cell.counts();
        let fewer = matches!(self.direction, Some(Direction::Decrease | Direction::Either));
        if fewer && n.saturating_add(m) > 0 {
            let (bad, all) = (c.saturating_add(b), n.saturating_add(m));
            self.usual.get_or_insert(bad > all / 2);
        }
        let missed = self.usual == Some(true);
        let side = |bad: u64, all: u64| if missed { all.saturating_sub(bad) } else { bad };
        let counts = Counts {
            candidate_bad: side(c, n),
            candidate_total: n,
            baseline_bad: side(b, m),
            baseline_total: m,
        };
        if self.exchanged() {
            counts.exchanged()
        } else {
            counts
        }
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
        let counts = self.oriented(cell);
        let (values, histograms) = (self.values(options), self.histograms(options));
        let pair = || {
            let (candidate, baseline) = cell.means();
            Pair { candidate, baseline }
        };
        if changed {
            let (first, _, count) = self.span.unwrap_or((at, at, 0));
            self.span = Some((first, at, count + 1));
        }
        match &mut self.test {
            Test::Unknown => {}
            Test::Counts(test) => {
                if changed {
                    test.absorb(&Self::counts(options), &counts);
                } else {
                    test.absorb_history(&counts);
                }
            }
            Test::CountsEither(more, fewer) => {
                let exchanged = counts.exchanged();
                if changed {
                    more.absorb(&Self::counts(options), &counts);
                    fewer.absorb(&Self::counts(options), &exchanged);
                } else {
                    more.absorb_history(&counts);
                    fewer.absorb_history(&exchanged);
                }
            }
            Test::Value(test) if changed => test.absorb(&values, &pair()),
            Test::Value(test) => test.absorb_history(&values, &pair()),
            Test::Past(test) if changed => test.absorb(&values, &pair()),
            Test::Past(test) => test.absorb_history(&values, &pair()),
            Test::Histogram(test) => {
                let (candidate, baseline) = cell.histograms();
                if changed {
                    test.absorb(&histograms, &candidate, &baseline);
                } else {
                    test.absorb_history(&histograms, &candidate, &baseline);
                }
            }
        }
    }

    /// What the metric shows at levels that are its share; seals harm. `served`: the tracks that reported any metric.
    pub(super) fn look(
        &mut self,
        name: &str,
        options: &Options,
        levels: &Levels,
        served: Tracks,
    ) -> MetricLook {
        let mut look = MetricLook::blank(name, self.test.kind());
        let ruling = match &self.test {
            Test::Unknown => Ruling::new(Verdict::NoEvidence, Reason::MissingSeries),
            Test::Counts(test) => self.look_counts(test, options, levels, &mut look),
            Test::CountsEither(more, fewer) => {
                let settings = Self::counts(options);
                let evidence = more.evidence(&settings).or_exchanged(&fewer.evidence(&settings));
                look.counted(&evidence);
                look.estimate(evidence.effect, evidence.low, evidence.high);
                judge_counts(&evidence, levels)
            }
            Test::Value(test) => look.valued(&test.evidence(&self.values(options)), levels),
            Test::Past(test) => look.valued(&test.evidence(&self.values(options)), levels),
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
        let ruling = if self.sealed {
            sealed
        } else {
            self.missing(ruling, served)
        };
        (look.verdict, look.reason) = (ruling.verdict, ruling.reason);
        if ruling.verdict == Verdict::Undecided || ruling.reason == Reason::TooFewSamples {
            look.remaining = self.remaining(options, levels);
        }
        look
    }

    /// A track that reports other metrics and never this one is not silent: the series is missing.
    fn missing(&self, ruling: Ruling, served: Tracks) -> Ruling {
        let candidate = served.candidate && !self.seen.candidate;
        let baseline = served.baseline && !self.seen.baseline;
        match ruling.reason {
            Reason::SilentCandidate | Reason::SilentBaseline | Reason::TooFewSamples
                if candidate || baseline =>
            {
                Ruling::new(Verdict::NoEvidence, Reason::MissingSeries)
            }
            _ => ruling,
        }
    }

    /// Seconds until a decision is likely at this traffic.
    fn remaining(&self, options: &Options, levels: &Levels) -> Option<f64> {
        let (first, last, count) = self.span?;
        // The first interval's own length is unknown: the others tell it.
        let others = crate::numeric::real(count.saturating_sub(1));
        let step = super::seconds(last.saturating_sub(first)) / others.max(1.0);
        let lasted = step * (others + 1.0);
        match &self.test {
            Test::Unknown => None,
            Test::Counts(test) => {
                let settings = Self::counts(options);
                let traffic = Traffic::observed(&test.evidence(&settings), lasted)?;
                test.remaining(&settings, levels, &traffic, options.effect)
            }
            Test::CountsEither(more, _) => {
                let (settings, half) = (Self::counts(options), shared(levels, 0.5, 1.0));
                let traffic = Traffic::observed(&more.evidence(&settings), lasted)?;
                more.remaining(&settings, &half, &traffic, options.effect)
            }
            Test::Value(test) => {
                let intervals = test.remaining(&self.values(options), levels, options.effect)?;
                (step > 0.0).then_some(intervals * step)
            }
            Test::Past(test) => {
                let points = test.remaining(&self.values(options), levels, options.effect)?;
                (step > 0.0).then_some(points * step)
            }
            Test::Histogram(test) => {
                let settings = self.histograms(options);
                let parts = test.remaining(&settings, levels, options.effect)?;
                (lasted > 0.0).then_some(parts * lasted)
            }
        }
    }

    fn look_counts(
        &self,
        test: &CountTest,
        options: &Options,
        levels: &Levels,
        look: &mut MetricLook,
    ) -> Ruling {
        let exchanged = self.exchanged();
        let evidence = test.evidence(&Self::counts(options));
        let evidence = if exchanged { evidence.exchanged() } else { evidence };
        look.counted(&evidence);
        let (effect, low, high) = (evidence.effect, evidence.low, evidence.high);
        if exchanged {
            look.estimate(effect.map(f64::recip), high.recip(), low.recip());
        } else {
            look.estimate(effect, low, high);
        }
        judge_counts(&evidence, levels)
    }
}
