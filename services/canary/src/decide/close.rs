//! Closed intervals enter the tests.

use std::time::Duration;

use auspex_judge::Counts;
use auspex_judge::numeric::real;
use auspex_proto::Timestamp;
use auspex_proto::decision::Mode;

use super::{judge, rules};
use crate::state::Rollout;
use crate::state::metric::{Cell, Test};
use crate::state::rollout::{RECENT, ROUTER_LIFE, Silence, Tally};
use crate::state::window::{Interval, Now};

/// Weight of the newest interval in the smoothed traffic.
const FRESH: f64 = 0.3;

/// Closes every interval that is due at this boundary, in order.
pub(super) fn close(rollout: &mut Rollout, now: Now) {
    let told = rollout.routers.values().filter(|router| !router.report.scaler);
    let last = told.map(|router| router.time).max().unwrap_or(now.boundary);
    rollout.forget_routers(now.boundary - ROUTER_LIFE);
    let sees = !matches!(rules::away(rollout, now.boundary), Some(Some(_)));
    rollout.course.watch.look(sees, last, now.boundary);
    let beat = rollout.terms.beat();
    for (start, interval) in rollout.window.close(now, beat) {
        absorb(rollout, start, interval);
    }
    stale(rollout, now.boundary);
}

/// Notes what has not been reported for so long that what it said need not hold any more.
fn stale(rollout: &mut Rollout, boundary: Timestamp) {
    let until = judge::stale(rollout);
    let tally = &mut rollout.tally;
    tally.stale = until.into_iter().map(|until| boundary >= until).collect();
    if !tally.stale.contains(&true) {
        tally.stale.clear();
    }
}

fn absorb(rollout: &mut Rollout, start: Timestamp, interval: Interval) {
    let width = rollout.terms.interval.duration();
    let ours =
        rollout.terms.mode != Mode::Act || rollout.first_weight.is_some_and(|first| start + width > first);
    let of = |counts: Counts| match ours {
        true => counts,
        // An earlier rollout's candidate.
        false => Counts {
            candidate_bad: 0,
            candidate_total: 0,
            ..counts
        },
    };
    // Cohorts, a preview, and regions of their own: the candidate has users, and no comparison.
    let raw = match rollout.course.open && rollout.first_weight.is_none() {
        true => [interval.requests.candidate_bad, interval.requests.candidate_total],
        false => interval.apart,
    };
    let (requests, slow) = (of(interval.requests), of(interval.slow));
    let share = share(rollout, start);
    let settings = rollout.terms.counts;
    toll(rollout, &requests);
    for (at, cell) in interval.listed {
        listed(rollout, (at, start), cell, ours);
    }
    let tally = &mut rollout.tally;
    tally.requests.absorb(&settings, &requests);
    harm(tally, 0, &requests);
    if interval.has_slow {
        tally.has_slow = true;
        tally.slow.absorb(&settings, &slow);
        harm(tally, 1, &slow);
    }
    if interval.ready.is_some() {
        tally.ready = interval.ready;
    }
    traffic(tally, &requests, width);
    silence(tally, &requests, share);
    if tally.recent.len() >= RECENT {
        tally.recent.remove(0);
    }
    let sum = |own: u64, apart: u64| own.saturating_add(apart);
    let [bad, total] = raw;
    tally.recent.push([
        sum(requests.candidate_bad, bad),
        sum(requests.candidate_total, total),
        slow.candidate_bad,
        slow.candidate_total,
    ]);
}

/// Counts an interval in which users of the candidate fared worse than the target admits, and worse than stable's.
fn toll(rollout: &mut Rollout, requests: &Counts) {
    let (bad, total) = (real(requests.candidate_bad), real(requests.candidate_total));
    let [base_bad, base_total] = match requests.baseline_total {
        0 => rollout.tally.baseline[0],
        now => [requests.baseline_bad, now],
    };
    let usual = if base_total > 0 {
        real(base_bad) / real(base_total)
    } else {
        0.0
    };
    let beyond = bad - usual * total;
    if beyond >= 1.0 && bad > (1.0 - rollout.terms.sla.target) * total {
        rollout.toll.impact_seconds += rollout.terms.interval.duration().as_secs_f64();
    }
}

/// What a listed metric was.
fn listed(rollout: &mut Rollout, (at, start): (usize, Timestamp), cell: Cell, trial: bool) {
    let terms = &rollout.terms;
    let tests = &mut rollout.tally.listed;
    tests.resize(terms.metrics.len(), Test::Nothing);
    let reported = &mut rollout.tally.reported;
    reported.resize(terms.metrics.len(), Timestamp::default());
    if let Some(last) = reported.get_mut(at).filter(|_| trial && cell.has_candidate()) {
        *last = start;
    }
    if let (Some(listed), Some(test)) = (terms.metrics.get(at), tests.get_mut(at)) {
        test.absorb(terms, listed, cell, trial);
    }
}

/// Bad units of the candidate beyond what the baseline's rate explains.
fn harm(tally: &mut Tally, metric: usize, counts: &Counts) {
    let (Some(baseline), Some(harmed)) = (tally.baseline.get_mut(metric), tally.harmed.get_mut(metric))
    else {
        return;
    };
    let [bad, total] = baseline;
    *bad = bad.saturating_add(counts.baseline_bad);
    *total = total.saturating_add(counts.baseline_total);
    let rate = match (counts.baseline_total, *total) {
        (0, 0) => 0.0,
        (0, total) => real(*bad) / real(total),
        (now, _) => real(counts.baseline_bad) / real(now),
    };
    *harmed += real(counts.candidate_bad) - rate * real(counts.candidate_total);
}

fn traffic(tally: &mut Tally, requests: &Counts, width: Duration) {
    let units = requests.candidate_total.saturating_add(requests.baseline_total);
    let rate = real(units) / width.as_secs_f64().max(1e-3);
    tally.traffic = Some(match tally.traffic {
        Some(before) => before + FRESH * (rate - before),
        None => rate,
    });
}

/// The candidate's share in all of an interval, as far as is known; `None`: it changed, or nobody knows it.
fn share(rollout: &Rollout, start: Timestamp) -> Option<f64> {
    // What a router did then counts, not what it does now: after an outage many intervals arrive and close at once.
    let suspended = rollout.routers.values().any(|router| router.suspended);
    if suspended || start < rollout.tally.suspended_until {
        return None;
    }
    let weight = match rollout.terms.mode {
        Mode::Act => (start >= rollout.weighed).then_some(rollout.weight),
        Mode::Observe | Mode::Gate => rollout.verified_weight(),
    };
    weight.map(|weight| f64::from(weight) / 100.0)
}

fn silence(tally: &mut Tally, requests: &Counts, share: Option<f64>) {
    let (candidate, baseline) = (requests.candidate_total, requests.baseline_total);
    let count = |before: Silence, this: u64, other: u64, odds: Option<f64>| match (this, other, odds) {
        (0, 0, _) | (0, _, None) => before,
        (0, other, Some(odds)) if odds > 0.0 => Silence {
            intervals: before.intervals.saturating_add(1),
            expected: before.expected + odds * real(other),
        },
        _ => Silence::default(),
    };
    let odds = |this: f64| if this < 1.0 { this / (1.0 - this) } else { 0.0 };
    tally.silent_candidate = count(tally.silent_candidate, candidate, baseline, share.map(odds));
    let others = share.map(|share| odds(1.0 - share));
    tally.silent_baseline = count(tally.silent_baseline, baseline, candidate, others);
}
