//! Definitions as every replica knows them: one document in a bucket, changed by compare-and-set, looked at every second. They
//! are no facts, so that a log that is put back does not bring them back; a copy lies in the offline store beside the rows.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use auspex_chassis::{Bus, Ledger, SaveError};
use auspex_proto::subject;

use crate::definitions::{Catalogue, Change, Document, Fitted, Registry};
use crate::offline::Offline;

const KEY: [&str; 1] = ["registry"];
/// Where the copy lies.
const COPY: &str = "definitions/registry.json";

/// The shelf of definitions.
#[derive(Debug)]
pub struct Shelf {
    ledger: Ledger,
    known: RwLock<Arc<Known>>,
    copy: Option<Offline>,
}

/// Definitions at one moment.
#[derive(Debug)]
pub struct Known {
    /// Of the document; 0: nothing was ever applied.
    revision: u64,
    /// What is registered.
    pub registry: Registry,
    /// What can be served.
    pub catalogue: Catalogue,
}

impl Known {
    fn of(revision: u64, registry: Registry) -> Self {
        let catalogue = Catalogue::of(&registry);
        Self {
            revision,
            registry,
            catalogue,
        }
    }
}

/// Why definitions are not applied.
#[derive(Debug)]
pub enum Refused {
    /// Everything that is wrong with them.
    Wrong(Vec<String>),
    /// The bus is away.
    Away(anyhow::Error),
}

impl Shelf {
    /// Opens the bucket, and reads what is there; where nothing is, what the offline store has a copy of.
    ///
    /// # Errors
    /// When the bus or the offline store is away.
    pub async fn open(bus: &Bus, offline: Option<&Offline>) -> anyhow::Result<Self> {
        let shelf = Self {
            ledger: Ledger::open(bus, subject::DEFINITIONS).await?,
            known: RwLock::new(Arc::new(Known::of(0, Registry::builtin()))),
            copy: offline.cloned(),
        };
        shelf.refresh().await?;
        match shelf.known().revision {
            0 => shelf.put_back().await?,
            _ => shelf.copy(&shelf.known().registry).await,
        }
        Ok(shelf)
    }

    /// The bus has lost them, or is new.
    async fn put_back(&self) -> anyhow::Result<()> {
        let Some(offline) = &self.copy else { return Ok(()) };
        let Some(text) = offline.text(COPY).await? else {
            return Ok(());
        };
        let saved: Registry = serde_json::from_slice(&text).context(COPY)?;
        let registry = Registry::restored(saved);
        match self.ledger.create(&KEY, &registry.own()).await {
            Ok(revision) => {
                tracing::warn!("the bus has no definitions: those that lie beside the rows are put back");
                self.learn(Known::of(revision, registry));
                Ok(())
            }
            Err(SaveError::Conflict) => self.refresh().await,
            Err(fault) => Err(fault.into()),
        }
    }

    /// Lays a copy beside the rows. Without it nothing is worse than it was: it is made again at the next start.
    async fn copy(&self, registry: &Registry) {
        let Some(offline) = &self.copy else { return };
        let written = match serde_json::to_string(&registry.own()) {
            Ok(text) => offline.put_text(COPY, text).await,
            Err(fault) => Err(fault.into()),
        };
        if let Err(fault) = written {
            tracing::warn!(
                fault = format!("{fault:#}"),
                "definitions are not copied to the offline store"
            );
        }
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, known: Known) {
        let mut held = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.revision > held.revision {
            *held = Arc::new(known);
        }
    }

    /// Reads what others have applied.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        if let Some(found) = self.ledger.get::<Registry>(&KEY).await?
            && found.revision > self.known().revision
        {
            self.learn(Known::of(found.revision, Registry::restored(found.document)));
        }
        Ok(())
    }

    /// Applies documents to what is there, whoever else applies at the same time.
    ///
    /// # Errors
    /// [`Refused`]; then nothing is changed.
    pub async fn apply(
        &self,
        documents: &[Document],
        remove: &[String],
        fitted: &Fitted,
    ) -> Result<Vec<Change>, Refused> {
        loop {
            self.refresh().await.map_err(Refused::Away)?;
            let known = self.known();
            let (next, changes) = known
                .registry
                .apply(documents, remove, fitted)
                .map_err(Refused::Wrong)?;
            if next == known.registry {
                return Ok(changes);
            }
            let saved = match known.revision {
                0 => self.ledger.create(&KEY, &next.own()).await,
                revision => self.ledger.update(&KEY, &next.own(), revision).await,
            };
            match saved {
                Ok(revision) => {
                    self.copy(&next).await;
                    self.learn(Known::of(revision, next));
                    return Ok(changes);
                }
                Err(SaveError::Conflict) => {}
                Err(fault) => return Err(Refused::Away(fault.into())),
            }
        }
    }
}
