//! What the registry remembers: documents in a bucket of the bus, files in object storage. Any replica may change any of it.
//!
//! A version's document is created and never written again. A name's document is changed by compare-and-set, and carries the
//! facts that follow from its changes until they are on the log: a crash between the two repeats them under the same ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use auspex_chassis::{Bus, Document, Ledger, Objects, SaveError};
use auspex_proto::{Fact, FactId, Meta, Model as ModelFact, Project, Timestamp, stage, subject};
use sha2::{Digest, Sha256};

use crate::catalog::head::{Change, SERVING};
use crate::catalog::{Head, Kept, Refusal, Version};

/// How often a change is tried again that somebody else was quicker with.
const TRIES: usize = 20;
/// When an alias is said again: well before the log's year is over.
const REFRESH_MS: i64 = 90 * 86_400_000;

/// The registry's memory; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shelf {
    bus: Bus,
    ledger: Ledger,
    objects: Arc<Objects>,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It should not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The bus or the store is away.
    #[error("the registry's store is unavailable: {0:#}")]
    Unavailable(#[from] anyhow::Error),
}

impl From<SaveError> for Fault {
    fn from(fault: SaveError) -> Self {
        Self::Unavailable(fault.into())
    }
}

/// Lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Shelf {
    /// Opens the memory.
    ///
    /// # Errors
    /// When the bus or the store is away.
    pub async fn open(bus: &Bus, storage: &str) -> anyhow::Result<Self> {
        Ok(Self {
            bus: bus.clone(),
            ledger: Ledger::open(bus, subject::REGISTRY).await?,
            objects: Arc::new(Objects::open(bus, storage).await?),
        })
    }

    /// Documents of other kinds: runs and the like.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Keeps a file under what it holds.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn keep(&self, file: &str, bytes: &[u8]) -> anyhow::Result<Kept> {
        let kept = Kept {
            file: file.to_owned(),
            sha256: sha256(bytes),
            size: bytes.len() as u64,
        };
        if !self.objects.has(&kept.sha256).await? {
            self.objects.put(&kept.sha256, bytes).await?;
        }
        Ok(kept)
    }

    /// A kept file, as it was; `None`: there is none.
    ///
    /// # Errors
    /// When the store cannot be read, or holds something else under this name.
    pub async fn file(&self, digest: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let found = self.objects.get(digest).await?;
        if let Some(bytes) = &found {
            let real = sha256(bytes);
            anyhow::ensure!(real == digest, "the file kept as {digest} is {real}");
        }
        Ok(found)
    }

    /// Where a kept file lies.
    #[must_use]
    pub fn location(&self, digest: &str) -> String {
        self.objects.location(digest)
    }

    /// All names.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn heads(&self) -> anyhow::Result<Vec<Head>> {
        let found: Vec<Document<Head>> = self.ledger.list(&["model"]).await?;
        let mut heads: Vec<Head> = found.into_iter().map(|entry| entry.document).collect();
        heads.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(heads)
    }

    /// A name.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn head(&self, name: &str) -> Result<Head, Fault> {
        let found = self.ledger.get::<Head>(&["model", name]).await?;
        let missing = || Refusal::NotFound(format!("there is no model {name}"));
        Ok(found.ok_or_else(missing)?.document)
    }

    /// A version.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn version(&self, name: &str, number: u64) -> Result<Version, Fault> {
        let found = self
            .ledger
            .get::<Version>(&["version", name, &number.to_string()])
            .await?;
        let missing = || Refusal::NotFound(format!("{name} has no version {number}"));
        Ok(found.ok_or_else(missing)?.document)
    }

    /// All versions of a name, the newest first.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn versions(&self, name: &str) -> anyhow::Result<Vec<Version>> {
        let found: Vec<Document<Version>> = self.ledger.list(&["version", name]).await?;
        let mut versions: Vec<Version> = found.into_iter().map(|entry| entry.document).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        Ok(versions)
    }

    /// The tags of a version.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn tags(&self, name: &str, number: u64) -> anyhow::Result<BTreeMap<String, String>> {
        let found = self.ledger.get(&["tags", name, &number.to_string()]).await?;
        Ok(found.map(|entry| entry.document).unwrap_or_default())
    }

    /// Changes the tags of a version.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn tag(&self, name: &str, number: u64, tags: &[(String, Option<String>)]) -> Result<(), Fault> {
        let key = ["tags", name, &number.to_string()];
        self.alter(&key, |all: &mut BTreeMap<String, String>| {
            for (tag, value) in tags {
                match value {
                    Some(value) => all.insert(tag.clone(), value.clone()),
                    None => all.remove(tag),
                };
            }
            if all.len() > 256 {
                return Err(Refusal::Unmet("a version has at most 256 tags".to_owned()).into());
            }
            Ok(())
        })
        .await
        .map(drop)
    }

    /// The greatest number given under a name; 0 when there is no such name.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn latest(&self, name: &str) -> anyhow::Result<u64> {
        let head = self.ledger.get::<Head>(&["model", name]).await?;
        Ok(head.map_or(0, |entry| entry.document.latest))
    }

    /// Registers a version as number 1 of its name; `None`: somebody has that number already.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn add_first(&self, mut version: Version, now: Timestamp) -> Result<Option<Version>, Fault> {
        Head::new(&version.name, now)?;
        (version.version, version.created) = (1, now);
        let made = match self
            .ledger
            .create(&["version", &version.name, "1"], &version)
            .await
        {
            Ok(_) => true,
            Err(SaveError::Conflict) => false,
            Err(fault) => return Err(fault.into()),
        };
        // Also when another made it: it may have been stopped before this.
        self.numbered(&version.name, 1, now).await?;
        Ok(made.then_some(version))
    }

    /// Notes that a number has been given.
    async fn numbered(&self, name: &str, number: u64, now: Timestamp) -> Result<Head, Fault> {
        let note = |head: &mut Head| {
            head.latest = head.latest.max(number);
            head.changed = now;
            Ok(())
        };
        self.change(name, now, note).await
    }

    /// Registers a version under the next number; the name is made when it is new.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn add(&self, mut version: Version, now: Timestamp) -> Result<Version, Fault> {
        let name = version.name.clone();
        Head::new(&name, now)?;
        version.version = self.latest(&name).await?;
        version.created = now;
        for _ in 0..TRIES {
            version.version += 1;
            let key = ["version", &name, &version.version.to_string()];
            match self.ledger.create(&key, &version).await {
                Ok(_) => {
                    self.numbered(&name, version.version, now).await?;
                    return Ok(version);
                }
                // Somebody has this number already.
                Err(SaveError::Conflict) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(Refusal::Unmet(format!("{name} is being registered by too many at once")).into())
    }

    /// Changes a name's document, makes it when it is new, and publishes what follows.
    ///
    /// # Errors
    /// [`Fault`]; whatever the change itself refuses.
    pub async fn change(
        &self,
        name: &str,
        now: Timestamp,
        change: impl Fn(&mut Head) -> Result<(), Fault>,
    ) -> Result<Head, Fault> {
        let head = self
            .alter(&["model", name], |head: &mut Head| {
                if head.name.is_empty() {
                    *head = Head::new(name, now)?;
                }
                change(head)
            })
            .await?;
        if !head.owes.is_empty() {
            self.publish(name).await?;
        }
        Ok(head)
    }

    /// Changes any document by compare-and-set.
    ///
    /// # Errors
    /// [`Fault`]; whatever the change itself refuses.
    pub async fn alter<D>(
        &self,
        key: &[&str],
        change: impl Fn(&mut D) -> Result<(), Fault>,
    ) -> Result<D, Fault>
    where
        D: serde::Serialize + serde::de::DeserializeOwned + Default + PartialEq + Clone,
    {
        for _ in 0..TRIES {
            let found = self.ledger.get::<D>(key).await?;
            let mut document = found
                .as_ref()
                .map(|entry| entry.document.clone())
                .unwrap_or_default();
            let before = document.clone();
            change(&mut document)?;
            let saved = match &found {
                Some(_) if before == document => return Ok(document),
                Some(entry) => self.ledger.update(key, &document, entry.revision).await,
                None => self.ledger.create(key, &document).await,
            };
            match saved {
                Ok(_) => return Ok(document),
                Err(SaveError::Conflict) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(Refusal::Unmet("too many change this at once; try again".to_owned()).into())
    }

    /// Puts what a name owes on the log, in order, and notes that it is there.
    ///
    /// # Errors
    /// When the bus is away; what is owed stays owed.
    pub async fn publish(&self, name: &str) -> anyhow::Result<()> {
        let Some(entry) = self.ledger.get::<Head>(&["model", name]).await? else {
            return Ok(());
        };
        let owed = entry.document.owes;
        let mut told = Vec::new();
        for (number, change) in &owed {
            let fact = self.fact(name, *number, change).await?;
            self.bus
                .publish(&Fact::Model(fact))
                .await
                .context("publishing a change of a model")?;
            told.push(*number);
        }
        let forget = |head: &mut Head| {
            head.owes.retain(|(number, _)| !told.contains(number));
            Ok(())
        };
        self.alter(&["model", name], forget)
            .await
            .map_err(|fault| anyhow::anyhow!("{fault}"))?;
        Ok(())
    }

    /// Publishes whatever is owed by any name, and says again what the log would forget.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn sweep(&self, now: Timestamp) -> anyhow::Result<()> {
        for head in self.heads().await? {
            let mut later = head.clone();
            later.refresh(now, REFRESH_MS);
            if later != head {
                let refresh = |head: &mut Head| {
                    head.refresh(now, REFRESH_MS);
                    Ok(())
                };
                self.alter(&["model", &head.name], refresh)
                    .await
                    .map_err(|f| anyhow::anyhow!("{f}"))?;
            }
            if !later.owes.is_empty() {
                self.publish(&head.name).await?;
            }
        }
        Ok(())
    }

    async fn fact(&self, name: &str, number: u64, change: &Change) -> anyhow::Result<ModelFact> {
        debug_assert!(SERVING.contains(&change.alias.as_str()));
        let removed = change.version == 0;
        let shown = if removed { change.previous } else { change.version };
        let version = self
            .version(name, shown)
            .await
            .map_err(|fault| anyhow::anyhow!("{fault}"))?;
        Ok(ModelFact {
            meta: Meta {
                id: FactId::derived(stage::REGISTRY.name, number, name, 0),
                project: Project::all(),
                time: change.time,
                cause: 0,
                source: stage::REGISTRY.name.to_owned(),
            },
            name: name.to_owned(),
            version: shown.to_string(),
            location: version.location,
            sha256: version.artifact.sha256,
            schema_hash: version.schema_hash,
            alias: change.alias.clone(),
            percent: change.percent,
            experiment: change.experiment.clone(),
            removed,
            actor: change.actor.clone(),
            note: change.note.clone(),
            recalibration: None,
        })
    }
}
