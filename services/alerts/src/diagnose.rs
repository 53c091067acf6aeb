//! Why: the causes that what is remembered and measured points to, most likely first.
//!
//! Everything is weighed in one unit, log-odds (natural logarithm) towards "this is why": the judge's evidence is one
//! already, a model's contributions are, and what has no measure of its own (a failed run, a deployment next door) gets a
//! small, fixed prior. A cause's weight is its share of the sum, so weights add up to 1. It is a ranking of what is known,
//! not a proof: the texts carry the numbers so that a person can disagree.

use auspex_proto::Timestamp;
use auspex_proto::alert::Cause;
use auspex_proto::decision::{Decision, MetricEvidence, Reason};

use crate::state::{State, float};
use crate::words::{clip, count, feature, line, percent, short, span, times};

/// How many causes are told.
pub const MAX_CAUSES: usize = 5;
/// The longest name of a cause and the longest detail, in bytes.
const MAX_WHAT: usize = 100;
const MAX_DETAIL: usize = 240;
/// A deployment this long before, in seconds, is near.
const NEAR_S: u64 = 1_800;
/// The most that one metric, or one feature, may weigh: beyond it a greater number says nothing new.
const MAX_EVIDENCE: f64 = 12.0;
const MAX_CONTRIBUTION: f64 = 3.0;
/// What a failed run of the revision weighs; a run that passed when repeated weighs a quarter.
const FAILED_RUN: f64 = 1.2;
/// What a deployment near in time, and an open incident, weigh by themselves: the baseline ran beside the candidate, so
/// they explain little unless the baseline got worse too.
const NEIGHBOUR: f64 = 0.2;
const INCIDENT: f64 = 0.8;
/// Both, when the baseline got worse too.
const NEIGHBOUR_WHEN_ALL_SUFFER: f64 = 2.0;
/// The baseline got worse when its rate is at least this many times what it was, beyond this many standard errors.
const DEGRADED_RATIO: f64 = 1.5;
const DEGRADED_Z: f64 = 3.0;
/// Fewer units than this say nothing about what was usual.
const MIN_USUAL: f64 = 100.0;

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is remembered of the project.
    pub state: &'a State,
    /// The revision in question.
    pub revision: &'a str,
    /// The service in question; empty: not known.
    pub service: &'a str,
    /// The decision that raised the question, when one did.
    pub decision: Option<&'a Decision>,
    /// When, by the log.
    pub now: Timestamp,
}

struct Signal {
    strength: f64,
    what: String,
    detail: String,
}

impl Signal {
    fn new(strength: f64, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            strength,
            what: what.into(),
            detail: detail.into(),
        }
    }
}

/// The causes, most likely first: 1 to [`MAX_CAUSES`], weights adding up to 1.
#[must_use]
pub fn causes(case: &Case<'_>) -> Vec<Cause> {
    let mut signals = Vec::new();
    asked(case, &mut signals);
    let degraded = system(case, &mut signals);
    evidence(case, &mut signals);
    change(case, &mut signals);
    neighbours(case, degraded, &mut signals);
    signals.retain(|s| s.strength.is_finite() && s.strength > 0.0);
    // Equal strengths keep the order above; sorting is stable.
    signals.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    signals.truncate(MAX_CAUSES);
    let sum: f64 = signals.iter().map(|s| s.strength).sum();
    if signals.is_empty() {
        return vec![Cause {
            what: "nothing recorded explains it".to_owned(),
            weight: 1.0,
            detail: "no failed run, no telling feature, no other deployment near in time".to_owned(),
        }];
    }
    signals
        .into_iter()
        .map(|s| Cause {
            what: clip(&s.what, MAX_WHAT),
            weight: (s.strength / sum).clamp(0.0, 1.0),
            detail: clip(&s.detail, MAX_DETAIL),
        })
        .collect()
}

/// A decision that was asked for, or taken by a rule of the user's own, explains itself.
fn asked(case: &Case<'_>, signals: &mut Vec<Signal>) {
    let Some(decision) = case.decision else { return };
    let what = match decision.reason {
        Reason::Commanded => "a person or tool asked for it",
        Reason::Superseded => "a newer rollout of the service began",
        Reason::LimitCrossed => "a limit set for this rollout was crossed",
        Reason::Deadline => "the rollout took longer than it may",
        Reason::SilentCandidate => "the candidate reports nothing while the baseline serves",
        Reason::NoCapacity => "the candidate has not enough ready capacity",
        _ => return,
    };
    signals.push(Signal::new(
        MAX_EVIDENCE,
        what,
        line(&decision.reason_text, MAX_DETAIL),
    ));
}

/// What the judge measured.
fn evidence(case: &Case<'_>, signals: &mut Vec<Signal>) {
    let evidence = case.decision.map(|d| d.evidence.as_slice()).unwrap_or_default();
    for metric in evidence {
        let strength = metric.log_e_worse.clamp(0.0, MAX_EVIDENCE);
        let what = format!(
            "{} of the candidate, not of the baseline",
            line(&metric.metric, 40)
        );
        signals.push(Signal::new(strength, what, measured(metric)));
    }
}

/// A metric's numbers: rates, counts, and the effect with its interval.
#[must_use]
pub fn measured(metric: &MetricEvidence) -> String {
    if metric.difference {
        return format!(
            "{} apart from the baseline (interval {} to {}), over {} samples",
            signed(metric.effect),
            signed(metric.low),
            signed(metric.high),
            metric.candidate_total
        );
    }
    let side = |bad: u64, total: u64| {
        if total == 0 {
            "nothing measured".to_owned()
        } else {
            format!("{bad} of {total} ({})", percent(float(bad) / float(total)))
        }
    };
    let rates = format!(
        "{} against {} in the baseline",
        side(metric.candidate_bad, metric.candidate_total),
        side(metric.baseline_bad, metric.baseline_total)
    );
    if metric.effect.is_finite() && metric.low.is_finite() {
        format!(
            "{rates}; {} as often (interval {} to {})",
            times(metric.effect),
            times(metric.low),
            times(metric.high)
        )
    } else {
        rates
    }
}

/// A difference with its sign, to three places.
fn signed(value: f64) -> String {
    match value {
        v if v == f64::INFINITY => "any above".to_owned(),
        v if v == f64::NEG_INFINITY => "any below".to_owned(),
        v => format!("{v:+.3}"),
    }
}

/// What the change itself is like, and what CI and the model said of it.
fn change(case: &Case<'_>, signals: &mut Vec<Signal>) {
    let Some(note) = case.state.changes.get(case.revision) else {
        return;
    };
    for (name, value, log_odds) in note.score.iter().flat_map(|score| &score.reasons) {
        let strength = log_odds.clamp(0.0, MAX_CONTRIBUTION);
        let detail = format!("adds {log_odds:.2} to the log-odds of failure");
        signals.push(Signal::new(strength, feature(name, *value), detail));
    }
    for run in &note.runs {
        let strength = FAILED_RUN * if run.passed { 0.25 } else { 1.0 };
        let after = if run.passed { ", then passed" } else { "" };
        let detail = format!(
            "failed {} for this revision{after}",
            count(run.failures.into(), "time", "times")
        );
        signals.push(Signal::new(
            strength,
            format!("run \"{}\" failed", run.name),
            detail,
        ));
    }
    for (kind, paths) in &note.paths {
        if let Some((what, strength)) = kind.as_cause() {
            let detail = format!("{} touched", count((*paths).into(), "path", "paths"));
            signals.push(Signal::new(strength, what, detail));
        }
    }
}

/// What else moved in the project shortly before.
fn neighbours(case: &Case<'_>, degraded: bool, signals: &mut Vec<Signal>) {
    let weigh = |alone: f64| {
        if degraded {
            NEIGHBOUR_WHEN_ALL_SUFFER
        } else {
            alone
        }
    };
    let near = case.state.deployments.iter().rev().filter(|other| {
        let another = other.service != case.service || other.revision != case.revision;
        another && case.now.since(other.time).as_secs() <= NEAR_S && other.time <= case.now
    });
    if let Some(other) = near.take(1).next() {
        let ago = span(case.now.since(other.time).as_secs());
        let what = format!("{} was deployed near in time", clip(&other.service, 60));
        let detail = format!("revision {}, {ago} before", short(&other.revision));
        signals.push(Signal::new(weigh(NEIGHBOUR), what, detail));
    }
    if let Some((id, incident)) = case.state.incidents.iter().next_back() {
        let what = format!("incident {} is open", clip(id, 60));
        signals.push(Signal::new(weigh(INCIDENT), what, incident.title.clone()));
    }
}

/// Whether the baseline itself got worse; then part of the trouble is not the candidate's.
fn system(case: &Case<'_>, signals: &mut Vec<Signal>) -> bool {
    let Some(decision) = case.decision else {
        return false;
    };
    let worst = decision
        .evidence
        .iter()
        .filter_map(|metric| degradation(case, metric));
    let Some((z, before, now, metric)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return false;
    };
    let what = format!(
        "the whole service degraded: {} of the baseline rose too",
        line(metric, 40)
    );
    let detail = format!(
        "{} before, {} now; the candidate is not alone",
        percent(before),
        percent(now)
    );
    // Half a squared standard score is the log-likelihood ratio of the shift: the same unit as evidence.
    signals.push(Signal::new((z * z / 2.0).min(MAX_EVIDENCE / 2.0), what, detail));
    true
}

/// Standard score, rate before, rate now, metric; `None` when the baseline did not get worse or nothing says how it was.
fn degradation<'m>(case: &Case<'_>, metric: &'m MetricEvidence) -> Option<(f64, f64, f64, &'m str)> {
    let (bad, total) = (float(metric.baseline_bad), float(metric.baseline_total));
    let usual = case.state.services.get(case.service).and_then(|service| {
        let found = service.usual.iter().find(|(name, ..)| *name == metric.metric);
        found.map(|(_, bad, total)| (*bad, *total, 0.0, 0.0))
    });
    // Without history, how this rollout began is what later is compared with.
    let first = || {
        let rollout = case.state.rollouts.get(case.decision?.rollout.as_str())?;
        let (_, b, t) = rollout.first.iter().find(|(name, ..)| *name == metric.metric)?;
        Some((float(*b), float(*t), float(*b), float(*t)))
    };
    let (bad_before, total_before, bad_off, total_off) = usual.or_else(first)?;
    let (bad_now, total_now) = (bad - bad_off, total - total_off);
    if total_before < MIN_USUAL || total_now < MIN_USUAL || bad_now < 0.0 {
        return None;
    }
    let (before, now) = (bad_before / total_before, bad_now / total_now);
    let pooled = (bad_before + bad_now) / (total_before + total_now);
    let error = (pooled * (1.0 - pooled) * (1.0 / total_before + 1.0 / total_now)).sqrt();
    let z = (now - before) / error;
    (z >= DEGRADED_Z && now >= before * DEGRADED_RATIO).then_some((z, before, now, metric.metric.as_str()))
}
