//! One metric, whatever its kind: what its test says, at its share of alpha, in words and as decisions carry it.

use std::time::Duration;

use auspex_judge::combine::shared;
use auspex_judge::numeric::real;
use auspex_judge::{
    CountSettings, CountTest, Direction, Evidence, HistogramEvidence, Levels, Reason, Ruling, ValueEvidence,
    Verdict, judge_counts, judge_histograms, judge_values,
};
use auspex_proto::Timestamp;
use auspex_proto::decision::MetricEvidence;

use crate::document::Listed;
use crate::state::Rollout;
use crate::state::metric::Test;

/// How long what a listed metric has said holds without being reported: four scrapes at the usual 15 s.
const FRESH: Duration = Duration::from_secs(60);

/// The boundary from which on each listed metric is stale if nobody reports it meanwhile.
pub(in crate::decide) fn stale(rollout: &Rollout) -> Vec<Timestamp> {
    let terms = &rollout.terms;
    let width = terms.interval.duration();
    let patience = FRESH.max(width * terms.silent_after);
    let known = |last: &Timestamp| *last > Timestamp::default();
    let reported = rollout.tally.reported.iter();
    // The first interval that begins later than it may have been silent has to be over.
    let until = |last: &Timestamp| (*last + patience).next_boundary(width) + terms.lateness.duration();
    reported
        .map(|last| {
            if known(last) {
                until(last)
            } else {
                Timestamp(i64::MAX)
            }
        })
        .collect()
}

/// One metric at this moment.
pub(super) struct Metric<'a> {
    pub(super) name: &'a str,
    /// Its share of alpha, within (0, 1].
    pub(super) share: f64,
    /// Nothing advances before it is proven no worse.
    pub(super) critical: bool,
    pub(super) levels: Levels,
    pub(super) ruling: Ruling,
    pub(super) said: Said,
    listed: Option<&'a Listed>,
    /// What it once said is no longer known to hold.
    stale: bool,
}

/// What a test says.
#[allow(
    clippy::large_enum_variant,
    reason = "at most ten of them, for the length of a judgement"
)]
pub(super) enum Said {
    Nothing,
    Counts(Evidence),
    /// Of units of which fewer are worse.
    Fewer(Evidence),
    /// Of units of which any change is worse; whether those that were not counted are the ones.
    Either(Evidence, bool),
    Histogram(HistogramEvidence),
    Values(ValueEvidence),
}

/// How alpha is shared: the levels of the whole rollout and the sum of all weights.
pub(super) struct Shares {
    pub(super) levels: Levels,
    pub(super) sum: f64,
}

impl<'a> Metric<'a> {
    /// A metric that control knows without being told.
    pub(super) fn built_in(
        (name, weight): (&'a str, f64),
        test: &CountTest,
        settings: &CountSettings,
        shares: &Shares,
    ) -> Self {
        let levels = shared(&shares.levels, weight, shares.sum);
        let said = test.evidence(settings);
        Self {
            name,
            share: weight / shares.sum,
            critical: true,
            ruling: judge_counts(&said, &levels),
            levels,
            said: Said::Counts(said),
            listed: None,
            stale: false,
        }
    }

    /// A metric that the document lists, the `at`-th of them. What has not been reported for long proves nothing now.
    pub(super) fn listed(rollout: &Rollout, (at, listed): (usize, &'a Listed), shares: &Shares) -> Self {
        let tally = &rollout.tally;
        let test = tally.listed.get(at).unwrap_or(&Test::Nothing);
        let stale = tally.stale.get(at).copied().unwrap_or_default();
        let levels = shared(&shares.levels, listed.weight, shares.sum);
        let missing = Ruling::new(Verdict::NoEvidence, Reason::MissingSeries);
        let (said, ruling) = match test {
            Test::Nothing => (Said::Nothing, missing),
            Test::Counts(test) => {
                let said = test.evidence(&listed.counts(&rollout.terms));
                (Said::Counts(said), judge_counts(&said, &levels))
            }
            Test::Fewer(test) => {
                // The effect stays how many times worse the candidate is: here, how many times fewer.
                let said = test.evidence(&listed.counts(&rollout.terms)).exchanged();
                (Said::Fewer(said), judge_counts(&said, &levels))
            }
            Test::Either { more, fewer, rest } => {
                let settings = listed.counts(&rollout.terms);
                let said = more.evidence(&settings).or_exchanged(&fewer.evidence(&settings));
                (Said::Either(said, *rest), judge_counts(&said, &levels))
            }
            Test::Histogram(test) => {
                let said = test.evidence(&listed.histogram(&rollout.terms));
                (Said::Histogram(said), judge_histograms(&said, &levels))
            }
            Test::Values(test) => {
                let said = test.evidence(&listed.values(&rollout.terms));
                (Said::Values(said), judge_values(&said, &levels))
            }
        };
        let ruling = match ruling.verdict {
            Verdict::NoWorse | Verdict::Undecided if stale => missing,
            _ => ruling,
        };
        Self {
            name: &listed.name,
            share: listed.weight / shares.sum,
            critical: listed.critical,
            levels,
            ruling,
            said,
            listed: Some(listed),
            stale,
        }
    }

    /// Whether the document lists it.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.is_some()
    }

    pub(super) fn says(&self, verdict: Verdict) -> bool {
        self.ruling.verdict == verdict
    }

    /// Log e-value for harm, and against harm by the margin.
    pub(super) fn logs(&self) -> (f64, f64) {
        match &self.said {
            Said::Nothing => (0.0, 0.0),
            Said::Counts(said) | Said::Fewer(said) | Said::Either(said, _) => {
                (said.log_e_worse, said.log_e_safe)
            }
            Said::Histogram(said) => (said.log_e_worse, said.log_e_safe),
            Said::Values(said) => (said.log_e_worse, said.log_e_safe),
        }
    }

    /// The same as they count for the odds. A listed metric without evidence counts for nothing, and harm that is proven small
    /// is none.
    pub(super) fn counted(&self) -> (f64, f64) {
        let (worse, safe) = self.logs();
        match (self.is_listed(), self.ruling.verdict, self.ruling.reason) {
            (true, Verdict::NoEvidence, _) => (0.0, 0.0),
            (true, _, Reason::WithinMargin) => (worse.min(0.0), safe),
            _ => (worse, safe),
        }
    }

    /// Units, or intervals, of candidate and baseline that were judged.
    fn samples(&self) -> (u64, u64) {
        match &self.said {
            Said::Nothing => (0, 0),
            Said::Counts(said) | Said::Fewer(said) | Said::Either(said, _) => {
                (said.samples, said.baseline_samples)
            }
            Said::Histogram(said) => (said.samples, said.baseline_samples),
            Said::Values(said) => (said.samples, said.samples),
        }
    }

    /// Why there is no evidence on it.
    pub(super) fn missing(&self, least: u64) -> String {
        let ((candidate, baseline), name) = (self.samples(), self.name);
        match self.ruling.reason {
            _ if !self.is_listed() => format!(
                "{candidate} requests of the candidate and {baseline} of the baseline, {least} are the least"
            ),
            _ if self.stale => format!("the candidate has not reported {name} for long"),
            Reason::MissingSeries => format!("nobody reports {name}"),
            Reason::SilentCandidate => format!("the candidate does not report {name}"),
            Reason::SilentBaseline => format!("the baseline does not report {name}"),
            Reason::EqualConstants => format!("{name} is one constant on both tracks"),
            _ => format!("{name}: {candidate} of the candidate and {baseline} of the baseline are too few"),
        }
    }

    /// Its evidence in a clause.
    pub(super) fn figures(&self) -> String {
        match &self.said {
            Said::Nothing => format!("nobody reports {}", self.name),
            Said::Counts(said) => self.counted_figures(said, self.bad()),
            Said::Fewer(said) | Said::Either(said, false) => {
                self.counted_figures(said, (self.name, "were counted"))
            }
            Said::Either(said, true) => self.counted_figures(said, (self.name, "were not counted")),
            Said::Histogram(said) => {
                let quantile = self.listed.and_then(|l| l.quantile).unwrap_or(0.95);
                format!(
                    "{} at p{} {} in the candidate than in stable ({} and {} of them)",
                    self.name,
                    trimmed(100.0 * quantile),
                    apart(said.effect),
                    said.samples,
                    said.baseline_samples
                )
            }
            Said::Values(said) => format!(
                "{} {} in the candidate than in stable, on average over {} intervals",
                self.name,
                apart(said.effect),
                said.samples
            ),
        }
    }

    /// What is counted, and what is bad about it.
    fn bad(&self) -> (&str, &'static str) {
        match (self.listed, self.name) {
            (None, "slow") => ("requests", "were slow"),
            (None, _) => ("requests", "failed"),
            (
                Some(Listed {
                    direction: Some(Direction::Decrease),
                    ..
                }),
                name,
            ) => (name, "fell short"),
            (Some(_), name) => (name, "were bad"),
        }
    }

    fn counted_figures(&self, said: &Evidence, (unit, what): (&str, &str)) -> String {
        let share = |bad: u64, total: u64| match total {
            0 => 0.0,
            total => 100.0 * real(bad) / real(total),
        };
        format!(
            "{} of {} candidate {unit} {what} ({:.1} %), {} of {} stable ({:.1} %)",
            said.candidate_bad,
            said.samples,
            share(said.candidate_bad, said.samples),
            said.baseline_bad,
            said.baseline_samples,
            share(said.baseline_bad, said.baseline_samples)
        )
    }

    /// As decisions carry it. Of histograms and values the effect and its interval are differences in the metric's unit, and
    /// no unit is bad.
    pub(super) fn row(&self) -> MetricEvidence {
        let (log_e_worse, log_e_safe) = self.logs();
        let (candidate_total, baseline_total) = self.samples();
        let blank = MetricEvidence {
            metric: self.name.to_owned(),
            verdict: verdict(self.ruling.verdict).to_owned(),
            reason: snake(&format!("{:?}", self.ruling.reason)),
            log_e_worse,
            log_e_safe,
            effect: 0.0,
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            candidate_bad: 0,
            candidate_total,
            baseline_bad: 0,
            baseline_total,
            diff_upper: 1.0,
            difference: false,
        };
        match &self.said {
            Said::Nothing => blank,
            Said::Counts(said) | Said::Fewer(said) | Said::Either(said, _) => MetricEvidence {
                effect: said.effect.unwrap_or(1.0),
                low: said.low,
                high: said.high,
                candidate_bad: said.candidate_bad,
                baseline_bad: said.baseline_bad,
                diff_upper: said.diff_upper,
                ..blank
            },
            Said::Histogram(HistogramEvidence {
                effect, low, high, ..
            })
            | Said::Values(ValueEvidence {
                effect, low, high, ..
            }) => MetricEvidence {
                difference: true,
                effect: effect.unwrap_or(0.0),
                low: *low,
                high: *high,
                ..blank
            },
        }
    }
}

/// A difference in words.
fn apart(effect: Option<f64>) -> String {
    match effect {
        None => "not known".to_owned(),
        Some(effect) if effect < 0.0 => format!("{} lower", trimmed(-effect)),
        Some(effect) => format!("{} higher", trimmed(effect)),
    }
}

/// Three digits that matter, without zeros behind the point.
fn trimmed(value: f64) -> String {
    if value == 0.0 || !(1e-6..1e15).contains(&value) {
        return format!("{value}");
    }
    let text = match value {
        v if v >= 100.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v if v >= 0.01 => format!("{v:.4}"),
        v => format!("{v:.8}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Worse => "worse",
        Verdict::NoWorse => "no_worse",
        Verdict::Undecided => "undecided",
        Verdict::NoEvidence => "no_evidence",
    }
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
