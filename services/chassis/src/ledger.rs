//! Documents under keys, changed by compare-and-set: what a service keeps that no log of facts gives it, as a registry does.
//!
//! A key has several parts, each of any text. A document is below 1 MB.

use async_nats::jetstream::kv;
use auspex_proto::{Timestamp, subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::bus::{Bus, is_stale, newest, timestamp};

/// A bucket of documents; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    bus: Bus,
    store: kv::Store,
    bucket: String,
}

/// A document as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<D> {
    /// The parts of its key.
    pub key: Vec<String>,
    /// What a change must name.
    pub revision: u64,
    /// It.
    pub document: D,
}

/// Why a document was not saved.
#[derive(Debug, Error)]
pub enum SaveError {
    /// Somebody else has written it since it was read; or it is there already.
    #[error("somebody else has written it meanwhile")]
    Conflict,
    /// The bus is away, or the document cannot be written.
    #[error("it could not be saved: {0}")]
    Unavailable(String),
}

impl Ledger {
    /// Opens a bucket, and lays it out when it is not there.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn open(bus: &Bus, bucket: &str) -> anyhow::Result<Self> {
        Ok(Self {
            bus: bus.clone(),
            store: bus.lay_out_documents(bucket).await?,
            bucket: bucket.to_owned(),
        })
    }

    /// When the bucket was laid out: revisions mean nothing in another one.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn laid_out(&self) -> anyhow::Result<Timestamp> {
        let stream = self.bus.stream_of(&self.bucket).await?;
        Ok(timestamp(stream.cached_info().created.unix_timestamp_nanos()))
    }

    /// The document under a key; `None`: there is none.
    ///
    /// # Errors
    /// When the bus is away, or what is there is of another shape.
    pub async fn get<D: DeserializeOwned>(&self, key: &[&str]) -> anyhow::Result<Option<Document<D>>> {
        let Some(found) = self.store.entry(subject::document_key(key)).await? else {
            return Ok(None);
        };
        if found.operation != kv::Operation::Put {
            return Ok(None);
        }
        Ok(Some(Document {
            key: key.iter().map(|part| (*part).to_owned()).collect(),
            revision: found.revision,
            document: serde_json::from_slice(&found.value)?,
        }))
    }

    /// All documents whose keys begin with these parts and go on.
    ///
    /// # Errors
    /// When the bus is away, or one of them is of another shape.
    pub async fn list<D: DeserializeOwned>(&self, key: &[&str]) -> anyhow::Result<Vec<Document<D>>> {
        let found = newest(&self.bus, &self.bucket, &subject::document_keys(key)).await?;
        let entry = |entry: crate::bus::KeyValue| {
            Ok(Document {
                key: subject::document_parts(&entry.key)
                    .ok_or_else(|| anyhow::anyhow!("{} is not the key of a document", entry.key))?,
                revision: entry.revision,
                document: serde_json::from_slice(&entry.value)?,
            })
        };
        found.into_iter().map(entry).collect()
    }

    /// Saves a document that must not be there yet.
    ///
    /// # Errors
    /// [`SaveError::Conflict`] when it is.
    pub async fn create<D: Serialize>(&self, key: &[&str], document: &D) -> Result<u64, SaveError> {
        let value = encode(document)?;
        match self.store.create(subject::document_key(key), value).await {
            Ok(revision) => Ok(revision),
            Err(fault) if fault.kind() == kv::CreateErrorKind::AlreadyExists || is_stale(&fault) => {
                Err(SaveError::Conflict)
            }
            Err(fault) => Err(SaveError::Unavailable(fault.to_string())),
        }
    }

    /// Saves a document over the one that was read at this revision.
    ///
    /// # Errors
    /// [`SaveError::Conflict`] when another has been saved since.
    pub async fn update<D: Serialize>(
        &self,
        key: &[&str],
        document: &D,
        revision: u64,
    ) -> Result<u64, SaveError> {
        let value = encode(document)?;
        match self
            .store
            .update(subject::document_key(key), value, revision)
            .await
        {
            Ok(revision) => Ok(revision),
            Err(fault) if is_stale(&fault) => Err(SaveError::Conflict),
            Err(fault) => Err(SaveError::Unavailable(fault.to_string())),
        }
    }

    /// Removes a document that was read at this revision; its key may be used anew.
    ///
    /// # Errors
    /// [`SaveError::Conflict`] when another has been saved since.
    pub async fn remove(&self, key: &[&str], revision: u64) -> Result<(), SaveError> {
        let key = subject::document_key(key);
        match self.store.purge_expect_revision(key, Some(revision)).await {
            Ok(()) => Ok(()),
            Err(fault) if is_stale(&fault) => Err(SaveError::Conflict),
            Err(fault) => Err(SaveError::Unavailable(fault.to_string())),
        }
    }
}

fn encode<D: Serialize>(document: &D) -> Result<bytes::Bytes, SaveError> {
    let value = serde_json::to_vec(document).map_err(|fault| SaveError::Unavailable(fault.to_string()))?;
    if value.len() > (1 << 20) - 4_096 {
        let text = format!("the document has {} bytes, at most 1 MB is kept", value.len());
        return Err(SaveError::Unavailable(text));
    }
    Ok(value.into())
}
