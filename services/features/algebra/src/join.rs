//! Point-in-time joins: what was known of an entity at each of many times.

use std::collections::BTreeSet;

use crate::evaluate::{View, evaluate};
use crate::ledger::Ledger;
use crate::row::{Cell, Row, Shape};

/// What a question about the past may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Known {
    /// What was known then: `event <= t` and `created <= t`. Nothing leaks from corrections and backfills.
    #[default]
    Then,
    /// What is known now about then: `event <= t`, corrected since.
    Now,
}

/// The views of one entity at each of these times, in the order asked. Rows may come in any order, and more than once. No
/// question is dropped: where nothing is known, its cells say so.
#[must_use]
pub fn join(shape: &Shape, views: &[View], rows: &[Row], times: &[i64], known: Known) -> Vec<Vec<Vec<Cell>>> {
    let visible = |row: &Row| match known {
        Known::Then => row.event.max(row.created),
        Known::Now => row.event,
    };
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (visible(row), row.event, row.created, row.id));
    let mut order: Vec<(i64, usize)> = times.iter().enumerate().map(|(place, at)| (*at, place)).collect();
    order.sort_unstable();
    let mut answers: Vec<Vec<Vec<Cell>>> = vec![Vec::new(); times.len()];
    // A tile remembers its last rows alone. Here all lie side by side: a repeat is known however late it comes.
    let (repeated, mut had) = (repeated(&rows), BTreeSet::new());
    let mut ledger = Ledger::default();
    let mut rows = rows.into_iter().peekable();
    for (at, place) in order {
        while let Some(row) = rows.next_if(|row| visible(row) <= at) {
            let once =
                |resolution, start| !repeated.contains(&row.id) || had.insert((resolution, start, row.id));
            ledger.absorb_where(shape, row, once);
        }
        // What was forgotten then is forgotten here: a tile costs time to pass over.
        ledger.forget(at);
        if let Some(answer) = answers.get_mut(place) {
            *answer = views
                .iter()
                .map(|view| evaluate(&ledger, shape, view, at))
                .collect();
        }
    }
    answers
}

/// The ids that more than one row has: few, and most often none.
fn repeated(rows: &[&Row]) -> BTreeSet<u64> {
    let mut ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    let twice = |pair: &[u64]| {
        (pair.first() == pair.last())
            .then(|| pair.first().copied())
            .flatten()
    };
    ids.windows(2).filter_map(twice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Column, Keep, Value};
    use crate::tile::IDS;
    use crate::{Aggregate, Feature};

    #[test]
    fn a_repeat_counts_once_however_late_it_comes() {
        let column = Column {
            name: "x".to_owned(),
            text: false,
            keep: Keep::default(),
            half_life: 0,
        };
        let shape = Shape {
            columns: vec![column],
            hops: [true, false, false],
            memory: 0,
        };
        let row = |id: u64, created: i64| Row {
            event: 1_000,
            created,
            id,
            values: vec![Value::Number(1.0)],
        };
        let many = 3 * IDS as u64;
        let mut rows: Vec<Row> = (0..many).map(|id| row(id, 2_000)).collect();
        rows.push(row(0, 3_000));
        let view = View {
            ttl: 0,
            features: vec![Feature {
                column: Some(0),
                aggregate: Aggregate::Count,
                window: 60_000,
                default: None,
            }],
        };
        let found = join(&shape, &[view], &rows, &[1_999, 2_000, 3_000], Known::Then);
        let counts: Vec<Option<f64>> = found.iter().map(|cells| cells[0][0].present()).collect();
        assert_eq!(counts, [None, Some(many as f64), Some(many as f64)]);
    }
}
