//! Points that wait on disk for their database, in the order in which they came.
//!
//! One file per batch: written beside, synced, then given its name, so that what has a name is whole. A full spool takes
//! nothing more; whoever fills it waits, and nothing is pushed out.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::series::Point;

/// Batches on disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Number and size of each batch, oldest first.
    batches: VecDeque<(u64, u64)>,
    next: u64,
    bytes: u64,
    limit: u64,
}

impl Spool {
    /// Opens the folder with what waits there.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(folder: &Path, limit: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut batches = Vec::new();
        for file in fs::read_dir(folder)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            match name.strip_suffix(".points").and_then(|n| n.parse::<u64>().ok()) {
                Some(number) => batches.push((number, file.metadata()?.len())),
                // Half of a batch that nobody was told of.
                None if name.ends_with(".new") => fs::remove_file(file.path())?,
                None => {}
            }
        }
        batches.sort_unstable();
        let batches = VecDeque::from(batches);
        Ok(Self {
            folder: folder.to_owned(),
            next: batches.back().map_or(1, |(number, _)| number + 1),
            bytes: batches.iter().map(|(_, bytes)| bytes).sum(),
            batches,
            limit,
        })
    }

    /// Puts a batch behind the others; false when there is no room. On the disk when it answers.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&mut self, points: &[Point]) -> anyhow::Result<bool> {
        let packed = zstd::bulk::compress(&serde_json::to_vec(points)?, 1)?;
        let size = packed.len() as u64;
        if self.bytes + size > self.limit {
            return Ok(false);
        }
        let (beside, name) = (self.folder.join("batch.new"), self.file(self.next));
        let mut file = fs::File::create(&beside)?;
        file.write_all(&packed)?;
        file.sync_all()?;
        fs::rename(&beside, &name)?;
        fs::File::open(&self.folder)?.sync_all()?;
        self.batches.push_back((self.next, size));
        self.next += 1;
        self.bytes += size;
        Ok(true)
    }

    /// The oldest batch. One that cannot be read is put aside and said: its points are in the archive.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn front(&mut self) -> anyhow::Result<Option<Vec<Point>>> {
        while let Some((number, _)) = self.batches.front().copied() {
            let name = self.file(number);
            let packed = fs::read(&name).with_context(|| format!("reading {}", name.display()))?;
            match unpack(&packed) {
                Ok(points) => return Ok(Some(points)),
                Err(fault) => {
                    let aside = name.with_extension("unreadable");
                    tracing::error!(file = %aside.display(), fault = format!("{fault:#}"), "a batch of the spool is put aside");
                    fs::rename(&name, &aside)?;
                    self.drop_front();
                }
            }
        }
        Ok(None)
    }

    /// The oldest batch is where it belongs.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pop(&mut self) -> anyhow::Result<()> {
        if let Some((number, _)) = self.batches.front().copied() {
            fs::remove_file(self.file(number))?;
            self.drop_front();
        }
        Ok(())
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// What waits, in bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn drop_front(&mut self) {
        if let Some((_, size)) = self.batches.pop_front() {
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.points"))
    }
}

fn unpack(packed: &[u8]) -> anyhow::Result<Vec<Point>> {
    Ok(serde_json::from_reader(zstd::stream::Decoder::new(packed)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Measure;

    fn batch(n: usize) -> Vec<Point> {
        let point = |i: usize| Point {
            project: "p".to_owned(),
            service: "s".to_owned(),
            track: None,
            region: String::new(),
            metric: "m".to_owned(),
            instance: format!("{n}-{i}"),
            start_ms: i64::try_from(n * 1_000 + i).unwrap(),
            length_ms: 1_000,
            measure: Measure::Gauge(0.1 + n as f64),
        };
        (0..20).map(point).collect()
    }

    #[test]
    fn batches_come_back_in_their_order_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        for n in 0..3 {
            assert!(spool.push(&batch(n)).unwrap());
        }
        assert_eq!(spool.front().unwrap().unwrap(), batch(0));
        spool.pop().unwrap();
        // A writer that was killed left half of a batch.
        fs::write(folder.path().join("batch.new"), b"half").unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert!(spool.push(&batch(3)).unwrap());
        for n in 1..4 {
            assert_eq!(spool.front().unwrap().unwrap(), batch(n), "{n}");
            spool.pop().unwrap();
        }
        assert!(spool.is_empty() && spool.bytes() == 0 && spool.front().unwrap().is_none());
    }

    #[test]
    fn a_full_spool_takes_nothing_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1_000).unwrap();
        let mut taken = 0;
        while spool.push(&batch(taken)).unwrap() {
            taken += 1;
        }
        assert!(taken > 0 && spool.bytes() <= 1_000);
        assert!(!spool.push(&batch(99)).unwrap());
        assert_eq!(spool.front().unwrap().unwrap(), batch(0));
    }

    #[test]
    fn what_cannot_be_read_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.push(&batch(0)).unwrap();
        spool.push(&batch(1)).unwrap();
        fs::write(folder.path().join(format!("{:020}.points", 1)), b"rot").unwrap();
        assert_eq!(spool.front().unwrap().unwrap(), batch(1));
        assert!(folder.path().join(format!("{:020}.unreadable", 1)).exists());
    }
}
