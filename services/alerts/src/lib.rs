//! What a person should know, with its causes, delivered.
//!
//! *Reads*: `Event` (change, run, deployment, incident), `Score`, `Decision`; for delivery its own `Alert`s.
//! *Writes*: `Alert`.
//! *Answers*: `AlertService.ListDeliveries`.
//! *Remembers*, per project: what is needed to explain a rollback (changes with their scores and failed runs, rollouts,
//! deployments, incidents, what is usual for a service's baseline) and which alerts fire; and what waits for whom.
//! *Invariants*: one alert per matter, whose deduplication key is the same from its beginning to its end; what was told to
//! somebody is resolved for the same somebody; an alert on the log reaches each receiver at least once or becomes a dead
//! letter with a reason; per key, a receiver hears things in their order; nothing goes to an address within one's own
//! network unless configuration allows loopback; no secret is printed, logged or put into an error.
//!
//! Two stages: `alerts` ([`route`], [`diagnose`]) makes the facts, `delivery` ([`outbox`], [`carry`]) carries them.

pub mod carry;
pub mod config;
pub mod diagnose;
pub mod outbound;
pub mod outbox;
pub mod pagerduty;
pub mod paths;
pub mod query;
pub mod receiver;
pub mod recent;
pub mod route;
pub mod slack;
pub mod state;
#[cfg(test)]
mod testing;
pub mod webhook;
pub mod words;

use std::time::Duration;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use auspex_proto::stage;
use futures::future::BoxFuture;

use crate::carry::Carrier;
use crate::config::Config;
use crate::outbox::Queue;
use crate::query::Deliveries;
use crate::route::Router;

/// This service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: "alerts",
    build,
    section: Section::of::<Config>("alerts"),
};

fn build(house: House) -> BoxFuture<'static, anyhow::Result<Part>> {
    Box::pin(async move {
        let config: Config = house.settings("alerts")?;
        start(&house, &config).await
    })
}

/// Runs both stages with this configuration and answers their door.
///
/// # Errors
/// When a receiver cannot be set up, or a stage's bucket cannot be laid out.
pub async fn start(house: &House, config: &Config) -> anyhow::Result<Part> {
    let router = Router {
        everybody: config.names(),
        routes: config.routes.clone(),
        critical: config.critical_services.iter().cloned().collect(),
    };
    if router.everybody.is_empty() {
        tracing::info!("no receivers are configured: alerts are recorded on the log and delivered to nobody");
    }
    // An attempt ends by the client's own limit; this one is for what the client does not count, as name resolution.
    let limit = Duration::from_secs(config.timeout_seconds.saturating_add(5));
    let carrier = Carrier::new(
        config.receivers()?,
        (config.policy(), limit),
        house.partitions(),
        house.metrics().clone(),
    );
    let queue = Queue {
        everybody: router.everybody.clone(),
        routes: router.routes.clone(),
    };
    house.run_verb(stage::ALERTS, router).await?;
    let view = house.run_errands(stage::DELIVERY, queue, carrier).await?;
    Ok(Part::empty().grpc(Deliveries::server(view)))
}
