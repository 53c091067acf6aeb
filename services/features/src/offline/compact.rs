//! Compaction and retention: few large files, each row once; and none older than wanted.

use std::collections::{BTreeMap, BTreeSet};

use auspex_algebra::{Column, Keep, Shape};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{File, Offline, Snapshot, Stored, Wanted, Whose};

/// How many small files of a source are borne.
const BORNE: usize = 8;
/// A file that is as large as this is left alone, bytes.
const LARGE: u64 = 32 << 20;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files of rows before.
    pub before: u64,
    /// And after.
    pub after: u64,
    /// Of those gone, older than wanted.
    pub expired: u64,
}

impl Offline {
    /// Puts small files together, and takes away those whose last event is before `oldest`. Files of kept snapshots stay.
    ///
    /// # Errors
    /// When a file cannot be read or written; what was done until then is sound.
    pub async fn compact(&self, oldest: Option<i64>) -> anyhow::Result<Compacted> {
        let mut done = Compacted::default();
        let pinned = self.pinned().await?;
        let files = self.files(None).await?;
        done.before = files.len() as u64;
        let mut sources: BTreeMap<(String, String), Vec<File>> = BTreeMap::new();
        for file in files {
            if pinned.contains(&file.path) {
                continue;
            }
            if oldest.is_some_and(|oldest| file.events.1 < oldest) {
                self.remove(&file.path).await?;
                done.expired += 1;
                continue;
            }
            if file.size < LARGE {
                sources
                    .entry((file.project.clone(), file.source.clone()))
                    .or_default()
                    .push(file);
            }
        }
        for ((project, source), files) in sources {
            if files.len() > BORNE {
                self.merge(&project, &source, &files).await?;
            }
        }
        done.after = self.files(None).await?.len() as u64;
        Ok(done)
    }

    async fn pinned(&self) -> anyhow::Result<BTreeSet<String>> {
        let mut pinned = BTreeSet::new();
        for name in self.names("snapshots").await? {
            let snapshot: Snapshot = serde_json::from_slice(&self.bytes(&name).await?)?;
            pinned.extend(snapshot.files);
        }
        Ok(pinned)
    }

    /// The new file stands before an old one goes: whoever reads meanwhile finds rows twice, never none.
    async fn merge(&self, project: &str, source: &str, files: &[File]) -> anyhow::Result<()> {
        let mut contents = Vec::with_capacity(files.len());
        for file in files {
            contents.push(self.bytes(&file.path).await?);
        }
        let shape = union(&contents)?;
        let wanted = Wanted {
            project,
            source,
            shape: &shape,
            events: (i64::MIN, i64::MAX),
            whose: Whose::All,
        };
        let mut rows: Vec<Stored> = Vec::new();
        for bytes in contents {
            rows.extend(super::read(bytes, &wanted)?);
        }
        let order = |s: &Stored| (s.entity.clone(), s.row.event, s.row.created, s.row.id);
        rows.sort_by_cached_key(order);
        rows.dedup_by(|a, b| order(a) == order(b));
        let made = self.put(project, source, &shape, &rows).await?;
        for file in files.iter().filter(|file| Some(&file.path) != made.as_ref()) {
            self.remove(&file.path).await?;
        }
        Ok(())
    }
}

/// All columns that any of the files has.
fn union(contents: &[bytes::Bytes]) -> anyhow::Result<Shape> {
    let mut shape = Shape::default();
    for bytes in contents {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
        for field in reader.schema().fields() {
            let own = field.name().starts_with("__")
                || ["event_timestamp", "created"].contains(&field.name().as_str());
            if !own && shape.place(field.name()).is_none() {
                shape.columns.push(Column {
                    name: field.name().clone(),
                    text: *field.data_type() == arrow_schema::DataType::Utf8,
                    keep: Keep::default(),
                    half_life: 0,
                });
            }
        }
    }
    Ok(shape)
}
