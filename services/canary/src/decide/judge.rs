//! What the closed intervals say, metric by metric and together.

use auspex_judge::numeric::{log_mix, real};
use auspex_judge::{CountTest, Evidence, Levels, Reason, Verdict, judge_counts};
use auspex_proto::decision::MetricEvidence;

use crate::state::Rollout;
use crate::state::rollout::Silence;

/// How alpha is shared out when latency is judged too: a metric is proven harmful at its share of alpha.
const SHARES: [(&str, f64); 2] = [("requests", 0.75), ("slow", 0.25)];
/// Requests that a silent track should have had before silence is more than chance: e^-10 is once in 22,000.
const EXPECTED: f64 = 10.0;

/// What the evidence says at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Metric by metric, as decisions carry it.
    pub evidence: Vec<MetricEvidence>,
    /// The evidence for harm in words, when it is proven.
    pub worse: Option<String>,
    /// Every metric is proven no worse.
    pub safe: bool,
    /// Why there is nothing to judge by.
    pub none: Option<String>,
    /// The candidate should have had so many requests and had none.
    pub silent: Option<String>,
    /// Upper bound of the difference of rates, the worst over metrics.
    pub diff_upper: f64,
    /// Natural log of the odds factor: for "bad" above 0.
    pub log_odds: f64,
    /// The evidence in a clause.
    pub figures: String,
}

struct Metric {
    name: &'static str,
    share: f64,
    said: Evidence,
    verdict: Verdict,
    reason: Reason,
}

/// Judges a rollout by what has been closed so far.
#[must_use]
pub fn judge(rollout: &Rollout) -> Judged {
    let tally = &rollout.tally;
    let tests = [&tally.requests, &tally.slow];
    let count = if rollout.terms.slo_ms.is_some() { 2 } else { 1 };
    let metrics: Vec<Metric> = SHARES
        .into_iter()
        .zip(tests)
        .take(count)
        .map(|((name, share), test)| {
            let share = if count == 1 { 1.0 } else { share };
            metric(rollout, (name, share), test)
        })
        .collect();
    let after = rollout.terms.silent_after;
    let none = none(rollout, &metrics, after);
    let worst = metrics.iter().filter(|m| m.verdict == Verdict::Worse);
    let worst = worst.max_by(|a, b| a.said.log_e_worse.total_cmp(&b.said.log_e_worse));
    let weakest = metrics
        .iter()
        .min_by(|a, b| a.said.log_e_safe.total_cmp(&b.said.log_e_safe));
    Judged {
        worse: worst.map(|m| {
            let (reached, wanted) = (m.said.log_e_worse, levels(rollout, m.share).log_alarm());
            format!("worse: {}; log evidence {reached:.1} of {wanted:.1}", figures(m))
        }),
        safe: none.is_none() && metrics.iter().all(|m| m.verdict == Verdict::NoWorse),
        silent: (silent(tally.silent_candidate, after) && rollout.weight > 0).then(|| {
            let expected = tally.silent_candidate.expected;
            format!("the candidate served none of about {expected:.0} requests that were its share")
        }),
        diff_upper: metrics.iter().map(|m| m.said.diff_upper).fold(-1.0, f64::max),
        log_odds: log_odds(&metrics),
        figures: weakest.map(figures).unwrap_or_default(),
        evidence: metrics.iter().map(evidence).collect(),
        none,
    }
}

fn levels(rollout: &Rollout, share: f64) -> Levels {
    Levels {
        alpha: rollout.terms.alpha * share,
        beta: rollout.terms.beta,
        weight: rollout.prior.as_ref().map_or(1.0, |prior| prior.share),
    }
}

fn metric(rollout: &Rollout, (name, share): (&'static str, f64), test: &CountTest) -> Metric {
    let said = test.evidence(&rollout.terms.counts);
    let ruling = judge_counts(&said, &levels(rollout, share));
    Metric {
        name,
        share,
        said,
        verdict: ruling.verdict,
        reason: ruling.reason,
    }
}

fn silent(silence: Silence, after: u32) -> bool {
    silence.intervals >= after && silence.expected >= EXPECTED
}

fn none(rollout: &Rollout, metrics: &[Metric], after: u32) -> Option<String> {
    if rollout.terms.evidence_optional {
        return None;
    }
    if silent(rollout.tally.silent_baseline, after) {
        return Some("the baseline is silent".to_owned());
    }
    let missing = metrics.iter().find(|m| m.verdict == Verdict::NoEvidence)?;
    if missing.name == "slow" && !rollout.tally.has_slow {
        return Some("nobody reports how many requests were slow".to_owned());
    }
    let (candidate, baseline) = (missing.said.samples, missing.said.baseline_samples);
    let least = rollout.terms.counts.min_samples;
    Some(format!(
        "{candidate} requests of the candidate and {baseline} of the baseline, {least} are the least"
    ))
}

/// One number from prior odds to posterior odds. Harm counts as it stands (a mixture over metrics is an e-value itself);
/// for health the stronger of "not worse" and "not worse by the margin" counts, not both: they rest on the same requests.
fn log_odds(metrics: &[Metric]) -> f64 {
    let harm = log_mix(metrics.iter().map(|m| (m.share, m.said.log_e_worse)));
    let safe = metrics
        .iter()
        .map(|m| m.said.log_e_safe)
        .fold(f64::INFINITY, f64::min);
    let safe = if safe.is_finite() { safe.max(0.0) } else { 0.0 };
    harm.max(0.0) + harm.min(0.0).min(-safe)
}

fn figures(metric: &Metric) -> String {
    let said = &metric.said;
    let what = if metric.name == "slow" {
        "were slow"
    } else {
        "failed"
    };
    let share = |bad: u64, total: u64| {
        if total == 0 {
            0.0
        } else {
            100.0 * real(bad) / real(total)
        }
    };
    format!(
        "{} of {} candidate requests {what} ({:.1} %), {} of {} stable ({:.1} %)",
        said.candidate_bad,
        said.samples,
        share(said.candidate_bad, said.samples),
        said.baseline_bad,
        said.baseline_samples,
        share(said.baseline_bad, said.baseline_samples)
    )
}

fn evidence(metric: &Metric) -> MetricEvidence {
    let said = &metric.said;
    let verdict = match metric.verdict {
        Verdict::Worse => "worse",
        Verdict::NoWorse => "no_worse",
        Verdict::Undecided => "undecided",
        Verdict::NoEvidence => "no_evidence",
    };
    MetricEvidence {
        metric: metric.name.to_owned(),
        verdict: verdict.to_owned(),
        reason: snake(&format!("{:?}", metric.reason)),
        log_e_worse: said.log_e_worse,
        log_e_safe: said.log_e_safe,
        effect: said.effect.unwrap_or(1.0),
        low: said.low,
        high: said.high,
        candidate_bad: said.candidate_bad,
        candidate_total: said.samples,
        baseline_bad: said.baseline_bad,
        baseline_total: said.baseline_samples,
        diff_upper: said.diff_upper,
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
