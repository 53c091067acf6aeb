//! Features: facts become one vector of numbers, as known at one time.
//!
//! - *Reads*: `Event`, `Observation`, and as the store `FeatureRows`.
//! - *Writes*: `FeatureVector`: one for each change when more becomes known of it, one for each deployment, where it is wanted
//!   one for each build that is asked for ([`builds`]); `FeatureRows`: what each fact tells of the entities
//!   it bears upon, and what is pushed. Rows lie for good in the [`offline`] store.
//! - *Answers*: `FeatureStore`: vectors as known now ([`online`]) and then, pushes, definitions, drift, consistency.
//! - *Remembers*: per project recent changes with their runs, deployments, incidents, authors, how runs of each name and
//!   each service's system usually are; bounded ([`state`]). Per entity and source its latest row and its tiles ([`store`]).
//! - *Invariants*: what came late or twice changes no vector made before, and no vector knows what happened after its own
//!   event; what is not known is NOT_FOUND and never zero; the model's features are those of [`schema`], in its order;
//!   online, offline and in training the one algebra decides ([`auspex_algebra`]).

pub mod barrier;
pub mod builds;
pub mod config;
pub mod context;
pub mod decay;
pub mod definitions;
pub mod extract;
pub mod histogram;
pub mod lacking;
pub mod offline;
pub mod online;
pub mod paths;
pub mod query;
pub mod rows;
pub mod schema;
pub mod serve;
pub mod shelf;
pub mod state;
pub mod store;
pub mod streams;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use auspex_proto::stage;

pub use config::Config;
pub use extract::Extract;

/// Features, as the program sees it.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::FEATURES.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::FEATURES.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::FEATURES.name)?;
    let answers = serve::open(&house, &config).await?;
    Ok(Part::empty().grpc(serve::door(answers)))
}
