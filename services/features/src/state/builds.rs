//! How runs of each name usually go.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::event::Outcome;
use serde::{Deserialize, Serialize};

use super::make_room;
use crate::decay::Moments;

/// How many names are remembered, of runs and of their jobs; 110 bytes each.
const CAPACITY: usize = 128;
const HALF_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Runs by hash of their name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Builds(BTreeMap<u64, Build>);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Build {
    /// Seconds of those that succeeded.
    #[serde(rename = "d")]
    duration: Moments,
    /// 1 for each that failed, 0 for each that succeeded.
    #[serde(rename = "f")]
    failed: Moments,
    #[serde(rename = "t")]
    used: Timestamp,
}

/// How runs of a name went before this one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Before {
    /// Mean seconds of those that succeeded.
    pub seconds: Option<f64>,
    /// Share that failed, 0..=1.
    pub failure_rate: Option<f64>,
}

impl Before {
    /// A duration against the mean of those before.
    #[must_use]
    pub fn ratio(&self, duration: Option<Duration>) -> Option<f32> {
        let mean = self.seconds.filter(|mean| *mean > 0.0)?;
        Some(duration?.as_secs_f32() / mean as f32)
    }
}

/// Whether a run says something about the code: `Some(true)` when it failed.
#[must_use]
pub fn failed(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Success => Some(false),
        Outcome::Failure | Outcome::Timeout => Some(true),
        Outcome::Error | Outcome::Cancellation | Outcome::Skip => None,
    }
}

impl Builds {
    /// Counts a finished run; answers how its name went before.
    pub fn count(
        &mut self,
        name: u64,
        at: Timestamp,
        outcome: Outcome,
        duration: Option<Duration>,
    ) -> Before {
        if !self.0.contains_key(&name) {
            make_room(&mut self.0, CAPACITY, |build| build.used);
        }
        let build = self.0.entry(name).or_default();
        let before = Before {
            seconds: build.duration.mean(),
            failure_rate: build.failed.mean(),
        };
        build.used = build.used.max(at);
        if let Some(failed) = failed(outcome) {
            build.failed.add(at, if failed { 1.0 } else { 0.0 }, HALF_LIFE);
            // A failed run stops early: its duration says nothing about how long one takes.
            if let (false, Some(duration)) = (failed, duration) {
                build.duration.add(at, duration.as_secs_f64(), HALF_LIFE);
            }
        }
        before
    }
}
