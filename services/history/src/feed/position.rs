//! How far the metrics are, in a file.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which log.
    pub(super) created: Timestamp,
    /// The last message that is done.
    pub(super) seq: u64,
}

/// The file.
#[derive(Debug)]
pub(super) struct Position {
    file: PathBuf,
    mark: Option<Mark>,
}

impl Position {
    /// What it says; one that cannot be read says nothing, and everything is written once more.
    pub(super) fn open(file: PathBuf) -> Self {
        let mark = fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        Self { file, mark }
    }

    pub(super) fn is_in(&self, created: Timestamp) -> bool {
        self.mark.is_some_and(|mark| mark.created == created)
    }

    pub(super) fn seq(&self) -> u64 {
        self.mark.map_or(0, |mark| mark.seq)
    }

    /// Moves on. Not synced: after a power loss some points are written again.
    pub(super) fn set(&mut self, mark: Mark) -> anyhow::Result<()> {
        if self.mark == Some(mark) {
            return Ok(());
        }
        let beside = self.file.with_extension("new");
        let write = || -> anyhow::Result<()> {
            fs::File::create(&beside)?.write_all(&serde_json::to_vec(&mark)?)?;
            Ok(fs::rename(&beside, &self.file)?)
        };
        write().with_context(|| format!("writing {}", self.file.display()))?;
        self.mark = Some(mark);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_again_in_its_own_log_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.json");
        let mut position = Position::open(file.clone());
        assert_eq!((position.seq(), position.is_in(Timestamp(1))), (0, false));
        let mark = Mark {
            created: Timestamp(1),
            seq: 42,
        };
        position.set(mark).unwrap();
        let position = Position::open(file.clone());
        assert!(position.is_in(Timestamp(1)) && !position.is_in(Timestamp(2)) && position.seq() == 42);
        fs::write(&file, "rot").unwrap();
        assert_eq!(Position::open(file).seq(), 0);
    }
}
