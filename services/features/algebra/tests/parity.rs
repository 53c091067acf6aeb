//! Events in any order, twice and late: what is kept online, what is joined offline and what is computed anew from the rows
//! themselves agree, at every time one may ask.
#![allow(
    missing_docs,
    clippy::unwrap_used,
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

/// What is known at each time of one entity, by hand: ties, exact bounds, late, corrected, null, unknown.
#[test]
fn the_golden_table_of_points_in_time() {
    let minute = |n: i64| START + n * MINUTE;
    let row = |id, event, created, amount: Option<f64>| Row {
        event: minute(event),
        created: minute(created),
        id,
        values: vec![amount.map_or(Value::Null, Value::Number), Value::Null],
    };
    let rows = [
        row(1, 0, 0, Some(10.0)),
        row(2, 10, 10, Some(20.0)),
        // The same event told once more, otherwise: a correction.
        row(3, 10, 15, Some(21.0)),
        // Late: it happened before the last, and changes no answer but those of windows.
        row(4, 5, 25, Some(5.0)),
        // It says there is none.
        row(5, 30, 30, None),
    ];
    let features = vec![
        Feature {
            column: Some(0),
            aggregate: Aggregate::Latest,
            window: 0,
            default: None,
        },
        Feature {
            column: Some(0),
            aggregate: Aggregate::Sum,
            window: 60 * MINUTE,
            default: None,
        },
        Feature {
            column: None,
            aggregate: Aggregate::Count,
            window: 60 * MINUTE,
            default: Some(0.0),
        },
    ];
    let view = View {
        ttl: 30 * MINUTE,
        features,
    };
    let present = |value| (Status::Present, value);
    let none = f64::NAN;
    // When; the latest; the sum and the count of the hour, as known then.
    let table: [(i64, (Status, f64), (Status, f64), (Status, f64)); 10] = [
        (
            minute(0) - 1,
            (Status::NotFound, none),
            (Status::NotFound, none),
            (Status::NotFound, 0.0),
        ),
        (minute(0), present(10.0), present(10.0), present(1.0)),
        (minute(10) - 1, present(10.0), present(10.0), present(1.0)),
        (minute(10), present(20.0), present(30.0), present(2.0)),
        (minute(15), present(21.0), present(51.0), present(3.0)),
        (minute(25), present(21.0), present(56.0), present(4.0)),
        (minute(30), (Status::Null, none), present(56.0), present(5.0)),
        (minute(60), (Status::Null, none), present(56.0), present(5.0)),
        (
            minute(60) + 1,
            (Status::Expired, none),
            (Status::Expired, none),
            (Status::Expired, 0.0),
        ),
        (
            minute(30) + 60 * MINUTE + DAY + 1,
            (Status::NotFound, none),
            (Status::NotFound, none),
            (Status::NotFound, 0.0),
        ),
    ];
    let times: Vec<i64> = table.iter().map(|row| row.0).collect();
    let answers = join(
        &shape(view.ttl),
        std::slice::from_ref(&view),
        &rows,
        &times,
        Known::Then,
    );
    for ((at, latest, sum, count), answer) in table.iter().zip(&answers) {
        let expected = [latest, sum, count].map(|(status, value)| Cell {
            value: *value,
            status: *status,
        });
        assert_eq!(
            answer[0],
            expected,
            "at minute {}",
            (at - START) as f64 / MINUTE as f64
        );
    }
    assert_eq!(answers.len(), times.len(), "no question is dropped");
    // As known now: the correction and the late row count from when they happened.
    let now = join(
        &shape(view.ttl),
        std::slice::from_ref(&view),
        &rows,
        &[minute(10)],
        Known::Now,
    );
    assert_eq!(now[0][0][0].value, 21.0);
    assert_eq!(now[0][0][1].value, 10.0 + 5.0 + 20.0 + 21.0);
}
