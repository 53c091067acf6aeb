//! Point-in-time joins: what was known of an entity at each of many times.

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
    let mut ledger = Ledger::default();
    let mut rows = rows.into_iter().peekable();
    for (at, place) in order {
        while let Some(row) = rows.next_if(|row| visible(row) <= at) {
            ledger.absorb(shape, row);
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
