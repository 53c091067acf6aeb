//! Registry: numbered model versions that never change, who may score by which name, and what became of their predictions.
//!
//! - *Reads*: nothing at its doors; its stage `feedback` reads `Score`, `Event`, `Decision`, `Tick`.
//! - *Writes*: `Model`, when an alias changes, and how a version is to be read in a project once outcomes have proven it;
//!   `Observation`, what predictions have turned out to be worth.
//! - *Answers*: `ModelRegistry`, `Experiments`, `Feedback`, and the subset of MLflow's REST API that its stock Python client needs.
//! - *Remembers*: a document a version, created once; one a name, changed by compare-and-set; files by their sha256.
//! - *Invariants*: a version never changes and no number is given twice; files that run code are not kept; before a version
//!   takes an alias that scores, its golden rows are scored again; every change of an alias says who, when and why, and its
//!   fact is on the log in the end, once.

pub mod catalog;
pub mod config;
pub mod experiments;
pub mod feedback;
pub mod gate;
pub mod mlflow;
pub mod query;
pub mod reliability;
pub mod send;
pub mod shelf;
pub mod shown;

use std::time::Duration;

use auspex_chassis::{Group, House, Part, Section, ServiceSpec};
use auspex_proto::stage;

pub use config::Config;
use experiments::Trials;
use feedback::Feedback;
use gate::Gate;
use shelf::Shelf;

/// The registry, as the program sees it.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::REGISTRY.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::REGISTRY.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::REGISTRY.name)?;
    open(&house, &config).await
}

/// The registry and its doors, for these settings.
///
/// # Errors
/// When the bus or the store is away.
pub async fn open(house: &House, config: &Config) -> anyhow::Result<Part> {
    let shelf = Shelf::open(house.bus(), &config.storage).await?;
    let gate = Gate::new(shelf, house, config);
    sweep(house, &gate);
    let feedback = Feedback {
        config: config.feedback,
        costs: config.experiments,
    };
    let view = house.run_verb(stage::FEEDBACK, feedback).await?;
    let trials = Trials::new(gate.clone(), house, view.clone(), config.experiments);
    trials.start();
    let doors = if config.mlflow {
        Part::http(mlflow::router(gate.clone()))
    } else {
        Part::empty()
    };
    Ok(doors
        .grpc(query::Answers::server(gate))
        .grpc(trials.server())
        .grpc(reliability::Answers::server(view)))
}

/// Registers what comes with the program, and sees to it that what is owed to the log gets there.
fn sweep(house: &House, gate: &Gate) {
    let gate = gate.clone();
    house.spawn("registry sweep", Group::Work, move |stop| async move {
        let mut rounds = tokio::time::interval(Duration::from_secs(10));
        let mut seeded = false;
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = rounds.tick() => {}
            }
            if !seeded {
                match gate.seed().await {
                    Ok(()) => seeded = true,
                    Err(fault) => {
                        tracing::warn!(%fault, "the model that comes with the program is not registered yet")
                    }
                }
            }
            if let Err(fault) = gate.shelf().sweep(gate.now()).await {
                tracing::debug!(fault = format!("{fault:#}"), "the registry could not be swept");
            }
        }
    });
}
