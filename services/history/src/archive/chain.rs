//! Whether an archive is what was written: every segment there, whole, unaltered, in its place.

use serde::{Deserialize, Serialize};

use super::segment::{self, Flaw, Head, NOTHING};

/// How many segments one object of the index lists.
pub const CHUNK: u64 = 64;

/// A segment as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// SHA-256 of the whole segment, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// What it says of itself.
    pub head: Head,
}

/// Where an archive begins: what was before has been given up by retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The number of the first segment that is kept.
    pub number: u64,
    /// The hash of the one before it.
    pub previous: String,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            number: 1,
            previous: NOTHING.to_owned(),
        }
    }
}

/// What can be wrong with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// It is not there.
    Missing,
    /// It is not what was written.
    Altered,
    /// It stands where another one belongs.
    Reordered,
    /// Its end is not there.
    Truncated,
    /// The index does not list it as it is; the segments themselves are whole.
    Index,
}

impl Wrong {
    /// As documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Altered => "altered",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Index => "index",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFault {
    /// With which segment.
    pub segment: u64,
    /// Its name in the archive.
    pub name: String,
    /// What.
    pub fault: Wrong,
    /// In words.
    pub detail: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Nothing is wrong.
    pub sound: bool,
    /// Segments that are whole.
    pub segments: u64,
    /// Facts in them.
    pub facts: u64,
    /// The first fact's sequence.
    pub first_sequence: u64,
    /// The last fact's.
    pub last_sequence: u64,
    /// The hash of the last segment.
    pub head: String,
    /// Everything that is wrong.
    pub faults: Vec<SegmentFault>,
    /// Whole segments that the index does not list (yet).
    pub unlisted: u64,
    /// Facts that had expired before they could be archived, in words.
    pub gaps: Vec<String>,
}

/// The name of a segment in the archive.
#[must_use]
pub fn name(number: u64) -> String {
    format!("segments/{number:020}.seg")
}

/// The number of a segment, by its name.
#[must_use]
pub fn number_of(name: &str) -> Option<u64> {
    let file = name.rsplit('/').next()?;
    let digits = file.strip_suffix(".seg")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Goes along an archive, segment by segment.
#[derive(Debug)]
pub struct Walk {
    /// The hash that the next one has to name; `None` behind one that could not be read and is not listed.
    previous: Option<String>,
    last: Option<(i64, u64)>,
    wanted: Option<String>,
    report: Report,
}

impl Walk {
    /// From where the archive begins. `wanted`: a head noted elsewhere, which must be met on the way.
    #[must_use]
    pub fn new(base: &Base, wanted: Option<String>) -> Self {
        Self {
            previous: Some(base.previous.clone()),
            last: None,
            wanted,
            report: Report::default(),
        }
    }

    /// Takes the next segment in: its bytes, when it is there, and what the index says of it.
    pub fn step(&mut self, number: u64, bytes: Option<&[u8]>, link: Option<&Link>) {
        let before = self.damages();
        let found = bytes.map(|bytes| (bytes, segment::hash(bytes)));
        let head = match &found {
            Some((bytes, sha256)) => self.read(number, bytes, sha256, link),
            None => {
                self.fault(number, Wrong::Missing, "it is not there".to_owned());
                None
            }
        };
        if let Some(head) = head.as_ref().filter(|_| self.damages() == before) {
            self.follow(head);
            self.take(head);
        }
        let (sha256, whole) = (found.map(|(_, sha256)| sha256), head.is_some());
        if self.wanted.is_some() && self.wanted == sha256 {
            self.wanted = None;
        }
        if let Some(sha256) = &sha256 {
            self.report.head.clone_from(sha256);
        }
        // What was written is what the next one has to go on from. Without an index it can only be what is there, if that can
        // be read.
        self.previous = link.map(|link| link.sha256.clone()).or(sha256.filter(|_| whole));
        let known = link.map(|link| &link.head).or(head.as_ref());
        self.last = known.map(|head| (head.log_created_ms, head.last_sequence));
    }

    /// Nothing is there, and nothing is listed, from the one to the other.
    pub fn hole(&mut self, first: u64, last: u64) {
        let detail = format!("it is not there, nor is any other up to {}", name(last));
        self.fault(first, Wrong::Missing, detail);
        (self.previous, self.last) = (None, None);
    }

    /// Faults of segments, without those of the index alone.
    fn damages(&self) -> usize {
        self.report
            .faults
            .iter()
            .filter(|f| f.fault != Wrong::Index)
            .count()
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self, last: u64) -> Report {
        if let Some(wanted) = self.wanted.take() {
            let detail = format!("no segment has the head {wanted}: the archive was cut off or replaced");
            self.fault(last.saturating_add(1), Wrong::Missing, detail);
        }
        self.report.sound = self.report.faults.is_empty();
        self.report
    }

    fn read(&mut self, number: u64, bytes: &[u8], sha256: &str, link: Option<&Link>) -> Option<Head> {
        let head = match segment::open(bytes) {
            Ok((head, _)) => head,
            Err(flaw) => {
                let short = link.is_some_and(|link| (bytes.len() as u64) < link.bytes);
                let wrong = match flaw {
                    Flaw::Truncated { .. } => Wrong::Truncated,
                    Flaw::Altered(_) if short => Wrong::Truncated,
                    Flaw::Altered(_) => Wrong::Altered,
                };
                self.fault(number, wrong, flaw.to_string());
                return None;
            }
        };
        if head.number != number {
            let detail = format!("it is segment {}", head.number);
            self.fault(number, Wrong::Reordered, detail);
            return None;
        }
        match link {
            Some(link) if link.sha256 != sha256 => {
                let previous = self.previous.as_ref();
                // Its place in the chain is right and everything in it agrees: then who is wrong is the index, unless the next
                // segment says otherwise, which it will.
                let detail = format!("the index has {}, it is {sha256}", link.sha256);
                let wrong = if previous == Some(&head.previous) && link.head == head {
                    Wrong::Index
                } else {
                    Wrong::Altered
                };
                self.fault(number, wrong, detail);
            }
            // The index is behind for a moment after each segment: the chain tells whether one belongs here.
            None => self.report.unlisted += 1,
            Some(_) => {}
        }
        Some(head)
    }

    /// Whether it goes on where the one before ended.
    fn follow(&mut self, head: &Head) {
        if self
            .previous
            .as_ref()
            .is_some_and(|previous| *previous != head.previous)
        {
            let detail = format!(
                "it follows a segment {}, which is not the one before it",
                head.previous
            );
            self.fault(head.number, Wrong::Altered, detail);
            return;
        }
        if let Some((log, last)) = self.last
            && log == head.log_created_ms
            && head.first_sequence != last + 1 + head.gap_before
        {
            let detail = format!(
                "it begins at {}, the one before ends at {last}",
                head.first_sequence
            );
            self.fault(head.number, Wrong::Altered, detail);
        }
    }

    fn take(&mut self, head: &Head) {
        if self.report.segments == 0 {
            self.report.first_sequence = head.first_sequence;
        }
        self.report.segments += 1;
        self.report.facts += head.facts;
        self.report.last_sequence = head.last_sequence;
        if head.gap_before > 0 {
            self.report.gaps.push(format!(
                "{} facts before {}: they had expired, or were lost, before they could be archived",
                head.gap_before, head.first_sequence
            ));
        }
    }

    fn fault(&mut self, segment: u64, fault: Wrong, detail: String) {
        self.report.faults.push(SegmentFault {
            segment,
            name: name(segment),
            fault,
            detail,
        });
    }
}

#[cfg(test)]
mod tests;
