//! Reading a stage's saved states from anywhere: gRPC answers come from here, on any replica, of any partition.

use std::marker::PhantomData;
use std::time::Duration;

use anyhow::Context as _;
use auspex_proto::stage::Stage;
use auspex_proto::{Project, subject};
use serde::de::DeserializeOwned;

use super::value::decode;
use super::{Post, cursor};
use crate::bus::{Bus, Raw, Reader, Start, snapshot};

/// The saved states of a stage. What it answers has been saved, and may be a moment old, unless it is asked for what is true
/// [now](View::now).
pub struct View<S> {
    bus: Bus,
    stage: Stage,
    bucket: String,
    state: PhantomData<fn() -> S>,
}

impl<S> Clone for View<S> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
            stage: self.stage,
            bucket: self.bucket.clone(),
            state: PhantomData,
        }
    }
}

impl<S> std::fmt::Debug for View<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// A saved state.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<S> {
    /// The last fact absorbed into it.
    pub seq: u64,
    /// It.
    pub state: S,
}

impl<S: DeserializeOwned> View<S> {
    /// Opens the states of a stage.
    #[must_use]
    pub fn new(bus: &Bus, stage: Stage) -> Self {
        Self {
            bus: bus.clone(),
            stage,
            bucket: subject::state_bucket(stage.name),
            state: PhantomData,
        }
    }

    pub(super) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// What is saved under a key.
    pub(super) async fn saved(&self, project: &Project, key: &str) -> anyhow::Result<Option<bytes::Bytes>> {
        let partition = self.bus.partitions().of(project);
        let store = self.bus.bucket(&self.bucket).await?;
        Ok(store.get(subject::state_key(partition, key)).await?)
    }

    /// A key's state; `None` when nothing was ever saved under it.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn get(&self, project: &Project, key: &str) -> anyhow::Result<Option<Kept<S>>> {
        let value = self.saved(project, key).await?;
        value.map(|value| kept(&value)).transpose()
    }

    /// The [place](Changed::place) among the changes of the states up to which everything stands that bears on a project and was put
    /// on the log up to this sequence; `None` when not all of it is saved within the time. It is known up to half a second after
    /// the saves.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn settled(
        &self,
        project: &Project,
        seq: u64,
        within: Duration,
    ) -> anyhow::Result<Option<u64>> {
        let post = Post {
            stage: self.stage,
            partition: self.bus.partitions().of(project),
        };
        let end = tokio::time::Instant::now() + within;
        loop {
            // First how far all is saved, then where that was: so nothing is between them.
            let (reached, _) = cursor::passed(&self.bus, post).await?;
            if reached >= seq {
                let states = self.bus.stream_of(&self.bucket).await?;
                return Ok(Some(states.cached_info().state.last_sequence));
            }
            if tokio::time::Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All keys and their states.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn list(&self) -> anyhow::Result<Vec<(String, Kept<S>)>> {
        let entries = snapshot(&self.bus, &self.bucket, ">").await?;
        entries
            .into_iter()
            .map(|entry| {
                let key = subject::key_of(&entry.key).context("a key that is none")?;
                Ok((key, kept(&entry.value)?))
            })
            .collect()
    }

    /// A key's state once it has absorbed this sequence; `None` when it has not within the time.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn at_least(
        &self,
        project: &Project,
        key: &str,
        seq: u64,
        within: Duration,
    ) -> anyhow::Result<Option<Kept<S>>> {
        let end = tokio::time::Instant::now() + within;
        loop {
            if let Some(kept) = self.get(project, key).await?.filter(|kept| kept.seq >= seq) {
                return Ok(Some(kept));
            }
            if tokio::time::Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A change of a state, as it is watched.
#[derive(Debug, Clone)]
pub struct Changed<S> {
    /// Which.
    pub key: String,
    /// What is saved now; `None`: it was taken away.
    pub kept: Option<Kept<S>>,
    /// How many more there are at this moment: 0 when it is the newest.
    pub behind: u64,
    /// Its place among the changes.
    pub place: u64,
}

/// All states of a stage, then every change of them as it is saved.
pub struct Watch<S> {
    reader: Reader,
    bucket: String,
    state: PhantomData<fn() -> S>,
}

impl<S> std::fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl<S: DeserializeOwned> View<S> {
    /// Watches the states.
    #[must_use]
    pub fn watch(&self) -> Watch<S> {
        let (stream, all) = (
            subject::bucket_stream(&self.bucket),
            subject::bucket_key(&self.bucket, ">"),
        );
        Watch {
            reader: Reader::new(&self.bus, &stream, vec![all], Start::LastPerSubject),
            bucket: self.bucket.clone(),
            state: PhantomData,
        }
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn count(&self) -> anyhow::Result<u64> {
        let stream = self.bus.stream_of(&self.bucket).await?;
        Ok(stream.cached_info().state.messages)
    }
}

impl<S: DeserializeOwned> Watch<S> {
    /// The next change; waits through absences of the server.
    ///
    /// # Errors
    /// When the states have been lost and laid out anew: whoever watches begins anew, too.
    pub async fn next(&mut self) -> anyhow::Result<Changed<S>> {
        loop {
            let raw = self.reader.next().await?;
            if let Some(changed) = self.changed(&raw)? {
                return Ok(changed);
            }
        }
    }

    /// The next change when it has arrived already.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn arrived(&mut self) -> anyhow::Result<Option<Changed<S>>> {
        while let Some(raw) = self.reader.arrived() {
            if let Some(changed) = self.changed(&raw)? {
                return Ok(Some(changed));
            }
        }
        Ok(None)
    }

    fn changed(&self, raw: &Raw) -> anyhow::Result<Option<Changed<S>>> {
        let key = subject::bucket_key_of(&self.bucket, &raw.subject).and_then(subject::key_of);
        let Some(key) = key else { return Ok(None) };
        let deleted = !raw.header("KV-Operation").is_empty() || raw.payload.is_empty();
        let kept = if deleted { None } else { Some(kept(&raw.payload)?) };
        Ok(Some(Changed {
            key,
            kept,
            behind: raw.behind,
            place: raw.seq,
        }))
    }
}

fn kept<S: DeserializeOwned>(value: &[u8]) -> anyhow::Result<Kept<S>> {
    let (seq, state) = decode(value)?;
    Ok(Kept { seq, state })
}
