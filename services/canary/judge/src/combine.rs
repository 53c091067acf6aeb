//! Several metrics, one verdict.
//!
//! Alarms share the error rate by weight: metric `k` of share `v_k` (weights divided by their sum) alarms when
//! `E_k >= 1/(alpha v_k)`, valid at any dependence and on running suprema; together they alarm when `sum v_k E_k >= 1/alpha`
//! *now* (an average of suprema would not be valid). Permission to advance needs every guardrail proven at level beta, which
//! needs no correction (intersection-union).

use serde::{Deserialize, Serialize};

use crate::numeric::log_mix;
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// One metric's part in the overall verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The metric's own ruling, judged at [`shared`] levels.
    pub ruling: Ruling,
    /// Its log e-value for harm now.
    pub log_e_worse: f64,
    /// Relative weight, above 0. One that is not counts as 0.
    pub weight: f64,
    /// Without evidence on this metric nothing advances.
    pub critical: bool,
}

/// The overall verdict, and the evidence behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    /// What all metrics together permit.
    pub ruling: Ruling,
    /// Log of `sum v_k E_k`, for [`crate::posterior`]. 0 without evidence.
    pub log_e: f64,
}

/// A weight as it counts.
fn usable(weight: f64) -> f64 {
    if weight.is_finite() && weight > 0.0 {
        weight
    } else {
        0.0
    }
}

/// Levels of one metric among several: its alarms get the share `weight / sum` of alpha, its passes the whole beta.
#[must_use]
pub fn shared(levels: &Levels, weight: f64, sum: f64) -> Levels {
    let share = if sum > 0.0 { usable(weight) / sum } else { 0.0 };
    Levels {
        weight: levels.weight * share,
        ..*levels
    }
}

/// A metric's evidence as it counts for all of them.
fn counted(part: &Part) -> f64 {
    match (part.ruling.verdict, part.ruling.reason) {
        (Verdict::NoEvidence, _) => 0.0,
        // Harm proven small is no ground for an alarm of all.
        (_, Reason::WithinMargin) => part.log_e_worse.min(0.0),
        _ => part.log_e_worse,
    }
}

/// The verdict of all metrics together.
///
/// Worse when one metric says so or their mean evidence does. No evidence when a critical metric, or every metric, has none,
/// or when any says that the candidate is silent. No worse when every metric that has evidence is proven so.
#[must_use]
pub fn combine(parts: &[Part], levels: &Levels) -> Overall {
    let sum: f64 = parts.iter().map(|part| usable(part.weight)).sum();
    let shares = parts
        .iter()
        .map(|part| (usable(part.weight) / sum, counted(part)));
    let log_e = if sum > 0.0 { log_mix(shares) } else { 0.0 };
    let says = |verdict| {
        parts
            .iter()
            .map(|part| part.ruling)
            .find(|ruling| ruling.verdict == verdict)
    };
    let alone = parts.len() == 1;
    let ruling = if let Some(worse) = says(Verdict::Worse) {
        worse
    } else if log_e >= levels.log_alarm() {
        Ruling::new(Verdict::Worse, Reason::HarmAcrossMetrics)
    } else if let Some(nothing) = blind(parts) {
        nothing
    } else if let Some(pending) = says(Verdict::Undecided) {
        let reason = if alone {
            pending.reason
        } else {
            Reason::GuardrailPending
        };
        Ruling::new(Verdict::Undecided, reason)
    } else {
        let one = says(Verdict::NoWorse).filter(|_| alone);
        one.unwrap_or(Ruling::new(Verdict::NoWorse, Reason::EveryGuardrailHolds))
    };
    Overall { ruling, log_e }
}

/// Why nothing may advance for want of evidence: a silent candidate, a blind critical metric, or no metric that sees.
fn blind(parts: &[Part]) -> Option<Ruling> {
    let unseen = |part: &&Part| part.ruling.verdict == Verdict::NoEvidence;
    let silent = parts
        .iter()
        .find(|part| part.ruling.reason == Reason::SilentCandidate);
    let critical = || parts.iter().filter(|part| part.critical).find(unseen);
    let all = || parts.first().filter(|_| parts.iter().all(|part| unseen(&part)));
    let missing = Ruling::new(Verdict::NoEvidence, Reason::MissingSeries);
    let found = silent.or_else(critical).or_else(all).map(|part| part.ruling);
    found.or_else(|| parts.is_empty().then_some(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(verdict: Verdict, reason: Reason, log_e_worse: f64) -> Part {
        Part {
            ruling: Ruling::new(verdict, reason),
            log_e_worse,
            weight: 1.0,
            critical: false,
        }
    }

    #[test]
    fn alarms_share_alpha_and_passes_need_all() {
        let levels = Levels::default();
        assert!((shared(&levels, 1.0, 4.0).log_alarm() - 400f64.ln()).abs() < 1e-12);
        assert!((shared(&levels, 1.0, 4.0).log_pass() - 20f64.ln()).abs() < 1e-12);
        let pass = part(Verdict::NoWorse, Reason::NoWorseByRatio, -1.0);
        let wait = part(Verdict::Undecided, Reason::StillWatching, 5.0);
        assert_eq!(
            combine(&[pass, pass], &levels).ruling.reason,
            Reason::EveryGuardrailHolds
        );
        assert_eq!(
            combine(&[pass, wait], &levels).ruling.reason,
            Reason::GuardrailPending
        );
        // exp(5.5) / 2 > 100: together they carry what neither carries alone.
        let near = part(Verdict::Undecided, Reason::StillWatching, 4.9);
        assert_eq!(
            combine(&[near, near], &levels).ruling.reason,
            Reason::HarmAcrossMetrics
        );
    }

    #[test]
    fn a_blind_critical_metric_blocks_and_a_minor_one_does_not() {
        let levels = Levels::default();
        let pass = part(Verdict::NoWorse, Reason::NoWorseByRatio, -1.0);
        let blind = part(Verdict::NoEvidence, Reason::EqualConstants, 90.0);
        assert_eq!(combine(&[pass, blind], &levels).ruling.verdict, Verdict::NoWorse);
        let critical = Part {
            critical: true,
            ..blind
        };
        assert_eq!(
            combine(&[pass, critical], &levels).ruling.reason,
            Reason::EqualConstants
        );
        let silent = part(Verdict::NoEvidence, Reason::SilentCandidate, 0.0);
        assert_eq!(
            combine(&[pass, silent], &levels).ruling.reason,
            Reason::SilentCandidate
        );
        assert_eq!(combine(&[], &levels).ruling.verdict, Verdict::NoEvidence);
    }
}
