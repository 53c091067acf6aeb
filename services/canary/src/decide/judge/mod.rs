//! What the closed intervals say, metric by metric and together.

mod metric;

pub(super) use self::metric::stale;

use auspex_judge::numeric::log_mix;
use auspex_judge::{Levels, Verdict};
use auspex_proto::decision::MetricEvidence;

use self::metric::{Metric, Said, Shares};
use crate::state::Rollout;
use crate::state::rollout::Silence;

/// How alpha is shared out when slowness is judged too: a metric is proven harmful at its share of alpha. What a document
/// lists has its weight beside the 1 of these two.
const WEIGHTS: [(&str, f64); 2] = [("requests", 0.75), ("slow", 0.25)];
/// Requests that a silent track should have had before silence is more than chance: e^-10 is once in 22,000.
const EXPECTED: f64 = 10.0;

/// What the evidence says at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Metric by metric, as decisions carry it.
    pub evidence: Vec<MetricEvidence>,
    /// The evidence for harm in words, when it is proven.
    pub worse: Option<String>,
    /// Every critical metric is proven no worse.
    pub safe: bool,
    /// Why there is nothing to judge by.
    pub none: Option<String>,
    /// The candidate should have had so many requests and had none.
    pub silent: Option<String>,
    /// Upper bound of the difference of rates, the worse of errors and slowness.
    pub diff_upper: f64,
    /// Natural log of the odds factor: for "bad" above 0.
    pub log_odds: f64,
    /// The evidence in a clause.
    pub figures: String,
}

/// Judges a rollout by what has been closed so far.
#[must_use]
pub fn judge(rollout: &Rollout) -> Judged {
    let tally = &rollout.tally;
    let metrics = metrics(rollout);
    let after = rollout.terms.silent_after;
    let none = none(rollout, &metrics, after);
    let worst = metrics.iter().filter(|m| m.says(Verdict::Worse));
    let worst = worst.max_by(|a, b| a.logs().0.total_cmp(&b.logs().0));
    let critical = || metrics.iter().filter(|m| m.critical);
    let weakest = critical().min_by(|a, b| a.logs().1.total_cmp(&b.logs().1));
    Judged {
        worse: worst.map(|m| {
            let (reached, wanted) = (m.logs().0, m.levels.log_alarm());
            format!("worse: {}; log evidence {reached:.1} of {wanted:.1}", m.figures())
        }),
        safe: none.is_none() && critical().all(|m| m.says(Verdict::NoWorse)),
        silent: (silent(tally.silent_candidate, after) && rollout.weight > 0).then(|| {
            let expected = tally.silent_candidate.expected;
            format!("the candidate served none of about {expected:.0} requests that were its share")
        }),
        diff_upper: metrics.iter().filter_map(rate_upper).fold(-1.0, f64::max),
        log_odds: log_odds(&metrics),
        figures: weakest.map(Metric::figures).unwrap_or_default(),
        evidence: metrics.iter().map(Metric::row).collect(),
        none,
    }
}

/// Errors, slowness where it is judged, then what the document lists.
fn metrics(rollout: &Rollout) -> Vec<Metric<'_>> {
    let (terms, tally) = (&rollout.terms, &rollout.tally);
    let shares = Shares {
        levels: Levels {
            alpha: terms.alpha,
            beta: terms.beta,
            weight: rollout.prior.as_ref().map_or(1.0, |prior| prior.share),
        },
        sum: 1.0 + terms.metrics.iter().map(|listed| listed.weight).sum::<f64>(),
    };
    let count = if terms.slo_ms.is_some() { 2 } else { 1 };
    let built_in = WEIGHTS
        .into_iter()
        .zip([&tally.requests, &tally.slow])
        .take(count);
    let built_in = built_in.map(|((name, weight), test)| {
        let weight = if count == 1 { 1.0 } else { weight };
        Metric::built_in((name, weight), test, &terms.counts, &shares)
    });
    let listed = terms.metrics.iter().enumerate();
    let listed = listed.map(|listed| Metric::listed(rollout, listed, &shares));
    built_in.chain(listed).collect()
}

fn silent(silence: Silence, after: u32) -> bool {
    silence.intervals >= after && silence.expected >= EXPECTED
}

/// Why nothing may advance: a critical metric has no evidence. A schedule that needs none still needs that on what is listed.
fn none(rollout: &Rollout, metrics: &[Metric<'_>], after: u32) -> Option<String> {
    let optional = rollout.terms.evidence_optional;
    if !optional && silent(rollout.tally.silent_baseline, after) {
        return Some("the baseline is silent".to_owned());
    }
    let mut needed = metrics
        .iter()
        .filter(|m| m.critical && (m.is_listed() || !optional));
    let missing = needed.find(|m| m.says(Verdict::NoEvidence))?;
    if !missing.is_listed() && missing.name == "slow" && !rollout.tally.has_slow {
        return Some("nobody reports how many requests were slow".to_owned());
    }
    Some(missing.missing(rollout.terms.counts.min_samples))
}

/// One number from prior odds to posterior odds. Harm counts as it stands (a mixture over metrics is an e-value itself);
/// for health the stronger of "not worse" and "not worse by the margin" counts, not both: they rest on the same requests.
fn log_odds(metrics: &[Metric<'_>]) -> f64 {
    let harm = log_mix(metrics.iter().map(|m| (m.share, m.counted().0)));
    let safe = metrics
        .iter()
        .filter(|m| m.critical)
        .map(|m| m.counted().1)
        .fold(f64::INFINITY, f64::min);
    let safe = if safe.is_finite() { safe.max(0.0) } else { 0.0 };
    harm.max(0.0) + harm.min(0.0).min(-safe)
}

fn rate_upper(metric: &Metric<'_>) -> Option<f64> {
    match &metric.said {
        Said::Counts(said) if !metric.is_listed() => Some(said.diff_upper),
        _ => None,
    }
}
