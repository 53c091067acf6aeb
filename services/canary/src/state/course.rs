//! Where a rollout stands among its legs and gates.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::decision::Reason;
use auspex_proto::{FactId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Watch;
use crate::document::gates::Approval;

/// Most persons and checks that are remembered, each: what a document may name, and some more.
pub const MOST_PASSES: usize = 40;

/// Most decisions of one move that are remembered.
const MOST_MOVES: usize = 8;

/// Where a rollout stands. At most 16 kB: 40 passes and checks, whose texts are cut at 160 bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// The leg at hand, from 0; past the last one: on the way to everything.
    pub leg: usize,
    /// Since when, by the watched clock.
    pub since: Timestamp,
    /// The gates before the first request are behind it.
    pub open: bool,
    /// Gates that a person has passed.
    pub passed: BTreeMap<String, Pass>,
    /// Checks that were asked for.
    pub checks: BTreeMap<String, Run>,
    /// Why another service has to come first.
    pub blocked: Option<String>,
    /// Why everything may be had: the last leg's word.
    pub proof: Option<(Reason, String)>,
    /// In how many regions the candidate has everything.
    pub regions: usize,
    /// Since when in the last of them, by the watched clock.
    pub region_since: Timestamp,
    /// Since when it has everything, by the watched clock.
    pub baking: Option<Timestamp>,
    /// A person ended the bake.
    pub baked: bool,
    /// Somebody has paused the bake: it does not end before he lets it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Why it returns, and since when.
    pub returning: Option<(Reason, String, Timestamp)>,
    /// The database has lost what only the old version needs.
    pub contracted: bool,
    /// Until when a freeze window holds, as last seen.
    pub frozen: Option<Timestamp>,
    /// The newest decisions since the weight last changed: a router that knows of one of them shows that weight.
    pub weighed_by: Vec<FactId>,
    /// The same since a size last changed, for scalers.
    pub sized_by: Vec<FactId>,
    /// Something has happened since the last tick: the next one is wanted.
    pub stirred: bool,
    /// Some router has said which weight it has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    /// Since when the candidate has not been ready while it has everything.
    pub unready: Option<Timestamp>,
    /// What its score has asked.
    #[serde(skip_serializing_if = "is_nothing")]
    pub mitigated: Mitigated,
    /// The time that counts as watched.
    pub watch: Watch,
    /// When the weight last changed, or somebody resumed, by the watched clock; `None`: not since it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dwells: Option<Timestamp>,
    /// Since when it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Timestamp>,
    /// How long it was paused before that: no deadline counts it.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub idle: Duration,
}

fn is_nothing(mitigated: &Mitigated) -> bool {
    *mitigated == Mitigated::default()
}

impl Course {
    /// Whether a decision is one of those that a report may name.
    #[must_use]
    pub fn knows(&self, id: &FactId) -> bool {
        self.weighed_by.contains(id) || self.sized_by.contains(id)
    }

    /// Notes whether it is paused from now on.
    pub fn pauses(&mut self, paused: bool, now: Timestamp) {
        match (paused, self.paused) {
            (true, None) => self.paused = Some(now),
            (false, Some(since)) => {
                self.idle = self.idle.saturating_add(now.since(since));
                self.paused = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Notes a decision, and whether it moved weight or sizes.
    pub fn decided(&mut self, id: &FactId, weight: bool, sizes: bool) {
        for (list, moved) in [(&mut self.weighed_by, weight), (&mut self.sized_by, sizes)] {
            if moved {
                list.clear();
            }
            if list.len() >= MOST_MOVES {
                list.remove(0);
            }
            list.push(id.clone());
        }
    }
}

/// What a score has asked of a rollout whose document lets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mitigated {
    /// A person has to say yes before the first traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Its policy is cautious.
    pub cautious: bool,
    /// Whose words these are: P(failure) and model.
    pub why: String,
}

/// A person let it pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pass {
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Why, in their words.
    pub note: String,
    /// The ticket, where one was wanted.
    pub ticket: String,
}

/// A check that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was asked for.
    pub at: Timestamp,
    /// How it went; `None`: nobody has said.
    pub passed: Option<bool>,
    /// What was said.
    pub detail: String,
}

/// What a rollout cost its users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Toll {
    /// Seconds in which users of the candidate fared worse than the target admits.
    pub impact_seconds: f64,
    /// From when on it goes back.
    pub left: Option<Timestamp>,
    /// When routers were seen at 0.
    pub back: Option<Timestamp>,
}
