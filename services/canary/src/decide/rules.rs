//! The rules, in their order: what is harmful ends it, what cannot be judged holds it, and only then the policy wishes.

use auspex_judge::numeric::real;
use auspex_judge::posterior;
use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Mode, Phase, Reason};

use super::judge::{Judged, judge};
use super::voice::Voice;
use super::{bake, course, gates};
use crate::policy::{Sight, Wish};
use crate::state::Rollout;

/// Intervals that a router may take to report a new weight before that is held against it.
pub(super) const APPLIES_WITHIN: u32 = 5;

/// One tick of one rollout.
pub(super) fn tick(rollout: &mut Rollout, voice: &mut Voice<'_>) {
    if rollout.phase.is_terminal() {
        return;
    }
    rollout.course.stirred = false;
    let judged = judge(rollout);
    if rollout.prior.is_some() {
        rollout.posterior = posterior(rollout.p_failure(), judged.log_odds);
    }
    if let Some(wish) = next(rollout, &judged, voice.now()) {
        voice.carry(rollout, wish, &judged);
    }
}

fn next(rollout: &mut Rollout, judged: &Judged, now: Timestamp) -> Option<Wish> {
    if rollout.phase == Phase::Returning {
        let (reason, text, _) = rollout.course.returning.clone()?;
        return Some(rollback(reason, text));
    }
    let contracts = gates::contracting(rollout).is_some();
    if let Some(wish) = ends(rollout, judged, now).filter(|_| !contracts) {
        return Some(wish);
    }
    if rollout.phase == Phase::Baking {
        return bake::wish(rollout, judged, now);
    }
    // Where control scales, a raise waits for what is ready; what has died meanwhile holds whoever has paused it.
    let most = rollout.capacity();
    let none = most == 0 && rollout.phase == Phase::Progressing && !rollout.is_scaled();
    if rollout.weight > most || none {
        let text = format!("the candidate reports that it can take {most} %");
        let held = hold(rollout.weight.min(most), Reason::NoCapacity, text);
        return Some(linger(rollout, held, now));
    }
    if rollout.phase != Phase::Progressing {
        return None;
    }
    match holds(rollout, judged, now) {
        Some(held) => held.map(|held| linger(rollout, held, now)),
        None => course::wish(rollout, judged, now, false),
    }
}

fn hold(weight: u8, reason: Reason, text: String) -> Wish {
    Wish {
        weight,
        action: Action::Hold,
        reason,
        text,
    }
}

/// What has been held for the longest dwell is a person's to decide. A router's absence is not: it ends by itself.
fn linger(rollout: &Rollout, held: Wish, now: Timestamp) -> Wish {
    let long = now.since(rollout.weighed) >= rollout.terms.max_dwell.duration();
    if !long || held.reason == Reason::NoEvidence || held.weight != rollout.weight {
        return held;
    }
    Wish {
        action: Action::Pause,
        text: format!(
            "{}; after {} a person is asked",
            held.text, rollout.terms.max_dwell
        ),
        ..held
    }
}

/// What ends a rollout, whoever has paused it.
fn ends(rollout: &Rollout, judged: &Judged, now: Timestamp) -> Option<Wish> {
    let back = |reason, text| Some(rollback(reason, text));
    if let Some(text) = &judged.worse {
        return back(Reason::EvidenceWorse, text.clone());
    }
    if let Some(text) = limit(rollout) {
        return back(Reason::LimitCrossed, text);
    }
    if rollout.course.regions > 0 || (rollout.course.open && rollout.weight == 0) {
        // Apart from the comparison with stable: cohorts, a preview, regions that have the candidate.
        if let Some(text) = bake::failing(rollout).filter(|_| rollout.phase != Phase::Baking) {
            return back(Reason::LimitCrossed, text);
        }
    }
    if let Some(text) = judged.silent.as_ref().filter(|_| rollout.terms.silent_rolls_back) {
        return back(Reason::SilentCandidate, text.clone());
    }
    let deadline = rollout
        .terms
        .deadline
        .filter(|_| !matches!(rollout.phase, Phase::Paused | Phase::Baking))?;
    if now.since(rollout.started) < deadline.duration().saturating_add(rollout.course.idle) {
        return None;
    }
    back(
        Reason::Deadline,
        format!("not done within {deadline}: {}", judged.figures),
    )
}

/// A rollback for a reason.
pub(super) fn rollback(reason: Reason, text: String) -> Wish {
    Wish {
        weight: 0,
        action: Action::RollBack,
        reason,
        text,
    }
}

/// A user's own thresholds.
fn limit(rollout: &Rollout) -> Option<String> {
    let limits = &rollout.terms.limits;
    if let Some(most) = limits.harmed.filter(|most| rollout.harmed() > *most) {
        return Some(format!(
            "{} requests harmed, {most} are the limit",
            rollout.harmed()
        ));
    }
    let recent = &rollout.tally.recent;
    let least = rollout.terms.counts.min_samples.max(1);
    let rates = [
        (limits.error_rate, 0, "failed"),
        (limits.slow_rate, 2, "were slow"),
    ];
    rates.into_iter().find_map(|(most, at, what)| {
        let most = most?;
        let sum = |at: usize| recent.iter().filter_map(|row| row.get(at)).sum::<u64>();
        let (bad, total) = (sum(at), sum(at + 1));
        if total < least {
            return None;
        }
        let rate = real(bad) / real(total);
        (rate > most).then(|| {
            format!(
                "{bad} of the candidate's last {total} requests {what} ({:.1} %), {:.1} % is the limit",
                100.0 * rate,
                100.0 * most
            )
        })
    })
}

/// Share of the candidate's requests of the last thirty intervals that failed; `None`: too few to say.
fn error_rate(rollout: &Rollout) -> Option<f64> {
    let recent = &rollout.tally.recent;
    let sum = |at: usize| recent.iter().filter_map(|row| row.get(at)).sum::<u64>();
    let (bad, total) = (sum(0), sum(1));
    (total >= rollout.terms.counts.min_samples.max(1)).then(|| real(bad) / real(total))
}

/// Why routers are not seen to have the weight that was asked for; `Some(None)`: they have had no time for it yet. While
/// somebody else has the word, no time counts as watched.
pub(super) fn away(rollout: &Rollout, now: Timestamp) -> Option<Option<Wish>> {
    let hold = |reason, text| Some(Some(hold(rollout.weight, reason, text)));
    if rollout.terms.mode != Mode::Act {
        return None;
    }
    if rollout.course.routed && rollout.verified_weight().is_none() {
        let text = "no router says any more which weight it has".to_owned();
        return hold(Reason::NoEvidence, text);
    }
    if let Some((name, _)) = rollout.routers.iter().find(|(_, router)| router.suspended) {
        let text =
            format!("router {name} is suspended: everything goes to stable, there is nothing to judge by");
        return hold(Reason::NoEvidence, text);
    }
    let patience = rollout.terms.interval.duration() * APPLIES_WITHIN + rollout.terms.lateness.duration();
    let patient = now.since(rollout.weighed) < patience;
    let drift = rollout
        .routers
        .iter()
        .find_map(|(name, router)| router.report.drift.as_ref().map(|d| (name, d)));
    if let Some((name, drift)) = drift.filter(|_| !patient) {
        let by = if drift.by.is_empty() {
            "somebody"
        } else {
            drift.by.as_str()
        };
        let text = format!(
            "{by} moved router {name} from {} to {} %: it is not fought, resume sets it again",
            drift.wanted, drift.weight
        );
        return hold(Reason::Drift, text);
    }
    if let Some((name, router)) = rollout
        .routers
        .iter()
        .find(|(_, router)| differs(rollout, router))
    {
        if patient {
            return Some(None);
        }
        let text = format!(
            "router {name} is at {} %, not at {} %",
            router.weight,
            wanted(rollout, router)
        );
        return hold(Reason::NoEvidence, text);
    }
    None
}

/// What holds a rollout; `Some(None)`: quietly.
fn holds(rollout: &Rollout, judged: &Judged, now: Timestamp) -> Option<Option<Wish>> {
    let hold = |reason, text| Some(Some(hold(rollout.weight, reason, text)));
    if let Some(away) = away(rollout, now) {
        return Some(away);
    }
    if let Some(text) = &judged.silent {
        return hold(Reason::SilentCandidate, text.clone());
    }
    rollout
        .raised
        .filter(|_| !judged.safe)
        .map(|p_failure| Some(risk(rollout, p_failure)))
}

/// Whether a router is at another weight than is asked of it.
pub(crate) fn differs(rollout: &Rollout, router: &crate::state::Router) -> bool {
    !router.report.scaler && router.weight != wanted(rollout, router)
}

/// The weight, in percent, that a router was last asked for: a region's own where regions go one after the other.
fn wanted(rollout: &Rollout, router: &crate::state::Router) -> u8 {
    let intent = rollout.last.as_ref().and_then(|last| last.intent.as_ref());
    intent.map_or(rollout.weight, |intent| {
        intent.weight_in(&router.report.region, rollout.weight)
    })
}

/// A later score of a higher band.
pub(super) fn risk(rollout: &Rollout, p_failure: f64) -> Wish {
    Wish {
        weight: rollout.weight,
        action: Action::Hold,
        reason: Reason::RiskRaised,
        text: format!(
            "P(failure) is now {p_failure:.2}, it was {:.2} at the start: held until no worse is proven or resumed",
            rollout.p_failure()
        ),
    }
}

/// What a policy sees.
pub(super) fn sight<'a>(rollout: &Rollout, judged: &'a Judged, now: Timestamp, pushed: bool) -> Sight<'a> {
    Sight {
        watched: rollout.course.watch.at(now),
        weight: rollout.weight,
        dwelt: rollout.dwelt(now),
        min_dwell: rollout.min_dwell(),
        max_dwell: rollout.terms.max_dwell.duration(),
        horizon: rollout.min_dwell() + rollout.terms.unseen(),
        posterior: rollout.posterior,
        safe: judged.safe,
        none: judged.none.as_deref(),
        diff_upper: judged.diff_upper,
        harmed: rollout.harmed(),
        traffic: rollout.tally.traffic,
        error_rate: error_rate(rollout),
        pushed,
        figures: &judged.figures,
    }
}
