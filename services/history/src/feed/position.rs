//! How far the metrics are, in a file.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use auspex_chassis::Ends;
use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archive::segment::Head;

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

    pub(super) fn mark(&self) -> Option<Mark> {
        self.mark
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

/// Whether a segment holds what is not done by this mark and not on the log: of no mark at all everything is missing. What
/// ended before `oldest` would be given up at once.
pub(super) fn is_missing(mark: Option<Mark>, ends: &Ends, oldest: Timestamp, head: &Head) -> bool {
    let log = Timestamp(head.log_created_ms);
    let on_log = log == ends.created && head.first_sequence >= ends.first;
    // Logs follow one another, and so do the marks in them.
    let done = mark.is_some_and(|mark| (log, head.last_sequence) <= (mark.created, mark.seq));
    !on_log && !done && head.last_time_ms >= oldest.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(created: i64, sequences: (u64, u64)) -> Head {
        Head {
            log_created_ms: created,
            first_sequence: sequences.0,
            last_sequence: sequences.1,
            last_time_ms: 1_000,
            ..crate::archive::segment::some(1, crate::archive::segment::NOTHING, 1, 1).head
        }
    }

    #[test]
    fn what_is_neither_done_nor_on_the_log_is_missing() {
        let ends = Ends {
            created: Timestamp(20),
            first: 101,
            last: 200,
            messages: 100,
        };
        let missing = |mark: Option<(i64, u64)>, created, sequences| {
            let mark = mark.map(|(created, seq)| Mark {
                created: Timestamp(created),
                seq,
            });
            is_missing(mark, &ends, Timestamp(500), &head(created, sequences))
        };
        assert!(
            missing(Some((20, 50)), 20, (41, 60)),
            "it expired before it was read"
        );
        assert!(missing(Some((20, 50)), 20, (90, 110)), "a part of it did");
        assert!(!missing(Some((20, 50)), 20, (1, 50)), "it is done");
        assert!(!missing(Some((20, 50)), 20, (101, 150)), "the log has it");
        assert!(!missing(Some((20, 50)), 10, (1, 500)), "of a log before: done");
        assert!(
            missing(Some((10, 50)), 10, (51, 500)),
            "of a log before, and not done"
        );
        assert!(missing(Some((10, 50)), 15, (1, 9)), "of a log between");
        assert!(missing(None, 10, (1, 9)) && !missing(None, 20, (101, 120)));
        assert!(
            !is_missing(None, &ends, Timestamp(1_001), &head(10, (1, 9))),
            "too old"
        );
    }

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
