//! What `features` remembers of a project, bounded by construction: 10 kB for a small project, 75 kB for a busy
//! one (256 revisions with two runs each), at most 600 kB.

pub mod authors;
pub mod builds;
pub mod changes;
pub mod deployments;
pub mod health;
pub mod season;
mod values;

use auspex_proto::Timestamp;
use auspex_proto::seen::Seen;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::values::Values;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The time of the log at the last fact absorbed.
    pub as_of: Timestamp,
    /// Events already counted.
    pub seen: Seen,
    /// Batches of observations already counted: apart, since they are many more.
    pub batches: Seen,
    /// Attempts of runs that have been told of, where builds are served.
    #[serde(skip_serializing_if = "nothing")]
    pub begun: Seen,
    /// Recent changes by revision.
    pub changes: changes::Changes,
    /// Authors.
    pub authors: authors::Authors,
    /// Runs by name.
    pub builds: builds::Builds,
    /// Deployments and incidents by service.
    pub deployments: deployments::Deployments,
    /// Health by service and environment.
    pub health: health::Health,
}

fn nothing(seen: &Seen) -> bool {
    *seen == Seen::default()
}

/// A name as a key of fixed size: names may be 256 bytes long, and those of people need not be kept.
#[must_use]
pub fn key(name: &str) -> u64 {
    let mut first = [0_u8; 8];
    let digest = Sha256::digest(name.as_bytes());
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    u64::from_le_bytes(first)
}

/// Makes room in a map of bounded size for one more: the entry least recently used goes, by key among equals.
pub(crate) fn make_room<K: Ord + Clone, V>(
    map: &mut std::collections::BTreeMap<K, V>,
    capacity: usize,
    used: impl Fn(&V) -> Timestamp,
) {
    while map.len() >= capacity.max(1) {
        let oldest = map
            .iter()
            .min_by_key(|(_, value)| used(value))
            .map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return };
        map.remove(&oldest);
    }
}
