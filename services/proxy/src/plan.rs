//! What every listed service is to do: the state that decisions and pulses lead to, and what holds at a given moment. Pure.
//!
//! A course depends on the routing table and on the service's last acting decision alone, so a proxy that starts anew goes
//! on where it was. Moments are passed in, as the time since the process began on a clock that never goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::decision::{Affinity, Phase, TrackTarget};
use auspex_proto::intent::Cohort;
use auspex_proto::{Decision, FactId, Partition, Partitions, Project, RolloutName, ServiceName};

use crate::origin::Origin;

/// Time since the process began.
pub type Moment = Duration;

/// The rules of the house.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether targets named by a decision replace the listed ones.
    pub follow_targets: bool,
    /// How long a weight under way holds without a pulse of control.
    pub lease: Duration,
    /// How projects spread.
    pub partitions: Partitions,
    /// Where this proxy stands, for weights by region; empty when there is one region only.
    pub region: String,
}

/// A service as the operator listed it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Listed {
    pub project: Project,
    pub service: ServiceName,
    pub stable: Origin,
    pub candidate: Option<Origin>,
}

/// Whether a target answers its health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Not asked yet, or not to be asked.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The course follows it.
    Followed,
    /// The service is not in the routing table.
    NotListed,
    /// It does not act: another router drives, or nobody does.
    DoesNotAct,
    /// A later one is known.
    Old,
}

/// What one service is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// As listed.
    pub listed: Listed,
    /// The last acting decision.
    pub order: Option<Order>,
    /// What serves users.
    pub stable: Origin,
    /// What is on trial.
    pub candidate: Option<Origin>,
    /// Why the decision cannot be carried out in full; everything then goes to stable.
    pub fault: Option<String>,
    /// A weight set by hand: it needs no control.
    by_hand: Option<u8>,
    partition: Partition,
}

/// The part of a decision that a data plane needs.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Order {
    pub seq: u64,
    pub cause: u64,
    pub id: FactId,
    pub rollout: RolloutName,
    pub number: u64,
    pub phase: Phase,
    pub weight: u8,
    pub affinity: Option<Affinity>,
    pub slo_ms: Option<f64>,
    /// Users with a track of their own, whatever the weight is; the first that fits counts.
    pub cohorts: Vec<Cohort>,
    /// Percent of requests that the candidate gets a copy of, 0..=100.
    pub mirror: u8,
    /// Share of requests to sample; `None`: as their senders say.
    pub sampling: Option<f64>,
}

/// What holds for a service at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effective {
    /// The candidate's share, 0..=100.
    pub weight: u8,
    /// Control is gone: everything goes to stable until it is back.
    pub suspended: bool,
}

/// All courses, and when control was last heard of.
#[derive(Debug, Clone)]
pub struct Plan {
    rules: Rules,
    courses: Vec<Course>,
    pulses: BTreeMap<Partition, Moment>,
}

impl Plan {
    /// Everything on the listed stable.
    #[must_use]
    pub fn new(rules: Rules, listed: Vec<Listed>) -> Self {
        let course = |listed: Listed| Course {
            stable: listed.stable.clone(),
            candidate: listed.candidate.clone(),
            partition: rules.partitions.of(&listed.project),
            listed,
            order: None,
            fault: None,
            by_hand: None,
        };
        let courses = listed.into_iter().map(course).collect();
        Self {
            rules,
            courses,
            pulses: BTreeMap::new(),
        }
    }

    /// All courses, in the order in which they were listed.
    #[must_use]
    pub fn courses(&self) -> &[Course] {
        &self.courses
    }

    /// Follows a decision, unless it does not act or a later one is known: one of a later cause, or of the same one and later
    /// in the log. `seq`: its sequence in the log. A decision may stand there twice, the second time behind later ones.
    pub fn absorb(&mut self, decision: &Decision, seq: u64) -> Outcome {
        let ours = |c: &&mut Course| {
            c.listed.service == decision.service && c.listed.project == decision.meta.project
        };
        let Some(course) = self.courses.iter_mut().find(ours) else {
            return Outcome::NotListed;
        };
        if !decision.acts {
            return Outcome::DoesNotAct;
        }
        let place = (decision.meta.cause, seq);
        if course
            .order
            .as_ref()
            .is_some_and(|order| (order.cause, order.seq) >= place)
        {
            return Outcome::Old;
        }
        course.follow(decision, seq, &self.rules);
        Outcome::Followed
    }

    /// Why the course that this decision is about cannot be followed in full.
    #[must_use]
    pub fn fault(&self, decision: &Decision) -> Option<&str> {
        let course = self.courses.iter().find(|course| {
            course.listed.service == decision.service && course.listed.project == decision.meta.project
        });
        course?.fault.as_deref()
    }

    /// Control of a partition lives.
    pub fn pulse(&mut self, partition: Partition, now: Moment) {
        let last = self.pulses.entry(partition).or_insert(now);
        *last = (*last).max(now);
    }

    /// Sets a weight by hand, for those who drive without a bus. Above 100 counts as 100. `false`: no such course.
    pub fn set_weight(&mut self, course: usize, weight: u8) -> bool {
        let course = self.courses.get_mut(course);
        course.map(|c| c.by_hand = Some(weight.min(100))).is_some()
    }

    /// How long control of this course has been silent; `None`: not heard of yet.
    #[must_use]
    pub fn silence(&self, course: &Course, now: Moment) -> Option<Duration> {
        self.pulses
            .get(&course.partition)
            .map(|last| now.saturating_sub(*last))
    }

    /// What holds at this moment, given which targets answer.
    ///
    /// A weight under way (`0 < weight < 100`, the rollout not at its end) holds while control is heard of; after the lease
    /// everything goes to stable, unless stable is known to be down and the candidate to be up.
    #[must_use]
    pub fn effective(
        &self,
        course: &Course,
        now: Moment,
        stable: Readiness,
        candidate: Readiness,
    ) -> Effective {
        let weight = course.weight();
        let lapsed = self
            .silence(course, now)
            .is_none_or(|silence| silence > self.rules.lease);
        let worse_off = stable == Readiness::Down && candidate == Readiness::Up;
        let suspended = course.under_way() && lapsed && !worse_off;
        Effective {
            weight: if suspended { 0 } else { weight },
            suspended,
        }
    }
}

impl Course {
    /// The weight asked for, 0..=100; 0 without a candidate.
    #[must_use]
    pub fn weight(&self) -> u8 {
        if self.candidate.is_none() {
            return 0;
        }
        let asked = self.order.as_ref().map_or(0, |order| order.weight);
        self.by_hand.unwrap_or(asked)
    }

    /// Whether the service is on trial: a rollout has begun and is not at its end, or a weight was set by hand.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        self.by_hand.is_some()
            || self
                .order
                .as_ref()
                .is_some_and(|order| !order.phase.is_terminal())
    }

    /// Whether the candidate has become what users are on.
    #[must_use]
    pub fn is_promoted(&self) -> bool {
        let promoted = self
            .order
            .as_ref()
            .is_some_and(|order| order.phase == Phase::Promoted);
        promoted && self.by_hand.is_none()
    }

    /// Whether the weight depends on control being there.
    fn under_way(&self) -> bool {
        let progressing = self
            .order
            .as_ref()
            .is_some_and(|order| !order.phase.is_terminal());
        let open = |order: &Order| !order.cohorts.is_empty() || order.mirror > 0;
        let some = (1..100).contains(&self.weight()) || self.order.as_ref().is_some_and(open);
        self.by_hand.is_none() && progressing && some
    }

    fn follow(&mut self, decision: &Decision, seq: u64, rules: &Rules) {
        let targets = rules.follow_targets;
        let beside = decision.intent.clone().unwrap_or_default();
        let stable = self.target(&decision.stable, targets, Some(&self.listed.stable));
        let candidate = self.target(&decision.candidate, targets, self.listed.candidate.as_ref());
        self.fault = None;
        for (track, found) in [("stable", &stable), ("candidate", &candidate)] {
            if let Err(fault) = found {
                self.fault = Some(format!("{track}: {fault}"));
            }
        }
        self.stable = stable
            .ok()
            .flatten()
            .unwrap_or_else(|| self.listed.stable.clone());
        self.candidate = candidate.ok().flatten();
        let weight = match decision.phase {
            Phase::Promoted => 100,
            Phase::RolledBack => 0,
            Phase::Waiting | Phase::Progressing | Phase::Paused | Phase::Baking | Phase::Returning => {
                beside.weight_in(&rules.region, decision.weight).min(100)
            }
        };
        if weight > 0 && self.candidate.is_none() && self.fault.is_none() {
            self.fault =
                Some("candidate: neither the decision nor the routing table says where it is".to_owned());
        }
        if let (Phase::Promoted, Some(candidate)) = (decision.phase, &self.candidate) {
            // It is what users are on now; it also stays the candidate, so that the decision is seen to be carried out.
            self.stable = candidate.clone();
        }
        self.by_hand = None;
        self.order = Some(Order {
            seq,
            cause: decision.meta.cause,
            id: decision.meta.id.clone(),
            rollout: decision.rollout.clone(),
            number: decision.number,
            phase: decision.phase,
            weight,
            affinity: decision.affinity.clone(),
            slo_ms: decision.slo_ms,
            cohorts: beside.cohorts,
            mirror: beside.mirror.min(100),
            sampling: beside.sampling,
        });
    }

    /// The decision's own target where it is followed; a target that cannot be read is a fault and never replaced by the
    /// listed one, which may be another version.
    fn target(
        &self,
        named: &TrackTarget,
        follow: bool,
        listed: Option<&Origin>,
    ) -> Result<Option<Origin>, auspex_proto::Invalid> {
        if follow && !named.url.is_empty() {
            Origin::parse(&named.url).map(Some)
        } else {
            Ok(listed.cloned())
        }
    }
}

#[cfg(test)]
mod tests;
