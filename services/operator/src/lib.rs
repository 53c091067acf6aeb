//! Rollouts of a Kubernetes cluster.
//!
//! *Reads*: `Rollout` objects of Auspex, and `Rollout`, `AnalysisTemplate` and `ClusterAnalysisTemplate` objects of Argo, as the
//! API server tells them; what became of rollouts, as control tells it.
//! *Writes*: `Command` (by control's gRPC); the status of Auspex's `Rollout` objects.
//! *Answers*: nothing of its own.
//! *Remembers*: nothing: what was begun and asked stands in the objects' status and, by the ids of commands, in the log.
//! *Invariants*: one replica acts at a time, and a second one that thinks it does doubles nothing; of Argo's objects nothing
//! is written; a `Rollout` that an Argo controller drives is never acted upon; what others set in routes is told, not fought.
//!
//! What to do is pure ([`plan`]); the rest asks the API server and control.

pub mod access;
pub mod config;
pub mod kinds;
pub mod plan;

#[cfg(feature = "kubernetes")]
pub mod control;
#[cfg(feature = "kubernetes")]
pub mod run;
#[cfg(feature = "kubernetes")]
pub mod world;

use auspex_chassis::{House, Part, Section, ServiceSpec};
use auspex_proto::stage;

pub use config::Config;

/// The operator, as the program sees it.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: stage::OPERATOR.name,
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>(stage::OPERATOR.name),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings(stage::OPERATOR.name)?;
    if !config.enabled {
        tracing::debug!("operator.enabled is false: no cluster is watched");
        return Ok(Part::empty());
    }
    #[cfg(feature = "kubernetes")]
    run::start(&house, config).await?;
    Ok(Part::empty())
}
