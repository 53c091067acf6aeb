//! What of a damaged archive can be trusted, and which sequences are lost with the rest.
//!
//! A segment is trusted when it is whole, in its place, and nothing contradicts it: where a whole segment does not follow the one
//! before it, and nothing else tells which of the two was replaced, neither is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chain::{self, Link, SegmentFault, Wrong};
use super::segment::{self, Head};

/// What was found at one number of an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Stand {
    /// Which.
    pub number: u64,
    /// The segment there, when its head reads.
    pub there: Option<Link>,
    /// What the index says of it.
    pub listed: Option<Link>,
}

/// An archive that was read from its beginning to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// The segments that are trusted, in order.
    pub whole: Vec<Link>,
    /// What is lost with the others, in order.
    pub losses: Vec<Loss>,
}

/// Segments that follow one another and are lost, and what was in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The first segment.
    pub first_segment: u64,
    /// The last one.
    pub last_segment: u64,
    /// What is wrong, in words.
    pub why: String,
    /// The first sequence that is lost; none: it is not known.
    pub first_sequence: Option<u64>,
    /// The last one; none: nobody knows how far they went.
    pub last_sequence: Option<u64>,
    /// How many facts, where the index or the segment itself tells.
    pub facts: Option<u64>,
    /// The latest time in it, in unix milliseconds, where that is told.
    #[serde(skip)]
    pub last_time_ms: Option<i64>,
}

impl Stand {
    /// Of the bytes at a number, when there are any, and what the index says of it.
    #[must_use]
    pub fn of(number: u64, bytes: Option<&[u8]>, listed: Option<&Link>) -> Self {
        let there = bytes.and_then(|bytes| {
            let (head, _) = segment::head(bytes).ok()?;
            Some(Link {
                sha256: segment::hash(bytes),
                bytes: bytes.len() as u64,
                head,
            })
        });
        Self {
            number,
            there,
            listed: listed.cloned(),
        }
    }
}

impl Survey {
    /// Of what was found, in order, and what is wrong with it.
    #[must_use]
    pub fn of(stands: Vec<Stand>, faults: &[SegmentFault]) -> Self {
        let mut wrong: BTreeMap<u64, String> = BTreeMap::new();
        for fault in faults.iter().filter(|fault| fault.fault != Wrong::Index) {
            let why = format!("{}: {}", fault.fault.as_str(), fault.detail);
            wrong.entry(fault.segment).or_insert(why);
        }
        for (before, behind) in stands.iter().zip(stands.iter().skip(1)) {
            if let (Some(one), Some(next)) = (&before.there, &behind.there)
                && wrong.contains_key(&behind.number)
                && next.head.number == behind.number
                && next.head.previous != one.sha256
                // One that is not what was written itself contradicts nobody.
                && behind.listed.as_ref().is_none_or(|listed| listed.sha256 == next.sha256)
            {
                let why = "in doubt: the segment behind it follows another one";
                wrong.entry(before.number).or_insert_with(|| why.to_owned());
            }
        }
        let mut survey = Self::default();
        for stand in &stands {
            match (wrong.remove(&stand.number), &stand.there) {
                (None, Some(link)) => survey.whole.push(link.clone()),
                (why, _) => survey.losses.push(loss(stand, why.unwrap_or_default())),
            }
        }
        survey.bound();
        survey
    }

    /// Where nothing tells what lost segments held, their neighbours tell between which sequences it was.
    fn bound(&mut self) {
        let mut losses: Vec<Loss> = Vec::new();
        for loss in std::mem::take(&mut self.losses) {
            match losses.last_mut() {
                Some(last) if last.goes_on_in(&loss) => {
                    last.last_segment = loss.last_segment;
                    last.why = format!("{}; {}", last.why, loss.why);
                }
                _ => losses.push(loss),
            }
        }
        let ends = |link: &Link| {
            (
                link.head.number,
                (
                    link.head.first_sequence.saturating_sub(link.head.gap_before),
                    link.head.last_sequence,
                ),
            )
        };
        let mut known: BTreeMap<u64, (u64, u64)> = self.whole.iter().map(ends).collect();
        for loss in &losses {
            if let (Some(first), Some(last)) = (loss.first_sequence, loss.last_sequence) {
                known.insert(loss.first_segment, (first, last));
            }
        }
        for loss in losses.iter_mut().filter(|loss| loss.first_sequence.is_none()) {
            let before = loss
                .first_segment
                .checked_sub(1)
                .and_then(|number| known.get(&number));
            let behind = known.get(&loss.last_segment.saturating_add(1));
            loss.first_sequence = before.map(|(_, last)| last.saturating_add(1));
            // Sequences of another log say nothing.
            let reaches = |last: &u64| loss.first_sequence.is_none_or(|first| *last >= first);
            loss.last_sequence = behind.map(|(first, _)| first.saturating_sub(1)).filter(reaches);
        }
        self.losses = losses;
    }

    /// The first segment that is not trusted; none: the archive is whole.
    #[must_use]
    pub fn damaged_at(&self) -> Option<u64> {
        self.losses.first().map(|loss| loss.first_segment)
    }
}

fn loss(stand: &Stand, why: String) -> Loss {
    // What the index lists is what was written. Of a segment in doubt its own head is all that there is.
    let own = stand
        .there
        .as_ref()
        .filter(|link| link.head.number == stand.number);
    let told: Option<&Head> = stand.listed.as_ref().or(own).map(|link| &link.head);
    Loss {
        first_segment: stand.number,
        last_segment: stand.number,
        why,
        first_sequence: told.map(|head| head.first_sequence),
        last_sequence: told.map(|head| head.last_sequence),
        facts: told.map(|head| head.facts),
        last_time_ms: told.map(|head| head.last_time_ms),
    }
}

impl Loss {
    /// Whether the next one can only be told together with it.
    fn goes_on_in(&self, next: &Self) -> bool {
        let unknown = self.first_sequence.is_none() && next.first_sequence.is_none();
        unknown && self.last_segment.saturating_add(1) == next.first_segment
    }

    /// What is lost with these whole segments, when what is behind a damage is not put back: those that follow one another
    /// together.
    #[must_use]
    pub fn behind(links: &[Link]) -> Vec<Self> {
        let mut losses: Vec<Self> = Vec::new();
        let follows = |a: &Link, b: &Link| {
            a.head.number.saturating_add(1) == b.head.number && a.head.log_created_ms == b.head.log_created_ms
        };
        for run in links.chunk_by(follows) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            losses.push(Self {
                first_segment: first.head.number,
                last_segment: last.head.number,
                why: "whole, but behind the damage".to_owned(),
                first_sequence: Some(first.head.first_sequence),
                last_sequence: Some(last.head.last_sequence),
                facts: Some(run.iter().map(|link| link.head.facts).sum()),
                last_time_ms: run.iter().map(|link| link.head.last_time_ms).max(),
            });
        }
        losses
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (chain::name(self.first_segment), chain::name(self.last_segment));
        match first == last {
            true => write!(f, "{first} is {}; ", self.why)?,
            false => write!(f, "{first} to {last} are {}; ", self.why)?,
        }
        match (self.first_sequence, self.last_sequence) {
            (Some(first), Some(last)) if first == last => write!(f, "sequence {first}")?,
            (Some(first), Some(last)) => write!(f, "sequences {first} to {last}")?,
            (Some(first), None) => write!(f, "sequences from {first} on")?,
            (None, Some(last)) => write!(f, "sequences up to {last}")?,
            (None, None) => write!(f, "which sequences is not known")?,
        }
        match self.facts {
            Some(1) => write!(f, " (1 fact)"),
            Some(facts) => write!(f, " ({facts} facts)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
