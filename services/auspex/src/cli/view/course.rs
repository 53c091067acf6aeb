//! What a rollout shows of its course: leg, gates, routers, and what it cost.

use auspex_proto::wire::{GateView, Intent, RolloutView, RouterView, Scale, Sla, Verified};
use serde_json::{Value, json};

use super::instant;

/// Leg, gates, routers, and what it cost.
pub(super) fn text(view: &RolloutView, out: &mut String) {
    if !view.strategy.is_empty() {
        let leg = if view.leg.is_empty() { "-" } else { &view.leg };
        out.push_str(&format!("strategy   {} (leg {leg})\n", view.strategy));
    }
    for gate in &view.gates {
        let who = if gate.actor.is_empty() {
            String::new()
        } else {
            format!(" by {} at {}", gate.actor, instant(gate.time_ms))
        };
        let why = [gate.text.as_str(), gate.note.as_str()]
            .into_iter()
            .filter(|t| !t.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        let why = if why.is_empty() { why } else { format!(": {why}") };
        out.push_str(&format!(
            "gate       {} {} before {}: {}{who}{why}\n",
            gate.kind, gate.name, gate.at, gate.state
        ));
    }
    for router in &view.routers {
        let more = [&router.drift, &router.fault]
            .into_iter()
            .filter(|t| !t.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("; ");
        let more = if more.is_empty() {
            more
        } else {
            format!(", {more}")
        };
        out.push_str(&format!(
            "router     {} {} at {} %{more}\n",
            router.router, router.instance, router.weight
        ));
    }
    if let Some(sla) = &view.sla {
        let kept = if sla.kept { "kept" } else { "broken" };
        out.push_str(&format!(
            "sla        {kept}: users fared worse for {} of {} s, {:.2} % of the month's error budget spent",
            sla.impact_seconds,
            sla.impact_limit,
            100.0 * sla.budget_spent
        ));
        if sla.rollback_seconds > 0.0 {
            out.push_str(&format!(
                ", back within {:.1} of {} s",
                sla.rollback_seconds, sla.rollback_limit
            ));
        }
        out.push('\n');
    }
}

pub(super) fn gate(gate: &GateView) -> Value {
    json!({
        "name": gate.name, "kind": gate.kind, "at": gate.at, "state": gate.state, "text": gate.text,
        "actor": gate.actor, "time_ms": gate.time_ms, "note": gate.note,
    })
}

pub(super) fn router(router: &RouterView) -> Value {
    let verified = match router.verified() {
        Verified::Unspecified | Verified::Yes => Value::Bool(true),
        Verified::No => Value::Bool(false),
        Verified::Unknown => Value::Null,
    };
    json!({
        "instance": router.instance, "router": router.router, "weight": router.weight, "suspended": router.suspended,
        "verified": verified, "region": router.region, "drift": router.drift, "fault": router.fault,
    })
}

pub(super) fn sla(sla: &Sla) -> Value {
    json!({
        "impact_seconds": sla.impact_seconds, "impact_limit": sla.impact_limit, "harmed": sla.harmed,
        "budget_spent": sla.budget_spent, "target": sla.target, "rollback_seconds": sla.rollback_seconds,
        "rollback_limit": sla.rollback_limit, "kept": sla.kept, "broken": sla.broken,
    })
}

pub(super) fn intent(intent: &Intent) -> Value {
    let scale = |scale: &Option<Scale>| {
        scale
            .as_ref()
            .map(|s| json!({"percent": s.percent, "replicas": s.replicas}))
    };
    json!({
        "cohorts": intent.cohorts.iter().map(|cohort| cohort.name.as_str()).collect::<Vec<_>>(),
        "mirror": intent.mirror.as_ref().map_or(0, |mirror| mirror.percent),
        "stable": scale(&intent.stable), "candidate": scale(&intent.candidate), "sampling": intent.sampling,
        "regions": intent.regions.iter().map(|r| json!({"region": r.region, "weight": r.weight})).collect::<Vec<_>>(),
    })
}
