//! Time passing, as a fact: written by the owner of a partition in `canary`, so that silence can be judged and a replay
//! sees it in the same places.

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::meta::Meta;
use crate::time::Timestamp;
use crate::wire;

/// A boundary of time that has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The head.
    pub meta: Meta,
    /// The boundary.
    pub boundary: Timestamp,
    /// The boundary before it; `None` for the first. A gap is one tick, not a burst.
    pub previous: Option<Timestamp>,
}

impl Tick {
    pub(crate) fn from_wire(tick: wire::Tick) -> Result<Self, Invalid> {
        if tick.previous_ms != 0 && tick.previous_ms >= tick.boundary_ms {
            return Err(Invalid::new("boundary_ms", "is not after previous_ms"));
        }
        Ok(Self {
            meta: Meta::from_wire(tick.meta)?,
            boundary: Timestamp(tick.boundary_ms),
            previous: (tick.previous_ms != 0).then_some(Timestamp(tick.previous_ms)),
        })
    }

    pub(crate) fn to_wire(&self) -> wire::Tick {
        wire::Tick {
            meta: self.meta.to_wire(),
            boundary_ms: self.boundary.0,
            previous_ms: self.previous.map_or(0, |p| p.0),
        }
    }
}
