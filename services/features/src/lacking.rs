//! What lies offline and is not online: the rows that are worth putting in again.
//!
//! A tile remembers the ids of its last rows alone, so that rows it has had long ago would count again. Therefore what is told
//! again is what the counts of its hops lack; telling everything again, as often as one likes, changes nothing. Which rows these
//! are is known by their ids, or by their order in the log, in which they come by themselves and are told again: what a tile has
//! had are the first, where telling broke off, and the last, which have come since it began.

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

/// Of one entity's rows, whole hops of them, those of this span that its account has not absorbed. In the order of the log.
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
        let mut whole_after = true;
        for (start, rows) in hops.into_iter().rev() {
            if widest.over_at(widest.tile_start(start)) > now {
                let lacks = of_hop(held, (widest, start), rows, whole_after);
                whole_after = lacks.is_empty();
                wanted.extend(lacks.into_iter().map(order));
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
    lacking.sort_by_key(|stored| (stored.seq, order(stored)));
    lacking
}

/// What one hop lacks of the rows that happened in it; whether the one after it lacks nothing.
fn of_hop<'a>(
    held: &Ledger,
    (widest, start): (Resolution, i64),
    mut rows: Vec<&'a Stored>,
    whole_after: bool,
) -> Vec<&'a Stored> {
    let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let held_within =
        |from: i64, to: i64| -> usize { held.hops(widest, from, to).map(|(_, hop)| count(hop.rows)).sum() };
    let mut ids = BTreeSet::new();
    rows.sort_by_key(|stored| (stored.seq, order(stored)));
    let first = |stored: &&&Stored| ids.insert(stored.row.id);
    let told: Vec<(u64, u64)> = rows
        .iter()
        .filter(first)
        .map(|stored| (stored.seq, stored.row.id))
        .collect();
    let there = held_within(start, start);
    if there >= told.len() {
        return Vec::new();
    }
    let tile = widest.tile_start(start);
    let ring: BTreeSet<u64> = held.remembered(widest, tile).iter().copied().collect();
    let had = match held_within(tile, tile.saturating_add(widest.tile() - 1)) <= IDS {
        true => ring,
        false => run(&told, there, &ring, whole_after),
    };
    rows.retain(|stored| !had.contains(&stored.row.id));
    rows
}

/// Which rows, by fact and id in the order of the log, a hop has had that has had so many, and remembers the last of them at
/// best: a run that ends where telling again broke off, and begins anew at the end.
fn run(told: &[(u64, u64)], there: usize, ring: &BTreeSet<u64>, whole_after: bool) -> BTreeSet<u64> {
    let known = |(_, id): &(u64, u64)| ring.contains(id);
    // A fact is absorbed as a whole, though in an order of its own: it is known when one of its rows is.
    let facts: BTreeSet<u64> = told
        .iter()
        .filter(|row| known(row))
        .map(|(fact, _)| *fact)
        .collect();
    let has_last = told.last().is_some_and(known);
    let gap = told.iter().rposition(|(fact, _)| !facts.contains(fact));
    // What has come by itself ends with the last row: then it broke off before that.
    let before = if has_last {
        gap.unwrap_or_default()
    } else {
        told.len()
    };
    let before = told.get(..before).unwrap_or_default();
    let end = match before.iter().rposition(known) {
        Some(broken_off) => broken_off + 1,
        // Nothing is remembered, and what came later is not there either.
        None if !has_last && !whole_after => there,
        None => told.len(),
    };
    let rows = told.iter().map(|(_, id)| *id);
    rows.cycle().skip(end + told.len() - there).take(there).collect()
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

    /// Tells so many of what is lacking; answers whether that is all.
    fn tell(shape: &Shape, ledger: &mut Ledger, rows: &[Stored], many: usize) -> bool {
        let lacks = lacking(shape, &ledger.clone(), rows.to_vec(), ALL, NOW);
        lacks
            .iter()
            .take(many)
            .for_each(|stored| ledger.absorb(shape, &stored.row));
        lacks.len() <= many
    }

    fn sum(shape: &Shape, ledger: &Ledger) -> f64 {
        let widest = shape.resolutions().last().unwrap();
        let all = ledger.window(shape, widest, 0, NOW);
        all.columns[0].sum.value()
    }

    #[test]
    fn what_comes_by_itself_before_the_rest_is_told_again_counts_once() {
        let mut rows = rows(5_000);
        for (stored, n) in rows.iter_mut().zip(0_i32..) {
            stored.row.values = vec![Value::Number(f64::from(n))];
        }
        let mut late = rows.clone();
        // Some happened long before they were told.
        late.iter_mut().for_each(|stored| {
            stored.row.event = NOW - 5_000_000 + (stored.row.event * 7_919).rem_euclid(5_000_000);
        });
        late.sort_by_key(order);
        let mut days = rows.clone();
        days.iter_mut().zip(0..).for_each(|(stored, n)| {
            stored.row.event = NOW - (5_000 - n) * 50_000;
        });
        let shape = shape([true, true, true]);
        for rows in [&rows, &late, &days] {
            let mut as_told = rows.clone();
            as_told.sort_by_key(|stored| (stored.seq, order(stored)));
            for since in [4_999, 4_352, 3_840, 2_048, 256] {
                for broken_off in [0, 300, 1_500] {
                    let mut ledger = held(&shape, &as_told[since..]);
                    tell(&shape, &mut ledger, rows, broken_off);
                    assert!(tell(&shape, &mut ledger, rows, usize::MAX));
                    let found = (count(&shape, &ledger), sum(&shape, &ledger));
                    assert_eq!(found, (5_000, 12_497_500.0), "since {since}, {broken_off} told");
                    assert!(lacking(&shape, &ledger, rows.clone(), ALL, NOW).is_empty());
                }
            }
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
