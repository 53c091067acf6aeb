//! How far what is now lies from what is normal at this hour of the week.

use crate::hop::{DAY, HOUR, Resolution, SEASON};
use crate::ledger::Ledger;
use crate::row::Shape;

/// The least that counts as one deviation, as a share of the normal: below a tenth all is noise.
const LEAST: f64 = 0.1;

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let low = values.get(values.len().checked_sub(1)? / 2)?;
    let high = values.get(values.len() / 2)?;
    Some(f64::midpoint(*low, *high))
}

/// The mean of the last hour (from the start of the hour before) against the median of the same hours of the last four
/// weeks; where there are none, of the same hours of the days before. In robust standard deviations (median absolute
/// deviation times 1.4826), above zero when there is more than usual. `None` when either side is empty.
#[must_use]
pub fn deviation(ledger: &Ledger, shape: &Shape, column: usize, at: i64) -> Option<f64> {
    let hour = Resolution::Hour;
    let from = hour.window_start(at, HOUR);
    let mean = |start: i64, end: i64| {
        let window = ledger.window(shape, hour, start, end);
        let partial = window.columns.get(column).filter(|partial| partial.count > 0)?;
        #[allow(clippy::cast_precision_loss, reason = "a count of rows")]
        let count = partial.count as f64;
        Some(partial.sum.value() / count)
    };
    let now = mean(from, at)?;
    let earlier = |step: i64| -> Vec<f64> {
        (1..=SEASON / step)
            .filter_map(|n| mean(from - n * step, from - n * step + 2 * HOUR - 1))
            .collect()
    };
    let mut normal = earlier(7 * DAY);
    if normal.len() < 2 {
        normal = earlier(DAY);
    }
    let middle = median(&mut normal)?;
    let mut off: Vec<f64> = normal.iter().map(|value| (value - middle).abs()).collect();
    let usual = median(&mut off)? * 1.4826;
    let least = (middle.abs() * LEAST).max(1e-9);
    Some((now - middle) / usual.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Column, Keep, Row, Value};

    #[test]
    fn noon_is_compared_with_noon() {
        let column = Column {
            name: "rate".to_owned(),
            text: false,
            keep: Keep::default(),
            half_life: 0,
        };
        let shape = Shape {
            columns: vec![column],
            hops: [false, true, false],
            memory: 0,
        };
        let mut ledger = Ledger::default();
        let begin = 20_000 * DAY;
        let days = 29;
        for hour in 0..days * 24 {
            let at = begin + hour * HOUR + 60_000;
            let usual = if hour % 24 == 12 { 100.0 } else { 10.0 };
            let row = Row {
                event: at,
                created: at,
                id: hour.unsigned_abs(),
                values: vec![Value::Number(usual)],
            };
            ledger.absorb(&shape, &row);
        }
        let noon = begin + days * DAY + 12 * HOUR + 30 * 60_000;
        let told = |value: f64| {
            let mut ledger = ledger.clone();
            for (id, at) in [(1, noon - HOUR), (2, noon)] {
                let usual = if at == noon { value } else { 10.0 };
                let row = Row {
                    event: at,
                    created: at,
                    id: 9_000_000 + id,
                    values: vec![Value::Number(usual)],
                };
                ledger.absorb(&shape, &row);
            }
            deviation(&ledger, &shape, 0, noon).unwrap()
        };
        assert!(told(100.0).abs() < 1e-9);
        assert!(told(10.0) < -5.0 && told(300.0) > 5.0);
        assert_eq!(deviation(&Ledger::default(), &shape, 0, noon), None);
    }
}
