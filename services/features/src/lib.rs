//! Features: facts become one vector of numbers, as known at one time.
//!
//! - *Reads*: `Event`, `Observation`.
//! - *Writes*: `FeatureVector`: one for each change when more becomes known of it, one for each deployment.
//! - *Answers*: `FeatureStore.GetOnlineFeatures`, from what is saved, by the same [`extract`].
//! - *Remembers*: per project recent changes with their runs, deployments, incidents, authors, how runs of each name and
//!   each service's system usually are; bounded ([`state`]).
//! - *Invariants*: what came late or twice changes no vector made before, and no vector knows what happened after its own
//!   event; what is not known is NOT_FOUND and never zero; the model's features are those of [`schema`], in its order.

pub mod config;
pub mod context;
pub mod decay;
pub mod extract;
pub mod histogram;
pub mod paths;
pub mod query;
pub mod schema;
pub mod state;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use auspex_proto::stage;
use auspex_proto::wire::feature_store_server::FeatureStoreServer;

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
    open(&house, &config).await
}

/// The stage and its door, for these settings.
///
/// # Errors
/// When the settings are wrong, which [`Config`]'s own check has told before, or the bus is away.
pub async fn open(house: &House, config: &Config) -> anyhow::Result<Part> {
    let extract = Extract {
        hours: config.hours()?,
    };
    let view = house.run_verb(stage::FEATURES, extract.clone()).await?;
    let answers = query::Answers::new(house.clone(), view, extract);
    Ok(Part::empty().grpc(FeatureStoreServer::new(answers)))
}
