//! When a rollout wants to be told that time has passed: at the next tick while intervals are open, else at the first moment
//! at which time alone changes something. A tick before that would change nothing and say nothing.

use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::decision::{Mode, Phase};

use super::close::ROUTER_LIFE;
use crate::legs::Kind;
use crate::policy::Policy;
use crate::state::Rollout;

/// However quiet it is, it is looked at this often.
const AT_LEAST: Duration = Duration::from_secs(60);

/// The earliest moment at which this rollout has something to do.
pub(super) fn at(rollout: &Rollout, ticked: Timestamp) -> Timestamp {
    let now = ticked.max(rollout.started);
    let terms = &rollout.terms;
    if rollout.phase == Phase::Waiting {
        let settle = terms.score_settle.duration();
        let waits = [
            rollout.started + terms.score_wait.duration(),
            rollout.started + settle,
        ];
        // Where another controller drives the candidate may have users already.
        if rollout.window.is_crowded() || (terms.mode != Mode::Act && rollout.window.is_open()) {
            return now.next_boundary(terms.interval.duration());
        }
        return after(now, waits.into_iter());
    }
    if rollout.window.is_open() || !quiet(rollout) {
        return now.next_boundary(terms.interval.duration());
    }
    after(now, timers(rollout).into_iter())
}

/// Whether nothing moves right now.
fn quiet(rollout: &Rollout) -> bool {
    !rollout.course.stirred
        && rollout.course.blocked.is_none()
        && rollout.phase != Phase::Returning
        && !rollout.course.checks.values().any(|run| run.passed != Some(true))
}

fn after(now: Timestamp, moments: impl Iterator<Item = Timestamp>) -> Timestamp {
    let next = moments.filter(|at| *at > now).min();
    next.unwrap_or(now + AT_LEAST).min(now + AT_LEAST)
}

/// Every moment at which a rule that was silent may speak.
fn timers(rollout: &Rollout) -> Vec<Timestamp> {
    let (terms, course) = (&rollout.terms, &rollout.course);
    let width = terms.interval.duration();
    let mut out = vec![
        rollout.weighed + terms.min_dwell.duration(),
        rollout.weighed + terms.max_dwell.duration(),
        rollout.weighed + width * super::rules::APPLIES_WITHIN + terms.lateness.duration(),
    ];
    out.extend(
        terms
            .deadline
            .map(|deadline| rollout.started + deadline.duration()),
    );
    let gone = ROUTER_LIFE + Duration::from_millis(1);
    out.extend(rollout.routers.values().map(|router| router.time + gone));
    // What was reported becomes stale: one look after it.
    let stale = super::judge::FRESH.max(width * terms.silent_after) + width + terms.lateness.duration();
    out.extend(rollout.tally.reported.iter().map(|last| *last + stale));
    out.extend(course.frozen);
    let region = course.regions.checked_sub(1).and_then(|at| terms.regions.get(at));
    out.extend(region.map(|region| course.region_since + region.bake.duration()));
    let (since, began) = (rollout.cursor.since, course.since.max(rollout.cursor.since));
    let pause = |policy: &Policy| match policy {
        Policy::Steps(steps) => step_end(steps, rollout.cursor.index, since),
        _ => None,
    };
    out.extend(match rollout.leg().map(|leg| &leg.kind) {
        Some(Kind::Cohorts { dwell }) => Some(began + dwell.duration()),
        Some(Kind::Split(split)) => Some(rollout.weighed + split.duration.duration()),
        Some(Kind::Switch(switch)) => Some(began + switch.preview.duration()),
        Some(Kind::Ramp { policy, .. }) => pause(policy),
        Some(Kind::Roll(steps)) => step_end(steps, rollout.cursor.index, since),
        None => pause(&terms.policy),
    });
    out.extend(course.baking.map(|since| since + super::bake::longest(rollout)));
    out.extend(course.unready.map(|since| since + super::bake::PATIENCE));
    out
}

fn step_end(steps: &[crate::document::Step], index: usize, since: Timestamp) -> Option<Timestamp> {
    let pause = steps.get(index)?.pause.as_ref()?.duration?;
    Some(since + pause.duration())
}
