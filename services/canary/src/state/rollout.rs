//! One rollout under way.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_judge::CountTest;
use auspex_proto::decision::{Decision, Mode, Phase, TrackTarget};
use auspex_proto::observation::Applied;
use auspex_proto::report::{Capacity, RouterReport};
use auspex_proto::score::Band;
use auspex_proto::{FactId, RolloutName, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

use super::brief::{brief, called};
use super::metric::Test;
use super::{Course, Ended, Toll, Window};
use crate::control::Seen;
use crate::document::gates::Approval;
use crate::legs::Leg;
use crate::policy::Cursor;
use crate::terms::Terms;

/// Most routers of a rollout that are told apart.
const MOST_ROUTERS: usize = 32;
/// Most routers of all rollouts of a project under way that are told apart.
pub const MOST_ROUTERS_TOGETHER: usize = 192;
/// Routers that have been silent for so long are no longer there.
pub const ROUTER_LIFE: Duration = Duration::from_secs(10);
/// Intervals over which a user's own rates are taken.
pub const RECENT: usize = 30;

/// One rollout under way: about 6 kB. Its terms are at most [`crate::terms::size::MOST`] bytes; what grows on the way is bounded
/// part by part, and mostly by what routers and checks say of themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its name, unique within the project.
    pub name: RolloutName,
    /// Its service.
    pub service: ServiceName,
    /// The deployment that brought it.
    pub deployment: Option<String>,
    /// The version users are on.
    pub stable: TrackTarget,
    /// The version on trial.
    pub candidate: TrackTarget,
    /// What holds for it.
    pub terms: Terms,
    /// Where it stands.
    pub phase: Phase,
    /// The candidate's share, 0..=100; in `observe` and `gate` what it would be.
    pub weight: u8,
    /// When it began.
    pub started: Timestamp,
    /// When its weight last changed.
    pub weighed: Timestamp,
    /// When it first had weight: what the candidate's track reported before is of an earlier rollout.
    #[serde(default)]
    pub first_weight: Option<Timestamp>,
    /// Frozen when it left `Waiting`.
    #[serde(default)]
    pub prior: Option<Prior>,
    /// P(bad) now.
    #[serde(default)]
    pub posterior: f64,
    /// Intervals not judged yet.
    #[serde(default)]
    pub window: Window,
    /// What was seen in the intervals judged.
    #[serde(default, skip_serializing_if = "is_new")]
    pub tally: Tally,
    /// What routers do, by instance.
    #[serde(default)]
    pub routers: BTreeMap<String, Router>,
    /// Where the steps stand.
    #[serde(default)]
    pub cursor: Cursor,
    /// A later score of a higher band.
    #[serde(default)]
    pub raised: Option<f64>,
    /// Its last decision.
    #[serde(default)]
    pub last: Option<Decision>,
    /// How many decisions there were.
    #[serde(default)]
    pub number: u64,
    /// Where it stands among its legs and gates.
    #[serde(default)]
    pub course: Course,
    /// What is asked of scalers: stable, candidate, percent of all traffic.
    #[serde(default)]
    pub sizes: Option<(u8, u8)>,
    /// What it cost its users.
    #[serde(default)]
    pub toll: Toll,
    /// What begins when this one is over: a version that came while traffic had first to go back. It has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<Rollout>>,
}

/// The score at the start, or the base rate in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// P(failure).
    pub p_failure: f64,
    /// Which score; `None`: the base rate.
    pub score: Option<FactId>,
    /// Its band; `None` for the base rate.
    pub band: Option<Band>,
    /// Which model.
    pub model: String,
    /// Of which features.
    pub features: String,
    /// Sequence of the score's vector.
    pub cause: u64,
    /// Factor on the evidence for harm, from the portfolio.
    pub share: f64,
}

/// What was seen in the intervals judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Errors among requests.
    #[serde(skip_serializing_if = "is_new")]
    pub requests: CountTest,
    /// Slow ones among requests.
    #[serde(skip_serializing_if = "is_new")]
    pub slow: CountTest,
    /// Whether anybody reported `slow`.
    pub has_slow: bool,
    /// What the document lists besides, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<Test>,
    /// When the candidate last reported each of them: starts of intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<Timestamp>,
    /// Which of them have been silent for too long; empty: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<bool>,
    /// Bad units of the candidate beyond what the baseline's rate explains: errors, slow ones.
    pub harmed: [f64; 2],
    /// Bad units and units of the baseline: errors, slow ones.
    pub baseline: [[u64; 2]; 2],
    /// Requests per second of both tracks, smoothed.
    pub traffic: Option<f64>,
    /// What the candidate says it can take, 0..=1.
    pub ready: Option<f64>,
    /// Intervals in a row in which only the baseline was served, and the requests the candidate should have had.
    pub silent_candidate: Silence,
    /// The same the other way round.
    pub silent_baseline: Silence,
    /// Until when some router had taken everything back for want of control: nobody's silence in such an interval means anything.
    #[serde(skip_serializing_if = "is_never")]
    pub suspended_until: Timestamp,
    /// Of the candidate, per interval, the newest last: errors, requests, slow ones, requests.
    pub recent: Vec<[u64; 4]>,
}

fn is_never(time: &Timestamp) -> bool {
    *time == Timestamp::default()
}

/// A test that has seen nothing is a kilobyte of zeros, in every save of a rollout that waits or has ended before its first traffic.
fn is_new<T: Default + PartialEq>(kept: &T) -> bool {
    *kept == T::default()
}

/// Silence of one track beside the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Silence {
    /// Intervals in a row.
    pub intervals: u32,
    /// Requests that it should have had in them.
    pub expected: f64,
}

/// What a router does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// When it said so.
    pub time: Timestamp,
    /// The candidate's share.
    pub weight: u8,
    /// Control is gone, it says.
    pub suspended: bool,
    /// What else it tells.
    #[serde(default)]
    pub report: RouterReport,
    /// Which decision it has carried out.
    #[serde(default)]
    pub decision: Option<FactId>,
}

impl Rollout {
    /// Notes what a router does; `share`: how many routers this rollout may tell apart beside those of others.
    pub fn applied(&mut self, applied: &Applied, time: Timestamp, share: usize) {
        let room = self.routers.len() < MOST_ROUTERS.min(share);
        let name = called(&applied.instance);
        let known = self.routers.get(&name);
        if known.is_some_and(|router| router.time >= time) || (known.is_none() && !room) {
            return;
        }
        let router = Router {
            time,
            weight: applied.weight,
            suspended: applied.suspended,
            report: brief(&applied.report),
            decision: applied.decision.clone().filter(|id| self.course.knows(id)),
        };
        let same = |known: &Router| {
            (known.weight, known.suspended, &known.report)
                == (router.weight, router.suspended, &router.report)
        };
        let hole = |known: &Router| time.since(known.time) > ROUTER_LIFE;
        if self.terms.mode == Mode::Act && !router.report.scaler {
            let from = match known {
                Some(known) if known.suspended || router.suspended || hole(known) => Some(known.time),
                None if router.suspended => Some(time),
                _ => None,
            };
            if let Some(from) = from {
                self.course.watch.unseen(from, time);
            }
        }
        if router.suspended {
            let until = &mut self.tally.suspended_until;
            *until = time.max(*until);
        }
        self.course.routed |= !applied.report.scaler;
        self.course.stirred |= !known.is_some_and(same);
        self.routers.insert(name, router);
    }

    /// Notes that the weight changes at this moment, or begins to count anew.
    pub fn weigh(&mut self, now: Timestamp) {
        self.weighed = now;
        self.course.dwells = Some(self.course.watch.at(now));
    }

    /// For how long its weight has been watched.
    #[must_use]
    pub fn dwelt(&self, now: Timestamp) -> Duration {
        self.course.watch.at(now).since(self.dwells())
    }

    /// Since when its weight counts, by the watched clock.
    #[must_use]
    pub fn dwells(&self) -> Timestamp {
        self.course.dwells.unwrap_or(self.weighed)
    }

    /// Forgets routers that have said nothing for a while.
    pub fn forget_routers(&mut self, before: Timestamp) {
        self.routers.retain(|_, router| router.time >= before);
    }

    /// The weight that all routers have, or the least of them; `None`: no router says.
    #[must_use]
    pub fn verified_weight(&self) -> Option<u8> {
        let routers = self.routers.values().filter(|router| !router.report.scaler);
        routers.map(|router| router.weight).min()
    }

    /// What routers and scalers are seen to do.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let routers = || self.routers.values().filter(|router| !router.report.scaler);
        let weight = |router: &Router| if router.suspended { 0 } else { router.weight };
        // Of a scaled rollout only reports count that know of the last move.
        let knows = |router: &Router, moves: &[FactId]| {
            !self.is_scaled() || router.decision.as_ref().is_some_and(|of| moves.contains(of))
        };
        let weighed = routers().all(|router| knows(router, &self.course.weighed_by));
        let least = routers().map(weight).min().filter(|_| weighed);
        let told = |of: fn(&RouterReport) -> Option<Capacity>| {
            let told = self
                .routers
                .values()
                .filter(|router| of(&router.report).is_some());
            let fresh = told.clone().all(|router| knows(router, &self.course.sized_by));
            let told = told.filter_map(|router| of(&router.report));
            told.map(|capacity| capacity.percent).min().filter(|_| fresh)
        };
        let gauge = self.tally.ready.map(|ready| percent(100.0 * ready));
        let candidate = told(|report| report.candidate);
        let unknown =
            self.is_scaled() && candidate.is_none() && gauge.is_none_or(|gauge| gauge >= self.weight);
        Seen {
            weights: least.zip(routers().map(weight).max()),
            stable: told(|report| report.stable),
            candidate: candidate.into_iter().chain(gauge).min().filter(|_| !unknown),
        }
    }

    /// The most that the candidate may get, as far as anybody says.
    #[must_use]
    pub fn capacity(&self) -> u8 {
        self.seen().candidate.unwrap_or(100)
    }

    /// Whether control scales both tracks.
    #[must_use]
    pub fn is_scaled(&self) -> bool {
        self.terms.mode == Mode::Act && self.terms.scale.is_some()
    }

    /// Every approval that is wanted: what the score asks for, then the document's.
    pub fn approvals(&self) -> impl Iterator<Item = &Approval> {
        let asked = self.course.mitigated.approval.iter();
        asked.chain(&self.terms.gates.approvals)
    }

    /// Least time between two raises.
    #[must_use]
    pub fn min_dwell(&self) -> Duration {
        let dwell = self.terms.min_dwell.duration();
        match self.course.mitigated.cautious {
            true => dwell * 2,
            false => dwell,
        }
    }

    /// The leg at hand; `None`: it is past the last one.
    #[must_use]
    pub fn leg(&self) -> Option<&Leg> {
        self.terms.legs.get(self.course.leg)
    }

    /// Requests harmed so far, the worse of errors and slowness.
    #[must_use]
    pub fn harmed(&self) -> u64 {
        let worst = self.tally.harmed.iter().copied().fold(0.0, f64::max);
        whole(worst)
    }

    /// P(failure) at the start; the base rate while it waits.
    #[must_use]
    pub fn p_failure(&self) -> f64 {
        self.prior
            .as_ref()
            .map_or(self.terms.base_rate, |prior| prior.p_failure)
    }

    pub(super) fn into_ended(self, now: Timestamp) -> Ended {
        Ended {
            prior: self.p_failure(),
            policy: self.terms.policy.name().to_owned(),
            name: self.name.clone(),
            service: self.service.clone(),
            mode: self.terms.mode,
            phase: self.phase,
            weight: self.weight,
            posterior: self.posterior,
            stable: self.stable.clone(),
            candidate: self.candidate.clone(),
            started: self.started,
            ended: now,
            toll: self.toll.clone(),
            harmed: self.harmed(),
            traffic: self.tally.traffic.unwrap_or(0.0),
            contracted: self.course.contracted,
            last: self.last.clone(),
            whole: kept(self),
        }
    }
}

/// What is kept of it: nothing that grew on the way.
fn kept(rollout: Rollout) -> Option<Box<Rollout>> {
    Some(Box::new(Rollout {
        window: Window::default(),
        tally: Tally::default(),
        routers: BTreeMap::new(),
        last: None,
        next: None,
        ..rollout
    }))
}

/// Rounded down, 0..=100.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=100 before"
)]
pub(crate) fn percent(share: f64) -> u8 {
    share.clamp(0.0, 100.0).floor() as u8
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded and not below 0"
)]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}
