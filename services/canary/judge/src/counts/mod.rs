//! Failures among requests: relative risk under a changing split, and the difference of the rates.

mod beyond;
mod difference;
mod dispersion;
mod ratio;
pub mod split;

use serde::{Deserialize, Serialize};

pub(crate) use self::beyond::{Beyond, Split};
use self::difference::Difference;
use self::dispersion::Dispersion;
use self::ratio::Ratio;
use crate::numeric::{log_mix, real};
use crate::plan::Traffic;
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// Bad and total units of both tracks in one closed interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Units of the candidate that failed. More than `candidate_total` counts as all of them.
    pub candidate_bad: u64,
    /// Units that the candidate served.
    pub candidate_total: u64,
    /// Units of the baseline that failed. More than `baseline_total` counts as all of them.
    pub baseline_bad: u64,
    /// Units that the baseline served.
    pub baseline_total: u64,
}

impl Counts {
    /// With the tracks exchanged: for units of which fewer are worse. See [`Evidence::exchanged`].
    #[must_use]
    pub const fn exchanged(self) -> Self {
        Self {
            candidate_bad: self.baseline_bad,
            candidate_total: self.baseline_total,
            baseline_bad: self.candidate_bad,
            baseline_total: self.candidate_total,
        }
    }
}

/// What counts as worse, and the least to judge by. Fixed for the life of a [`CountTest`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CountSettings {
    /// Relative risk that may not be let through, above 1. Default 1.25.
    pub margin: f64,
    /// Difference of the rates that is of no concern, as a share of units within (0, 1). Default 0.005.
    pub margin_abs: f64,
    /// Level of [`Evidence::diff_upper`] and of the interval `low..high`, within (0, 1). Default 0.05.
    pub level: f64,
    /// Units of the candidate below which no verdict is given. Default 50.
    pub min_samples: u64,
    /// Consecutive intervals with a served baseline and no candidate unit that count as silence. Default 3.
    pub silent_after: u32,
    /// Mean size of clusters of failures to assume before any is seen, at least 1. Default 1.
    pub dispersion: f64,
    /// Whether to learn the dispersion from the intervals. Default true.
    pub learn_dispersion: bool,
}

impl Default for CountSettings {
    fn default() -> Self {
        Self {
            margin: 1.25,
            margin_abs: 0.005,
            level: 0.05,
            min_samples: 50,
            silent_after: 3,
            dispersion: 1.0,
            learn_dispersion: true,
        }
    }
}

/// Running evidence about one metric that counts failures. Well below 1 kB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountTest {
    ratio: Ratio,
    difference: Difference,
    dispersion: Dispersion,
    totals: Counts,
    silent_candidate: u32,
    silent_baseline: u32,
}

/// What the intervals absorbed so far say. Logarithms are natural.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Log e-value against "no worse": relative risk at most 1. At least `ln(1/alpha)` proves harm at level alpha.
    pub log_e_worse: f64,
    /// Log e-value against "worse by both margins": the even mixture of the two below.
    pub log_e_safe: f64,
    /// Log e-value against "relative risk at least [`CountSettings::margin`]".
    pub log_e_safe_ratio: f64,
    /// Log e-value against "rates differ by at least [`CountSettings::margin_abs`]".
    pub log_e_safe_difference: f64,
    /// Upper bound on candidate rate minus baseline rate, all looks together at [`CountSettings::level`]; within [-1, 1].
    pub diff_upper: f64,
    /// Relative risk estimate; none before any failure. With a failure on one track only, half a failure is added to each.
    pub effect: Option<f64>,
    /// Lower end of the interval for the relative risk, all looks together; 0 when unbounded.
    pub low: f64,
    /// Upper end; infinite when unbounded.
    pub high: f64,
    /// Units of the candidate that were judged.
    pub samples: u64,
    /// Units of the baseline that were judged.
    pub baseline_samples: u64,
    /// Units of the candidate that failed.
    pub candidate_bad: u64,
    /// Units of the baseline that failed.
    pub baseline_bad: u64,
    /// Dispersion of failures in force: evidence is divided by it. 1 for independent failures.
    pub dispersion: f64,
    /// The candidate has been silent beside a served baseline for long enough to say so.
    pub silent_candidate: bool,
    /// The baseline has been silent beside a served candidate for long enough to say so.
    pub silent_baseline: bool,
    /// There are fewer units than the least that a verdict may rest on.
    pub too_few: bool,
}

impl Evidence {
    /// Evidence of a test whose tracks were exchanged ([`Counts::exchanged`]): samples, failures and silence are again those of
    /// the track they are named after. E-values, effect and bounds stay those of the test, so an effect above 1 says that the
    /// baseline has more.
    #[must_use]
    pub const fn exchanged(self) -> Self {
        Self {
            samples: self.baseline_samples,
            baseline_samples: self.samples,
            candidate_bad: self.baseline_bad,
            baseline_bad: self.candidate_bad,
            silent_candidate: self.silent_baseline,
            silent_baseline: self.silent_candidate,
            ..self
        }
    }

    /// Where any change is worse: this evidence about more of them, joined with `fewer`, that of a test whose tracks were
    /// exchanged. Harm either way has half of alpha; a pass needs both. Effect, bounds and samples stay this one's.
    #[must_use]
    pub fn or_exchanged(self, fewer: &Self) -> Self {
        let half = |log_e| (0.5, log_e);
        Self {
            log_e_worse: log_mix([half(self.log_e_worse), half(fewer.log_e_worse)].into_iter()),
            log_e_safe: self.log_e_safe.min(fewer.log_e_safe),
            log_e_safe_ratio: self.log_e_safe_ratio.min(fewer.log_e_safe_ratio),
            log_e_safe_difference: self.log_e_safe_difference.min(fewer.log_e_safe_difference),
            ..self
        }
    }
}

impl CountTest {
    /// An empty test. `settings` hold for its whole life; they are passed again so that they are stored once.
    #[must_use]
    pub fn new(_settings: &CountSettings) -> Self {
        Self::default()
    }

    /// Adds one closed interval. Intervals without units of both tracks count for silence and dispersion alone.
    pub fn absorb(&mut self, settings: &CountSettings, interval: &Counts) {
        let (candidate, baseline) = (interval.candidate_total, interval.baseline_total);
        let c = real(interval.candidate_bad.min(candidate));
        let b = real(interval.baseline_bad.min(baseline));
        let (n, m) = (real(candidate), real(baseline));
        let silent = |before: u32, this: u64, other: u64| match (this, other) {
            (0, 0) => before,
            (0, _) => before.saturating_add(1),
            _ => 0,
        };
        self.silent_candidate = silent(self.silent_candidate, candidate, baseline);
        self.silent_baseline = silent(self.silent_baseline, baseline, candidate);
        if candidate > 0 && baseline > 0 {
            let temper = 1.0 / self.dispersion_in_force(settings);
            self.ratio
                .absorb(temper * c, temper * b, n / (n + m), settings.margin.max(1.0));
            self.difference.absorb(temper * c, temper * b, temper * n, n / m);
            let totals = &mut self.totals;
            totals.candidate_bad = totals
                .candidate_bad
                .saturating_add(interval.candidate_bad.min(candidate));
            totals.candidate_total = totals.candidate_total.saturating_add(candidate);
            totals.baseline_bad = totals
                .baseline_bad
                .saturating_add(interval.baseline_bad.min(baseline));
            totals.baseline_total = totals.baseline_total.saturating_add(baseline);
        }
        self.dispersion.learn((c, n), (b, m));
    }

    /// Adds one closed interval before the change, when both tracks ran the same version: it teaches how failures cluster.
    pub fn absorb_history(&mut self, interval: &Counts) {
        let side = |bad: u64, total: u64| (real(bad.min(total)), real(total));
        let candidate = side(interval.candidate_bad, interval.candidate_total);
        self.dispersion
            .learn(candidate, side(interval.baseline_bad, interval.baseline_total));
    }

    fn dispersion_in_force(&self, settings: &CountSettings) -> f64 {
        let prior = if settings.dispersion >= 1.0 {
            settings.dispersion
        } else {
            1.0
        };
        if settings.learn_dispersion {
            self.dispersion.factor(prior)
        } else {
            prior
        }
    }

    /// Log e-value for harm alone, cheaper than the whole [`Evidence`].
    #[must_use]
    pub fn log_e_worse(&self) -> f64 {
        self.ratio.log_worse()
    }

    /// Log e-value for a pass alone, cheaper than the whole [`Evidence`].
    #[must_use]
    pub fn log_e_safe(&self, settings: &CountSettings) -> f64 {
        let by_ratio = self.ratio.log_safe(settings.margin.max(1.0));
        let by_difference = self.difference.log_safe(settings.margin_abs.clamp(0.0, 1.0));
        log_mix([(0.5, by_ratio), (0.5, by_difference)].into_iter())
    }

    /// Log e-value for harm after `seconds` more of exactly the expected counts.
    pub(crate) fn foreseen(&self, traffic: &Traffic, risk: f64, seconds: f64) -> f64 {
        let ((c, _), (b, _)) = traffic.flow(risk);
        let mut ratio = self.ratio.clone();
        let tempered = seconds / self.dispersion.factor(1.0);
        ratio.absorb(tempered * c, tempered * b, traffic.share, 1.0);
        ratio.log_worse()
    }

    /// Log e-value for a pass after `seconds` more of exactly the expected counts of a healthy candidate.
    pub(crate) fn foreseen_safe(&self, settings: &CountSettings, traffic: &Traffic, seconds: f64) -> f64 {
        let ((c, n), (b, m)) = traffic.flow(1.0);
        let (mut ratio, mut difference) = (self.ratio.clone(), self.difference.clone());
        let margin = settings.margin.max(1.0);
        let tempered = seconds / self.dispersion_in_force(settings);
        ratio.absorb(tempered * c, tempered * b, traffic.share, margin);
        difference.absorb(tempered * c, tempered * b, tempered * n, n / m);
        let tests = [
            ratio.log_safe(margin),
            difference.log_safe(settings.margin_abs.clamp(0.0, 1.0)),
        ];
        log_mix(tests.into_iter().map(|log| (0.5, log)))
    }

    /// What has been absorbed so far says this.
    #[must_use]
    pub fn evidence(&self, settings: &CountSettings) -> Evidence {
        let level = if settings.level > 0.0 && settings.level < 1.0 {
            settings.level
        } else {
            0.05
        };
        let by_ratio = self.ratio.log_safe(settings.margin.max(1.0));
        let by_difference = self.difference.log_safe(settings.margin_abs.clamp(0.0, 1.0));
        let (low, high) = self.ratio.interval(level);
        Evidence {
            log_e_worse: self.ratio.log_worse(),
            log_e_safe: log_mix([(0.5, by_ratio), (0.5, by_difference)].into_iter()),
            log_e_safe_ratio: by_ratio,
            log_e_safe_difference: by_difference,
            diff_upper: self.difference.upper(level),
            effect: self.ratio.estimate(),
            low,
            high,
            samples: self.totals.candidate_total,
            baseline_samples: self.totals.baseline_total,
            candidate_bad: self.totals.candidate_bad,
            baseline_bad: self.totals.baseline_bad,
            dispersion: self.dispersion_in_force(settings),
            silent_candidate: settings.silent_after > 0 && self.silent_candidate >= settings.silent_after,
            silent_baseline: settings.silent_after > 0 && self.silent_baseline >= settings.silent_after,
            too_few: self.totals.candidate_total.min(self.totals.baseline_total)
                < settings.min_samples.max(1),
        }
    }
}

/// What a cumulative counter grew by from one reading to the next. One that fell was reset, and counts from zero.
#[must_use]
pub const fn increase(previous: u64, current: u64) -> u64 {
    if current >= previous {
        current - previous
    } else {
        current
    }
}

/// The verdict that the evidence permits at these levels.
///
/// Harm is called first, unless the ratio is proven to be within its margin as well: then it is real and small. A pass
/// by the difference alone never overrules harm, or a service that had no failures could gain many and still advance.
#[must_use]
pub fn judge_counts(evidence: &Evidence, levels: &Levels) -> Ruling {
    let harm = evidence.log_e_worse >= levels.log_alarm();
    let small = evidence.log_e_safe_ratio >= levels.log_pass();
    let verdict = |verdict, reason| Ruling::new(verdict, reason);
    if evidence.too_few {
        let reason = match (evidence.silent_candidate, evidence.silent_baseline) {
            (true, _) => Reason::SilentCandidate,
            (_, true) => Reason::SilentBaseline,
            _ => Reason::TooFewSamples,
        };
        return verdict(Verdict::NoEvidence, reason);
    }
    if harm {
        return if small {
            verdict(Verdict::NoWorse, Reason::WithinMargin)
        } else {
            verdict(Verdict::Worse, Reason::HarmProven)
        };
    }
    if evidence.silent_candidate {
        return verdict(Verdict::NoEvidence, Reason::SilentCandidate);
    }
    if evidence.silent_baseline {
        return verdict(Verdict::NoEvidence, Reason::SilentBaseline);
    }
    if evidence.log_e_safe >= levels.log_pass() {
        let by_ratio = evidence.log_e_safe_ratio >= evidence.log_e_safe_difference;
        return verdict(
            Verdict::NoWorse,
            if by_ratio {
                Reason::NoWorseByRatio
            } else {
                Reason::NoWorseByDifference
            },
        );
    }
    verdict(Verdict::Undecided, Reason::StillWatching)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_fell_was_reset() {
        assert_eq!((increase(10, 13), increase(10, 10), increase(10, 4)), (3, 0, 4));
    }

    #[test]
    fn agrees_with_the_oracle() {
        let oracle = crate::oracle();
        let settings = CountSettings {
            learn_dispersion: false,
            ..CountSettings::default()
        };
        for row in oracle["ratio"].as_array().expect("rows") {
            let mut test = CountTest::new(&settings);
            for interval in row["intervals"].as_array().expect("rows") {
                let at = |k: usize| interval[k].as_u64().expect("count");
                let (candidate_bad, candidate_total, baseline_bad, baseline_total) =
                    (at(0), at(1), at(2), at(3));
                test.absorb(
                    &settings,
                    &Counts {
                        candidate_bad,
                        candidate_total,
                        baseline_bad,
                        baseline_total,
                    },
                );
            }
            let expected = row["log_worse"].as_f64().expect("number");
            assert!(
                (test.log_e_worse() - expected).abs() < 1e-9,
                "{} {expected}",
                test.log_e_worse()
            );
        }
    }
}
