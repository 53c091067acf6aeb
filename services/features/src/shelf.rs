//! Definitions as every replica knows them: one document in a bucket, changed by compare-and-set, looked at every second.

use std::sync::{Arc, PoisonError, RwLock};

use auspex_chassis::{Bus, Ledger, SaveError};
use auspex_proto::subject;

use crate::definitions::{Catalogue, Change, Document, Fitted, Registry};

const KEY: [&str; 1] = ["registry"];

/// The shelf of definitions.
#[derive(Debug)]
pub struct Shelf {
    ledger: Ledger,
    known: RwLock<Arc<Known>>,
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
    /// Opens the bucket, and reads what is there.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn open(bus: &Bus) -> anyhow::Result<Self> {
        let ledger = Ledger::open(bus, subject::DEFINITIONS).await?;
        let known = RwLock::new(Arc::new(Known::of(0, Registry::builtin())));
        let shelf = Self { ledger, known };
        shelf.refresh().await?;
        Ok(shelf)
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
                    self.learn(Known::of(revision, next));
                    return Ok(changes);
                }
                Err(SaveError::Conflict) => {}
                Err(fault) => return Err(Refused::Away(fault.into())),
            }
        }
    }
}
