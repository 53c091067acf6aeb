//! Claims: which of several processes acts outside on one thing, and what is kept of that thing over its holders.
//!
//! A claim is a lease on one thing (a route) where a stage's leases are on partitions: what is held need not be spread, and
//! two things of one project may be held apart. Whoever takes it counts up its *epoch*. A paused process notices at its next
//! step that it has lost the claim ([`Claim::confirm`] asks the server, never the local clock alone), and what it would save
//! is refused, for the epoch has moved.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::kv;
use auspex_proto::{Partition, Project, subject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::bus::{Bus, is_stale, snapshot};

/// The server has this long to answer: it is near, and somebody waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thing that one process at a time acts on.
pub struct Claim<R> {
    inner: Arc<Inner<R>>,
}

struct Inner<R> {
    bus: Bus,
    stage: &'static str,
    instance: String,
    lease_key: String,
    record_key: String,
    state: Mutex<State<R>>,
}

struct State<R> {
    held: Option<Held>,
    /// Both buckets as they were found when it was taken: to look them up costs another word with the server each time.
    stores: Option<Stores>,
    kept: Kept<R>,
    /// Of what is kept, in its bucket; 0: nothing is.
    revision: u64,
}

#[derive(Clone)]
struct Stores {
    leases: kv::Store,
    records: kv::Store,
}

#[derive(Clone, Copy)]
struct Held {
    revision: u64,
    since: Instant,
    confirmed: Instant,
}

/// What is kept of a thing over its holders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept<R> {
    /// How many holders there have been.
    pub epoch: u64,
    /// Who holds it, or held it last.
    pub holder: String,
    /// What they have noted.
    pub record: R,
}

/// Why one does not hold it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lost {
    /// Somebody else does, or may any moment.
    #[error("the claim is lost")]
    Gone,
    /// The server is away: nobody can tell.
    #[error("the claim cannot be confirmed: {0}")]
    Unknown(String),
}

impl<R> Clone for Claim<R> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

impl<R> fmt::Debug for Claim<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.inner.lease_key;
        f.debug_struct("Claim").field("key", key).finish_non_exhaustive()
    }
}

impl<R: Serialize + DeserializeOwned + Default + Clone> Claim<R> {
    /// A claim on a thing of a project; not held yet.
    pub(crate) fn new(bus: &Bus, stage: &'static str, instance: &str, of: (&Project, &str)) -> Self {
        let (project, name) = of;
        let partition = bus.partitions().of(project);
        let inner = Inner {
            bus: bus.clone(),
            stage,
            instance: instance.to_owned(),
            lease_key: subject::claim(stage, name),
            record_key: subject::state_key(partition, name),
            state: Mutex::new(State {
                held: None,
                stores: None,
                kept: Kept::default(),
                revision: 0,
            }),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Takes it, when it is free: then what is kept, under an epoch of its own. `None`: somebody else holds it.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn take(&self) -> anyhow::Result<Option<Kept<R>>> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        state.held = None;
        let asked = Instant::now();
        let leases = inner.bus.lay_out_leases().await?;
        let value = || inner.instance.clone().into();
        let revision = match leases.create(&inner.lease_key, value()).await {
            Ok(revision) => revision,
            Err(_) => match inner.mend(&leases).await? {
                Some(revision) => revision,
                None => return Ok(None),
            },
        };
        let records = inner.bus.bucket(&subject::state_bucket(inner.stage)).await?;
        let (kept, saved) = inner.begin(&records).await?;
        (state.kept, state.revision) = (kept, saved);
        state.stores = Some(Stores { leases, records });
        state.held = Some(Held {
            revision,
            since: asked,
            confirmed: asked,
        });
        Ok(Some(state.kept.clone()))
    }

    /// Asks the server whether it is still held, and holds it for another lease.
    ///
    /// # Errors
    /// [`Lost`]; after [`Lost::Gone`] it must be taken anew.
    pub async fn confirm(&self) -> Result<(), Lost> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        let Some(held) = state.held else {
            return Err(Lost::Gone);
        };
        let asked = Instant::now();
        let leases = state.stores.as_ref().map(|stores| stores.leases.clone());
        match timeout(PATIENCE, inner.renew(leases, held.revision)).await {
            Ok(Ok(Some(revision))) => {
                state.held = Some(Held {
                    revision,
                    confirmed: asked,
                    ..held
                });
                Ok(())
            }
            Ok(Ok(None)) => {
                state.held = None;
                Err(Lost::Gone)
            }
            Ok(Err(fault)) => Err(Lost::Unknown(format!("{fault:#}"))),
            Err(_) => Err(Lost::Unknown("the bus does not answer".to_owned())),
        }
    }

    /// How long it has been held without a gap, and how long ago that was confirmed; `None`: it is not, or the last word is
    /// older than a lease.
    pub async fn tenure(&self) -> Option<(Duration, Duration)> {
        let held = self.inner.state.lock().await.held?;
        let word = held.confirmed.elapsed();
        (word < self.inner.bus.lease()).then(|| (held.since.elapsed(), word))
    }

    /// Keeps a record; whoever takes the claim next finds it.
    ///
    /// # Errors
    /// [`Lost::Gone`] when somebody else has taken it since; [`Lost::Unknown`] when the server is away.
    pub async fn save(&self, record: R) -> Result<(), Lost> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        let kept = Kept {
            record,
            ..state.kept.clone()
        };
        let Some(records) = state.stores.as_ref().map(|stores| stores.records.clone()) else {
            return Err(Lost::Gone);
        };
        match timeout(PATIENCE, inner.write(&records, &kept, state.revision)).await {
            Ok(Ok(Some(revision))) => {
                (state.kept, state.revision) = (kept, revision);
                Ok(())
            }
            Ok(Ok(None)) => {
                state.held = None;
                Err(Lost::Gone)
            }
            Ok(Err(fault)) => Err(Lost::Unknown(format!("{fault:#}"))),
            Err(_) => Err(Lost::Unknown("the bus does not answer".to_owned())),
        }
    }

    /// Gives it up, so that another can take it at once.
    pub async fn release(&self) {
        let inner = &self.inner;
        let Some(held) = inner.state.lock().await.held.take() else {
            return;
        };
        let give_up = async {
            let leases = inner.bus.bucket(subject::LEASES).await?;
            let key = &inner.lease_key;
            anyhow::Ok(leases.delete_expect_revision(key, Some(held.revision)).await?)
        };
        // Whatever goes wrong, it ends by itself within a lease.
        timeout(PATIENCE, give_up).await.ok();
    }
}

impl<R: Serialize + DeserializeOwned + Default + Clone> Inner<R> {
    /// Renews a lease that looks like this process's own: a word of ours, whose answer was lost on the way, is still ours. What
    /// was read may be old, as a copy of the server's is; only the update by revision counts.
    async fn mend(&self, leases: &kv::Store) -> anyhow::Result<Option<u64>> {
        let entry = leases.entry(&self.lease_key).await?;
        let ours = |e: &kv::Entry| e.operation == kv::Operation::Put && e.value == self.instance.as_bytes();
        match entry.filter(ours) {
            Some(entry) => self.update(leases, entry.revision).await,
            None => Ok(None),
        }
    }

    /// Renews by revision; `None`: it is another's, or nobody's.
    async fn update(&self, leases: &kv::Store, revision: u64) -> anyhow::Result<Option<u64>> {
        let value = self.instance.clone().into();
        match leases.update(&self.lease_key, value, revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(fault) if is_stale(&fault) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn renew(&self, leases: Option<kv::Store>, revision: u64) -> anyhow::Result<Option<u64>> {
        anyhow::ensure!(self.bus.is_connected(), "not connected");
        let leases = leases.context("it was never taken")?;
        match self.update(&leases, revision).await? {
            Some(revision) => Ok(Some(revision)),
            None => self.mend(&leases).await,
        }
    }

    /// Counts the epoch up under this holder's name.
    async fn begin(&self, records: &kv::Store) -> anyhow::Result<(Kept<R>, u64)> {
        loop {
            let entry = records.entry(&self.record_key).await?;
            let entry = entry.filter(|e| e.operation == kv::Operation::Put);
            let (mut kept, revision) = match &entry {
                Some(entry) => (decode::<R>(&entry.value)?, entry.revision),
                None => (Kept::default(), 0),
            };
            kept.epoch += 1;
            kept.holder.clone_from(&self.instance);
            if let Some(revision) = self.write(records, &kept, revision).await? {
                return Ok((kept, revision));
            }
        }
    }

    /// Saves by compare-and-set; `None`: somebody else wrote since.
    async fn write(&self, records: &kv::Store, kept: &Kept<R>, revision: u64) -> anyhow::Result<Option<u64>> {
        let value = bytes::Bytes::from(rmp_serde::to_vec_named(kept)?);
        match records.update(&self.record_key, value.clone(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(fault) if is_stale(&fault) => {
                // Our own word, whose answer was lost on the way?
                let entry = records.entry(&self.record_key).await?;
                Ok(entry.filter(|e| e.value == value).map(|e| e.revision))
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

/// Everything that is kept of a stage's things, by name, with whoever holds it now.
pub(crate) async fn all<R: DeserializeOwned>(
    bus: &Bus,
    stage: &str,
) -> anyhow::Result<Vec<(String, Kept<R>, Option<String>)>> {
    let leases = snapshot(bus, subject::LEASES, &subject::claims(stage)).await?;
    let mut found = Vec::new();
    for partition in bus.partitions().iter().chain([Partition::All]) {
        for entry in snapshot(
            bus,
            &subject::state_bucket(stage),
            &subject::state_keys(partition),
        )
        .await?
        {
            let name = subject::key_of(&entry.key).context("a record under another key than ours")?;
            let lease = leases
                .iter()
                .find(|lease| lease.key == subject::claim(stage, &name));
            let holder = lease.map(|lease| String::from_utf8_lossy(&lease.value).into_owned());
            found.push((name, decode(&entry.value)?, holder));
        }
    }
    Ok(found)
}

fn decode<R: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<Kept<R>> {
    rmp_serde::from_slice(bytes).context("what is kept of a claim cannot be read")
}
