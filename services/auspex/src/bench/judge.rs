//! The judge's table of proofs: false alarms and detection in seeded simulations. The figures do not depend on the machine.

use std::sync::atomic::{AtomicUsize, Ordering};

use auspex_judge::simulate::{Cell, Figure, cells};

use super::row::Row;

/// Cells are spread over this many threads: what the smallest machine has.
const THREADS: usize = 2;
/// Paths a cell. Its two standard errors are part of the floors.
const PATHS: u32 = 4_000;
const SEED: u64 = 7;

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    let paths = if quick { PATHS / 10 } else { PATHS };
    tokio::task::spawn_blocking(move || all(paths)).await?
}

fn all(paths: u32) -> anyhow::Result<Vec<Row>> {
    let cells = cells();
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
    Ok(done
        .into_iter()
        .flat_map(|(_, figures)| figures)
        .map(row)
        .collect())
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
