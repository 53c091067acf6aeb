//! The embedded database of metrics: a file, nothing to run.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures::future::BoxFuture;
use rusqlite::{Connection, params};

use crate::series::{Ask, Measure, Point, Series, TimeSeries, Window, WriteFault, track_of, track_text};

/// Series are named once; a point is its series and its start, so writing it twice is writing it once.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY, metric TEXT NOT NULL, project TEXT NOT NULL, service TEXT NOT NULL, track TEXT NOT NULL,
  region TEXT NOT NULL, instance TEXT NOT NULL, UNIQUE (metric, project, service, track, region, instance));
CREATE TABLE IF NOT EXISTS points (
  series INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, bad INTEGER, total INTEGER, sum REAL, value REAL,
  p50 REAL, p95 REAL, p99 REAL, PRIMARY KEY (series, start)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS points_by_start ON points (start);
";

/// Downsampling: counts add up, values have a mean, quantiles are never averaged.
const RANGE: &str = "
SELECT s.project, s.service, s.track, s.region, (p.start - ?1) / ?3 AS win, count(*), sum(p.bad), sum(p.total), sum(p.sum),
       avg(p.value), min(p.value), max(p.value), max(p.p50), max(p.p95), max(p.p99)
FROM points p JOIN series s ON s.id = p.series
WHERE s.metric = ?4 AND p.start >= ?1 AND p.start < ?2 AND (?5 = '' OR s.project = ?5) AND (?6 = '' OR s.service = ?6)
  AND (?7 = '' OR s.track = ?7) AND (?8 = '' OR s.region = ?8)
GROUP BY s.project, s.service, s.track, s.region, win ORDER BY s.project, s.service, s.track, s.region, win";

/// The database.
#[derive(Debug, Clone)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened, or is none of ours.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file).with_context(|| format!("opening {}", file.display()))?;
        // What is written is in the log of the database; after a power loss the points since its last sync come from the spool
        // or the log again.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection
            .execute_batch(SCHEMA)
            .with_context(|| format!("laying out {}", file.display()))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs on a thread that may wait.
    async fn run<T, F>(&self, work: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(done.await??)
    }
}

impl TimeSeries for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn write<'a>(&'a self, points: &'a [Point]) -> BoxFuture<'a, Result<(), WriteFault>> {
        let points = points.to_vec();
        Box::pin(async move {
            self.run(move |connection| store(connection, &points))
                .await
                // A full disk or a locked file passes.
                .map_err(|fault| WriteFault::Away {
                    reason: format!("{fault:#}"),
                    retry_after_ms: None,
                })
        })
    }

    fn range<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, anyhow::Result<Vec<Series>>> {
        let ask = ask.clone();
        Box::pin(async move { self.run(move |connection| read(connection, &ask)).await })
    }

    fn forget(&self, before_ms: i64) -> BoxFuture<'_, anyhow::Result<u64>> {
        Box::pin(async move {
            self.run(move |connection| {
                let gone = connection.execute("DELETE FROM points WHERE start < ?1", params![before_ms])?;
                Ok(gone as u64)
            })
            .await
        })
    }
}

fn store(connection: &mut Connection, points: &[Point]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut name = transaction.prepare(
            "INSERT INTO series (metric, project, service, track, region, instance) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET metric = excluded.metric RETURNING id",
        )?;
        let mut put = transaction.prepare(
            "INSERT OR REPLACE INTO points (series, start, length, bad, total, sum, value, p50, p95, p99)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        for point in points {
            let track = track_text(point.track);
            let of = params![
                point.metric,
                point.project,
                point.service,
                track,
                point.region,
                point.instance
            ];
            let id: i64 = name.query_row(of, |row| row.get(0))?;
            let c = Columns::of(&point.measure);
            let [p50, p95, p99] = c.quantiles;
            put.execute(params![
                id,
                point.start_ms,
                point.length_ms,
                c.bad,
                c.total,
                c.sum,
                c.value,
                p50,
                p95,
                p99
            ])?;
        }
    }
    transaction.commit()
}

/// A measure as columns.
#[derive(Debug, Default)]
struct Columns {
    bad: Option<i64>,
    total: Option<i64>,
    sum: Option<f64>,
    value: Option<f64>,
    quantiles: [Option<f64>; 3],
}

impl Columns {
    fn of(measure: &Measure) -> Self {
        // Far above any count, and so far below the end that sums of windows have room.
        let count = |n: u64| Some(i64::try_from(n.min(1 << 53)).unwrap_or_default());
        match measure {
            Measure::Counts { bad, total } => Self {
                bad: count(*bad),
                total: count(*total),
                ..Self::default()
            },
            Measure::Histogram {
                total,
                sum,
                quantiles,
            } => Self {
                total: count(*total),
                sum: Some(*sum),
                quantiles: quantiles.map_or([None; 3], |q| q.map(Some)),
                ..Self::default()
            },
            Measure::Gauge(value) => Self {
                value: Some(*value),
                ..Self::default()
            },
        }
    }
}

fn read(connection: &mut Connection, ask: &Ask) -> rusqlite::Result<Vec<Series>> {
    let mut statement = connection.prepare(RANGE)?;
    let track = ask.track.map_or("", |track| track_text(Some(track)));
    let mut rows = statement.query(params![
        ask.from_ms,
        ask.to_ms,
        ask.step_ms,
        ask.metric,
        ask.project,
        ask.service,
        track,
        ask.region
    ])?;
    let mut all: Vec<Series> = Vec::new();
    while let Some(row) = rows.next()? {
        let (project, service, region): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let track = track_of(&row.get::<_, String>(2)?);
        let window: i64 = row.get(4)?;
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        let window = Window {
            start_ms: ask.from_ms + window * ask.step_ms,
            points: count(row.get(5)?).unwrap_or_default(),
            bad: count(row.get(6)?),
            total: count(row.get(7)?),
            sum: row.get(8)?,
            mean: row.get(9)?,
            min: row.get(10)?,
            max: row.get(11)?,
            p50: row.get(12)?,
            p95: row.get(13)?,
            p99: row.get(14)?,
        };
        let same = |s: &&mut Series| {
            (&s.project, &s.service, &s.region, s.track) == (&project, &service, &region, track)
        };
        match all.last_mut().filter(same) {
            Some(series) => series.windows.push(window),
            None => all.push(Series {
                project,
                service,
                track,
                region,
                windows: vec![window],
            }),
        }
    }
    Ok(all)
}
