//! What passed: metrics over time, and every fact in its order, kept for good.
//!
//! *Reads*: every fact, as it lies on the log.
//! *Writes*: nothing on the log; metrics into a time-series database, facts into an archive.
//! *Answers*: `History`: ranges of a metric, the facts of a rollout, exports to Parquet, whether the archive is whole, who
//! asked and what decided.
//! *Remembers*: in the archive how far it is; in its folder how far the metrics are, and those that wait for their database.
//! *Invariants*: a fact is in the archive once, behind every fact before it; no segment is altered, left out or put elsewhere
//! unseen; what is lost before it could be archived is said; a point is written once however often it is sent.

pub mod config;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use futures::future::BoxFuture;

use crate::config::Config;

/// This service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: "history",
    build,
    section: Section::of::<Config>("history"),
};

fn build(_house: House) -> BoxFuture<'static, anyhow::Result<Part>> {
    Box::pin(async move { Ok(Part::empty()) })
}
