//! What the rows of a file have said of their metrics so far: a row that says otherwise is a bad row.

use std::collections::BTreeMap;

use super::field::{Fault, fault};
use super::{Row, Sample};
use crate::values::Direction;

/// What is known of each metric.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, Said>);

#[derive(Debug)]
struct Said {
    kind: &'static str,
    tracked: bool,
    direction: Option<Direction>,
    weight: Option<f64>,
}

impl Known {
    /// The row itself, when it agrees with those before it.
    pub(super) fn check(&mut self, row: Row) -> Result<Row, Fault> {
        let kind = row.sample.kind();
        let said = self.0.entry(row.metric.clone()).or_insert(Said {
            kind,
            tracked: row.track.is_some(),
            direction: row.direction,
            weight: row.weight,
        });
        if said.kind != kind {
            let field = if matches!(row.sample, Sample::Counts { .. }) {
                "bad"
            } else {
                kind
            };
            let reason = format!("{} after {}: a metric has one kind", kind, said.kind);
            return Err(fault(field, reason));
        }
        if said.tracked != row.track.is_some() {
            let reason = if said.tracked {
                "missing, and earlier rows of the metric have one"
            } else {
                "earlier rows of the metric have none"
            };
            return Err(fault("track", reason));
        }
        if row
            .direction
            .is_some_and(|direction| direction != *said.direction.get_or_insert(direction))
        {
            return Err(fault("direction", "not that of earlier rows of the metric"));
        }
        if row
            .weight
            .is_some_and(|weight| weight.total_cmp(said.weight.get_or_insert(weight)).is_ne())
        {
            return Err(fault("weight", "not that of earlier rows of the metric"));
        }
        Ok(row)
    }
}
