//! Metrics: observations from the log into the database, through a spool while the database is away.
//!
//! How far they are is kept in a file, moved only when points are in the database or in the spool. What is read again after
//! a crash is written again: a point is its series and its start, so twice is once. What the log has given up meanwhile, and all
//! that a new database has never seen, comes from the archive.

mod position;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auspex_chassis::{Bus, Counter, Entry, Gauge, Metrics, Stop};
use auspex_proto::subject::{self, FactKind};
use auspex_proto::{Fact, Timestamp};
use tokio::time::Instant;

use self::position::{Mark, Position};
use crate::archive::chain::Link;
use crate::archive::{Archive, segment};
use crate::config::{Config, MetricsConfig};
use crate::series::{Point, TimeSeries, WriteFault, point};
use crate::spool::Spool;

/// The first pause after a failed write.
const FIRST: Duration = Duration::from_millis(500);

/// What is known of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Points written since the start.
    pub written: u64,
    /// Points that the database does not take, since the start.
    pub refused: u64,
    /// Bytes in the spool.
    pub spooled_bytes: u64,
    /// Since when it is away, in unix milliseconds; 0: it is there.
    pub away_since_ms: i64,
    /// Why it was away last.
    pub last_fault: String,
}

/// Feeds a database.
pub struct Feed {
    bus: Bus,
    archive: Archive,
    series: Arc<dyn TimeSeries>,
    config: MetricsConfig,
    position: Position,
    spool: Spool,
    state: Arc<Mutex<State>>,
    pause: Duration,
    /// Not before then: the database is away, or has asked for patience.
    not_before: Option<Instant>,
    written: Counter,
    refused: Counter,
    waiting: Gauge,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("series", &self.series.name())
            .finish_non_exhaustive()
    }
}

impl Feed {
    /// Ready to run; answers where its state can be read, too.
    ///
    /// # Errors
    /// When its files cannot be used.
    pub fn new(
        (bus, archive): (Bus, Archive),
        series: Arc<dyn TimeSeries>,
        config: &Config,
        metrics: &Metrics,
    ) -> anyhow::Result<(Self, Arc<Mutex<State>>)> {
        let state = Arc::new(Mutex::new(State::default()));
        let feed = Self {
            bus,
            archive,
            position: Position::open(config.path(&format!("{}.position.json", series.name()))),
            spool: Spool::open(&config.path("spool"), config.metrics.spool_bytes)?,
            series,
            config: config.metrics.clone(),
            state: Arc::clone(&state),
            pause: FIRST,
            not_before: None,
            written: metrics.counter(
                "auspex_history_points_written_total",
                "points in the database of metrics",
            ),
            refused: metrics.counter(
                "auspex_history_points_refused_total",
                "points that the database does not take",
            ),
            waiting: metrics.gauge(
                "auspex_history_spool_bytes",
                "bytes of points that wait for their database",
            ),
        };
        Ok((feed, state))
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// When the log was replaced under it, or its own disk refuses.
    pub async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        loop {
            let created = tokio::select! {
                () = stop.requested() => return Ok(()),
                created = self.catch_up() => created?,
            };
            if !self.follow(created, &stop).await? {
                return Ok(());
            }
            // The spool was full for a while: what the log gave up meanwhile is in the archive.
        }
    }

    /// Follows the log; whether to look into the archive again, rather than stop.
    async fn follow(&mut self, created: Timestamp, stop: &Stop) -> anyhow::Result<bool> {
        let from = self.position.seq() + 1;
        let mut reader = self.bus.read_log(&[FactKind::Observation], from, created);
        let mut batch: Vec<Point> = Vec::new();
        let mut upto = Mark {
            created,
            seq: from - 1,
        };
        let wait = Duration::from_millis(self.config.batch_ms);
        let mut due: Option<Instant> = None;
        loop {
            let retry = (!self.spool.is_empty()).then(|| self.not_before.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                () = stop.requested() => {
                    self.store(&mut batch, upto).await?;
                    return Ok(false);
                }
                () = at(due) => {
                    if self.store(&mut batch, upto).await? {
                        due = None;
                        continue;
                    }
                    while !self.store(&mut batch, upto).await? {
                        self.room(stop).await?;
                        if stop.is_requested() {
                            return Ok(false);
                        }
                    }
                    return Ok(true);
                }
                () = at(retry) => self.drain().await?,
                next = reader.next() => {
                    let (entry, _) = next?;
                    upto.seq = entry.seq;
                    batch.extend(points(&entry));
                    let full = batch.len() >= self.config.batch_points;
                    let now = Instant::now();
                    due = Some(if full { now } else { due.unwrap_or(now + wait) });
                }
            }
        }
    }

    /// What the log has not any more, or never had, comes from the archive. Answers which log to go on in.
    async fn catch_up(&mut self) -> anyhow::Result<Timestamp> {
        let (ends, index) = loop {
            // Both are needed to know where the log begins; whoever is away comes back.
            match (self.bus.log_ends().await, self.index().await) {
                (Ok(ends), Ok(index)) => break (ends, index),
                (Err(fault), _) | (_, Err(fault)) => {
                    tracing::warn!(fault = format!("{fault:#}"), "metrics wait");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        let kept_for = Duration::from_secs(self.config.keep_days * 86_400);
        let oldest = (!kept_for.is_zero()).then(|| auspex_chassis::clock::now() - kept_for);
        let mark = self.position.mark();
        let missing =
            |link: &&Link| position::is_missing(mark, &ends, oldest.unwrap_or_default(), &link.head);
        for link in index.iter().filter(missing) {
            self.refill(link).await?;
        }
        if !self.position.is_in(ends.created) {
            self.position.set(Mark {
                created: ends.created,
                seq: ends.first.max(1) - 1,
            })?;
        }
        Ok(ends.created)
    }

    /// Every segment of the archive; one that was stored by a process that died before it could list it, too.
    async fn index(&self) -> anyhow::Result<Vec<Link>> {
        self.archive.tip().await?;
        self.archive.index().await
    }

    /// The points of a segment. What is there already is written again, and is the same.
    async fn refill(&mut self, link: &Link) -> anyhow::Result<()> {
        let head = &link.head;
        let mut batch = Vec::new();
        if head
            .summary
            .has(&[FactKind::Observation.token().to_owned()].into())
        {
            batch = self.archived(head.number).await;
        }
        let upto = Mark {
            created: Timestamp(head.log_created_ms),
            seq: head.last_sequence,
        };
        tracing::info!(
            segment = head.number,
            points = batch.len(),
            "metrics come from the archive"
        );
        while !self.store(&mut batch, upto).await? {
            // Whoever stops meanwhile drops this whole way.
            self.room(&Stop::never()).await?;
        }
        Ok(())
    }

    /// The points of a segment, tried for a while; of one that cannot be read there are none: the newest must not wait for it.
    async fn archived(&self, number: u64) -> Vec<Point> {
        for pause in [1, 2, 4, 8, 15] {
            match self.archive.facts(number).await {
                Ok((_, facts)) => {
                    return facts
                        .iter()
                        .flat_map(|fact| points(&segment::entry(fact)))
                        .collect();
                }
                Err(fault) => tracing::warn!(
                    segment = number,
                    fault = format!("{fault:#}"),
                    "metrics wait for it"
                ),
            }
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        tracing::error!(segment = number, "cannot be read: its metrics are left out");
        Vec::new()
    }

    /// Points into the database, or behind those that wait for it; false when there is no room for them.
    async fn store(&mut self, batch: &mut Vec<Point>, upto: Mark) -> anyhow::Result<bool> {
        if !batch.is_empty() {
            let direct = self.spool.is_empty() && self.write(batch).await;
            if !direct && !self.spool.push(batch)? {
                return Ok(false);
            }
            batch.clear();
            self.report();
        }
        self.position.set(upto)?;
        Ok(true)
    }

    /// Waits until the spool has room again.
    async fn room(&mut self, stop: &Stop) -> anyhow::Result<()> {
        tracing::warn!(
            bytes = self.spool.bytes(),
            "the spool is full: metrics wait in the log and the archive"
        );
        let until = self.not_before.unwrap_or_else(Instant::now);
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep_until(until) => self.drain().await?,
        }
        Ok(())
    }

    /// The oldest batch that waits, if the database takes it.
    async fn drain(&mut self) -> anyhow::Result<()> {
        self.not_before = None;
        if let Some(points) = self.spool.front()?
            && self.write(&points).await
        {
            self.spool.pop()?;
        }
        self.report();
        Ok(())
    }

    /// Whether the database has them, or will never have them.
    async fn write(&mut self, points: &[Point]) -> bool {
        if self.not_before.is_some_and(|time| time > Instant::now()) {
            return false;
        }
        match self.series.write(points).await {
            Ok(()) => {
                self.written.inc_by(points.len() as u64);
                self.known(|state| {
                    state.written += points.len() as u64;
                    state.away_since_ms = 0;
                });
                (self.pause, self.not_before) = (FIRST, None);
                true
            }
            Err(WriteFault::Refused(reason)) => {
                tracing::error!(
                    points = points.len(),
                    reason,
                    "the database does not take points; the archive has them"
                );
                self.refused.inc_by(points.len() as u64);
                self.known(|state| {
                    state.refused += points.len() as u64;
                    state.last_fault = reason;
                });
                true
            }
            Err(WriteFault::Away {
                reason,
                retry_after_ms,
            }) => {
                let asked = retry_after_ms.map(Duration::from_millis);
                let wait = asked.unwrap_or(self.pause).min(Duration::from_secs(3_600));
                tracing::warn!(
                    reason,
                    wait_ms = wait.as_millis(),
                    "the database of metrics is away"
                );
                self.known(|state| {
                    if state.away_since_ms == 0 {
                        state.away_since_ms = auspex_chassis::clock::now().0;
                    }
                    state.last_fault = reason;
                });
                let longest = Duration::from_secs(self.config.retry_longest_seconds);
                self.pause = (self.pause * 2).min(longest);
                self.not_before = Some(Instant::now() + wait);
                false
            }
        }
    }

    fn report(&self) {
        let bytes = self.spool.bytes();
        self.waiting
            .set(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
        self.known(|state| state.spooled_bytes = bytes);
    }

    fn known(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The points of a message; none when it is no batch of observations.
fn points(entry: &Entry) -> Vec<Point> {
    let decoded = subject::parse(&entry.subject).and_then(|a| Fact::decode(a.kind, &entry.payload));
    match decoded {
        Ok(Fact::Observations(batch)) => point::points(&batch),
        _ => Vec::new(),
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
