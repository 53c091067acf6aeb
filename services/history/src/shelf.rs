//! Everything that was kept and what is on its way there, as one thing to look through.

use std::collections::{BTreeSet, VecDeque};

use auspex_proto::wire::ArchivedFact;

use crate::archive::Archive;
use crate::archive::chain::Link;
use crate::keep::Tail;

/// The archive and what is not in it yet.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// The archive.
    pub archive: Archive,
    /// What is read and not stored.
    pub tail: Tail,
}

/// Which segments are worth reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kinds of facts; empty: all.
    pub kinds: BTreeSet<String>,
    /// Marks of what they speak of; `None`: of anything.
    pub marks: Option<BTreeSet<String>>,
    /// From when, by the log's time.
    pub from_ms: i64,
    /// Until when, exclusive; 0: no end.
    pub to_ms: i64,
}

impl Filter {
    /// Whether a segment may hold something.
    #[must_use]
    pub fn wants(&self, link: &Link) -> bool {
        let head = &link.head;
        let marks = self
            .marks
            .as_ref()
            .is_none_or(|marks| head.summary.may_speak_of(marks));
        marks
            && head.summary.has(&self.kinds)
            && head.last_time_ms >= self.from_ms
            && !self.ends_before(head.first_time_ms)
    }

    /// Whether a fact of this time is within.
    #[must_use]
    pub fn holds(&self, time_ms: i64) -> bool {
        time_ms >= self.from_ms && !self.ends_before(time_ms)
    }

    fn ends_before(&self, time_ms: i64) -> bool {
        self.to_ms > 0 && time_ms >= self.to_ms
    }
}

impl Shelf {
    /// The segments that are wanted, one after another, then what is not stored yet.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub async fn parts(&self, filter: &Filter) -> anyhow::Result<Parts> {
        // The tail first: what moves into the archive meanwhile is then found twice rather than never, and known by its place.
        let (waiting, index) = (self.tail.read().await.clone(), self.archive.index().await?);
        let last = index.last().map(|link| &link.head);
        let stored = |fact: &ArchivedFact| {
            last.is_some_and(|h| {
                h.log_created_ms == waiting.log_created_ms && fact.sequence <= h.last_sequence
            })
        };
        let tail = waiting
            .facts
            .iter()
            .filter(|fact| !stored(fact) && filter.holds(fact.time_ms));
        let of_log = |fact: &ArchivedFact| ArchivedFact {
            log_created_ms: waiting.log_created_ms,
            ..fact.clone()
        };
        Ok(Parts {
            tail: tail.map(of_log).collect(),
            segments: index.into_iter().filter(|link| filter.wants(link)).collect(),
            archive: self.archive.clone(),
            filter: filter.clone(),
        })
    }

    /// Shows every fact of the parts that are wanted, in their order.
    ///
    /// # Errors
    /// When the archive cannot be read: the segment is named.
    pub async fn each<F>(&self, filter: &Filter, mut visit: F) -> anyhow::Result<()>
    where
        F: FnMut(ArchivedFact) -> anyhow::Result<()>,
    {
        let mut parts = self.parts(filter).await?;
        while let Some(facts) = parts.next().await? {
            facts.into_iter().try_for_each(&mut visit)?;
        }
        Ok(())
    }
}

/// What is being looked through.
#[derive(Debug)]
pub struct Parts {
    archive: Archive,
    filter: Filter,
    segments: VecDeque<Link>,
    tail: Vec<ArchivedFact>,
}

impl Parts {
    /// The facts of the next part that are of the time asked for; `None` at the end.
    ///
    /// # Errors
    /// When the archive cannot be read: the segment is named.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<ArchivedFact>>> {
        let Some(link) = self.segments.pop_front() else {
            return Ok(Some(std::mem::take(&mut self.tail)).filter(|tail| !tail.is_empty()));
        };
        let (head, mut facts) = self.archive.facts(link.head.number).await?;
        facts.retain(|fact| self.filter.holds(fact.time_ms));
        facts
            .iter_mut()
            .for_each(|fact| fact.log_created_ms = head.log_created_ms);
        Ok(Some(facts))
    }
}
