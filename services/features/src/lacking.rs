//! What lies offline and is not online: the rows that are worth putting in again.
//!
//! A tile remembers the ids of its last rows alone, so that rows it has had long ago would count again. Therefore what is told
//! again is what the counts of its hops lack; telling everything again, as often as one likes, changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use auspex_algebra::tile::IDS;
use auspex_algebra::{Ledger, Resolution, Shape};

use crate::offline::Stored;

type Order = (i64, i64, u64);

fn order(stored: &Stored) -> Order {
    (stored.row.event, stored.row.created, stored.row.id)
}

/// The span of whole hops, which is what can be compared, around a span of events.
#[must_use]
pub fn whole(shape: &Shape, (from, to): (i64, i64)) -> (i64, i64) {
    match shape.resolutions().last() {
        None => (from, to),
        Some(widest) => (
            widest.hop_start(from),
            widest.hop_start(to).saturating_add(widest.hop() - 1),
        ),
    }
}

/// Of one entity's rows, whole hops of them, those of this span that its account has not absorbed. In their order.
#[must_use]
pub fn lacking(shape: &Shape, held: &Ledger, rows: Vec<Stored>, span: (i64, i64), now: i64) -> Vec<Stored> {
    let mut wanted: BTreeSet<Order> = BTreeSet::new();
    if let Some(widest) = shape.resolutions().last() {
        let mut hops: BTreeMap<i64, Vec<&Stored>> = BTreeMap::new();
        for stored in &rows {
            hops.entry(widest.hop_start(stored.row.event))
                .or_default()
                .push(stored);
        }
        for (start, rows) in hops {
            if widest.over_at(widest.tile_start(start)) > now {
                wanted.extend(of_hop(held, widest, start, rows).into_iter().map(order));
            }
        }
    }
    // The latest row is kept apart from the tiles, and for longer.
    let within = |stored: &Stored| (span.0..=span.1).contains(&stored.row.event);
    let known = held.latest.as_ref().map(|latest| latest.order);
    let latest = rows.iter().filter(|stored| within(stored)).map(order).max();
    wanted.extend(latest.filter(|latest| known.is_none_or(|known| *latest > known)));
    let mut lacking = rows;
    lacking.retain(|stored| within(stored) && wanted.contains(&order(stored)));
    lacking
}

/// What one hop lacks of the rows that happened in it.
fn of_hop<'a>(held: &Ledger, widest: Resolution, start: i64, mut rows: Vec<&'a Stored>) -> Vec<&'a Stored> {
    let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let held_within =
        |from: i64, to: i64| -> usize { held.hops(widest, from, to).map(|(_, hop)| count(hop.rows)).sum() };
    let ids: BTreeSet<u64> = rows.iter().map(|stored| stored.row.id).collect();
    let there = held_within(start, start);
    if there >= ids.len() {
        return Vec::new();
    }
    let tile = widest.tile_start(start);
    let remembered = held_within(tile, tile.saturating_add(widest.tile() - 1)) <= IDS;
    if there > 0 && !remembered {
        // It has had the first ones, in the order of the log, and cannot tell which.
        rows.sort_by_key(|stored| (stored.seq, order(stored)));
        let mut had = BTreeSet::new();
        rows.retain(|stored| {
            let had_before = had.len() < there || had.contains(&stored.row.id);
            if had_before {
                had.insert(stored.row.id);
            }
            !had_before
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use auspex_algebra::{Column, Keep, Row, Value};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const ALL: (i64, i64) = (0, NOW);

    fn shape(hops: [bool; 3]) -> Shape {
        let column = Column {
            name: "x".to_owned(),
            text: false,
            keep: Keep::default(),
            half_life: 0,
        };
        Shape {
            columns: vec![column],
            hops,
            memory: 0,
        }
    }

    /// One row a second, the newest last.
    fn rows(many: i64) -> Vec<Stored> {
        let row = |n: i64| Stored {
            entity: "user=u".to_owned(),
            seq: u64::try_from(n / 256 + 1).unwrap(),
            row: Row {
                event: NOW - (many - n) * 1_000,
                created: NOW,
                id: u64::try_from(n).unwrap() + 7,
                values: vec![Value::Number(1.0)],
            },
        };
        (0..many).map(row).collect()
    }

    fn held(shape: &Shape, rows: &[Stored]) -> Ledger {
        let mut ledger = Ledger::default();
        rows.iter().for_each(|stored| ledger.absorb(shape, &stored.row));
        ledger
    }

    fn count(shape: &Shape, ledger: &Ledger) -> u64 {
        let widest = shape.resolutions().last().unwrap();
        ledger.hops(widest, 0, NOW).map(|(_, hop)| hop.rows).sum()
    }

    #[test]
    fn what_is_there_is_not_told_again_however_many_rows_it_is() {
        let (shape, rows) = (shape([true, true, true]), rows(5_000));
        let whole = held(&shape, &rows);
        assert!(lacking(&shape, &whole, rows.clone(), ALL, NOW).is_empty());
        assert_eq!(
            lacking(&shape, &Ledger::default(), rows.clone(), ALL, NOW).len(),
            5_000
        );
        // Broken off anywhere, and begun again.
        for had in [0, 1, 700, 1_024, 1_025, 3_333, 4_999] {
            let mut ledger = held(&shape, &rows[..had]);
            for stored in lacking(&shape, &ledger.clone(), rows.clone(), ALL, NOW) {
                ledger.absorb(&shape, &stored.row);
            }
            assert_eq!(count(&shape, &ledger), 5_000, "after {had}");
        }
    }

    #[test]
    fn few_rows_may_lack_anywhere_and_a_span_is_kept_to() {
        let (shape, rows) = (shape([false, true, false]), rows(900));
        let mut ledger = held(&shape, &rows[500..]);
        for stored in lacking(&shape, &ledger.clone(), rows.clone(), ALL, NOW) {
            ledger.absorb(&shape, &stored.row);
        }
        assert_eq!(count(&shape, &ledger), 900);
        let span = (NOW - 10_000, NOW - 5_000);
        assert_eq!(lacking(&shape, &Ledger::default(), rows, span, NOW).len(), 6);
        assert_eq!(whole(&shape, (3_600_001, 7_200_000)), (3_600_000, 10_799_999));
    }

    #[test]
    fn without_windows_the_latest_row_is_enough() {
        let (shape, rows) = (shape([false; 3]), rows(50));
        let told = lacking(&shape, &Ledger::default(), rows.clone(), ALL, NOW);
        assert_eq!(told, rows[49..]);
        assert!(lacking(&shape, &held(&shape, &rows), rows.clone(), ALL, NOW).is_empty());
        // Of hops that no window reaches any more the latest row alone is told.
        let later = NOW + 500 * 86_400_000;
        let windows = self::shape([true, true, true]);
        assert_eq!(lacking(&windows, &Ledger::default(), rows, ALL, later).len(), 1);
    }
}
