//! Which way is worse.

use serde::{Deserialize, Serialize};

use crate::numeric::log_mix;

/// Which way a metric gets worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Higher is worse (latency, memory).
    Increase,
    /// Lower is worse (conversions, cache hits).
    Decrease,
    /// Any change is worse: both ways share the error rate evenly.
    #[default]
    Either,
}

impl Direction {
    /// Log evidence for what is worse, given that for upwards (true) and for downwards.
    pub(super) fn mixed(self, one_way: impl Fn(bool) -> f64) -> f64 {
        match self {
            Self::Increase => one_way(true),
            Self::Decrease => one_way(false),
            Self::Either => log_mix([(0.5, one_way(true)), (0.5, one_way(false))].into_iter()),
        }
    }
}
