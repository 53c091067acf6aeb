//! Scoring: a feature vector becomes a calibrated probability of failure. 1 is bad.
//!
//! - *Reads*: `FeatureVector`; it follows `Model` for what scores and how that is to be read in each project, and its own scores
//!   to answer `GetScore`.
//! - *Writes*: `Score`, with reasons when it may start a rollout or is not low; an `Alert` when a version is refused.
//! - *Answers*: `Scoring` (score, explain, the last score of a revision or a build, what scores now); the Open Inference Protocol
//!   v2.
//! - *Remembers*: nothing.
//! - *Invariants*: a version scores only when it is what its manifest says, down to its golden rows, else the last good one goes
//!   on; a change of version drops and doubles no score; a vector of another schema is a dead letter with both hashes, and
//!   spoils no other, and one of a build that no model is for is passed over; `low <= p_failure <= high`; contributions
//!   ([`explain`]) are of the graph that is served, in log-odds before calibration; equal units are dealt equally; what outcomes
//!   have taught ([`readings`]) stands in the Score beside what the version says, so that both can be worked out again.

pub mod config;
pub mod deal;
pub mod fetch;
pub mod latest;
pub mod mitigate;
pub mod oip;
pub mod pool;
pub mod query;
pub mod readings;
pub mod schemas;
pub mod serving;
pub mod swap;
pub mod table;
pub mod transform;
pub mod wanted;

pub use auspex_model::{
    calibration, embedded, explain, folder, manifest, model, onnx, reasons, runtime, score,
};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use auspex_chassis::{House, Part, Section, ServiceSpec, tools};
use auspex_proto::stage;
use auspex_proto::wire::scoring_server::ScoringServer;

pub use config::Config;
use model::{Model, ModelFault};
use runtime::Runtime;
use schemas::Schemas;
use serving::{Lineup, Serving};
use swap::Opener;
use wanted::Arm;

/// Scoring, as the program sees it.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::SCORING.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::SCORING.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::SCORING.name)?;
    open(&house, config).await
}

/// The stage and its door, for these settings.
///
/// # Errors
/// When ONNX Runtime cannot be found, or the model is refused.
pub async fn open(house: &House, config: Config) -> anyhow::Result<Part> {
    let library = match config.onnxruntime.as_str() {
        "" => tools::onnxruntime().await?,
        path => PathBuf::from(path),
    };
    let start = config.clone();
    let opened = tokio::task::spawn_blocking(move || start_with(&library, &start)).await?;
    let (serving, opener) = opened.context("loading the model")?;
    let schemas = Schemas::default();
    for served in serving.table().lineups.values().filter_map(Lineup::champion) {
        let manifest = &served.model.manifest;
        let (model, sha256) = (&served.model.label, &manifest.artifact.sha256);
        tracing::info!(model, sha256, "the model is loaded");
        schemas.note(&manifest.feature_service, &manifest.feature_schema_sha256);
    }
    swap::start(house, &config, &serving, &schemas, opener);
    let scored = transform::ScoreVectors::new(serving.clone(), schemas, house.metrics());
    house.run_transform(stage::SCORING, scored).await?;
    let answers = query::Answers::new(serving.clone(), latest::follow(house).await?);
    Ok(Part::http(oip::rest::router(serving.clone()))
        .grpc(ScoringServer::new(answers))
        .grpc(oip::grpc::Inference::server(serving)))
}

/// Loads and checks the configured model, and starts the threads that score with it.
///
/// # Errors
/// [`ModelFault`].
pub fn start_with(library: &Path, config: &Config) -> Result<(Serving, Opener), ModelFault> {
    let opener = Opener {
        runtime: Runtime::load(library)?,
        threads: config.threads,
        reasons: config.reasons,
    };
    let serving = Serving::new(config.terms());
    let model = Model::check(folder::files(&config.model)?)?;
    let (name, served) = (model.manifest.name.clone(), opener.open(model, 0)?);
    serving.change(|table| {
        let lineup = table.lineups.entry(name).or_default();
        lineup.arms.insert(Arm::Champion, Arc::new(served));
    });
    Ok((serving, opener))
}
