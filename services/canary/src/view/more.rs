//! What a rollout shows of its course: leg, gates, routers, and what it cost its users.

use auspex_proto::decision::Phase;
use auspex_proto::{Timestamp, wire};

use crate::decide::{differs, instant};
use crate::document::Check;
use crate::document::gates::Approval;
use crate::legs::Leg;
use crate::state::{Ended, Rollout, Toll};

/// Seconds of the month by which an error budget is reckoned.
const MONTH: f64 = 30.0 * 86_400.0;

/// Where it stands among its legs.
pub(super) fn leg(rollout: &Rollout) -> String {
    let legs = rollout.terms.legs.len();
    let at = rollout.course.leg;
    match (rollout.leg(), rollout.course.regions) {
        _ if rollout.phase == Phase::Baking => "bake".to_owned(),
        (Some(leg), _) if legs > 1 => format!("{} of {legs}: {}", at + 1, leg.name),
        (Some(leg), _) => leg.name.clone(),
        (None, 0) => "promotion".to_owned(),
        (None, done) => format!("region {done} of {}", rollout.terms.regions.len()),
    }
}

/// Its strategy, as a document says it.
pub(super) fn strategy(legs: &[Leg]) -> String {
    let kinds: Vec<&str> = legs.iter().map(Leg::what).collect();
    match kinds.as_slice() {
        [] => "canary".to_owned(),
        kinds => kinds.join(" -> "),
    }
}

/// Every gate, and how it stands; `now`: the log's time, while there may be raises.
pub(super) fn gates(rollout: &Rollout, now: Option<Timestamp>) -> Vec<wire::GateView> {
    let mut out = persons(rollout);
    out.extend(outside(rollout, now));
    out.extend(checks(rollout));
    out
}

/// A gate that a person may have passed.
fn pass(rollout: &Rollout, (name, kind, at): (&str, &str, &str), text: String) -> wire::GateView {
    let pass = rollout.course.passed.get(name);
    wire::GateView {
        name: name.to_owned(),
        kind: kind.to_owned(),
        at: at.to_owned(),
        state: if pass.is_some() { "passed" } else { "waiting" }.to_owned(),
        actor: pass.map(|pass| pass.actor.clone()).unwrap_or_default(),
        time_ms: pass.map_or(0, |pass| pass.at.0),
        note: pass.map(|pass| pass.note.clone()).unwrap_or_default(),
        text,
    }
}

fn persons(rollout: &Rollout) -> Vec<wire::GateView> {
    let gates = &rollout.terms.gates;
    let mitigated = &rollout.course.mitigated;
    let text = |a: &Approval| match mitigated.approval.as_ref() == Some(a) {
        true => mitigated.why.clone(),
        false => a.by.join(", "),
    };
    let approvals = rollout.approvals();
    let approvals = approvals.map(|a| pass(rollout, (&a.name, "approval", a.point()), text(a)));
    let switch = crate::decide::switch(rollout).filter(|switch| !switch.auto_promotion);
    let switch = switch.map(|_| pass(rollout, ("switch", "approval", "promotion"), String::new()));
    let ticket = gates.ticket.as_ref().map(|ticket| {
        let named = rollout
            .course
            .passed
            .get("ticket")
            .map(|pass| pass.ticket.clone());
        let text = named.unwrap_or_else(|| ticket.id.clone());
        let mut view = pass(rollout, ("ticket", "ticket", "start"), text);
        if !ticket.id.is_empty() {
            "passed".clone_into(&mut view.state);
        }
        view
    });
    approvals.chain(switch).chain(ticket).collect()
}

/// Windows and other services.
fn outside(rollout: &Rollout, now: Option<Timestamp>) -> Vec<wire::GateView> {
    let (gates, course) = (&rollout.terms.gates, &rollout.course);
    let mut out = Vec::new();
    for window in &gates.freeze {
        // A window holds whether or not a raise has met it yet, and each until its own end.
        let until = now.and_then(|now| window.until(now));
        let text = until.map(|until| format!("until {}", instant(until)));
        let mut view = pass(
            rollout,
            ("freeze", "freeze", "any raise"),
            text.unwrap_or_default(),
        );
        if until.is_none() {
            "passed".clone_into(&mut view.state);
        }
        if !window.name.is_empty() {
            view.name.clone_from(&window.name);
        }
        out.push(view);
    }
    for dependency in &gates.dependencies {
        let version = dependency.version.clone();
        let mut view = pass(rollout, (&dependency.service, "dependency", "start"), version);
        match course.blocked.as_ref().filter(|_| !course.open) {
            Some(why) => view.text.clone_from(why),
            None => "passed".clone_into(&mut view.state),
        }
        out.push(view);
    }
    out
}

fn checks(rollout: &Rollout) -> Vec<wire::GateView> {
    let all = rollout.terms.gates.all_checks();
    let view = |(kind, check): (&str, &Check)| {
        let at = match kind {
            "expand" | "verify" => "start",
            "contract" => "end",
            _ => check.point(),
        };
        let kind = if kind.is_empty() { "check" } else { "migration" };
        let mine = |name: &&String| name.split('@').next() == Some(check.name.as_str());
        let runs = rollout.course.checks.iter().filter(|(name, _)| mine(name));
        let run = runs.max_by_key(|(_, run)| run.at).map(|(_, run)| run);
        let state = match run.map(|run| run.passed) {
            None => "later",
            Some(None) => "waiting",
            Some(Some(true)) => "passed",
            Some(Some(false)) => "failed",
        };
        wire::GateView {
            state: state.to_owned(),
            time_ms: run.map_or(0, |run| run.at.0),
            text: run.map(|run| run.detail.clone()).unwrap_or_default(),
            ..pass(rollout, (&check.name, kind, at), String::new())
        }
    };
    all.map(view).collect()
}

/// The routers that were heard of in the last seconds.
pub(super) fn routers(rollout: &Rollout) -> Vec<wire::RouterView> {
    let routers = rollout.routers.iter();
    routers
        .map(|(name, router)| {
            let report = &router.report;
            let drift = report.drift.as_ref().map(|drift| {
                let by = if drift.by.is_empty() {
                    "somebody"
                } else {
                    &drift.by
                };
                format!("{by} moved it from {} to {} %", drift.wanted, drift.weight)
            });
            wire::RouterView {
                instance: name.clone(),
                router: if report.router.is_empty() {
                    "proxy".to_owned()
                } else {
                    report.router.clone()
                },
                weight: router.weight.into(),
                suspended: router.suspended,
                verified: report.verified.to_wire().into(),
                region: report.region.clone(),
                drift: drift.unwrap_or_default(),
                fault: report.fault.clone(),
            }
        })
        .collect()
}

/// Whether routers confirm the weight: every one of them, and each can tell.
pub(super) fn agree(rollout: &Rollout) -> bool {
    let mut routers = rollout.routers.values().filter(|router| !router.report.scaler);
    routers.all(|router| !router.suspended && !differs(rollout, router) && router.report.verified.is_seen())
}

/// What a rollout under way cost so far.
pub(super) fn sla(rollout: &Rollout) -> wire::Sla {
    let traffic = rollout.tally.traffic.unwrap_or(0.0);
    reckon(
        &rollout.terms.sla,
        &rollout.toll,
        (rollout.harmed(), traffic),
        rollout.toll.back,
    )
}

/// What one that is over cost.
pub(super) fn toll(ended: &Ended) -> Option<wire::Sla> {
    let whole = ended.whole.as_ref();
    let sla = whole.map(|whole| whole.terms.sla.clone()).unwrap_or_default();
    Some(reckon(
        &sla,
        &ended.toll,
        (ended.harmed, ended.traffic),
        ended.toll.back,
    ))
}

fn reckon(
    sla: &crate::document::SlaChoice,
    toll: &Toll,
    (harmed, traffic): (u64, f64),
    back: Option<Timestamp>,
) -> wire::Sla {
    let budget = (1.0 - sla.target) * traffic * MONTH;
    let spent = if budget > 0.0 {
        auspex_judge::numeric::real(harmed) / budget
    } else {
        0.0
    };
    let took = toll
        .left
        .zip(back)
        .map_or(0.0, |(left, back)| back.since(left).as_secs_f64());
    let (impact, rollback) = (
        sla.impact.duration().as_secs_f64(),
        sla.rollback.duration().as_secs_f64(),
    );
    let mut broken = Vec::new();
    if toll.impact_seconds > impact {
        broken.push(format!(
            "users fared worse for {} s, {impact} s are the most",
            toll.impact_seconds
        ));
    }
    if took > rollback {
        broken.push(format!(
            "the way back took {took:.1} s, {rollback} s are the most"
        ));
    }
    wire::Sla {
        impact_seconds: toll.impact_seconds,
        impact_limit: impact,
        harmed,
        budget_spent: spent,
        target: sla.target,
        rollback_seconds: took,
        rollback_limit: rollback,
        kept: broken.is_empty(),
        broken,
    }
}
