//! Routers: decisions carried to data planes outside.
//!
//! *Reads* `Decision` (the last one per service that acts) and the pulses of control. *Writes* `Observation` batches that say
//! what is applied and whether it was verified. *Answers* `RouterService`. *Remembers* per route what was settled last
//! ([`plan::Record`]).
//!
//! *Invariants*: one process at a time acts on a route, and passes a fence before each change outside; what grows is raised
//! before the other is lowered; somebody else's change is reported and left.

pub mod course;
pub mod plan;
pub mod router;
pub mod testing;
