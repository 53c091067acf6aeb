//! The judge's table of proofs: false alarms and detection in seeded simulations, whose figures do not depend on the machine;
//! then its speed, which does, and the size of what it keeps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use auspex_judge::simulate::speed::{Work, state, work};
use auspex_judge::simulate::{Cell, Figure, cells};

use super::row::{Better, Row};

/// Cells are spread over this many threads: what the smallest machine has.
const THREADS: usize = 2;
/// Paths a cell. Its two standard errors are part of the floors.
const PATHS: u32 = 4_000;
const SEED: u64 = 7;
/// Least updates a second of one metric on one core, each with the evidence for harm after it.
const PACE: f64 = 200_000.0;
/// Most bytes of a metric's state as it is stored.
const STATE: f64 = 4_096.0;
/// Updates of a round, and rounds: the quickest counts, for the others share their core.
const UPDATES: u32 = 40_000;
const ROUNDS: u32 = 15;

pub(super) async fn measure(quick: bool, only: Option<String>) -> anyhow::Result<Vec<Row>> {
    let paths = if quick { PATHS / 10 } else { PATHS };
    tokio::task::spawn_blocking(move || all(paths, only.as_deref())).await?
}

/// Every cell, or those whose names hold a text; the pace and the states with every cell alone.
fn all(paths: u32, only: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let mut cells = cells();
    cells.retain(|cell| only.is_none_or(|only| cell.name.contains(only)));
    anyhow::ensure!(!cells.is_empty(), "no simulation has this in its name");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done: Vec<(usize, Vec<Figure>)> = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(cell): Option<&Cell> = cells.get(at) else {
                return done;
            };
            done.push((at, cell.measure(paths, SEED)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Result<Vec<_>, _>>()
    })
    .map_err(|_| anyhow::anyhow!("a simulation broke off"))?
    .concat();
    done.sort_by_key(|(at, _)| *at);
    let figures = done.into_iter().flat_map(|(_, figures)| figures).map(row);
    let mut rows: Vec<Row> = figures.collect();
    if only.is_some() {
        return Ok(rows);
    }
    for (kind, name) in [
        (Work::Counts, "counts"),
        (Work::Values, "values"),
        (Work::Series, "one series"),
        (Work::Histograms, "histograms of 40 buckets"),
    ] {
        let pace = Row::told(
            format!("speed, {name}: updates a second on one core"),
            pace(kind),
            "/s",
        );
        rows.push(pace.floor(PACE, Better::More));
        let bytes = rmp_serde::to_vec_named(&state(kind, 400))?.len();
        let bytes = f64::from(u32::try_from(bytes)?);
        rows.push(
            Row::told(format!("state of one metric, {name}"), bytes, "bytes").floor(STATE, Better::Less),
        );
    }
    Ok(rows)
}

fn pace(kind: Work) -> f64 {
    let round = || {
        let start = Instant::now();
        std::hint::black_box(work(kind, std::hint::black_box(UPDATES)));
        f64::from(UPDATES) / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(|_| round()).fold(0.0, f64::max)
}

fn row(figure: Figure) -> Row {
    Row {
        name: figure.name,
        value: figure.value,
        unit: figure.unit,
        limit: figure.limit,
        limit_name: figure.limit_name,
        ratio: figure.ratio,
        floor: figure.floor,
        ok: figure.ok,
    }
}
