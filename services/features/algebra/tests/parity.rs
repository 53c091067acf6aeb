//! Events in any order, twice and late: what is kept online, what is joined offline and what is computed anew from the rows
//! themselves agree, at every time one may ask.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation
)]

mod oracle;

use std::collections::BTreeMap;

use auspex_algebra::hop::{DAY, HOUR, MINUTE};
use auspex_algebra::{
    Aggregate, Cell, Column, Feature, Keep, Known, Latest, Ledger, Resolution, Row, Shape, Status, Tile,
    Value, View, evaluate, join, steady_until,
};
use proptest::prelude::*;

const START: i64 = 20_000 * DAY;

fn shape(memory: i64) -> Shape {
    let all = Keep::MOMENTS
        .and(Keep::RANGE)
        .and(Keep::LAST)
        .and(Keep::DISTINCT)
        .and(Keep::QUANTILE)
        .and(Keep::DECAYED);
    let column = |name: &str, text| Column {
        name: name.to_owned(),
        text,
        keep: all,
        half_life: HOUR,
    };
    Shape {
        columns: vec![column("amount", false), column("who", true)],
        hops: [true; 3],
        memory,
    }
}

fn view(ttl: i64) -> View {
    let mut features = Vec::new();
    let aggregates = [
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Mean,
        Aggregate::Stddev,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Last,
        Aggregate::Age,
        Aggregate::Quantile(0.5),
        Aggregate::Rate,
        Aggregate::SumRate,
        Aggregate::Ewma,
    ];
    for window in [10 * MINUTE, HOUR, 13 * HOUR, 3 * DAY, 20 * DAY] {
        features.extend(aggregates.map(|aggregate| Feature {
            column: Some(0),
            aggregate,
            window,
            default: None,
        }));
        features.push(Feature {
            column: Some(1),
            aggregate: Aggregate::Distinct,
            window,
            default: None,
        });
        features.push(Feature {
            column: None,
            aggregate: Aggregate::Count,
            window,
            default: None,
        });
    }
    features.push(Feature {
        column: Some(0),
        aggregate: Aggregate::Latest,
        window: 0,
        default: None,
    });
    features.push(Feature {
        column: Some(1),
        aggregate: Aggregate::Count,
        window: HOUR,
        default: Some(-1.0),
    });
    View { ttl, features }
}

/// The online store: one value per key, as the log brings rows.
#[derive(Default, Clone)]
struct Online {
    latest: Latest,
    tiles: BTreeMap<(Resolution, i64), Tile>,
}

impl Online {
    fn absorb(&mut self, shape: &Shape, row: &Row, now: i64) {
        if self.latest.over_at().is_some_and(|over| over <= now) {
            self.latest = Latest::default();
        }
        self.latest.absorb(shape, row);
        self.tiles.retain(|_, tile| tile.over_at() > now);
        for resolution in shape.resolutions() {
            let start = resolution.tile_start(row.event);
            let tile = self
                .tiles
                .entry((resolution, start))
                .or_insert_with(|| Tile::new(resolution, start));
            tile.absorb(shape, row);
        }
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.latest = Some(self.latest.clone()).filter(|l| !l.is_empty());
        self.tiles.values().for_each(|tile| ledger.put(tile.clone()));
        ledger
    }
}

fn close(a: &Cell, b: &Cell) -> bool {
    let near = |a: f64, b: f64| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
    };
    a.status == b.status && near(a.value, b.value)
}

fn agree(features: &[Feature], what: &str, at: i64, a: &[Cell], b: &[Cell]) {
    assert_eq!((a.len(), b.len()), (features.len(), features.len()));
    for ((feature, a), b) in features.iter().zip(a).zip(b) {
        assert!(
            close(a, b),
            "{what} at {}: {feature:?}: {a:?} against {b:?}",
            at - START
        );
    }
}

prop_compose! {
    /// When it is told, how late it was, whether it says nothing, how much, by whom.
    fn told()(after in 0_i64..3 * DAY, late in prop_oneof![Just(0), 0..2 * MINUTE, 0..2 * HOUR, 0..30 * DAY],
              null in prop::bool::weighted(0.1), amount in -100_i32..1_000, who in 0_u8..12, again in prop::bool::weighted(0.2))
        -> (i64, i64, Option<f64>, u8, bool) {
        (after, late, (!null).then(|| f64::from(amount) / 7.0), who, again)
    }
}

fn rows(told: &[(i64, i64, Option<f64>, u8, bool)]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (id, (after, late, amount, who, again)) in (1_u64..).zip(told) {
        let created = START + after;
        let values = vec![
            amount.map_or(Value::Null, Value::Number),
            Value::Text(format!("u{who}")),
        ];
        let row = Row {
            event: created - late,
            created,
            id,
            values,
        };
        if *again {
            // Told once more, later: what was known first counts.
            rows.push(Row {
                created: created + 90_000,
                ..row.clone()
            });
        }
        rows.push(row);
    }
    rows.sort_by_key(|row| (row.created, row.id));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn online_is_offline_is_computed_anew(
        told in prop::collection::vec(told(), 0..40),
        probes in prop::collection::vec(0_i64..40 * DAY, 1..6),
        shuffle in any::<u64>(),
        ttl in prop_oneof![Just(0), Just(HOUR), Just(30 * DAY)],
    ) {
        let (shape, view) = (shape(ttl), view(ttl));
        let rows = rows(&told);
        let mut probes: Vec<i64> = probes.into_iter().map(|p| START + p).collect();
        // Exactly at an event, at when it became known, and at the exact end of its life.
        probes.extend(rows.iter().take(2).flat_map(|row| [row.event, row.created, row.event + ttl, row.event + ttl + 1]));
        probes.sort_unstable();

        let views = [view.clone()];
        let offline = join(&shape, &views, &rows, &probes, Known::Then);
        let mut shuffled = rows.clone();
        let mut random = shuffle | 1;
        shuffled.sort_by_cached_key(|row| { random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(row.id); random >> 20 });
        prop_assert_eq!(format!("{:?}", join(&shape, &views, &shuffled, &probes, Known::Then)).len(), format!("{offline:?}").len());

        let mut online = Online::default();
        let mut log = rows.iter().peekable();
        for (at, answer) in probes.iter().zip(&offline) {
            while let Some(row) = log.next_if(|row| row.created <= *at) {
                online.absorb(&shape, row, row.created);
            }
            let ledger = online.ledger();
            let served = evaluate(&ledger, &shape, &view, *at);
            agree(&view.features, "online and offline", *at, &served, &answer[0]);
            let known: Vec<Row> = rows.iter().filter(|row| row.created <= *at).cloned().collect();
            agree(&view.features, "online and anew", *at, &served, &oracle::anew(&known, &view, *at));

            // What was assembled stays good for as long as is said, and the shuffled log comes to the same.
            let until = steady_until(&ledger, &view, *at).min(at + 50 * DAY);
            agree(&view.features, "steady", *at, &served, &evaluate(&ledger, &shape, &view, until));
            let mut other = Online::default();
            shuffled.iter().filter(|row| row.created <= *at).for_each(|row| other.absorb(&shape, row, *at));
            // Of a repeat the log's first counts; the order of the shuffled one decides nothing but that.
            let repeats = known.len() != known.iter().map(|row| row.id).collect::<std::collections::BTreeSet<_>>().len();
            if !repeats {
                agree(&view.features, "shuffled", *at, &served, &evaluate(&other.ledger(), &shape, &view, *at));
            }
        }
    }
}

/// A status and a value; a value that is not there is NaN.
type Told = (Status, f64);

fn minute(n: i64) -> i64 {
    START + n * MINUTE
}

/// Rows of one entity: ties, late, corrected, null.
fn golden_rows() -> Vec<Row> {
    let row = |id, event, created, amount: Option<f64>| Row {
        event: minute(event),
        created: minute(created),
        id,
        values: vec![amount.map_or(Value::Null, Value::Number), Value::Null],
    };
    vec![
        row(1, 0, 0, Some(10.0)),
        row(2, 10, 10, Some(20.0)),
        // The same event told once more, otherwise: a correction.
        row(3, 10, 15, Some(21.0)),
        // Late: it happened before the last, and changes no answer but those of windows.
        row(4, 5, 25, Some(5.0)),
        // It says there is none.
        row(5, 30, 30, None),
    ]
}

/// When; the latest; the sum and the count of the hour, as known then: by hand.
fn golden_answers() -> Vec<(i64, [Told; 3])> {
    let is = |value| (Status::Present, value);
    let none = |status, count| [(status, f64::NAN), (status, f64::NAN), (status, count)];
    let null = (Status::Null, f64::NAN);
    vec![
        (minute(0) - 1, none(Status::NotFound, 0.0)),
        (minute(0), [is(10.0), is(10.0), is(1.0)]),
        (minute(10) - 1, [is(10.0), is(10.0), is(1.0)]),
        (minute(10), [is(20.0), is(30.0), is(2.0)]),
        (minute(15), [is(21.0), is(51.0), is(3.0)]),
        (minute(25), [is(21.0), is(56.0), is(4.0)]),
        (minute(30), [null, is(56.0), is(5.0)]),
        // The exact end of its life, and a millisecond after; then so late that it is forgotten.
        (minute(60), [null, is(56.0), is(5.0)]),
        (minute(60) + 1, none(Status::Expired, 0.0)),
        (minute(90) + DAY, none(Status::Expired, 0.0)),
        (minute(90) + DAY + 1, none(Status::NotFound, 0.0)),
    ]
}

#[test]
fn the_golden_table_of_points_in_time() {
    let feature = |column, aggregate, window, default| Feature {
        column,
        aggregate,
        window,
        default,
    };
    let features = vec![
        feature(Some(0), Aggregate::Latest, 0, None),
        feature(Some(0), Aggregate::Sum, 60 * MINUTE, None),
        feature(None, Aggregate::Count, 60 * MINUTE, Some(0.0)),
    ];
    let views = [View {
        ttl: 30 * MINUTE,
        features,
    }];
    let (rows, table) = (golden_rows(), golden_answers());
    let times: Vec<i64> = table.iter().map(|row| row.0).collect();
    let answers = join(&shape(views[0].ttl), &views, &rows, &times, Known::Then);
    assert_eq!(answers.len(), times.len(), "no question is dropped");
    for ((at, told), answer) in table.iter().zip(&answers) {
        let expected = told.map(|(status, value)| Cell { value, status });
        assert_eq!(answer[0], expected, "{} ms after the start", at - START);
    }
    // As known now: the correction and the late row count from when they happened.
    let now = join(&shape(views[0].ttl), &views, &rows, &[minute(10)], Known::Now);
    assert_eq!(now[0][0][0].value, 21.0);
    assert_eq!(now[0][0][1].value, 10.0 + 5.0 + 20.0 + 21.0);
}
