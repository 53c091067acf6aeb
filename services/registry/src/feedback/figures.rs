//! How good the predictions of one model version have turned out to be, in one project or over several.

use std::collections::{BTreeMap, VecDeque};

use auspex_proto::Timestamp;
use auspex_proto::observation::Value;
use auspex_proto::score::Band;
use serde::{Deserialize, Serialize};

use super::online::Online;
use super::proof::Proof;
use super::state::Matured;

/// Bins of the reliability curve, of equal width.
pub const BINS: usize = 10;
/// Outcomes that make a group, of which the failure rate is compared with the interval.
const GROUP: u64 = 20;
/// Outcomes that are remembered one by one, for the ROC.
const RECENT: usize = 512;
/// Weeks that are remembered.
const WEEKS: usize = 53;
const WEEK_MS: i64 = 7 * 86_400_000;

/// Sums over outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Outcomes.
    pub outcomes: u64,
    /// Of them failures.
    pub failures: u64,
    /// Sum of what was predicted.
    pub predicted: f64,
}

/// Outcomes of alike predictions, until there are enough to compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Group {
    outcomes: u64,
    failures: u64,
    low: f64,
    high: f64,
}

/// One week.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Week {
    pub outcomes: u64,
    pub failures: u64,
    pub brier: f64,
    pub log_loss: f64,
    pub right: u64,
}

/// How good predictions were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelFigures {
    /// Outcomes and failures.
    pub outcomes: u64,
    /// Of them failures.
    pub failures: u64,
    /// Sums.
    pub log_loss: f64,
    /// Sum of squared errors.
    pub brier: f64,
    /// The same two of what the version says by itself.
    pub log_loss_raw: f64,
    /// Squared errors of it.
    pub brier_raw: f64,
    /// Sums of what the outcomes stand for, over all and over failures.
    pub weight: f64,
    /// Over failures.
    pub failed_weight: f64,
    /// By probability.
    pub bins: [Tally; BINS],
    /// Low, medium, high.
    pub bands: [Tally; 3],
    groups: [Group; BINS],
    /// Groups compared, and of them those whose rate lay inside the interval.
    pub compared: u64,
    /// Inside.
    pub inside: u64,
    /// The newest last.
    recent: VecDeque<(f32, bool)>,
    /// By their number since 1970.
    pub weeks: BTreeMap<i64, Week>,
    /// What is learnt from them.
    pub online: Online,
    /// Whether that is served.
    pub proof: Proof,
    /// When the last outcome came.
    pub last: Timestamp,
}

fn bin(p: f64) -> usize {
    ((p * BINS as f64) as usize).min(BINS - 1)
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { f64::NAN }
}

/// Log-loss and squared error of a probability.
fn errors(p: f64, failed: bool) -> (f64, f64) {
    let kept = p.clamp(1e-6, 1.0 - 1e-6);
    if failed {
        (-kept.ln(), (1.0 - p) * (1.0 - p))
    } else {
        (-(1.0 - kept).ln(), p * p)
    }
}

impl ModelFigures {
    /// Counts an outcome.
    pub fn count(&mut self, matured: &Matured) {
        let (p, failed) = (matured.said.p, matured.failed);
        let y = if failed { 1.0 } else { 0.0 };
        let (loss, squared) = errors(p, failed);
        let (loss_raw, squared_raw) = errors(matured.said.raw.unwrap_or(p), failed);
        let weight = matured.said.weight();
        self.outcomes += 1;
        self.failures += u64::from(failed);
        self.log_loss += loss;
        self.brier += squared;
        self.log_loss_raw += loss_raw;
        self.brier_raw += squared_raw;
        self.weight += weight;
        self.failed_weight += weight * y;
        self.last = matured.at;
        let band = match Band::of(p, (0.3, 0.7)) {
            Band::Low => 0,
            Band::Medium => 1,
            Band::High => 2,
        };
        let tallies = [self.bins.get_mut(bin(p)), self.bands.get_mut(band)];
        for tally in tallies.into_iter().flatten() {
            tally.outcomes += 1;
            tally.failures += u64::from(failed);
            tally.predicted += p;
        }
        self.compare(matured);
        self.recent.push_back((p as f32, failed));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        let week = self.weeks.entry(matured.at.0.div_euclid(WEEK_MS)).or_default();
        week.outcomes += 1;
        week.failures += u64::from(failed);
        week.brier += squared;
        week.log_loss += loss;
        week.right += u64::from((p >= 0.5) == failed);
        while self.weeks.len() > WEEKS {
            self.weeks.pop_first();
        }
    }

    /// When a recalibration that is served, and hears of no outcome, is given up.
    pub(super) fn stale_at(&self, after: i64) -> Option<Timestamp> {
        let at = Timestamp(self.last.0.saturating_add(after));
        self.proof.since.map(|_| at)
    }

    /// An interval is about the rate of alike changes: so alike ones are gathered before it is held to it.
    fn compare(&mut self, matured: &Matured) {
        let Some(group) = self.groups.get_mut(bin(matured.said.p)) else {
            return;
        };
        group.outcomes += 1;
        group.failures += u64::from(matured.failed);
        group.low += matured.said.low;
        group.high += matured.said.high;
        if group.outcomes < GROUP {
            return;
        }
        let count = group.outcomes as f64;
        let rate = group.failures as f64 / count;
        self.compared += 1;
        self.inside += u64::from((group.low / count..=group.high / count).contains(&rate));
        *group = Group::default();
    }

    /// Adds what was counted elsewhere of the same model. Recalibration is a project's own: over several none is served.
    pub fn merge(&mut self, other: &Self) {
        self.proof = Proof::default();
        self.outcomes += other.outcomes;
        self.failures += other.failures;
        self.log_loss += other.log_loss;
        self.brier += other.brier;
        self.log_loss_raw += other.log_loss_raw;
        self.brier_raw += other.brier_raw;
        self.weight += other.weight;
        self.failed_weight += other.failed_weight;
        self.compared += other.compared;
        self.inside += other.inside;
        self.online.brier += other.online.brier;
        self.online.outcomes += other.online.outcomes;
        self.online.drifts += other.online.drifts;
        self.last = self.last.max(other.last);
        let own = self.bins.iter_mut().chain(&mut self.bands);
        for (own, more) in own.zip(other.bins.iter().chain(&other.bands)) {
            own.outcomes += more.outcomes;
            own.failures += more.failures;
            own.predicted += more.predicted;
        }
        self.recent.extend(&other.recent);
        for (number, more) in &other.weeks {
            let own = self.weeks.entry(*number).or_default();
            own.outcomes += more.outcomes;
            own.failures += more.failures;
            own.brier += more.brier;
            own.log_loss += more.log_loss;
            own.right += more.right;
        }
    }

    /// Mean over outcomes of a sum; NaN without any.
    #[must_use]
    pub fn mean(&self, sum: f64) -> f64 {
        share(sum, self.outcomes as f64)
    }

    /// Expected calibration error: mean distance of predicted and realised, bin by bin.
    #[must_use]
    pub fn ece(&self) -> f64 {
        let off = |t: &Tally| (t.predicted - t.failures as f64).abs();
        share(self.bins.iter().map(off).sum(), self.outcomes as f64)
    }

    /// Share of groups whose rate lay inside the interval.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        share(self.inside as f64, self.compared as f64)
    }

    /// The failure rate as it would be if nothing were held back.
    #[must_use]
    pub fn unbiased_rate(&self) -> f64 {
        share(self.failed_weight, self.weight)
    }

    /// Area under the ROC over the outcomes remembered; NaN with one class only.
    #[must_use]
    pub fn roc_auc(&self) -> f64 {
        let mut sorted: Vec<(f32, bool)> = self.recent.iter().copied().collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut below, mut wins, mut failures) = (0.0, 0.0, 0.0);
        for tie in sorted.chunk_by(|a, b| a.0 == b.0) {
            let failed = tie.iter().filter(|(_, failed)| *failed).count() as f64;
            let passed = tie.len() as f64 - failed;
            wins += failed * (below + passed / 2.0);
            below += passed;
            failures += failed;
        }
        share(wins, failures * below)
    }

    /// What is told of them as observations: name and value. What is not known is not told.
    #[must_use]
    pub fn measured(&self) -> Vec<(String, Value)> {
        let counts = |t: &Tally| Value::Counts {
            bad: t.failures,
            total: t.outcomes,
        };
        let mut found: Vec<(String, Value)> = ["low", "medium", "high"]
            .into_iter()
            .zip(&self.bands)
            .filter(|(_, tally)| tally.outcomes > 0)
            .map(|(band, tally)| (format!("model_failures_{band}"), counts(tally)))
            .collect();
        let rate = self.mean(self.failures as f64);
        let gauges = [
            (
                "model_precision_high",
                self.bands
                    .last()
                    .map_or(f64::NAN, |t| share(t.failures as f64, t.outcomes as f64)),
            ),
            ("model_ece", self.ece()),
            ("model_brier", self.mean(self.brier)),
            ("model_brier_base", rate * (1.0 - rate)),
            ("model_brier_raw", self.mean(self.brier_raw)),
            ("model_log_loss", self.mean(self.log_loss)),
            ("model_roc_auc", self.roc_auc()),
            ("model_coverage", self.coverage()),
            ("model_failure_rate", rate),
            ("model_failure_rate_unbiased", self.unbiased_rate()),
            ("model_recalibration_slope", self.online.slope),
            ("model_recalibration_offset", self.online.offset),
            (
                "model_recalibration_served",
                f64::from(u8::from(self.proof.since.is_some())),
            ),
            ("model_drifts", self.online.drifts as f64),
        ];
        let told = gauges.into_iter().filter(|(_, value)| value.is_finite());
        found.extend(told.map(|(name, value)| (name.to_owned(), Value::Gauge(value))));
        found
    }
}
