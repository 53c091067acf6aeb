//! Canary control: score and evidence become a decision about a rollout.
//!
//! - *Reads*: `Event` (deployments), `Observation`, `Score`, `Command`, `Tick`.
//! - *Writes*: `Decision`; the chassis writes `Tick` and the heartbeat of control on its behalf.
//! - *Answers*: `RolloutService` (start, command, list, get, watch, history, gate).
//! - *Remembers*: per project the rollouts under way and the last ended ones, the last scores, the portfolio of weights,
//!   how failures of each service scattered before its next rollout.
//! - *Invariants*: a weight is within 0..=100 and never above what the candidate says it can take; a rollback is absorbing;
//!   no data is never a pass; what arrives between two ticks cannot change a verdict by its order; every decision carries
//!   its reason, evidence and versions; rollbacks on evidence err at most at alpha, on average over a project's rollouts.
//!
//! How a rollout goes: it waits at weight 0 for its score, which is frozen as the prior; on every tick closed intervals
//! enter the tests ([`decide`]), the rules end or hold it, and its policy ([`policy`]) wishes for the next weight.

pub mod checks;
pub mod config;
pub mod control;
pub mod decide;
pub mod document;
pub mod legs;
pub mod policy;
pub mod query;
pub mod state;
pub mod terms;
pub mod view;

use auspex_chassis::{Group, House, Part, Section, ServiceSpec};
use auspex_proto::stage;
use auspex_proto::wire::rollout_service_server::RolloutServiceServer;
use tokio::sync::watch;

pub use config::Config;
pub use decide::Decide;

/// Canary control, as the program sees it.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::CANARY.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::CANARY.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::CANARY.name)?;
    let hands = checks::Checks::new(house.clone(), config.allow_commands);
    let view = house
        .run_errands(stage::CANARY, Decide::new(config), hands)
        .await?;
    let (close, closing) = watch::channel(false);
    house.spawn("rollout watches", Group::Intake, move |stop| async move {
        stop.requested().await;
        close.send_replace(true);
        Ok(())
    });
    let answers = query::Answers::new(house, view, closing);
    Ok(Part::empty().grpc(RolloutServiceServer::new(answers)))
}
