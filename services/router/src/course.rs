//! What a service's last acting decision asks of its routers. Pure.

use std::time::Duration;

use auspex_proto::decision::{Action, Phase};
use auspex_proto::{Decision, FactId, Project, RolloutName, ServiceName, intent};
use serde::{Deserialize, Serialize};

use crate::record::Settled;
use crate::router::Intent;

/// What one route is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Whose decisions are followed.
    pub project: Project,
    /// For which service.
    pub service: ServiceName,
    /// Where the router is; empty when there is one region only.
    pub region: String,
    /// The last acting decision.
    pub order: Option<Order>,
}

/// The part of a decision that a router needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Order {
    pub seq: u64,
    pub cause: u64,
    pub id: FactId,
    pub rollout: RolloutName,
    pub number: u64,
    pub phase: Phase,
    pub action: Action,
    pub weight: u8,
    pub stable_revision: String,
    pub candidate_revision: String,
    pub beside: intent::Intent,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The course follows it.
    Followed,
    /// It is about something else.
    NotOurs,
    /// It does not act.
    DoesNotAct,
    /// A later one is known.
    Old,
}

/// How control is doing, for the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Silence of control after which the watchdog acts; `None`: there is no watchdog, and weights stay.
    pub watchdog: Option<Duration>,
    /// For how long control has been silent; `None`: not heard of yet.
    pub silence: Option<Duration>,
    /// Stable is known to be unable to take everything, and the candidate to serve: traffic is never sent back to that.
    pub stable_is_short: bool,
}

/// What promotion does to the two places of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slots {
    /// They change roles: what was promoted is stable where it stands, and the next candidate takes the other place.
    #[default]
    Swap,
    /// They do not: whoever deploys brings the promoted version to stable's place before the next rollout begins.
    Fixed,
}

impl Course {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(project: Project, service: ServiceName, region: &str) -> Self {
        Self {
            project,
            service,
            region: region.to_owned(),
            order: None,
        }
    }

    /// Follows a decision, unless it does not act or a later one is known: one of a later cause, or of the same one and
    /// later in the log. `seq`: its sequence in the log.
    pub fn absorb(&mut self, decision: &Decision, seq: u64) -> Outcome {
        if decision.service != self.service || decision.meta.project != self.project {
            return Outcome::NotOurs;
        }
        if !decision.acts {
            return Outcome::DoesNotAct;
        }
        let place = (decision.meta.cause, seq);
        if self.order.as_ref().is_some_and(|o| (o.cause, o.seq) >= place) {
            return Outcome::Old;
        }
        self.order = Some(Order::of(decision, seq, &self.region));
        Outcome::Followed
    }

    /// What is to hold at this moment; `None`: nothing was asked yet.
    #[must_use]
    pub fn intent(
        &self,
        epoch: u64,
        settled: Option<&Settled>,
        control: Control,
        slots: Slots,
    ) -> Option<Intent> {
        let order = self.order.as_ref()?;
        let swapped = slots == Slots::Swap && order.is_swapped(settled);
        let suspended = order.is_under_way() && control.is_gone();
        let mut intent = Intent {
            decision: order.id.clone(),
            seq: order.seq,
            epoch,
            mark: 0,
            times: settled
                .filter(|settled| settled.intent.decision == order.id)
                .map_or(0, |settled| settled.intent.times + 1),
            rollout: order.rollout.clone(),
            stable_revision: order.stable_revision.clone(),
            candidate_revision: order.candidate_revision.clone(),
            weight: order.weight,
            cohorts: order.beside.cohorts.clone(),
            mirror: order.beside.mirror,
            stable: order.beside.stable,
            candidate: order.beside.candidate,
            swapped,
            insists: order.insists(),
            suspended,
        };
        if suspended {
            // Whoever has no control any more scales nothing.
            (intent.weight, intent.mirror) = (0, 0);
            (intent.stable, intent.candidate) = (None, None);
            intent.cohorts.clear();
        }
        Some(intent)
    }
}

impl Control {
    /// Whether the watchdog is to act.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let lapsed = |lease| self.silence.is_none_or(|silence| silence > lease);
        self.watchdog.is_some_and(lapsed) && !self.stable_is_short
    }
}

impl Order {
    fn of(decision: &Decision, seq: u64, region: &str) -> Self {
        let beside = decision.intent.clone().unwrap_or_default();
        let weight = match decision.phase {
            Phase::Promoted => 100,
            Phase::RolledBack => 0,
            _ => beside.weight_in(region, decision.weight).min(100),
        };
        Self {
            seq,
            cause: decision.meta.cause,
            id: decision.meta.id.clone(),
            rollout: decision.rollout.clone(),
            number: decision.number,
            phase: decision.phase,
            action: decision.action,
            weight,
            stable_revision: decision.stable.revision.clone(),
            candidate_revision: decision.candidate.revision.clone(),
            beside,
        }
    }

    /// Whether what holds depends on control being there.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        let open =
            (1..100).contains(&self.weight) || !self.beside.cohorts.is_empty() || self.beside.mirror > 0;
        !self.phase.is_terminal() && open
    }

    /// Whether it is carried out whatever somebody else has set: all but what leaves things as they are, and the next raise
    /// in the course of things.
    fn insists(&self) -> bool {
        !matches!(self.action, Action::Hold | Action::Pause | Action::Advance)
    }

    /// Whether this is another rollout than the one that was settled: of a terminal one only the end can change.
    fn is_another(&self, settled: &Settled) -> bool {
        self.rollout != settled.intent.rollout
            || (settled.phase.is_terminal() && !self.phase.is_terminal())
            || (!self.candidate_revision.is_empty()
                && self.candidate_revision != settled.intent.candidate_revision)
    }

    /// Which place is stable's. A new rollout turns them when the one before was promoted; it may say so itself, by the
    /// revision that it calls stable, where the promotion was never seen here.
    fn is_swapped(&self, settled: Option<&Settled>) -> bool {
        let Some(settled) = settled else {
            return false;
        };
        if !self.is_another(settled) {
            return settled.intent.swapped;
        }
        let told = |revision: &str| !revision.is_empty() && revision == self.stable_revision;
        let promoted = told(&settled.intent.candidate_revision)
            || (settled.phase == Phase::Promoted && !told(&settled.intent.stable_revision));
        settled.intent.swapped != promoted
    }
}

#[cfg(test)]
mod tests;
