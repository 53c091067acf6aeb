//! Analysis: what templates of Argo Rollouts say is measured beside a rollout, and what follows is asked of control.
//!
//! - *Reads*: `Decision`, from the beginning of the log: where each rollout stands in its steps.
//! - *Writes*: `Command`: abort, pause, resume or promote, by `analysis`, with the metric and its reason as the note.
//! - *Answers*: `AnalysisService` (put, get, list); `GET /gate/argo/NAME` for Argo's web metric; GitHub's deployment
//!   protection rule at `POST /webhooks/github/protection`.
//! - *Remembers*: plans, and per plan what was measured so far ([`record::Record`]); one process at a time measures a plan;
//!   deployments of GitHub's that wait for an answer.
//! - *Invariants*: a run asks the same thing only once, whoever holds the claim; what was inconclusive or without data never
//!   lets a rollout go on before its switch; values of secrets are not shown; a command is run only where that is configured.

pub mod board;
pub mod config;
pub mod drive;
pub mod gate;
pub mod github;
pub mod local;
pub mod mesh;
pub mod provider;
mod query;
pub mod record;
mod worker;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use auspex_proto::stage;
use auspex_proto::wire::analysis_service_server::AnalysisServiceServer;

pub use config::Config;

/// The service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::ANALYSIS.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::ANALYSIS.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::ANALYSIS.name)?;
    let mesh = mesh::Mesh::of(&config)?;
    let protection = github::router(house.clone(), mesh.clone(), config.github.clone()).await?;
    let doors = gate::router(mesh).merge(protection);
    let board = board::Board::open(&house, config).await?;
    board.start().await?;
    Ok(Part::http(doors).grpc(AnalysisServiceServer::new(query::Answers::new(board))))
}
