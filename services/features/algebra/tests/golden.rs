//! The golden table of points in time: ties, exact bounds, late, corrected, null, unknown.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use auspex_algebra::hop::{DAY, MINUTE};
use auspex_algebra::{Aggregate, Cell, Column, Feature, Keep, Known, Row, Shape, Status, Value, View, join};

const START: i64 = 20_000 * DAY;

fn shape(memory: i64) -> Shape {
    let column = Column {
        name: "amount".to_owned(),
        text: false,
        keep: Keep::default(),
        half_life: 0,
    };
    Shape {
        columns: vec![column],
        hops: [true; 3],
        memory,
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
        values: vec![amount.map_or(Value::Null, Value::Number)],
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
