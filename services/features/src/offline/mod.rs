//! The offline store: every row for good, as Parquet files in a folder or a bucket.
//!
//! A file's name tells whose rows it holds and of which times, so that a question opens few of them. Files are written at least
//! once: a row that lies in two files is one row, by entity, id and the time it became known. A *snapshot* is a list of
//! files under a name made of it; its files are not compacted away.

mod compact;
mod files;
mod join;
mod served;
mod table;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use auspex_algebra::distinct::hash;
use auspex_algebra::{Row, Shape};
use auspex_chassis::place::Access;
use auspex_proto::token::{token, untoken};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::compact::Compacted;
pub use self::files::{Stored, read, write};
pub use self::join::{Answer, Labels, Question};
pub use self::served::{Log, Vector};
pub use self::table::{Format, columns, number, table};
pub use self::writer::Writer;

/// How often files are listed anew when one is gone that was listed.
pub(crate) const LOOKS: usize = 4;
/// Bytes of files that are read at once where all rows of a span are wanted.
const SHARE: u64 = 8 << 20;

/// The store.
#[derive(Debug, Clone)]
pub struct Offline {
    store: Arc<dyn ObjectStore>,
}

/// A file by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Where it lies.
    pub path: String,
    /// Whose rows.
    pub project: String,
    /// Of which source.
    pub source: String,
    /// The first event and the last, milliseconds.
    pub events: (i64, i64),
    /// Its size, bytes.
    pub size: u64,
}

/// A list of files under a name made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Lower-case hex, 16 digits of the sha256 of the paths.
    pub id: String,
    /// When it was kept, milliseconds.
    pub created: i64,
    /// Paths, sorted.
    pub files: Vec<String>,
}

impl Snapshot {
    /// Whether it holds rows of this project.
    #[must_use]
    pub fn is_of(&self, project: &str) -> bool {
        let of = |path: &String| file_of(path, 0).is_some_and(|file| file.project == project);
        self.files.iter().any(of)
    }
}

/// Which rows are wanted.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Whose.
    pub project: &'a str,
    /// Of which source.
    pub source: &'a str,
    /// What they are read as: columns that a file has not are null.
    pub shape: &'a Shape,
    /// First and last event, both included.
    pub events: (i64, i64),
    /// Of which entities.
    pub whose: Whose<'a>,
}

/// Of which entities rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Of all.
    All,
    /// Of these.
    These(&'a BTreeSet<String>),
    /// Of one share, from 0, of so many: what does not fit into memory at once is read share by share.
    Share(u64, u64),
}

impl Whose<'_> {
    /// Whether rows of this entity are wanted.
    #[must_use]
    pub fn has(self, entity: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(entities) => entities.contains(entity),
            Self::Share(share, of) => hash(entity.as_bytes()) % of.max(1) == share,
        }
    }
}

fn file_of(path: &str, size: u64) -> Option<File> {
    let mut parts = path.strip_prefix("rows/")?.split('/');
    let (project, source, name) = (parts.next()?, parts.next()?, parts.next()?);
    let mut numbers = name.strip_suffix(".parquet")?.split('_');
    let mut number = || numbers.next()?.parse::<i64>().ok();
    Some(File {
        path: path.to_owned(),
        project: untoken(project)?,
        source: untoken(source)?,
        events: (number()?, number()?),
        size,
    })
}

/// Opens a store: a folder, which is made, or with the feature `clouds` a bucket on S3, GCS or Azure.
///
/// # Errors
/// When the place cannot be used; it is named.
pub fn open(location: &str) -> anyhow::Result<Offline> {
    auspex_chassis::place::open(location, &Access::default()).map(Offline::new)
}

impl Offline {
    /// A store on this place.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Writes rows of one source as one file; answers where.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn put(
        &self,
        project: &str,
        source: &str,
        shape: &Shape,
        rows: &[Stored],
    ) -> anyhow::Result<Option<String>> {
        let events = || rows.iter().map(|stored| stored.row.event);
        let (Some(first), Some(last)) = (events().min(), events().max()) else {
            return Ok(None);
        };
        let bytes = write(shape, rows)?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let path = format!(
            "rows/{}/{}/{first}_{last}_{}.parquet",
            token(project),
            token(source),
            digest.get(..16).unwrap_or_default()
        );
        let payload = PutPayload::from(bytes);
        self.store
            .put(&Path::parse(&path)?, payload)
            .await
            .with_context(|| path.clone())?;
        Ok(Some(path))
    }

    /// All files, of one project and source when told; sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn files(&self, of: Option<(&str, &str)>) -> anyhow::Result<Vec<File>> {
        let prefix = match of {
            Some((project, source)) => format!("rows/{}/{}", token(project), token(source)),
            None => "rows".to_owned(),
        };
        let listed = self
            .store
            .list(Some(&Path::parse(prefix)?))
            .map_ok(|meta| (meta.location.to_string(), meta.size));
        let mut files: Vec<File> = listed
            .try_filter_map(|(path, size)| async move { Ok(file_of(&path, size)) })
            .try_collect()
            .await?;
        files.sort();
        Ok(files)
    }

    pub(crate) async fn bytes(&self, path: &str) -> anyhow::Result<bytes::Bytes> {
        let found = self
            .store
            .get(&Path::parse(path)?)
            .await
            .with_context(|| path.to_owned())?;
        Ok(found.bytes().await?)
    }

    pub(crate) async fn put_text(&self, path: &str, text: String) -> anyhow::Result<()> {
        let payload = PutPayload::from(text.into_bytes());
        self.store
            .put(&Path::parse(path)?, payload)
            .await
            .with_context(|| path.to_owned())?;
        Ok(())
    }

    pub(crate) async fn names(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let listed = self
            .store
            .list(Some(&Path::parse(prefix)?))
            .map_ok(|meta| meta.location.to_string());
        let mut names: Vec<String> = listed.try_collect().await?;
        names.sort();
        Ok(names)
    }

    pub(crate) async fn remove(&self, path: &str) -> anyhow::Result<()> {
        match self.store.delete(&Path::parse(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// How many shares rows of these events are best read in: each of about 8 MiB of files, which become some ten times of that.
    ///
    /// # Errors
    /// When files cannot be listed.
    pub async fn shares(&self, project: &str, source: &str, events: (i64, i64)) -> anyhow::Result<u64> {
        let files = self.files(Some((project, source))).await?;
        let within = |file: &&File| file.events.1 >= events.0 && file.events.0 <= events.1;
        let bytes: u64 = files.iter().filter(within).map(|file| file.size).sum();
        Ok(bytes / SHARE + 1)
    }

    /// The rows of one source that are wanted, each once, from a snapshot when one is given. In order of entity, event, known.
    ///
    /// # Errors
    /// When files cannot be read.
    pub async fn rows(
        &self,
        wanted: &Wanted<'_>,
        snapshot: Option<&Snapshot>,
    ) -> anyhow::Result<Vec<Stored>> {
        let mut looked = 0;
        loop {
            looked += 1;
            match self.rows_once(wanted, snapshot).await {
                // It was put together with others since it was listed: their new file is there.
                Err(fault) if snapshot.is_none() && looked < LOOKS && is_gone(&fault) => {}
                done => return done,
            }
        }
    }

    async fn rows_once(
        &self,
        wanted: &Wanted<'_>,
        snapshot: Option<&Snapshot>,
    ) -> anyhow::Result<Vec<Stored>> {
        let within = |file: &File| file.events.1 >= wanted.events.0 && file.events.0 <= wanted.events.1;
        let kept: Option<BTreeSet<&str>> = snapshot.map(|s| s.files.iter().map(String::as_str).collect());
        let files = match snapshot {
            // A snapshot tells its files itself.
            Some(snapshot) => snapshot
                .files
                .iter()
                .filter_map(|path| file_of(path, 0))
                .collect(),
            None => self.files(Some((wanted.project, wanted.source))).await?,
        };
        let mut rows = Vec::new();
        for file in files
            .iter()
            .filter(|f| f.project == wanted.project && f.source == wanted.source && within(f))
        {
            if kept
                .as_ref()
                .is_some_and(|kept| !kept.contains(file.path.as_str()))
            {
                continue;
            }
            let bytes = self.bytes(&file.path).await?;
            let found = read(bytes, wanted).with_context(|| file.path.clone())?;
            rows.extend(found);
        }
        each_once(&mut rows);
        Ok(rows)
    }

    /// What is there now; kept under its name when asked to.
    ///
    /// # Errors
    /// When files cannot be listed, or the snapshot not be kept.
    pub async fn snapshot(&self, project: &str, keep: Option<i64>) -> anyhow::Result<Snapshot> {
        for _ in 0..LOOKS {
            let snapshot = self.snapshot_once(project, keep).await?;
            if keep.is_none() {
                return Ok(snapshot);
            }
            // Files may have been put together between the listing and the keeping.
            let there: BTreeSet<String> = self.paths(project).await?.into_iter().collect();
            if snapshot.files.iter().all(|file| there.contains(file)) {
                return Ok(snapshot);
            }
            self.remove(&format!("snapshots/{}.json", snapshot.id)).await?;
        }
        anyhow::bail!("files are put together faster than they can be listed")
    }

    async fn paths(&self, project: &str) -> anyhow::Result<Vec<String>> {
        let files = self.files(None).await?.into_iter();
        Ok(files.filter(|f| f.project == project).map(|f| f.path).collect())
    }

    async fn snapshot_once(&self, project: &str, keep: Option<i64>) -> anyhow::Result<Snapshot> {
        let files = self.paths(project).await?;
        let digest = hex::encode(Sha256::digest(files.join("\n").as_bytes()));
        let id = digest.get(..16).unwrap_or_default().to_owned();
        let snapshot = Snapshot {
            id,
            created: keep.unwrap_or_default(),
            files,
        };
        if keep.is_some() && self.kept(&snapshot.id).await?.is_none() {
            let text = serde_json::to_string_pretty(&snapshot)?;
            self.put_text(&format!("snapshots/{}.json", snapshot.id), text)
                .await?;
        }
        Ok(snapshot)
    }

    /// A snapshot that was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kept(&self, id: &str) -> anyhow::Result<Option<Snapshot>> {
        match self.text(&format!("snapshots/{}.json", token(id))).await? {
            Some(text) => Ok(Some(serde_json::from_slice(&text)?)),
            None => Ok(None),
        }
    }

    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<Option<bytes::Bytes>> {
        match self.store.get(&Path::parse(path)?).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(fault).with_context(|| path.to_owned()),
        }
    }
}

/// Rows in order of entity, event, known; each as it stood in the log first.
pub(crate) fn each_once(rows: &mut Vec<Stored>) {
    let order = |s: &Stored| (s.entity.clone(), s.row.event, s.row.created, s.row.id, s.seq);
    rows.sort_by_cached_key(order);
    rows.dedup_by(|a, b| {
        (&a.entity, a.row.event, a.row.created, a.row.id) == (&b.entity, b.row.event, b.row.created, b.row.id)
    });
}

/// Whether a file is not there.
pub(crate) fn is_gone(fault: &anyhow::Error) -> bool {
    let none = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(object_store::Error::NotFound { .. }))
    };
    fault.chain().any(none)
}

/// A row with nothing but its place: for tests and for what is read back.
#[must_use]
pub fn stored(entity: &str, row: Row, seq: u64) -> Stored {
    Stored {
        entity: entity.to_owned(),
        row,
        seq,
    }
}
