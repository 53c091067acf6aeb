//! Scoring: a feature vector becomes a calibrated probability of failure. 1 is bad.
//!
//! - *Reads*: `FeatureVector`.
//! - *Writes*: `Score`, with reasons when it may start a rollout or is not low.
//! - *Answers*: `Scoring.Score` (a vector one has) and `Scoring.GetScore` (the last one of a revision).
//! - *Remembers*: nothing; it follows its own scores to answer `GetScore`.
//! - *Invariants*: a model is served only when it is what its manifest says, down to the answers to its golden rows; a
//!   vector of another schema is a dead letter that names both hashes; `low <= p_failure <= high`; what was missing is
//!   named; contributions ([`explain`]) are those of the very graph that is served, in log-odds before calibration.

pub mod config;
pub mod latest;
pub mod pool;
pub mod query;
pub mod transform;

pub use auspex_model::{calibration, embedded, explain, folder, manifest, model, onnx, runtime, score};

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use auspex_chassis::{From, Group, House, Part, Section, ServiceSpec, tools};
use auspex_proto::wire::scoring_server::ScoringServer;
use auspex_proto::{Fact, FactKind, stage};

pub use config::Config;
use latest::Latest;
use model::{Model, ModelFault};
use pool::Pool;
use runtime::Runtime;

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
    let opened = tokio::task::spawn_blocking(move || start(&library, &config)).await?;
    let (pool, model) = opened.context("loading the model")?;
    let label = model.manifest.label();
    tracing::info!(
        model = label,
        sha256 = model.manifest.artifact.sha256,
        "the model is loaded"
    );
    let scored = transform::ScoreVectors::new(pool.clone(), label.clone(), house.metrics());
    house.run_transform(stage::SCORING, scored).await?;
    let latest = follow(house).await?;
    let answers = query::Answers::new(pool, label, latest);
    Ok(Part::empty().grpc(ScoringServer::new(answers)))
}

/// Loads and checks the model, and starts the threads that score with it.
///
/// # Errors
/// [`ModelFault`].
pub fn start(library: &std::path::Path, config: &Config) -> Result<(Pool, Arc<Model>), ModelFault> {
    let model = Arc::new(Model::check(folder::files(&config.model)?)?);
    let runtime = Runtime::load(library)?;
    let pool = Pool::start(&runtime, &model, config.threads, config.reasons)?;
    Ok((pool, model))
}

/// Follows the scores on the log.
async fn follow(house: &House) -> anyhow::Result<Arc<RwLock<Latest>>> {
    let latest = Arc::<RwLock<Latest>>::default();
    let mut follow = house.follow(&[FactKind::Score], From::All).await?;
    let noted = Arc::clone(&latest);
    house.spawn("latest scores", Group::Work, move |stop| async move {
        loop {
            let next = tokio::select! {
                () = stop.requested() => return Ok(()),
                next = follow.next() => next?,
            };
            if let Fact::Score(score) = next.fact {
                noted.write().unwrap_or_else(PoisonError::into_inner).note(score);
            }
        }
    });
    Ok(latest)
}
