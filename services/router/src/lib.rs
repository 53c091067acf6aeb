//! Routers: decisions carried to data planes outside.
//!
//! *Reads* `Decision` (the last one per service that acts) and the pulses of control. *Writes* `Observation` batches that say
//! what is applied and whether it was verified. *Answers* `RouterService` (list, get). *Remembers* per route what was carried
//! out last, and somebody else's change that stands ([`record::Record`]).
//!
//! *Invariants*: one process at a time acts on a route, and asks the server and the log right before each change outside
//! ([`router::Fence`]); what grows is raised before the other is lowered; more is given to the candidate only where things are
//! as they were left; somebody else's change is told and left; a rollback waits for nothing.

pub mod config;
pub mod course;
pub mod envoy;
mod fence;
mod figures;
mod follow;
pub mod haproxy;
pub mod kubernetes;
mod lane;
pub mod plan;
mod query;
pub mod record;
pub mod registry;
mod report;
pub mod router;
pub mod silence;
pub mod testing;
pub mod webhook;
mod worker;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use auspex_proto::stage;
use auspex_proto::wire::router_service_server::RouterServiceServer;

pub use config::Config;

/// The service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::ROUTER.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::ROUTER.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::ROUTER.name)?;
    if config.routes.is_empty() {
        tracing::info!("there are no routes to data planes outside");
    } else {
        follow::start(&house, &config).await?;
    }
    let answers = query::Answers::new(house, config);
    Ok(Part::empty().grpc(RouterServiceServer::new(answers)))
}
