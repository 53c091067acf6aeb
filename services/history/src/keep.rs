//! Keeping every fact: from the log into the archive, segment by segment.
//!
//! The archive itself is the position: what its last segment ends with is what was kept. Until a segment is stored its facts
//! are on the log, so a process that is killed at any moment loses nothing: the next one reads on from there.

mod place;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::{Bus, Counter, Entry, Gauge, LogReader, Metrics, Stop};
use auspex_proto::Timestamp;
use auspex_proto::subject::{self, FACT_KINDS};
use auspex_proto::wire::ArchivedFact;
use tokio::sync::RwLock;
use tokio::time::Instant;

use self::place::Position;
use crate::archive::segment::{self, Place, Sealed};
use crate::archive::{Appended, Archive};
use crate::config::ArchiveConfig;

/// The longest pause between attempts to store a segment.
const LONGEST: Duration = Duration::from_secs(30);
/// How long an orderly stop tries to store what is left: what it cannot is on the log.
const LAST: Duration = Duration::from_secs(5);

/// Facts that are read and not in a segment yet, for whoever asks about them.
pub type Tail = Arc<RwLock<Waiting>>;

/// What waits for its segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting {
    /// Which log.
    pub log_created_ms: i64,
    /// Facts, in their order.
    pub facts: Vec<ArchivedFact>,
    /// Why the archive is away; empty: it is there.
    pub away: String,
}

impl Waiting {
    /// When the oldest one was told, in unix milliseconds; 0: none waits.
    #[must_use]
    pub fn oldest_ms(&self) -> i64 {
        self.facts.first().map_or(0, |fact| fact.time_ms)
    }
}

/// Keeps facts.
#[derive(Debug)]
pub struct Keeper {
    /// The bus.
    pub bus: Bus,
    /// The archive.
    pub archive: Archive,
    /// When segments are closed.
    pub config: ArchiveConfig,
    /// What is read and not kept.
    pub tail: Tail,
    /// Figures.
    pub figures: Figures,
}

/// What the keeper counts.
#[derive(Debug, Clone)]
pub struct Figures {
    behind: Gauge,
    facts: Counter,
    segments: Counter,
    lost: Counter,
    retries: Counter,
    late: Gauge,
}

impl Figures {
    /// Under their names.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            behind: metrics.gauge(
                "auspex_history_behind",
                "facts on the log that are not read for the archive yet",
            ),
            facts: metrics.counter("auspex_history_archived_facts_total", "facts stored in segments"),
            segments: metrics.counter("auspex_history_segments_total", "segments stored"),
            lost: metrics.counter(
                "auspex_history_lost_facts_total",
                "facts that expired before they could be archived",
            ),
            retries: metrics.counter(
                "auspex_history_archive_retries_total",
                "attempts to reach the archive that failed",
            ),
            late: metrics.gauge(
                "auspex_history_unarchived_seconds",
                "age of the oldest fact that waits for the archive, as of the last attempt to store it; 0: none waits too long",
            ),
        }
    }
}

/// What is being collected for the next segment.
struct Open {
    place: Place,
    /// The last fact of this log that is in the archive or on its way there.
    last: Option<u64>,
    /// The last message that was read.
    read: u64,
    bytes: u64,
    since: Option<Instant>,
    /// A fact behind a gap: a segment has none within it, so it begins the next one.
    behind_gap: Option<Entry>,
}

impl Keeper {
    /// Works until told to stop.
    ///
    /// # Errors
    /// When the log was replaced under it, or the archive is damaged at its end.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        loop {
            let position = tokio::select! {
                () = stop.requested() => return Ok(()),
                position = self.patiently("finding the end of the archive", &stop, || Position::find(&self.bus, &self.archive)) => position?,
            };
            let Some(position) = position else { return Ok(()) };
            if self.work(position, &stop).await? {
                return Ok(());
            }
            // Another writer has gone on in our place: from where it is now.
            self.tail.write().await.facts.clear();
        }
    }

    /// Whether it was told to stop, rather than overtaken.
    async fn work(&self, position: Position, stop: &Stop) -> anyhow::Result<bool> {
        if !self
            .say(&position.place, position.last.unwrap_or(position.from - 1), stop)
            .await?
        {
            return Ok(true);
        }
        let mut reader = self.bus.read_log(&FACT_KINDS, position.from, position.created);
        let skip = position.skip_restored;
        let mut open = Open {
            last: position.last,
            read: position.from.saturating_sub(1),
            place: position.place,
            bytes: 0,
            since: None,
            behind_gap: None,
        };
        loop {
            let age = Duration::from_secs(self.config.segment_seconds);
            let due = open.since.map(|since| since + age);
            let full = open.bytes >= self.config.segment_bytes || open.behind_gap.is_some();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                () = at(due), if !full => {
                    if !self.close(&mut open, stop).await? { break }
                }
                next = reader.next(), if !full => {
                    let (entry, behind) = next?;
                    self.figures.behind.set(f64::from(u32::try_from(behind).unwrap_or(u32::MAX)));
                    self.take(&mut open, entry, skip).await;
                }
                () = std::future::ready(()), if full => {
                    if !self.close(&mut open, stop).await? { break }
                }
            }
        }
        if stop.is_requested() {
            self.last(&mut open, &mut reader, skip).await;
        }
        Ok(stop.is_requested())
    }

    async fn take(&self, open: &mut Open, entry: Entry, skip_restored: bool) {
        open.read = open.read.max(entry.seq);
        let restored = !entry.header(subject::ORIGIN_HEADER).is_empty();
        if entry.subject == subject::EMPTY_PLACE || (skip_restored && restored) {
            return;
        }
        let mut waiting = self.tail.write().await;
        waiting.log_created_ms = open.place.log_created_ms;
        let tail = &mut waiting.facts;
        let gap = open.last.map_or(0, |last| entry.seq.saturating_sub(last + 1));
        if gap > 0 && !tail.is_empty() {
            open.behind_gap = Some(entry);
            return;
        }
        if gap > 0 {
            tracing::error!(
                gap,
                at = entry.seq,
                "facts had expired before they could be archived"
            );
            self.figures.lost.inc_by(gap);
        }
        if tail.is_empty() {
            open.place.gap_before = gap;
        }
        open.last = Some(entry.seq);
        open.bytes += entry.payload.len() as u64 + entry.subject.len() as u64 + 128;
        open.since.get_or_insert_with(Instant::now);
        tail.push(segment::record(&entry));
    }

    /// Stores what was collected; false when another writer was there first, or it is time to stop.
    async fn close(&self, open: &mut Open, stop: &Stop) -> anyhow::Result<bool> {
        let sealed = self.seal(open).await?;
        let stored = self
            .patiently("storing a segment", stop, || self.archive.append(&sealed))
            .await?;
        if stored != Some(Appended::Stored) {
            return Ok(false);
        }
        self.closed(open, &sealed).await;
        self.say(&open.place, sealed.head.last_sequence, stop).await
    }

    /// Says on the bus how far the archive is; false when it is time to stop.
    async fn say(&self, place: &Place, upto: u64, stop: &Stop) -> anyhow::Result<bool> {
        let created = Timestamp(place.log_created_ms);
        let said = self
            .patiently("saying how far the archive is", stop, || {
                self.bus.archived(created, upto)
            })
            .await?;
        Ok(said.is_some())
    }

    /// The same with one attempt.
    async fn put(&self, open: &mut Open) -> anyhow::Result<bool> {
        let sealed = self.seal(open).await?;
        let stored = self.archive.append(&sealed).await?;
        if stored == Appended::Stored {
            self.closed(open, &sealed).await;
            let created = Timestamp(open.place.log_created_ms);
            self.bus.archived(created, sealed.head.last_sequence).await?;
        }
        Ok(stored == Appended::Stored)
    }

    async fn seal(&self, open: &Open) -> anyhow::Result<Sealed> {
        segment::seal(open.place.clone(), &self.tail.read().await.facts)
    }

    async fn closed(&self, open: &mut Open, sealed: &Sealed) {
        self.figures.facts.inc_by(sealed.head.facts);
        self.figures.segments.inc();
        tracing::debug!(
            segment = sealed.head.number,
            facts = sealed.head.facts,
            bytes = sealed.bytes.len(),
            head = sealed.sha256,
            "stored"
        );
        self.tail.write().await.facts.clear();
        open.place = Place {
            number: sealed.head.number + 1,
            previous: sealed.sha256.clone(),
            gap_before: 0,
            ..open.place.clone()
        };
        (open.bytes, open.since) = (0, None);
        if let Some(entry) = open.behind_gap.take() {
            // It is the first of its segment, and none that is passed over.
            self.take(open, entry, false).await;
        }
    }

    /// An orderly stop keeps what has arrived; what it cannot keep in time stays on the log.
    async fn last(&self, open: &mut Open, reader: &mut LogReader, skip_restored: bool) {
        let work = async {
            // The services before this one have just written their last.
            let end = self.bus.log_ends().await?.last;
            while open.read < end {
                let (entry, _) = reader.next().await?;
                self.take(open, entry, skip_restored).await;
                let full = open.bytes >= self.config.segment_bytes || open.behind_gap.is_some();
                if full && !self.put(open).await? {
                    return Ok(());
                }
            }
            if !self.tail.read().await.facts.is_empty() {
                self.put(open).await?;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(LAST, work).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(
                fault = format!("{fault:#}"),
                "the last facts stay on the log alone"
            ),
            Err(_) => tracing::warn!("the last facts stay on the log alone: storing them takes too long"),
        }
    }

    /// Again and again, until it is done, or it is time to stop. An attempt under way is not dropped: what it stores would lie
    /// there all the same, and be taken for another writer's.
    async fn patiently<T, F, W>(&self, what: &str, stop: &Stop, mut attempt: F) -> anyhow::Result<Option<T>>
    where
        F: FnMut() -> W,
        W: Future<Output = anyhow::Result<T>>,
    {
        let mut pause = Duration::from_millis(200);
        loop {
            match attempt().await.with_context(|| what.to_owned()) {
                Ok(done) => {
                    self.figures.late.set(0.0);
                    self.tail.write().await.away.clear();
                    return Ok(Some(done));
                }
                Err(fault) if fault.is::<place::Impossible>() => return Err(fault),
                Err(fault) => {
                    let fault = format!("{fault:#}");
                    tracing::warn!(fault, "trying again");
                    self.figures.retries.inc();
                    let mut waiting = self.tail.write().await;
                    let late = auspex_chassis::clock::now().since(Timestamp(waiting.oldest_ms()));
                    if !waiting.facts.is_empty() {
                        self.figures.late.set(late.as_secs_f64());
                    }
                    waiting.away = fault;
                }
            }
            tokio::select! {
                () = stop.requested() => return Ok(None),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST),
            }
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
