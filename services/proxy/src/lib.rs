//! The embedded data plane: a weighted HTTP/1.1 reverse proxy that carries out decisions and reports what users got.
//!
//! *Reads* `Decision` (the last one per service that acts) and the pulses of control. *Writes* `Observation` batches, one
//! per project and second: `requests`, `slow`, `latency_ms` and `ready` per track, and what is carried out ([`report`]).
//! *Answers* users' requests on its own listener, and `GET /proxy/status`. *Remembers* nothing: a course follows from the
//! routing table and the last decision ([`plan`]), so a proxy that starts anew goes on where it was.
//!
//! *Invariants*: a weight under way holds only while control is heard of (law 7); a change of weight touches no request that
//! is under way; a request is sent a second time only when that cannot do anything twice (the rule of `forward`); every request
//! is counted in exactly one interval; raising a weight never moves a user of a sticky cohort back to stable ([`split`]).

mod aside;
mod backlog;
pub mod body;
pub mod config;
mod connection;
mod exchange;
pub mod follow;
mod forward;
pub mod headers;
pub mod health;
mod lane;
mod link;
mod mirror;
pub mod origin;
pub mod plan;
pub mod plane;
pub mod report;
pub mod route;
pub mod second;
mod serve;
mod shard;
pub mod split;
mod status;
pub mod tally;
mod tunnel;

use anyhow::Context;
use auspex_chassis::{House, Part, Section, ServiceSpec};
use tokio::net::TcpListener;

pub use plane::Plane;
pub use serve::serve;

/// The service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: "proxy",
    build: |house| Box::pin(build(house)),
    section: Section::of::<config::Config>("proxy"),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: config::Config = house.settings("proxy")?;
    let plane = Plane::new(config, house.partitions())
        .map_err(|mistakes| anyhow::anyhow!("proxy: {}", mistakes.join("; ")))?;
    if plane.config.routes.is_empty() {
        tracing::info!("the proxy has no routes and listens nowhere");
        return Ok(Part::http(status::router(plane, None)));
    }
    let listen = plane.config.listen.clone();
    let listener = TcpListener::bind(&listen)
        .await
        .with_context(|| format!("proxy.listen: {listen}"))?;
    let address = listener.local_addr()?;
    follow::start(&house, &plane, listener).await?;
    tracing::info!(%address, routes = plane.config.routes.len(), "the proxy serves users");
    Ok(Part::http(status::router(plane, Some(address))))
}
