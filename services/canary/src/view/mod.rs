//! A rollout as a person sees it, from the saved state. No decisions are made here.

mod more;

use auspex_proto::decision::{Mode, Phase};
use auspex_proto::{Project, RolloutName, Timestamp, wire};

use crate::state::metric::Test;
use crate::state::{Ended, Rollout, State};

/// Every rollout of a project: those under way by service, then those that are over, the newest first.
#[must_use]
pub fn all(state: &State, project: &Project, seq: u64) -> Vec<wire::RolloutView> {
    let now = state.ticked.0;
    let active = under_way(state).map(|rollout| active((rollout, now), project, seq));
    let ended = state.ended.iter().rev().map(|over| ended(over, project, seq));
    active.chain(ended).collect()
}

/// The rollout of a name: the one under way, else the newest that is over.
#[must_use]
pub fn named(state: &State, project: &Project, name: &RolloutName, seq: u64) -> Option<wire::RolloutView> {
    let running = under_way(state).find(|rollout| &rollout.name == name);
    running
        .map(|rollout| active((rollout, state.ticked.0), project, seq))
        .or_else(|| state.ended(name).map(|over| ended(over, project, seq)))
}

/// Those under way, then those that wait for one of them to be back.
fn under_way(state: &State) -> impl Iterator<Item = &Rollout> {
    let waiting = state
        .active
        .values()
        .filter_map(|rollout| rollout.next.as_deref());
    state.active.values().map(Box::as_ref).chain(waiting)
}

fn active((rollout, now): (&Rollout, Timestamp), project: &Project, seq: u64) -> wire::RolloutView {
    let verified = rollout.verified_weight();
    let agree = more::agree(rollout);
    let raises = matches!(rollout.phase, Phase::Waiting | Phase::Progressing | Phase::Paused);
    let now = raises.then_some(now);
    wire::RolloutView {
        project: project.to_string(),
        name: rollout.name.to_string(),
        service: rollout.service.to_string(),
        mode: rollout.terms.mode.to_wire().into(),
        phase: rollout.phase.to_wire().into(),
        policy: rollout.terms.policy.name().to_owned(),
        weight: rollout.weight.into(),
        verified_weight: verified.unwrap_or(0).into(),
        verified: verified.is_some() && agree,
        prior: rollout.p_failure(),
        posterior: rollout.posterior,
        last: rollout.last.as_ref().map(auspex_proto::Decision::to_wire),
        started_ms: rollout.started.0,
        ended_ms: 0,
        absorbed_seq: seq,
        stable_revision: rollout.stable.revision.clone(),
        candidate_revision: rollout.candidate.revision.clone(),
        warnings: warnings(rollout),
        leg: more::leg(rollout),
        strategy: more::strategy(&rollout.terms.legs),
        gates: more::gates(rollout, now),
        sla: Some(more::sla(rollout)),
        intent: rollout
            .last
            .as_ref()
            .and_then(|last| last.intent.as_ref())
            .map(auspex_proto::Intent::to_wire),
        routers: more::routers(rollout),
        sampling: crate::decide::sampling(rollout),
        traffic: rollout.tally.traffic.unwrap_or(0.0),
        ticket: ticket(rollout),
        may_return: !rollout.course.contracted,
        evidence: crate::decide::judge::judge(rollout)
            .evidence
            .iter()
            .map(auspex_proto::decision::MetricEvidence::to_wire)
            .collect(),
        harmed: rollout.harmed(),
    }
}

fn ended(over: &Ended, project: &Project, seq: u64) -> wire::RolloutView {
    wire::RolloutView {
        project: project.to_string(),
        name: over.name.to_string(),
        service: over.service.to_string(),
        mode: over.mode.to_wire().into(),
        phase: over.phase.to_wire().into(),
        policy: over.policy.clone(),
        weight: over.weight.into(),
        verified_weight: 0,
        verified: false,
        prior: over.prior,
        posterior: over.posterior,
        last: over.last.as_ref().map(auspex_proto::Decision::to_wire),
        started_ms: over.started.0,
        ended_ms: over.ended.0,
        absorbed_seq: seq,
        stable_revision: over.stable.revision.clone(),
        candidate_revision: over.candidate.revision.clone(),
        strategy: over
            .whole
            .as_ref()
            .map(|whole| more::strategy(&whole.terms.legs))
            .unwrap_or_default(),
        gates: over
            .whole
            .as_ref()
            .map(|whole| more::gates(whole, None))
            .unwrap_or_default(),
        sla: more::toll(over),
        ticket: over.whole.as_ref().map(|whole| ticket(whole)).unwrap_or_default(),
        may_return: !over.contracted && over.phase == Phase::Promoted,
        ..wire::RolloutView::default()
    }
}

/// The change ticket that was named.
fn ticket(rollout: &Rollout) -> String {
    let passed = rollout
        .course
        .passed
        .get("ticket")
        .map(|pass| pass.ticket.clone());
    let named = rollout
        .terms
        .gates
        .ticket
        .as_ref()
        .map(|ticket| ticket.id.clone());
    passed.or(named).unwrap_or_default()
}

/// What time did not count for pauses and bakes.
fn unwatched(rollout: &Rollout) -> Option<String> {
    let watch = &rollout.course.watch;
    let what = "does not count for pauses and bakes: no router was seen to have the weight";
    match (watch.stands(), watch.lost().as_secs()) {
        (Some(since), _) => {
            let since = crate::decide::instant(since);
            Some(format!("the time since {since} {what}"))
        }
        (None, 0) => None,
        (None, lost) => Some(format!("{lost} s of it {what}")),
    }
}

/// What a person should know beside the last decision.
fn warnings(rollout: &Rollout) -> Vec<String> {
    let mut said = Vec::new();
    if rollout.prior.as_ref().is_some_and(|prior| prior.score.is_none()) {
        said.push(format!(
            "no score: the base rate {:.2} in its place",
            rollout.p_failure()
        ));
    }
    if let Some(next) = &rollout.next {
        said.push(format!("{} waits until this one is over", next.name));
    }
    if let Some(p_failure) = rollout.raised {
        said.push(format!("P(failure) has risen to {p_failure:.2} since the start"));
    }
    if rollout.window.late > 0 {
        let late = rollout.window.late;
        said.push(format!(
            "{late} observations came too late, or too far ahead, to be judged"
        ));
    }
    for (at, listed) in rollout.terms.metrics.iter().enumerate() {
        let test = rollout.tally.listed.get(at).unwrap_or(&Test::Nothing);
        if rollout.weight > 0 && *test == Test::Nothing {
            said.push(format!(
                "nobody reports {}, which the document lists",
                listed.name
            ));
        }
    }
    if rollout.terms.mode == Mode::Act && rollout.weight > 0 && rollout.routers.is_empty() {
        said.push("no router says which weight it applies".to_owned());
    }
    for (name, router) in &rollout.routers {
        if router.suspended {
            said.push(format!("router {name} is suspended: control was gone"));
        } else if rollout.terms.mode == Mode::Act && crate::decide::differs(rollout, router) {
            said.push(format!(
                "router {name} is at {} %, not at {} %",
                router.weight, rollout.weight
            ));
        }
    }
    said.extend(unwatched(rollout));
    let mitigated = &rollout.course.mitigated;
    if mitigated.cautious {
        said.push(format!("conservative mode: {}", mitigated.why));
    }
    for (name, router) in &rollout.routers {
        if !router.report.fault.is_empty() {
            said.push(format!("router {name}: {}", router.report.fault));
        }
    }
    if let Some(past) = crate::decide::past(rollout).filter(|_| !rollout.course.contracted) {
        said.push(past);
    }
    if rollout.course.contracted {
        said.push("its database was contracted: nothing goes back".to_owned());
    }
    said
}
