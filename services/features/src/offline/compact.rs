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
            if files.len() <= BORNE {
                continue;
            }
            for files in batches(files) {
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
        let mut kinds: Vec<Kind<'_>> = Vec::new();
        for file in files {
            let bytes = self.bytes(&file.path).await?;
            let shape = shape(&bytes)?;
            match kinds.iter_mut().find(|kind| agree(&kind.shape, &shape)) {
                Some(kind) => kind.take(file, bytes, shape),
                None => kinds.push(Kind {
                    shape,
                    files: vec![(file, bytes)],
                }),
            }
        }
        for kind in kinds.into_iter().filter(|kind| kind.files.len() > 1) {
            self.merge_kind(project, source, kind).await?;
        }
        Ok(())
    }

    async fn merge_kind(&self, project: &str, source: &str, kind: Kind<'_>) -> anyhow::Result<()> {
        let wanted = Wanted {
            project,
            source,
            shape: &kind.shape,
            events: (i64::MIN, i64::MAX),
            whose: Whose::All,
        };
        let (mut rows, mut read): (Vec<Stored>, Vec<&File>) = (Vec::new(), Vec::new());
        for (file, bytes) in kind.files {
            rows.extend(super::read(bytes, &wanted)?);
            read.push(file);
        }
        super::each_once(&mut rows);
        let made = self.put(project, source, &kind.shape, &rows).await?;
        // A snapshot may have been kept meanwhile.
        let pinned = self.pinned().await?;
        for file in read
            .iter()
            .filter(|file| Some(&file.path) != made.as_ref() && !pinned.contains(&file.path))
        {
            self.remove(&file.path).await?;
        }
        Ok(())
    }
}

/// Files whose columns, where they have the same name, hold the same.
struct Kind<'a> {
    shape: Shape,
    files: Vec<(&'a File, bytes::Bytes)>,
}

impl<'a> Kind<'a> {
    fn take(&mut self, file: &'a File, bytes: bytes::Bytes, shape: Shape) {
        for column in shape.columns {
            if self.shape.place(&column.name).is_none() {
                self.shape.columns.push(column);
            }
        }
        self.files.push((file, bytes));
    }
}

/// In their order, as many together as fit into memory well.
fn batches(files: Vec<File>) -> Vec<Vec<File>> {
    let (mut batches, mut size) = (vec![Vec::new()], 0);
    for file in files {
        size += file.size;
        if size > LARGE {
            size = file.size;
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(file);
        }
    }
    batches
}

/// What a file's rows look like.
fn shape(bytes: &bytes::Bytes) -> anyhow::Result<Shape> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
    let own = |name: &str| !name.starts_with("__") && !["event_timestamp", "created"].contains(&name);
    let fields = reader.schema().fields().iter().filter(|field| own(field.name()));
    let column = |field: &arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        text: *field.data_type() == arrow_schema::DataType::Utf8,
        keep: Keep::default(),
        half_life: 0,
    };
    Ok(Shape {
        columns: fields.map(column).collect(),
        ..Shape::default()
    })
}

/// Whether columns of one name hold the same: a view's column may have held numbers once, and holds texts now.
fn agree(one: &Shape, other: &Shape) -> bool {
    one.columns.iter().all(|column| {
        let same = other.columns.iter().find(|theirs| theirs.name == column.name);
        same.is_none_or(|theirs| theirs.text == column.text)
    })
}
