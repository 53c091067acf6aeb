//! Definitions as every replica knows them: one document in a bucket, changed by compare-and-set, looked at every second. They
//! are no facts, so that a log that is put back does not bring them back; a copy lies in the offline store beside the rows.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::{Bus, Ledger, SaveError};
use auspex_proto::{Timestamp, subject};
use tokio::time::sleep;

use crate::definitions::{Catalogue, Change, Document, Fitted, Registry};
use crate::offline::Offline;

const KEY: [&str; 1] = ["registry"];
/// Where the copy lies.
const COPY: &str = "definitions/registry.json";
/// How often definitions are applied anew when others apply some at the same moment, and how long after each.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

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
    place: Place,
    /// What is registered.
    pub registry: Registry,
    /// What can be served.
    pub catalogue: Catalogue,
}

/// Where the document of definitions stands; what stands in a newer bucket is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// When its bucket was laid out: a revision means nothing in another one.
    laid_out: Timestamp,
    /// Of the document; 0: nothing was ever applied.
    revision: u64,
}

impl Known {
    fn of(place: Place, registry: Registry) -> Self {
        let catalogue = Catalogue::of(&registry);
        Self {
            place,
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
        let ledger = Ledger::open(bus, subject::DEFINITIONS).await?;
        let place = Place {
            laid_out: ledger.laid_out().await?,
            revision: 0,
        };
        let nothing = Known::of(place, Registry::builtin());
        let shelf = Self {
            ledger,
            known: RwLock::new(Arc::new(nothing)),
            copy: offline.cloned(),
        };
        shelf.refresh().await?;
        match shelf.known().place.revision {
            0 => shelf.put_back().await?,
            _ => shelf.copy(&shelf.known().registry).await,
        }
        Ok(shelf)
    }

    /// The bus has lost them, or is new: what lies beside the rows counts.
    async fn put_back(&self) -> anyhow::Result<()> {
        let Some(offline) = &self.copy else { return Ok(()) };
        let Some(text) = offline.text(COPY).await? else {
            return Ok(());
        };
        let saved: Registry = serde_json::from_slice(&text).context(COPY)?;
        self.lay_back(Registry::restored(saved)).await?;
        self.refresh().await
    }

    /// Saves these where the bus has none.
    async fn lay_back(&self, registry: Registry) -> anyhow::Result<()> {
        let laid_out = self.ledger.laid_out().await?;
        match self.ledger.create(&KEY, &registry.own()).await {
            Ok(revision) => {
                tracing::warn!("the bus has no definitions: those that were known are put back");
                self.learn(Known::of(Place { laid_out, revision }, registry));
                Ok(())
            }
            // Somebody else was first: the next look finds what he saved.
            Err(SaveError::Conflict) => Ok(()),
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
        if known.place > held.place {
            *held = Arc::new(known);
        }
    }

    /// Reads what others have applied; where the bus has lost what is known, it is put back.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        let laid_out = self.ledger.laid_out().await?;
        let found = self.ledger.get::<Registry>(&KEY).await?;
        let known = self.known();
        let Some(found) = found else {
            return match known.place.revision {
                0 => Ok(()),
                _ => self.lay_back(known.registry.clone()).await,
            };
        };
        let revision = found.revision;
        let place = Place { laid_out, revision };
        if place > known.place {
            self.learn(Known::of(place, Registry::restored(found.document)));
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
        for _ in 0..TRIES {
            self.refresh().await.map_err(Refused::Away)?;
            let known = self.known();
            let (next, changes) = known
                .registry
                .apply(documents, remove, fitted)
                .map_err(Refused::Wrong)?;
            if next == known.registry {
                return Ok(changes);
            }
            let Place { laid_out, revision } = known.place;
            let saved = match revision {
                0 => self.ledger.create(&KEY, &next.own()).await,
                _ => self.ledger.update(&KEY, &next.own(), revision).await,
            };
            match saved {
                Ok(revision) => {
                    self.copy(&next).await;
                    self.learn(Known::of(Place { laid_out, revision }, next));
                    return Ok(changes);
                }
                Err(SaveError::Conflict) => sleep(PAUSE).await,
                Err(fault) => return Err(Refused::Away(fault.into())),
            }
        }
        Err(Refused::Away(anyhow::anyhow!(
            "others apply definitions all the time; try again"
        )))
    }
}
