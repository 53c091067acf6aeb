//! What is kept of a route over its holders. Pure.

use auspex_proto::Timestamp;
use auspex_proto::decision::Phase;
use auspex_proto::report::Drift;
use serde::{Deserialize, Serialize};

use crate::course::Order;
use crate::router::{Intent, Verified};

/// What is kept of a route over its holders. Below 4 kB, less its cohorts (16 at most).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// What the route is, for whoever answers for it and does not serve it.
    pub face: Face,
    /// The last intent that was carried out.
    pub settled: Option<Settled>,
    /// Somebody else's change that has been found and left.
    pub drift: Option<Drift>,
    /// The last intent, and why it is not carried out in full; `None`: there is none.
    pub asked: Option<Asked>,
    /// What was read at the data plane last, percent; `None`: it does not tell, or was never read.
    pub observed: Option<u8>,
    /// What a person should know beside it.
    pub note: String,
    /// When this was written.
    pub at: Timestamp,
    /// How many intents have been carried out, over all holders.
    pub flips: u64,
}

/// What a route is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Face {
    /// Whose decisions are followed.
    pub project: String,
    /// For which service.
    pub service: String,
    /// The adapter.
    pub kind: String,
    /// Where; empty: there is one region only.
    pub region: String,
    /// How a weight is verified; empty: it cannot be.
    pub verified_by: String,
    /// What it can do beside weights: `header`, `cookie`, `user`, `mirror`, `scale`.
    pub can: Vec<String>,
    /// Milliseconds of silence of control after which its watchdog acts; 0: weights stay.
    pub watchdog_ms: u64,
    /// It tells of sizes alone.
    pub scaler: bool,
}

/// The last intent, and how it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// It.
    pub intent: Intent,
    /// What of it this router cannot do.
    pub refused: Vec<String>,
    /// Why it is not carried out yet; empty: it is.
    pub fault: String,
}

/// An intent that was carried out in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// It; its decision is the last of those that asked the same.
    pub intent: Intent,
    /// Where the rollout stood.
    pub phase: Phase,
    /// Whether it was read back as it was written.
    pub held: bool,
    /// Whether the data plane itself was seen to follow it.
    pub verified: Verified,
    /// When.
    pub at: Timestamp,
}

impl Record {
    /// Whether what is asked was read back at the data plane.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let asked = self.asked.as_ref().map(|asked| &asked.intent.decision);
        let settled = self.settled.as_ref();
        self.drift.is_none()
            && settled.is_some_and(|s| {
                s.verified.is_verified() && asked.is_none_or(|asked| *asked == s.intent.decision)
            })
    }

    /// Why the last decision is not carried out in full; empty: it is.
    #[must_use]
    pub fn fault(&self) -> String {
        let asked = self.asked.iter();
        let parts = asked.flat_map(|asked| asked.refused.iter().chain([&asked.fault]));
        let said: Vec<&str> = parts
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        said.join("; ")
    }
}

impl Settled {
    /// An intent that has just been carried out.
    #[must_use]
    pub fn new(intent: &Intent, order: &Order, (verified, held): (Verified, bool), at: Timestamp) -> Self {
        Self {
            intent: intent.clone(),
            phase: order.phase,
            held,
            verified,
            at,
        }
    }

    /// Whether the intent asks for what was settled, by whatever decision.
    #[must_use]
    pub fn is(&self, intent: &Intent) -> bool {
        let mine = &self.intent;
        mine.rollout == intent.rollout
            && mine.weight == intent.weight
            && mine.cohorts == intent.cohorts
            && mine.mirror == intent.mirror
            && mine.stable == intent.stable
            && mine.candidate == intent.candidate
            && mine.swapped == intent.swapped
            && mine.suspended == intent.suspended
    }

    /// Whether the intent gives the candidate more, in the ordinary course of the same rollout: weight, or at the same weight
    /// other cohorts or copies.
    pub(crate) fn rises_to(&self, intent: &Intent) -> bool {
        let mine = &self.intent;
        let beside = mine.cohorts != intent.cohorts || mine.mirror != intent.mirror;
        mine.rollout == intent.rollout
            && mine.swapped == intent.swapped
            && !mine.suspended
            && !intent.insists
            && (intent.weight > mine.weight || (intent.weight == mine.weight && beside))
            && self.held
    }
}
