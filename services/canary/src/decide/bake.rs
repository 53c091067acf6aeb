//! After everything went to the candidate: it is watched, and returns by itself when it fails. There is no baseline any more,
//! so it is held to what stable had done before.

use std::time::Duration;

use auspex_judge::numeric::real;
use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Reason};

use super::judge::Judged;
use super::rules::{away, rollback};
use super::{course, gates};
use crate::policy::Wish;
use crate::state::Rollout;

/// Standard errors by which a rate has to lie above what is allowed: chance does that once in 700 looks, and the bounds are
/// far above the baseline's own rate.
const CERTAIN: f64 = 3.0;
/// How long the candidate may be short of capacity while it has everything.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What is wished while it bakes; `None`: it is paused, and stays as it is.
pub(super) fn wish(rollout: &mut Rollout, judged: &Judged, now: Timestamp) -> Option<Wish> {
    let watched = rollout.course.watch.at(now);
    let since = *rollout.course.baking.get_or_insert(watched);
    // Once the database is no longer what stable knows, sending users there would harm them more.
    if gates::contracting(rollout).is_none() {
        if let Some(text) = failing(rollout) {
            return Some(rollback(Reason::BakeFailed, text));
        }
        if let Some(wish) = unready(rollout, now) {
            return Some(wish);
        }
    }
    let hold = |reason, text| Some(Wish::new(Action::Hold, 100, reason, text));
    if rollout.course.held {
        let less = rollout.weight < 100;
        return hold(
            Reason::Bakes,
            "paused, with everything on the candidate".to_owned(),
        )
        .filter(|_| less);
    }
    let span = longest(rollout);
    let young = watched.since(since) < span;
    let database = rollout.terms.gates.database.as_ref();
    // Nothing is taken from a database while users may be back on stable.
    let contracts = gates::contracting(rollout).is_none() && database.is_some_and(|d| d.contract.is_some());
    if !rollout.course.baked
        && (young || contracts)
        && let Some(Some(away)) = away(rollout, now)
    {
        return hold(away.reason, away.text);
    }
    if !rollout.course.baked && young {
        let text = format!(
            "everything is on the candidate, which is watched for {} s",
            span.as_secs()
        );
        return hold(Reason::Bakes, text);
    }
    if let Some(held) = gates::at(rollout, &["end"], now) {
        return Some(at_everything(held));
    }
    if let Some(text) = unseen(rollout) {
        return hold(Reason::NotVerified, text);
    }
    if !rollout.course.baked
        && let Some(held) = gates::contract(rollout, now)
    {
        return Some(at_everything(held));
    }
    let database = rollout.terms.gates.database.as_ref();
    if database.is_some_and(|d| d.contract.is_some()) {
        rollout.course.contracted = true;
    }
    let (reason, text) = match span.is_zero() {
        true => (Reason::BakeDone, "everything is on the candidate".to_owned()),
        false => (
            Reason::BakeDone,
            format!("watched for {} s: {}", span.as_secs(), lately(rollout, judged)),
        ),
    };
    Some(Wish::new(Action::Promote, 100, reason, text))
}

/// What the last thirty intervals say; without requests in them, what the comparison said before.
fn lately(rollout: &Rollout, judged: &Judged) -> String {
    let recent = rollout.tally.recent.iter();
    match recent.fold((0, 0), |(bad, total), row| (bad + row[0], total + row[1])) {
        (_, 0) => judged.figures.clone(),
        (bad, total) => format!("{bad} of the candidate's last {total} requests failed"),
    }
}

/// A gate that asks a person does not move the phase while it bakes.
fn at_everything(held: Wish) -> Wish {
    match held.action {
        Action::Pause => Wish {
            action: Action::Hold,
            weight: 100,
            ..held
        },
        _ => held,
    }
}

/// How long it is watched: the longest of all that is wanted.
pub(super) fn longest(rollout: &Rollout) -> Duration {
    let switch = course::switch(rollout);
    let switch = switch.map(|switch| switch.post_analysis.max(switch.scale_down_delay));
    let database = rollout
        .terms
        .gates
        .database
        .as_ref()
        .map(|database| database.bake);
    let all = [Some(rollout.terms.bake.duration), switch, database];
    all.into_iter().flatten().max().unwrap_or_default().duration()
}

/// Why the candidate fares worse than it may, by its last thirty intervals.
pub(super) fn failing(rollout: &Rollout) -> Option<String> {
    let recent = &rollout.tally.recent;
    let (bad, total) = recent
        .iter()
        .fold((0, 0), |(bad, total), row| (bad + row[0], total + row[1]));
    if total < rollout.terms.counts.min_samples.max(1) {
        return None;
    }
    let [base_bad, base_total] = rollout.tally.baseline[0];
    let usual = if base_total > 0 {
        real(base_bad) / real(base_total)
    } else {
        0.0
    };
    let own = rollout.terms.bake.error_rate;
    let most = own.unwrap_or(2.0 * usual + rollout.terms.counts.margin_abs);
    let (rate, n) = (real(bad) / real(total), real(total));
    (lower(rate, n) > most).then(|| {
        format!(
            "{bad} of the candidate's last {total} requests failed ({:.1} %), {:.1} % is what may, stable had {:.1} %",
            100.0 * rate,
            100.0 * most,
            100.0 * usual
        )
    })
}

/// Wilson's lower bound.
fn lower(rate: f64, n: f64) -> f64 {
    let z2 = CERTAIN * CERTAIN;
    let centre = rate + z2 / (2.0 * n);
    let spread = CERTAIN * ((rate * (1.0 - rate) + z2 / (4.0 * n)) / n).sqrt();
    (centre - spread) / (1.0 + z2 / n)
}

/// A candidate that cannot take everything gets less at once, and nothing when that lasts.
fn unready(rollout: &mut Rollout, now: Timestamp) -> Option<Wish> {
    let most = rollout.capacity();
    if most >= 100 {
        rollout.course.unready = None;
        return None;
    }
    let since = *rollout.course.unready.get_or_insert(now);
    let text = format!("the candidate has everything and can take {most} %");
    if now.since(since) >= PATIENCE {
        return Some(rollback(
            Reason::NoCapacity,
            format!("{text}, for {} s", PATIENCE.as_secs()),
        ));
    }
    Some(Wish::new(Action::Hold, most, Reason::NoCapacity, text))
}

/// No router has confirmed that everything is on the candidate; asked only where stable is about to be made smaller.
fn unseen(rollout: &Rollout) -> Option<String> {
    if !rollout.is_scaled() {
        return None;
    }
    match rollout.seen().weights {
        Some((100, 100)) => None,
        Some((least, _)) => Some(format!("a router is still at {least} %: stable is kept")),
        None => Some("no router says that everything is on the candidate: stable is kept".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_below_its_rate_and_comes_nearer() {
        assert!(lower(0.1, 100.0) < lower(0.1, 10_000.0));
        assert!(lower(0.1, 10_000.0) < 0.1 && lower(0.1, 10_000.0) > 0.09);
        assert!(lower(0.0, 50.0).abs() < 1e-12);
    }
}
