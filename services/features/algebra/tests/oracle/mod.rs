//! Features by their definition, from the rows themselves: no tiles, no merging, nothing of what is tested.

use auspex_algebra::hop::{DAY, HOUR, MINUTE};
use auspex_algebra::{Aggregate, Cell, Feature, Row, Status, Value, View};

fn hop(window: i64) -> i64 {
    if window < 12 * HOUR {
        5 * MINUTE
    } else if window < 12 * DAY {
        HOUR
    } else {
        DAY
    }
}

fn middle(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((share * last as f64).floor() as usize).copied()
}

/// The cells of a view from all rows that are known.
pub(crate) fn anew(known: &[Row], view: &View, at: i64) -> Vec<Cell> {
    let mut rows: Vec<&Row> = known.iter().filter(|row| row.event <= at).collect();
    rows.sort_by_key(|row| (row.id, row.created));
    rows.dedup_by_key(|row| row.id);
    rows.sort_by_key(|row| (row.event, row.created, row.id));
    // A repeat of the last row is a newer word about it.
    let newest = known
        .iter()
        .filter(|row| row.event <= at)
        .max_by_key(|row| (row.event, row.created, row.id));
    let trouble = match newest {
        None => Some(Status::NotFound),
        Some(row) if view.ttl > 0 && at - row.event > 2 * view.ttl + DAY => Some(Status::NotFound),
        Some(row) if view.ttl > 0 && at - row.event > view.ttl => Some(Status::Expired),
        Some(_) => None,
    };
    let cell = |feature: &Feature| {
        let cell = match trouble {
            Some(status) => Cell::absent(status),
            None if feature.aggregate == Aggregate::Latest => {
                Cell::of(newest.and_then(|row| row.values[feature.column.unwrap()].number()))
            }
            None => Cell::of(value(&rows, feature, at)),
        };
        match (cell.status, feature.default) {
            (Status::Present, _) | (_, None) => cell,
            (status, Some(value)) => Cell { value, status },
        }
    };
    view.features.iter().map(cell).collect()
}

fn value(rows: &[&Row], feature: &Feature, at: i64) -> Option<f64> {
    let from = (at - feature.window).div_euclid(hop(feature.window)) * hop(feature.window);
    let inside: Vec<&&Row> = rows.iter().filter(|row| row.event >= from).collect();
    let seconds = feature.window as f64 / 1_000.0;
    let Some(column) = feature.column else {
        return Some(inside.len() as f64);
    };
    let there: Vec<&&&Row> = inside
        .iter()
        .filter(|row| row.values[column] != Value::Null)
        .collect();
    let numbers: Vec<f64> = there
        .iter()
        .filter_map(|row| row.values[column].number())
        .collect();
    let count = numbers.len() as f64;
    // Summed as integers of a seventh, which is what they are made of: exact.
    let sum = numbers.iter().map(|n| (n * 7.0).round()).sum::<f64>() / 7.0;
    match feature.aggregate {
        Aggregate::Count => Some(there.len() as f64),
        Aggregate::Sum => Some(sum),
        Aggregate::Mean => (count > 0.0).then(|| sum / count),
        Aggregate::Variance => variance(&numbers, sum / count),
        Aggregate::Stddev => variance(&numbers, sum / count).map(f64::sqrt),
        Aggregate::Min => numbers.iter().copied().reduce(f64::min),
        Aggregate::Max => numbers.iter().copied().reduce(f64::max),
        Aggregate::Last => numbers.last().copied(),
        Aggregate::Age => there.last().map(|row| (at - row.event) as f64 / 1_000.0),
        Aggregate::Rate => Some(count / seconds),
        Aggregate::SumRate => Some(sum / seconds),
        // Of numbers as one sketch has them to which nothing was merged.
        Aggregate::Distinct if !numbers.is_empty() => {
            let mut distinct = auspex_algebra::Distinct::default();
            there
                .iter()
                .filter_map(|row| row.values[column].hash())
                .for_each(|hash| distinct.add(hash));
            Some(distinct.estimate())
        }
        Aggregate::Distinct => {
            let mut values: Vec<String> = there
                .iter()
                .map(|row| format!("{:?}", row.values[column]))
                .collect();
            values.sort();
            values.dedup();
            Some(values.len() as f64)
        }
        Aggregate::Quantile(share) => middle(as_told(&numbers), share),
        Aggregate::Ewma => {
            let newest = there.last()?.event;
            let weight = |row: &Row| (-((newest - row.event) as f64) / HOUR as f64).exp2();
            let weights: f64 = there.iter().map(|row| weight(row)).sum();
            Some(
                there
                    .iter()
                    .map(|row| weight(row) * row.values[column].number().unwrap())
                    .sum::<f64>()
                    / weights,
            )
        }
        Aggregate::Deviation => deviation(rows, column, at),
        Aggregate::Latest => panic!("it is of no window"),
    }
}

/// Each value as a quantile tells it: by the middle of its bucket, whose bounds lie 2 % apart. On either side of zero what is
/// more than 511 buckets below the largest is told as the last of these.
fn as_told(numbers: &[f64]) -> Vec<f64> {
    let bucket = |size: f64| (size.ln() / 1.02_f64.ln()).ceil();
    let side = |positive: bool| {
        let own = numbers
            .iter()
            .filter(move |n| **n != 0.0 && (**n > 0.0) == positive);
        let buckets: Vec<f64> = own.map(|n| bucket(n.abs())).collect();
        let largest = buckets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sign = if positive { 1.0 } else { -1.0 };
        buckets.into_iter().map(move |bucket| {
            let bucket = bucket.max(largest - 511.0) as i32;
            sign * 2.0 * 1.02_f64.powi(bucket) / 2.02
        })
    };
    let zeros = numbers.iter().filter(|n| **n == 0.0).map(|_| 0.0);
    side(true).chain(side(false)).chain(zeros).collect()
}

fn variance(numbers: &[f64], mean: f64) -> Option<f64> {
    let count = numbers.len() as f64;
    (count > 1.0).then(|| numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((values[last / 2] + values[last.div_ceil(2)]) / 2.0)
}

/// The last hour, from the start of the hour before, against the same two hours of four weeks before; of fewer than two such
/// weeks, of 28 days before.
fn deviation(rows: &[&Row], column: usize, at: i64) -> Option<f64> {
    let begin = (at - HOUR).div_euclid(HOUR) * HOUR;
    let mean = |from: i64| {
        let inside = rows
            .iter()
            .filter(|row| (from..from + 2 * HOUR).contains(&row.event));
        let numbers: Vec<f64> = inside.filter_map(|row| row.values[column].number()).collect();
        let sum = numbers.iter().map(|n| (n * 7.0).round()).sum::<f64>() / 7.0;
        (!numbers.is_empty()).then(|| sum / numbers.len() as f64)
    };
    let now = mean(begin)?;
    let before = |days: i64| -> Vec<f64> {
        (1..=28 / days)
            .filter_map(|n| mean(begin - n * days * DAY))
            .collect()
    };
    let weeks = before(7);
    let normal = if weeks.len() < 2 { before(1) } else { weeks };
    let middle = median(normal.clone())?;
    let spread = 1.4826 * median(normal.iter().map(|value| (value - middle).abs()).collect())?;
    Some((now - middle) / spread.max(0.1 * middle.abs()).max(1e-9))
}
