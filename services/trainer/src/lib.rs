//! Trainer: what happened becomes a model that may score.
//!
//! - *Reads*: `FeatureVector`, `Event`, `Decision`.
//! - *Writes*: nothing on the log: a version goes to the registry by gRPC, and the registry tells of it. A feature store that is
//!   asked keeps the snapshot it answered from.
//! - *Answers*: `Trainer`: train now, what was trained. As a library it stands behind `auspex train` and `auspex evaluate`.
//! - *Remembers*: per project served vectors (where a feature store is asked: whom and when to ask about) that wait for their
//!   outcome, and those that have one; apart from them those of builds; past trainings of each model.
//! - *Invariants*: an example is a vector as it was served, or what the store knew at that moment; candidates, weights and
//!   calibration are chosen on older rows than those they are tested on; what is published has been scored by the very
//!   checks of whoever serves it; one process trains a model at a time.

pub mod answer;
pub mod artifact;
pub mod backtest;
pub mod builds;
pub mod built;
mod calibrating;
pub mod candidate;
pub mod choose;
pub mod collect;
pub mod config;
pub mod context;
mod door;
pub mod encode;
pub mod evaluate;
pub mod fault;
pub mod figures;
pub mod fit;
pub mod gates;
pub mod gather;
pub mod golden;
pub mod graph;
pub mod history;
pub mod job;
pub mod local;
mod past;
pub mod plugin;
pub mod prepare;
pub mod publish;
pub mod query;
pub mod recipe;
pub mod report;
pub mod request;
pub mod sample;
pub mod schedule;
pub mod sequence;
pub mod store;
mod suspect;
pub mod table;
pub mod train;
pub mod verdict;

use std::sync::Arc;

use auspex_chassis::{Group, House, Part, Section, ServiceSpec};
use auspex_proto::stage;
use auspex_proto::wire::trainer_server::TrainerServer;
use tokio::sync::mpsc;

pub use candidate::Candidate;
pub use config::Config;
pub use door::Place;
pub use evaluate::{Evaluation, evaluate};
pub use fault::Fault;
use job::Learns;
pub use report::Report;
pub use request::{Bench, Recalibrate, Request};
pub use train::train;

/// The trainer, as the program sees it.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::TRAINER.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::TRAINER.name),
};

/// Requests for a training that may wait.
const MOST_DEMANDS: usize = 4;

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::TRAINER.name)?;
    let collect = collect::Collect {
        config: config.clone(),
    };
    let view = house.run_verb(stage::TRAINER, collect).await?;
    let place = |address: &str| Place::of(address, &config.token).trusting(&config.ca);
    let registry = publish::Registry::of(&place(&config.registry)?)?;
    let store = config
        .asks_store()
        .then(|| store::Store::of(&place(&config.store)?));
    let bench = Arc::default();
    let changes = job::Job {
        house: house.clone(),
        config: config.clone(),
        view,
        registry,
        store: store.transpose()?,
        learns: Learns::Changes,
        bench,
    };
    let builds = config.of_builds().map(|config| job::Job {
        config,
        store: None,
        learns: Learns::Builds,
        ..changes.clone()
    });
    let mut jobs = Vec::new();
    for job in std::iter::once(changes).chain(builds) {
        let (demands, waiting) = mpsc::channel(MOST_DEMANDS);
        jobs.push((job.clone(), demands));
        house.spawn("training", Group::Work, move |stop| job.run(waiting, stop));
    }
    let answers = query::Answers::new(jobs);
    Ok(Part::empty().grpc(TrainerServer::new(answers)))
}
