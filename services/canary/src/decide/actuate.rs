//! From a wish to what is asked of the world: where control scales both tracks, scales and weights move in the order of
//! [`crate::control::order`]; else the weight moves at once.

use auspex_proto::Intent;
use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Phase, Reason};
use auspex_proto::intent::{RegionWeight, Scale};

use crate::control::{Aim, Asked, Rules, Wait, order};
use crate::document::Criticality;
use crate::legs::{Beside, Kind};
use crate::policy::Wish;
use crate::state::Rollout;

/// The wish as far as it can be had now. What cannot is waited for, in an order that harms nobody.
pub(super) fn within_order(rollout: &mut Rollout, wish: Wish, now: Timestamp) -> Wish {
    if !rollout.is_scaled() || wish.action == Action::Start {
        return wish;
    }
    let aside = asked_aside(rollout);
    let begun = aside || rollout.phase == Phase::Returning;
    let never = rollout.first_weight.is_none() && rollout.weight == 0 && !begun;
    if wish.action == Action::RollBack && never {
        rollout.sizes = Some((100, 0));
        return wish;
    }
    let (stable, candidate) = rollout.sizes.unwrap_or((100, 0));
    let aim = aim(rollout, &wish);
    let asked = Asked {
        weight: rollout.weight,
        stable,
        candidate: match aim {
            Aim::Share(_) => candidate.max(least(rollout)),
            _ => candidate,
        },
    };
    let dynamic = rollout.terms.scale.as_ref().is_some_and(|scale| scale.dynamic);
    let rules = Rules {
        scaled: true,
        dynamic,
    };
    let mut next = order(aim, asked, rollout.seen(), rules);
    if aim == Aim::Nothing && aside {
        // Routers take its last users away first.
        next.asked.candidate = next.asked.candidate.max(candidate);
        next.wait = next.wait.or(Some(Wait::Routers));
    }
    rollout.sizes = Some((next.asked.stable, next.asked.candidate));
    let weight = next.asked.weight;
    match wish.action {
        Action::RollBack => back(rollout, wish, (weight, next.wait), now),
        Action::Advance | Action::Bake if weight < wish.weight => {
            let text = format!("{} % wait for instances: {}", wish.weight, wish.text);
            Wish::new(Action::Hold, weight, Reason::CapacityWaits, text)
        }
        Action::Promote if rollout.phase != Phase::Baking || next.wait.is_some() => {
            Wish::new(Action::Hold, weight, Reason::CapacityWaits, wish.text)
        }
        _ => Wish { weight, ..wish },
    }
}

fn aim(rollout: &Rollout, wish: &Wish) -> Aim {
    match wish.action {
        Action::RollBack | Action::Return => Aim::Nothing,
        Action::Promote if rollout.phase == Phase::Baking => Aim::Settled,
        Action::Promote | Action::Bake => Aim::Everything,
        Action::Hold | Action::Pause | Action::Resume
            if rollout.phase == Phase::Baking && wish.weight == 100 =>
        {
            Aim::Everything
        }
        _ => Aim::Share(wish.weight),
    }
}

/// Traffic goes back as fast as stable can take it; the rollout ends when routers are seen at 0.
fn back(rollout: &mut Rollout, wish: Wish, (weight, wait): (u8, Option<Wait>), now: Timestamp) -> Wish {
    let first = (wish.reason, wish.text.clone(), now);
    let (reason, text, since) = rollout.course.returning.get_or_insert(first).clone();
    let patience = rollout.terms.max_dwell.duration();
    let lost = weight == 0 && wait == Some(Wait::Routers) && now.since(since) >= patience;
    match wait {
        None => Wish::new(Action::RollBack, 0, reason, text),
        Some(_) if lost => {
            let text = format!("{text}; no router has confirmed it for {} s", patience.as_secs());
            Wish::new(Action::RollBack, 0, reason, text)
        }
        Some(_) => Wish::new(Action::Return, weight, reason, text),
    }
}

/// What a decision asks beyond its weight.
pub(super) fn intent(rollout: &Rollout) -> Option<Intent> {
    let over = rollout.phase.is_terminal() || rollout.phase == Phase::Returning;
    let open = rollout.course.open && !over;
    let terms = &rollout.terms;
    let regions = terms.regions.iter().take(rollout.course.regions);
    let regions = regions.map(|region| RegionWeight {
        region: region.name.clone(),
        weight: 100,
    });
    let one_by_one = open && rollout.weight < 100;
    let beside = match open {
        true => beside(rollout),
        false => Beside::default(),
    };
    let scale = |percent: u8| {
        let replicas = terms.scale.as_ref().map_or(0, |scale| scale.replicas);
        let replicas = (u64::from(replicas) * u64::from(percent)).div_ceil(100);
        Scale {
            percent,
            replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
        }
    };
    let intent = Intent {
        cohorts: beside.cohorts,
        mirror: if rollout.weight < 100 { beside.mirror } else { 0 },
        stable: rollout.sizes.map(|(stable, _)| scale(stable)),
        candidate: rollout.sizes.map(|(_, candidate)| scale(candidate)),
        sampling: (!rollout.phase.is_terminal()).then(|| sampling(rollout)),
        regions: if one_by_one { regions.collect() } else { Vec::new() },
    };
    (intent != Intent::default()).then_some(intent)
}

/// Cohorts and copies as the steps have them. Where control scales, none come to a candidate that has no instance ready.
fn beside(rollout: &Rollout) -> Beside {
    let beside = Beside::at(&rollout.terms, rollout.course.leg, rollout.cursor.index);
    if has_instance(rollout) {
        return beside;
    }
    let stays = beside.cohorts.into_iter().filter(|cohort| cohort.stable);
    Beside {
        cohorts: stays.collect(),
        mirror: 0,
    }
}

/// Whether the candidate can take somebody, where control has to see to that.
pub(super) fn has_instance(rollout: &Rollout) -> bool {
    let ready = match rollout.seen().candidate {
        Some(most) => most > 0,
        // Nobody says so right now: as it is.
        None => asked_aside(rollout),
    };
    ready || !rollout.is_scaled()
}

/// Whether the last decision sends anybody to the candidate whatever its weight is.
pub(super) fn asked_aside(rollout: &Rollout) -> bool {
    let intent = rollout.last.as_ref().and_then(|last| last.intent.as_ref());
    intent.is_some_and(|intent| intent.mirror > 0 || intent.cohorts.iter().any(|cohort| !cohort.stable))
}

/// The least size of the candidate, percent: one instance where anybody is on it whatever the weight is, and for a preview.
fn least(rollout: &Rollout) -> u8 {
    let wanted = Beside::at(&rollout.terms, rollout.course.leg, rollout.cursor.index);
    let preview = rollout
        .leg()
        .is_some_and(|leg| matches!(leg.kind, Kind::Switch(_)));
    if !rollout.course.open || !(preview || wanted.exceeds(&Beside::default())) {
        return 0;
    }
    let replicas = rollout.terms.scale.as_ref().map_or(0, |scale| scale.replicas);
    u8::try_from(100_u32.checked_div(replicas).unwrap_or(1).clamp(1, 100)).unwrap_or(100)
}

/// The share of requests and telemetry worth sampling: more where more is at stake, and most while it is least certain.
/// In steps of a twentieth, so that it does not flicker.
pub(crate) fn sampling(rollout: &Rollout) -> f64 {
    let least = match rollout.terms.criticality {
        Criticality::Low => 0.05,
        Criticality::Medium => 0.1,
        Criticality::High => 0.25,
        Criticality::Critical => 0.5,
    };
    let p = rollout.posterior.clamp(0.0, 1.0);
    let doubt = 4.0 * p * (1.0 - p);
    let share: f64 = least + (1.0 - least) * doubt;
    (20.0 * share).ceil().clamp(1.0, 20.0) / 20.0
}

/// Whether two intents ask the same, sampling aside: that alone is no decision.
pub(super) fn same(a: Option<&Intent>, b: Option<&Intent>) -> bool {
    let plain = |intent: Option<&Intent>| Intent {
        sampling: None,
        ..intent.cloned().unwrap_or_default()
    };
    plain(a) == plain(b)
}
