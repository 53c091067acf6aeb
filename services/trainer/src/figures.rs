//! What a forecast is worth on rows it had not seen.

use std::collections::BTreeMap;

use auspex_learn::bounds::{self, Bounds};
use auspex_learn::metrics::{self, Curves, Reliability};
use serde::{Deserialize, Serialize};

/// Figures of a forecast, with 95 % bounds. What cannot be had (one class only) is null.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Rows.
    pub rows: usize,
    /// Failures among them.
    pub failures: usize,
    /// Their share.
    pub rate: f64,
    /// Mean probability.
    pub mean_p: f64,
    /// Probability that a failure is scored above a success.
    pub roc_auc: Option<f64>,
    /// Average precision.
    pub pr_auc: Option<f64>,
    /// Mean negative log-likelihood, in nats.
    pub log_loss: f64,
    /// Mean squared difference.
    pub brier: f64,
    /// Brier score of saying the failure rate of these very rows to each of them, which nobody knows beforehand.
    pub brier_base: f64,
    /// Expected calibration error, ten equal-width bins.
    pub ece: f64,
    /// Share of failures found within 20 % of the effort.
    pub recall_at_20_effort: Option<f64>,
    /// Share of failures among the riskiest 5 % of rows.
    pub failures_in_riskiest_5: Option<f64>,
    /// ... 10 %.
    pub failures_in_riskiest_10: Option<f64>,
    /// ... 50 %.
    pub failures_in_riskiest_50: Option<f64>,
    /// 95 % bounds by figure.
    #[serde(default)]
    pub intervals: BTreeMap<String, Bounds>,
}

/// Rows to judge.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// What became of them.
    pub labels: &'a [bool],
    /// What was said.
    pub p: &'a [f64],
    /// Effort of each; empty: all the same.
    pub effort: &'a [f64],
}

/// The figures whose bounds are drawn, in the order of [`drawn`].
const DRAWN: [&str; 8] = [
    "pr_auc",
    "log_loss",
    "brier",
    "ece",
    "recall_at_20_effort",
    "failures_in_riskiest_5",
    "failures_in_riskiest_10",
    "failures_in_riskiest_50",
];

fn drawn(of: Judged<'_>) -> Vec<Option<f64>> {
    let riskiest = |share| metrics::share_in_riskiest(of.labels, of.p, share);
    vec![
        metrics::pr_auc(of.labels, of.p),
        Some(metrics::log_loss(of.labels, of.p)),
        Some(metrics::brier(of.labels, of.p)),
        Some(metrics::ece(of.labels, of.p)),
        metrics::recall_at_effort(of.labels, of.p, of.effort, 0.2),
        riskiest(0.05),
        riskiest(0.10),
        riskiest(0.50),
    ]
}

impl Figures {
    /// Without bounds.
    #[must_use]
    pub fn of(of: Judged<'_>) -> Self {
        let rate = metrics::rate(of.labels);
        let riskiest = |share| metrics::share_in_riskiest(of.labels, of.p, share);
        Self {
            rows: of.labels.len(),
            failures: metrics::failures(of.labels),
            rate,
            mean_p: of.p.iter().sum::<f64>() / of.p.len().max(1) as f64,
            roc_auc: metrics::roc_auc(of.labels, of.p),
            pr_auc: metrics::pr_auc(of.labels, of.p),
            log_loss: metrics::log_loss(of.labels, of.p),
            brier: metrics::brier(of.labels, of.p),
            brier_base: rate * (1.0 - rate),
            ece: metrics::ece(of.labels, of.p),
            recall_at_20_effort: metrics::recall_at_effort(of.labels, of.p, of.effort, 0.2),
            failures_in_riskiest_5: riskiest(0.05),
            failures_in_riskiest_10: riskiest(0.10),
            failures_in_riskiest_50: riskiest(0.50),
            intervals: BTreeMap::new(),
        }
    }

    /// With 95 % bounds: DeLong's for the ROC-AUC, a bootstrap over rows for the others.
    #[must_use]
    pub fn with_bounds(of: Judged<'_>, seed: u64) -> Self {
        let mut figures = Self::of(of);
        if let Some(found) = bounds::roc_auc(of.labels, of.p) {
            figures.intervals.insert("roc_auc".to_owned(), found);
        }
        let rows = of.labels.len();
        let pick = |from: &[f64], sample: &[usize]| -> Vec<f64> {
            sample.iter().filter_map(|row| from.get(*row).copied()).collect()
        };
        let found = bounds::bootstrap(rows, bounds::rounds(rows), seed, |sample| {
            let labels: Vec<bool> = sample
                .iter()
                .filter_map(|row| of.labels.get(*row).copied())
                .collect();
            drawn(Judged {
                labels: &labels,
                p: &pick(of.p, sample),
                effort: &pick(of.effort, sample),
            })
        });
        for (name, bounds) in DRAWN.iter().zip(found) {
            if let Some(bounds) = bounds {
                figures.intervals.insert((*name).to_owned(), bounds);
            }
        }
        figures
    }

    /// The mean of each figure over groups; rows and failures are summed. What a group does not have is left out of its mean.
    #[must_use]
    pub fn mean(groups: &[Self]) -> Self {
        let over = |of: &dyn Fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = groups.iter().filter_map(of).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let all = |of: &dyn Fn(&Self) -> f64| over(&|g| Some(of(g))).unwrap_or_default();
        Self {
            rows: groups.iter().map(|g| g.rows).sum(),
            failures: groups.iter().map(|g| g.failures).sum(),
            rate: all(&|g| g.rate),
            mean_p: all(&|g| g.mean_p),
            roc_auc: over(&|g| g.roc_auc),
            pr_auc: over(&|g| g.pr_auc),
            log_loss: all(&|g| g.log_loss),
            brier: all(&|g| g.brier),
            brier_base: all(&|g| g.brier_base),
            ece: all(&|g| g.ece),
            recall_at_20_effort: over(&|g| g.recall_at_20_effort),
            failures_in_riskiest_5: over(&|g| g.failures_in_riskiest_5),
            failures_in_riskiest_10: over(&|g| g.failures_in_riskiest_10),
            failures_in_riskiest_50: over(&|g| g.failures_in_riskiest_50),
            intervals: BTreeMap::new(),
        }
    }
}

/// What the plots are drawn from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plots {
    /// ROC, precision and recall, gain.
    #[serde(flatten)]
    pub curves: Curves,
    /// Mean probability and failure rate by bin.
    pub reliability: Vec<Reliability>,
}

impl Plots {
    /// Of a forecast.
    #[must_use]
    pub fn of(of: Judged<'_>) -> Self {
        Self {
            curves: metrics::curves(of.labels, of.p, 120),
            reliability: metrics::reliability(of.labels, of.p, 10),
        }
    }
}
