//! Rollouts as people and programs read them.

mod course;

use auspex_proto::wire::{Action, Decision, MetricEvidence, Mode, Phase, ReasonCode, RolloutView};
use serde_json::{Value, json};

use super::print;

/// An instant as people read it; a dash for none.
pub(crate) fn instant(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(instant) if ms != 0 => instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => "-".to_owned(),
    }
}

/// The last word of a wire name, as in `rolled_back` of `PHASE_ROLLED_BACK`.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// A phase in lower case.
pub(crate) fn phase(phase: i32) -> String {
    word(Phase::try_from(phase).unwrap_or_default().as_str_name(), "PHASE_")
}

/// Whether a phase is the last.
pub(crate) fn is_over(phase: i32) -> bool {
    matches!(Phase::try_from(phase), Ok(Phase::Promoted | Phase::RolledBack))
}

/// A reason in lower case.
pub(crate) fn reason(code: i32) -> String {
    word(
        ReasonCode::try_from(code).unwrap_or_default().as_str_name(),
        "REASON_CODE_",
    )
}

fn mode(mode: i32) -> String {
    word(Mode::try_from(mode).unwrap_or_default().as_str_name(), "MODE_")
}

/// An action in lower case.
pub(crate) fn action(action: i32) -> String {
    word(
        Action::try_from(action).unwrap_or_default().as_str_name(),
        "ACTION_",
    )
}

/// The list of rollouts.
pub(crate) fn list(views: &[RolloutView]) -> String {
    if views.is_empty() {
        return "there are no rollouts\n".to_owned();
    }
    let head = [
        "PROJECT", "NAME", "SERVICE", "MODE", "PHASE", "WEIGHT", "P(FAIL)", "STARTED", "WHY",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for view in views {
        let why = view
            .last
            .as_ref()
            .map(|last| last.reason_text.clone())
            .unwrap_or_default();
        rows.push(vec![
            view.project.clone(),
            view.name.clone(),
            view.service.clone(),
            mode(view.mode),
            phase(view.phase),
            format!("{} %", view.weight),
            format!("{:.3}", view.posterior),
            instant(view.started_ms),
            why,
        ]);
    }
    print::table(&rows)
}

/// One rollout, with its evidence.
pub(crate) fn text(view: &RolloutView) -> String {
    // Routers are listened to while a rollout is under way.
    let verified = match (view.verified, is_over(view.phase)) {
        (true, _) => format!(" (at the router: {} %)", view.verified_weight),
        (false, true) => String::new(),
        (false, false) => " (not verified at a router)".to_owned(),
    };
    let mut out = format!(
        "rollout    {} of {} in {}\nphase      {} ({}, policy {})\nrevisions  {} -> {}\nweight     {} %{verified}\n\
         P(failure) {:.3} now, {:.3} before the first request\nstarted    {}\nended      {}\n",
        view.name,
        view.service,
        view.project,
        phase(view.phase),
        mode(view.mode),
        view.policy,
        or_dash(&view.stable_revision),
        or_dash(&view.candidate_revision),
        view.weight,
        view.posterior,
        view.prior,
        instant(view.started_ms),
        instant(view.ended_ms),
    );
    if let Some(last) = &view.last {
        out.push_str(&format!(
            "because    {} ({})\n",
            last.reason_text,
            reason(last.reason)
        ));
    }
    out.push_str(&format!("harmed     {} requests\n", harmed(view)));
    for metric in known(view) {
        out.push_str(&format!("evidence   {}\n", evidence(metric)));
    }
    course::text(view, &mut out);
    for warning in &view.warnings {
        out.push_str(&format!("warning    {warning}\n"));
    }
    out
}

/// What is known at this moment; of one that is over, what its end rested on.
fn known(view: &RolloutView) -> &[MetricEvidence] {
    match &view.last {
        Some(last) if view.evidence.is_empty() => &last.evidence,
        _ => &view.evidence,
    }
}

fn harmed(view: &RolloutView) -> u64 {
    match &view.last {
        Some(last) if is_over(view.phase) => last.harmed,
        _ => view.harmed,
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// One metric's evidence on a line.
pub(crate) fn evidence(metric: &MetricEvidence) -> String {
    if metric.difference {
        return format!(
            "{}: {} (candidate {:+.3} apart, {:.3} to {:.3}, over {} samples; e-value {} for worse)",
            metric.metric,
            metric.verdict,
            metric.effect,
            metric.low,
            metric.high,
            metric.candidate_total,
            magnitude(metric.log_e_worse),
        );
    }
    format!(
        "{}: {} (candidate {} of {} bad, baseline {} of {}; e-value {} for worse)",
        metric.metric,
        metric.verdict,
        metric.candidate_bad,
        metric.candidate_total,
        metric.baseline_bad,
        metric.baseline_total,
        magnitude(metric.log_e_worse),
    )
}

/// An e-value from its natural logarithm, in few characters.
pub(crate) fn magnitude(log_e: f64) -> String {
    let ten = log_e / std::f64::consts::LN_10;
    if !ten.is_finite() {
        "-".to_owned()
    } else if ten.abs() < 3.0 {
        format!("{:.3}", log_e.exp())
    } else {
        format!("1e{ten:.0}")
    }
}

/// One line for `--watch`.
pub(crate) fn line(view: &RolloutView) -> String {
    let why = view
        .last
        .as_ref()
        .map(|last| last.reason_text.as_str())
        .unwrap_or_default();
    let (phase, weight, posterior) = (phase(view.phase), view.weight, view.posterior);
    let evidence = known(view).first().map(|metric| {
        let bad = |bad, total| format!("{bad}/{total}");
        let (candidate, baseline) = (
            bad(metric.candidate_bad, metric.candidate_total),
            bad(metric.baseline_bad, metric.baseline_total),
        );
        format!(
            "{} {candidate} vs {baseline}, e {}  ",
            metric.metric,
            magnitude(metric.log_e_worse)
        )
    });
    format!(
        "{phase:<12} {weight:>3} %  P(failure) {posterior:.3}  {}{why}",
        evidence.unwrap_or_default()
    )
}

/// A rollout for programs.
pub(crate) fn document(view: &RolloutView) -> Value {
    json!({
        "project": view.project, "name": view.name, "service": view.service, "mode": mode(view.mode),
        "phase": phase(view.phase), "policy": view.policy, "weight": view.weight,
        "verified_weight": view.verified.then_some(view.verified_weight), "prior": view.prior,
        "posterior": view.posterior, "started_ms": view.started_ms, "ended_ms": view.ended_ms,
        "stable_revision": view.stable_revision, "candidate_revision": view.candidate_revision,
        "evidence": known(view).iter().map(figures).collect::<Vec<_>>(), "harmed": harmed(view),
        "warnings": view.warnings, "last": view.last.as_ref().map(decision),
        "strategy": view.strategy, "leg": view.leg, "ticket": view.ticket, "may_return": view.may_return,
        "sampling": view.sampling, "traffic": view.traffic,
        "gates": view.gates.iter().map(course::gate).collect::<Vec<_>>(),
        "routers": view.routers.iter().map(course::router).collect::<Vec<_>>(),
        "sla": view.sla.as_ref().map(course::sla),
        "intent": view.intent.as_ref().map(course::intent),
    })
}

/// One metric's evidence for programs.
fn figures(m: &MetricEvidence) -> Value {
    json!({
        "metric": m.metric, "verdict": m.verdict, "reason": m.reason, "log_e_worse": m.log_e_worse,
        "log_e_safe": m.log_e_safe, "effect": m.effect, "low": m.low, "high": m.high,
        "candidate_bad": m.candidate_bad, "candidate_total": m.candidate_total,
        "baseline_bad": m.baseline_bad, "baseline_total": m.baseline_total, "diff_upper": m.diff_upper,
    })
}

pub(crate) fn decision(decision: &Decision) -> Value {
    let evidence: Vec<Value> = decision.evidence.iter().map(figures).collect();
    let versions = decision.versions.clone().unwrap_or_default();
    json!({
        "number": decision.revision_number, "action": action(decision.action), "reason": reason(decision.reason),
        "text": decision.reason_text, "weight": decision.weight, "previous_weight": decision.previous_weight,
        "acts": decision.acts, "prior": decision.prior, "prior_is_base_rate": decision.prior_is_base_rate,
        "posterior": decision.posterior, "harmed": decision.harmed, "evidence": evidence,
        "versions": {"model": versions.model, "policy": versions.policy, "features": versions.features},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_prefix() {
        assert_eq!(phase(Phase::RolledBack.into()), "rolled_back");
        assert_eq!(reason(ReasonCode::EvidenceWorse.into()), "evidence_worse");
        assert!(is_over(Phase::Promoted.into()) && !is_over(Phase::Paused.into()));
        assert_eq!(instant(0), "-");
        assert_eq!(instant(1_000), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn e_values_are_short_whatever_their_size() {
        assert_eq!(magnitude(0.0), "1.000");
        assert_eq!(magnitude(100.0), "1e43");
        assert_eq!(magnitude(f64::NAN), "-");
    }

    #[test]
    fn a_rollout_shows_its_reason_and_its_evidence() {
        let evidence = MetricEvidence {
            metric: "errors".to_owned(),
            verdict: "worse".to_owned(),
            ..Default::default()
        };
        let last = Decision {
            reason_text: "the candidate fails".to_owned(),
            evidence: vec![evidence],
            ..Default::default()
        };
        let view = RolloutView {
            name: "shop".to_owned(),
            last: Some(last),
            ..Default::default()
        };
        let shown = text(&view);
        assert!(
            shown.contains("the candidate fails") && shown.contains("errors: worse"),
            "{shown}"
        );
        assert_eq!(document(&view)["last"]["evidence"][0]["metric"], "errors");
        assert_eq!(document(&view)["evidence"][0]["metric"], "errors");
        // While it is under way, what is known now counts, and not what was when somebody last decided.
        let now = MetricEvidence {
            metric: "errors".to_owned(),
            verdict: "undecided".to_owned(),
            candidate_total: 900,
            ..Default::default()
        };
        let view = RolloutView {
            phase: Phase::Progressing.into(),
            evidence: vec![now],
            harmed: 3,
            ..view
        };
        assert!(text(&view).contains("errors: undecided (candidate 0 of 900"));
        assert!(text(&view).contains("harmed     3 requests") && line(&view).contains("errors 0/900"));
        assert_eq!(document(&view)["harmed"], 3);
        assert_eq!(document(&view)["last"]["evidence"][0]["verdict"], "worse");
    }

    #[test]
    fn a_difference_is_not_called_a_count() {
        let metric = MetricEvidence {
            metric: "latency_ms".to_owned(),
            verdict: "worse".to_owned(),
            difference: true,
            effect: 120.5,
            low: 80.0,
            high: f64::INFINITY,
            candidate_total: 900,
            ..Default::default()
        };
        let shown = evidence(&metric);
        assert!(
            shown.starts_with("latency_ms: worse (candidate +120.500 apart, 80.000 to inf, over 900 samples"),
            "{shown}"
        );
    }
}
