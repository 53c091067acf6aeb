//! Events in any order, twice and late: what is kept online, what is joined offline and what is computed anew from the rows
//! themselves agree, at every time one may ask.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::too_many_lines
)]

mod oracle;

use std::collections::BTreeMap;

use auspex_algebra::hop::{DAY, HOUR, MINUTE, SEASON};
use auspex_algebra::{
    Aggregate, Cell, Column, Feature, Keep, Known, Latest, Ledger, Resolution, Row, Shape, Tile, Value, View,
    evaluate, join, steady_until,
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
        columns: vec![
            column("amount", false),
            column("who", true),
            column("size", false),
        ],
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
        Aggregate::Variance,
        Aggregate::Stddev,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Last,
        Aggregate::Age,
        Aggregate::Quantile(0.0),
        Aggregate::Quantile(0.5),
        Aggregate::Quantile(0.95),
        Aggregate::Quantile(0.999),
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
        for column in [1, 2] {
            features.push(Feature {
                column: Some(column),
                aggregate: Aggregate::Distinct,
                window,
                default: None,
            });
        }
        // Sizes from a millionth to a million and of both signs: what lies far below the largest runs together.
        features.push(Feature {
            column: Some(2),
            aggregate: Aggregate::Quantile(0.1),
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
    for (aggregate, window) in [(Aggregate::Latest, 0), (Aggregate::Deviation, SEASON)] {
        features.push(Feature {
            column: Some(0),
            aggregate,
            window,
            default: None,
        });
    }
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

/// Equal but for what rounding costs; a count of different values, where it need only be about the true one, but for six standard
/// errors.
fn close(feature: &Feature, a: &Cell, b: &Cell, counts: Counts) -> bool {
    let near = |a: f64, b: f64| {
        let (relative, absolute) = match (feature.aggregate, counts) {
            // Of 1,024 registers even few names may share one: four pairs of twelve once in a million times.
            (Aggregate::Distinct, Counts::About) => (0.15, 3.0),
            // A difference of means over a spread that may be nothing.
            (Aggregate::Deviation, _) => (1e-6, 0.0),
            _ => (1e-9, 0.0),
        };
        let off = absolute + relative * (1.0 + a.abs().max(b.abs()));
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= off
    };
    a.status == b.status && near(a.value, b.value)
}

/// How near counts of different values come: of a dozen names none share a register of the sketch, of many some do.
#[derive(Clone, Copy)]
enum Counts {
    Exact,
    About,
}

fn agree(features: &[Feature], what: &str, at: i64, (a, b): (&[Cell], &[Cell]), counts: Counts) {
    assert_eq!((a.len(), b.len()), (features.len(), features.len()));
    for ((feature, a), b) in features.iter().zip(a).zip(b) {
        assert!(
            close(feature, a, b, counts),
            "{what} at {}: {feature:?}: {a:?} against {b:?}",
            at - START
        );
    }
}

/// How late: not at all, a little, much, or so many days or weeks that it is the same hour again, for the season.
fn late() -> impl Strategy<Value = i64> {
    let again = |step: i64, most: i64| (0..most, 0..90 * MINUTE).prop_map(move |(n, off)| n * step + off);
    prop_oneof![
        Just(0),
        0..2 * MINUTE,
        0..2 * HOUR,
        0..30 * DAY,
        again(DAY, 30),
        again(7 * DAY, 5)
    ]
}

prop_compose! {
    /// When it is told, how late it was, whether it says nothing, how much, by whom, whether it happened with the one before.
    fn told(people: u16)(after in 0_i64..3 * DAY, late in late(), null in prop::bool::weighted(0.1), amount in -100_i32..1_000,
                         who in 0..people, again in prop::bool::weighted(0.2), tie in prop::bool::weighted(0.1)) -> Said {
        (after, late, (!null).then(|| f64::from(amount) / 7.0), who, again, tie)
    }
}

type Said = (i64, i64, Option<f64>, u16, bool, bool);

fn rows(told: &[Said]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (id, (after, late, amount, who, again, tie)) in (1_u64..).zip(told) {
        let created = START + after;
        let before = rows
            .last()
            .map(|row| row.event)
            .filter(|event| *tie && *event <= created);
        let values = vec![
            amount.map_or(Value::Null, Value::Number),
            Value::Text(format!("u{who}")),
            amount.map_or(Value::Null, |amount| {
                Value::Number(amount * 10_f64.powi(i32::from(who % 13) - 6))
            }),
        ];
        let row = Row {
            event: before.unwrap_or(created - late),
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

/// Checks it all for these rows, at these times after the start and at the rows' own.
fn holds(rows: &[Row], probes: Vec<i64>, shuffle: u64, ttl: i64, counts: Counts) {
    let (shape, view) = (shape(ttl), view(ttl));
    let mut probes: Vec<i64> = probes.into_iter().map(|p| START + p).collect();
    // Exactly at an event, at when it became known, and at the exact end of its life.
    probes.extend(
        rows.iter()
            .take(2)
            .flat_map(|row| [row.event, row.created, row.event + ttl, row.event + ttl + 1]),
    );
    probes.sort_unstable();

    let views = [view.clone()];
    let offline = join(&shape, &views, rows, &probes, Known::Then);
    let mut shuffled = rows.to_vec();
    let mut random = shuffle | 1;
    shuffled.sort_by_cached_key(|row| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(row.id);
        random >> 20
    });
    assert_eq!(
        join(&shape, &views, &shuffled, &probes, Known::Then),
        offline,
        "in which order rows lie does not show"
    );

    // The age of a value moves with the clock; of the rest it is said how long it stays.
    let still: Vec<usize> = (0..view.features.len())
        .filter(|at| view.features[*at].aggregate != Aggregate::Age)
        .collect();
    let still = View {
        ttl,
        features: still.into_iter().map(|at| view.features[at].clone()).collect(),
    };
    let mut online = Online::default();
    let mut log = rows.iter().peekable();
    for (at, answer) in probes.iter().zip(&offline) {
        while let Some(row) = log.next_if(|row| row.created <= *at) {
            online.absorb(&shape, row, row.created);
        }
        let ledger = online.ledger();
        let served = evaluate(&ledger, &shape, &view, *at);
        agree(
            &view.features,
            "online and offline",
            *at,
            (&served, &answer[0]),
            Counts::Exact,
        );
        let known: Vec<Row> = rows.iter().filter(|row| row.created <= *at).cloned().collect();
        agree(
            &view.features,
            "online and anew",
            *at,
            (&served, &oracle::anew(&known, &view, *at)),
            counts,
        );

        // What was assembled stays good for as long as is said, and the shuffled log comes to the same.
        let (now, until) = (
            evaluate(&ledger, &shape, &still, *at),
            steady_until(&ledger, &still, *at).min(at + 50 * DAY),
        );
        agree(
            &still.features,
            "steady",
            *at,
            (&now, &evaluate(&ledger, &shape, &still, until)),
            Counts::Exact,
        );
        let mut other = Online::default();
        shuffled
            .iter()
            .filter(|row| row.created <= *at)
            .for_each(|row| other.absorb(&shape, row, *at));
        // Of a repeat the log's first counts; the order of the shuffled one decides nothing but that.
        let repeats = known.len()
            != known
                .iter()
                .map(|row| row.id)
                .collect::<std::collections::BTreeSet<_>>()
                .len();
        if !repeats {
            agree(
                &view.features,
                "shuffled",
                *at,
                (&served, &evaluate(&other.ledger(), &shape, &view, *at)),
                Counts::Exact,
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]
    #[test]
    fn online_is_offline_is_computed_anew(
        told in prop::collection::vec(told(12), 0..40),
        probes in prop::collection::vec(0_i64..40 * DAY, 1..6),
        shuffle in any::<u64>(),
        ttl in prop_oneof![Just(0), Just(HOUR), Just(30 * DAY)],
    ) {
        holds(&rows(&told), probes, shuffle, ttl, Counts::Exact);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn so_it_is_of_many_rows_of_many_people(
        told in prop::collection::vec(told(2_000), 400..700),
        probes in prop::collection::vec(DAY..6 * DAY, 1..4),
        shuffle in any::<u64>(),
    ) {
        holds(&rows(&told), probes, shuffle, 0, Counts::About);
    }
}

#[test]
fn the_normal_of_four_weeks_ago_is_there_until_nobody_asks_for_it() {
    // The evening of one day of the week, five times; of the last one night, too.
    let evening = |week: i64, hours: i64| {
        (0..hours * 4).map(move |n| START + week * 7 * DAY + 20 * HOUR + n * 15 * MINUTE)
    };
    let events: Vec<i64> = (0..4)
        .flat_map(|week| evening(week, 4))
        .chain(evening(4, 8))
        .collect();
    let row = |(id, event): (u64, &i64)| Row {
        event: *event,
        created: *event,
        id,
        values: vec![Value::Number((id % 11) as f64 / 7.0), Value::Null, Value::Null],
    };
    let rows: Vec<Row> = (1..).zip(&events).map(row).collect();
    let probes = (0..9 * 12).map(|n| 28 * DAY + 20 * HOUR + n * 5 * MINUTE);
    holds(&rows, probes.collect(), 7, 0, Counts::Exact);
}
