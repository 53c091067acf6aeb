//! After a log was replaced or put back from an older copy: cursors and states speak of a log that is no more.

use anyhow::{Context as _, bail};
use auspex_proto::stage::{Keeps, Stage};
use auspex_proto::subject;
use futures::TryStreamExt as _;

use crate::bus::{Bus, BusSettings};

/// What was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Positions of stages in their partitions.
    pub cursors: usize,
    /// Buckets of states.
    pub states: Vec<String>,
    /// Durable consumers of stateless stages.
    pub durables: Vec<String>,
}

/// Deletes every cursor, and the states and durables of these stages, so that they absorb what the log holds from its beginning.
///
/// What they make of it is published again under the ids it had. Within the duplicate window the server drops it; beyond
/// that it stands in the log twice, as a repeat that every stage knows by its id and cause.
///
/// # Errors
/// When somebody holds a lease (stages must not run meanwhile), or the server is out of reach.
pub async fn recover(settings: &BusSettings, stages: &[Stage]) -> anyhow::Result<Recovered> {
    let bus = Bus::connect(settings, "auspex recover").await?;
    let leases = bus.bucket(subject::LEASES).await?;
    let held: Vec<String> = leases.keys().await?.try_collect().await?;
    if let Some(lease) = held.first() {
        bail!("{lease} is held: stop every service first; a lease is free 10 s after its holder is gone");
    }
    let mut done = Recovered::default();
    // States first: a state without its cursor would be absorbed into twice, a cursor without its state would skip.
    for stage in stages {
        match stage.keeps {
            Keeps::State => {
                let bucket = subject::state_bucket(stage.name);
                // A stage that never ran has none.
                if bus.bucket(&bucket).await.is_ok() {
                    let deleted = bus.js().delete_key_value(bucket.as_str()).await;
                    deleted.with_context(|| format!("deleting {bucket}"))?;
                    done.states.push(bucket);
                }
            }
            Keeps::Nothing => {
                let durable = subject::durable(stage.name);
                let stream = bus.js().get_stream(subject::FACTS).await?;
                if stream.delete_consumer(&durable).await.is_ok() {
                    done.durables.push(durable);
                }
            }
            Keeps::Door | Keeps::Follows | Keeps::Claims | Keeps::Archive => {}
        }
    }
    let cursors = bus.bucket(subject::CURSORS).await?;
    let keys: Vec<String> = cursors.keys().await?.try_collect().await?;
    for key in &keys {
        cursors
            .purge(key)
            .await
            .with_context(|| format!("deleting cursor {key}"))?;
    }
    done.cursors = keys.len();
    Ok(done)
}
