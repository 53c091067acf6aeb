//! When a rollout wants to be told that time has passed: at once while something moves, when an open interval is over, and at
//! the first moment at which time alone changes something. A tick before that changes nothing and says nothing, so that
//! neither a takeover, which looks at all of them, nor another rollout of the project can change what is decided.

use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::decision::Phase;

use crate::legs::{self, Kind};
use crate::state::Rollout;
use crate::state::rollout::ROUTER_LIFE;

/// However quiet it is, it is looked at this often.
const AT_LEAST: Duration = Duration::from_secs(60);

/// The earliest moment at which this rollout has something to do; `ticked`: when it was last looked at.
pub(super) fn at(rollout: &Rollout, ticked: Timestamp) -> Timestamp {
    if !quiet(rollout) {
        return rollout.started;
    }
    let time = after(ticked.max(rollout.started), timers(rollout).into_iter());
    let over = rollout.window.due(rollout.terms.beat());
    over.map_or(time, |over| over.min(time))
}

/// Whether nothing moves right now.
fn quiet(rollout: &Rollout) -> bool {
    let waits = rollout.phase == Phase::Waiting;
    !rollout.course.stirred
        && !rollout.course.watch.is_told()
        && (waits || rollout.course.blocked.is_none())
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
        rollout.weighed + terms.max_dwell.duration(),
        rollout.weighed + width * super::rules::APPLIES_WITHIN + terms.lateness.duration(),
    ];
    out.extend(
        watched(rollout)
            .into_iter()
            .filter_map(|shown| course.watch.when(shown)),
    );
    if rollout.phase == Phase::Waiting {
        out.push(rollout.started + terms.score_wait.duration());
        out.push(rollout.started + terms.score_settle.duration());
    }
    out.extend(
        terms
            .deadline
            .map(|deadline| rollout.started + deadline.duration().saturating_add(course.idle)),
    );
    let gone = ROUTER_LIFE + Duration::from_millis(1);
    out.extend(rollout.routers.values().map(|router| router.time + gone));
    out.extend(super::judge::stale(rollout));
    out.extend(course.frozen);
    out.extend(course.unready.map(|since| since + super::bake::PATIENCE));
    out
}

/// The same by the watched clock.
fn watched(rollout: &Rollout) -> Vec<Timestamp> {
    let (terms, course) = (&rollout.terms, &rollout.course);
    let dwells = rollout.dwells();
    let mut out = vec![dwells + rollout.min_dwell(), dwells + terms.max_dwell.duration()];
    let region = course.regions.checked_sub(1).and_then(|at| terms.regions.get(at));
    out.extend(region.map(|region| course.region_since + region.bake.duration()));
    let (since, began) = (rollout.cursor.since, course.since.max(rollout.cursor.since));
    out.extend(match rollout.leg().map(|leg| &leg.kind) {
        Some(Kind::Cohorts { dwell }) => Some(began + dwell.duration()),
        Some(Kind::Split(split)) => Some(dwells + split.duration.duration()),
        Some(Kind::Switch(switch)) => Some(began + switch.preview.duration()),
        Some(Kind::Ramp { .. } | Kind::Roll(_)) | None => pause(rollout).map(|pause| since + pause),
    });
    out.extend(course.baking.map(|since| since + super::bake::longest(rollout)));
    out
}

/// How long the step at hand pauses.
fn pause(rollout: &Rollout) -> Option<Duration> {
    let steps = match rollout.leg().map(|leg| &leg.kind) {
        Some(Kind::Roll(steps)) => steps.as_slice(),
        _ => legs::steps(&rollout.terms, rollout.course.leg),
    };
    let pause = steps.get(rollout.cursor.index)?.pause.as_ref()?.duration?;
    Some(match rollout.course.mitigated.cautious {
        true => pause.twice().duration(),
        false => pause.duration(),
    })
}
