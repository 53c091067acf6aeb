//! Features: ways to read a ledger at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hop::{HOUR, Resolution};
use crate::ledger::Ledger;
use crate::partial::Hop;
use crate::row::{Cell, Keep, Shape, Status};
use crate::season;
use crate::tile::forgotten_after;

/// What is made of a column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The latest row's own value.
    Latest,
    /// Values that are there; without a column, rows.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their variance (n - 1).
    Variance,
    /// Its root.
    Stddev,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The last that is there.
    Last,
    /// Seconds since the last that is there.
    Age,
    /// How many different ones, within 3.3 %.
    Distinct,
    /// The value at this share of the order, within 1 %.
    Quantile(f64),
    /// Count a second, over the window's nominal length.
    Rate,
    /// Sum a second, over the window's nominal length.
    SumRate,
    /// The mean that forgets by the column's half-life.
    Ewma,
    /// Of the last hour from the normal of this hour of the week, in robust standard deviations.
    Deviation,
}

impl Aggregate {
    /// What must be kept of a column for it.
    #[must_use]
    pub fn keeps(self) -> Keep {
        match self {
            Self::Variance | Self::Stddev => Keep::MOMENTS,
            Self::Min | Self::Max => Keep::RANGE,
            Self::Last | Self::Age => Keep::LAST,
            Self::Distinct => Keep::DISTINCT,
            Self::Quantile(_) => Keep::QUANTILE,
            Self::Ewma => Keep::DECAYED,
            Self::Latest
            | Self::Count
            | Self::Sum
            | Self::Mean
            | Self::Rate
            | Self::SumRate
            | Self::Deviation => Keep::default(),
        }
    }

    /// The hops it is read from.
    #[must_use]
    pub fn resolution(self, window: i64) -> Option<Resolution> {
        match self {
            Self::Latest => None,
            Self::Deviation => Some(Resolution::Hour),
            _ => Some(Resolution::of(window)),
        }
    }
}

/// One feature of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The place of its column; `None` counts rows.
    pub column: Option<usize>,
    /// What is made of it.
    pub aggregate: Aggregate,
    /// How far back it looks, milliseconds; 0 for the latest row.
    pub window: i64,
    /// What stands in its place when it is not there.
    pub default: Option<f64>,
}

/// What is read of a ledger together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// How old the latest row may be, milliseconds, the bound included; 0: as old as it likes.
    pub ttl: i64,
    /// In order.
    pub features: Vec<Feature>,
}

/// What is known of the entity at this time: `None` when all is well.
fn trouble(ledger: &Ledger, ttl: i64, at: i64) -> Option<Status> {
    let Some(latest) = &ledger.latest else {
        return Some(Status::NotFound);
    };
    let age = at.saturating_sub(latest.order.0);
    if ttl > 0 && age > forgotten_after(ttl) {
        Some(Status::NotFound)
    } else if ttl > 0 && age > ttl {
        Some(Status::Expired)
    } else {
        None
    }
}

/// The features of a view at this time, in order: one cell each, whatever is known.
#[must_use]
pub fn evaluate(ledger: &Ledger, shape: &Shape, view: &View, at: i64) -> Vec<Cell> {
    let trouble = trouble(ledger, view.ttl, at);
    // Features of one window share its merging.
    let mut windows: BTreeMap<(Resolution, i64), Hop> = BTreeMap::new();
    let cell =
        |feature: &Feature| {
            let cell =
                match (trouble, feature.aggregate.resolution(feature.window)) {
                    (Some(status), _) => Cell::absent(status),
                    (None, None) => latest(ledger, feature),
                    (None, Some(_)) if feature.aggregate == Aggregate::Deviation => Cell::of(
                        season::deviation(ledger, shape, feature.column.unwrap_or_default(), at),
                    ),
                    (None, Some(resolution)) => {
                        let start = resolution.window_start(at, feature.window);
                        let window = windows
                            .entry((resolution, start))
                            .or_insert_with(|| ledger.window(shape, resolution, start, at));
                        Cell::of(read(window, feature, at))
                    }
                };
            match (cell.status, feature.default) {
                (Status::Present, _) | (_, None) => cell,
                (status, Some(value)) => Cell { value, status },
            }
        };
    view.features.iter().map(cell).collect()
}

fn latest(ledger: &Ledger, feature: &Feature) -> Cell {
    let numbers = ledger.latest.as_ref().map(|latest| &latest.numbers);
    Cell::of(numbers.and_then(|numbers| numbers.get(feature.column?).copied()))
}

#[allow(clippy::cast_precision_loss, reason = "counts of rows and spans of time")]
fn read(window: &Hop, feature: &Feature, at: i64) -> Option<f64> {
    let seconds = (feature.window.max(1) as f64) / 1_000.0;
    let Some(column) = feature.column else {
        return match feature.aggregate {
            Aggregate::Count => Some(window.rows as f64),
            Aggregate::Rate => Some(window.rows as f64 / seconds),
            _ => None,
        };
    };
    let none = crate::Partial::default();
    let partial = window.columns.get(column).unwrap_or(&none);
    let count = partial.count as f64;
    match feature.aggregate {
        Aggregate::Latest | Aggregate::Deviation => None,
        Aggregate::Count => Some(count),
        Aggregate::Sum => Some(partial.sum.value()),
        Aggregate::Rate => Some(count / seconds),
        Aggregate::SumRate => Some(partial.sum.value() / seconds),
        Aggregate::Mean => (partial.count > 0).then(|| partial.sum.value() / count),
        Aggregate::Variance => partial.moments.and_then(|m| m.variance()),
        Aggregate::Stddev => partial.moments.and_then(|m| m.variance()).map(f64::sqrt),
        Aggregate::Min => partial.range.map(|(low, _)| low),
        Aggregate::Max => partial.range.map(|(_, high)| high),
        Aggregate::Last => partial.last.map(|last| last.value),
        Aggregate::Age => partial
            .last
            .map(|last| at.saturating_sub(last.order.0) as f64 / 1_000.0),
        Aggregate::Distinct => Some(partial.distinct.as_ref().map_or(0.0, crate::Distinct::estimate)),
        Aggregate::Quantile(share) => partial.sketch.as_ref().and_then(|s| s.quantile(share)),
        Aggregate::Ewma => partial.decayed.and_then(|d| d.mean()),
    }
}

/// The last moment up to which, without a new row, the view's features stay as they are at `at`: until a tail moves by a
/// hop, or the latest row expires or is forgotten. A vector assembled at `at` may be served until then.
#[must_use]
pub fn steady_until(ledger: &Ledger, view: &View, at: i64) -> i64 {
    let mut until = i64::MAX;
    for feature in &view.features {
        let Some(resolution) = feature.aggregate.resolution(feature.window) else {
            continue;
        };
        let next = |window: i64| {
            resolution
                .window_start(at, window)
                .saturating_add(resolution.hop())
                .saturating_add(window)
                - 1
        };
        until = until.min(match feature.aggregate {
            Aggregate::Age => at,
            Aggregate::Deviation => next(HOUR),
            _ => next(feature.window),
        });
    }
    if let Some(latest) = ledger.latest.as_ref().filter(|_| view.ttl > 0) {
        let (fresh, known) = (
            latest.order.0.saturating_add(view.ttl),
            latest.order.0.saturating_add(forgotten_after(view.ttl)),
        );
        if at <= fresh {
            until = until.min(fresh);
        } else if at <= known {
            until = until.min(known);
        }
    }
    until.max(at)
}
