//! The archive: every fact in its order, in segments on an object store (a folder, S3, GCS, Azure).
//!
//! ```text
//! segments/00000000000000000001.seg   facts, see [`segment`]
//! index/0000000000.json               what the segments are, 64 to an object
//! base.json                           where the archive begins, once retention has given something up
//! ```
//! A segment is stored under its number only if nothing is there yet, so two writers cannot both go on, and one that was
//! stored by an upload whose answer was lost is recognised. The index is written behind the segments, and mended from them.

pub mod chain;
pub mod segment;
pub mod store;
pub mod summary;
pub mod survey;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use serde::{Deserialize, Serialize};

use self::chain::{Base, CHUNK, Link};
use self::segment::{Head, Sealed};

const BASE: &str = "base.json";

/// An archive.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    location: Arc<str>,
}

/// What became of a segment that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is there, now or since an upload before.
    Stored,
    /// Another writer has stored another one in its place.
    Taken,
}

/// One object of the index.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Chunk {
    segments: Vec<Link>,
}

impl Archive {
    /// An archive on a store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self {
            store,
            location: location.into(),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Stores a segment, unless something is there.
    ///
    /// # Errors
    /// When the store is away: the same again is safe.
    pub async fn append(&self, sealed: &Sealed) -> anyhow::Result<Appended> {
        let number = sealed.head.number;
        let path = Path::from(chain::name(number));
        let once = PutOptions::from(PutMode::Create);
        match self
            .store
            .put_opts(&path, Bytes::from(sealed.bytes.clone()).into(), once)
            .await
        {
            Ok(_) => {}
            Err(Error::AlreadyExists { .. }) => match self.segment(number).await? {
                Some(there) if there == sealed.bytes => {}
                _ => return Ok(Appended::Taken),
            },
            Err(fault) => return Err(fault).with_context(|| format!("storing segment {number}")),
        }
        self.list(link(sealed)).await?;
        Ok(Appended::Stored)
    }

    /// The bytes of a segment; `None` when it is not there.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn segment(&self, number: u64) -> anyhow::Result<Option<Bytes>> {
        self.object(&chain::name(number)).await
    }

    /// The facts of a segment.
    ///
    /// # Errors
    /// When the store is away, or the segment is not whole: it is named.
    pub async fn facts(&self, number: u64) -> anyhow::Result<(Head, Vec<auspex_proto::wire::ArchivedFact>)> {
        let name = chain::name(number);
        let bytes = self.segment(number).await?;
        let bytes = bytes.with_context(|| format!("{name} is missing"))?;
        segment::open(&bytes).with_context(|| name)
    }

    /// Where it begins.
    ///
    /// # Errors
    /// When the store is away, or the object is not readable.
    pub async fn base(&self) -> anyhow::Result<Base> {
        match self.object(BASE).await? {
            Some(bytes) => serde_json::from_slice(&bytes).context(BASE),
            None => Ok(Base::default()),
        }
    }

    /// Everything that the index lists, in order. What cannot be read of it is left out: the segments tell.
    pub(super) async fn listed(&self) -> anyhow::Result<BTreeMap<u64, Link>> {
        let mut links = BTreeMap::new();
        for name in self.names("index").await? {
            if let Some(bytes) = self.object(&name).await? {
                match serde_json::from_slice::<Chunk>(&bytes) {
                    Ok(chunk) => {
                        links.extend(chunk.segments.into_iter().map(|link| (link.head.number, link)))
                    }
                    Err(fault) => tracing::warn!(name, %fault, "an object of the index cannot be read"),
                }
            }
        }
        let base = self.base().await?;
        links.retain(|number, _| *number >= base.number);
        Ok(links)
    }

    /// All segments, in order. The index is behind for a moment after each of them, and when two have written it at once: what
    /// it does not list is read from the segments themselves.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn index(&self) -> anyhow::Result<Vec<Link>> {
        let mut links = self.listed().await?;
        let base = self.base().await?;
        let last = links
            .keys()
            .next_back()
            .copied()
            .unwrap_or(base.number.saturating_sub(1));
        let missing: Vec<u64> = (base.number..=last)
            .filter(|number| !links.contains_key(number))
            .collect();
        for number in missing {
            if let Some(link) = self.link_of(number).await? {
                links.insert(number, link);
            }
        }
        let mut next = last + 1;
        while let Some(link) = self.link_of(next).await? {
            links.insert(next, link);
            next += 1;
        }
        Ok(links.into_values().collect())
    }

    /// What the index should say of a segment; `None` when it is not there, or not whole.
    async fn link_of(&self, number: u64) -> anyhow::Result<Option<Link>> {
        let Some(bytes) = self.segment(number).await? else {
            return Ok(None);
        };
        let whole = segment::open(&bytes)
            .ok()
            .filter(|(head, _)| head.number == number);
        Ok(whole.map(|(head, _)| Link {
            sha256: segment::hash(&bytes),
            bytes: bytes.len() as u64,
            head,
        }))
    }

    /// The numbers of the segments that are there, in order.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn numbers(&self) -> anyhow::Result<Vec<u64>> {
        let names = self.names("segments").await?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| chain::number_of(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Puts a segment into the index.
    async fn list(&self, link: Link) -> anyhow::Result<()> {
        let name = chunk_name(link.head.number);
        let mut chunk: Chunk = match self.object(&name).await? {
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => Chunk::default(),
        };
        chunk
            .segments
            .retain(|listed| listed.head.number != link.head.number);
        chunk.segments.push(link);
        chunk.segments.sort_by_key(|listed| listed.head.number);
        let bytes = serde_json::to_vec(&chunk)?;
        self.store
            .put(&Path::from(name.as_str()), bytes.into())
            .await
            .with_context(|| format!("storing {name}"))?;
        Ok(())
    }

    async fn object(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        let found = match self.store.get(&Path::from(name)).await {
            Ok(found) => found.bytes().await,
            Err(fault) => Err(fault),
        };
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(fault).with_context(|| format!("reading {name}")),
        }
    }

    async fn names(&self, folder: &str) -> anyhow::Result<Vec<String>> {
        let listing = self.store.list(Some(&Path::from(folder)));
        let objects: Vec<_> = listing
            .try_collect()
            .await
            .with_context(|| format!("listing {folder}"))?;
        Ok(objects.into_iter().map(|o| o.location.to_string()).collect())
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        match self.store.delete(&Path::from(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(fault) => Err(fault).with_context(|| format!("removing {name}")),
        }
    }
}

fn link(sealed: &Sealed) -> Link {
    Link {
        sha256: sealed.sha256.clone(),
        bytes: sealed.bytes.len() as u64,
        head: sealed.head.clone(),
    }
}

fn chunk_name(number: u64) -> String {
    format!("index/{:010}.json", number / CHUNK)
}
