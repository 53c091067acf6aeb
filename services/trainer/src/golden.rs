//! Rows with known answers. They are drawn, not taken from the table, so that a model file holds no row of anybody's; and they
//! hold what breaks scorers: missing values, rows exactly at split thresholds and one float above, zeros, values far outside.

use auspex_learn::calibrate::Calibration;
use auspex_learn::random::Random;
use auspex_learn::{Forest, Matrix};
use serde_json::{Value, json};

/// The largest allowed difference of a probability.
pub const TOLERANCE: f64 = 1e-6;

/// Rows with what each tries.
#[must_use]
pub fn rows(forest: &Forest, train: &Matrix, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let mut random = Random::new(seed ^ 0x601D);
    let ranges: Vec<(f32, f32)> = (0..train.width())
        .map(|column| range(train.column(column)))
        .collect();
    let thresholds = forest.thresholds(train.width());
    let plausible = |random: &mut Random| -> Vec<f32> {
        // In 64 bits: the ends may lie further apart than 32 bits can tell.
        let one = |(low, high): &(f32, f32)| {
            let (low, high) = (f64::from(*low), f64::from(*high));
            (low + (high - low) * random.unit()) as f32
        };
        ranges.iter().map(one).collect()
    };
    let mut found = Vec::new();
    for _ in 0..40 {
        found.push(("plausible", plausible(&mut random)));
    }
    for _ in 0..20 {
        let mut at = plausible(&mut random);
        for (value, of) in at.iter_mut().zip(&thresholds) {
            if let Some(threshold) = of.get(random.below(of.len().max(1))) {
                *value = *threshold;
            }
        }
        let above = at.iter().map(|value| value.next_up().min(f32::MAX)).collect();
        found.push(("at thresholds", at));
        found.push(("one float above thresholds", above));
    }
    for _ in 0..12 {
        let mut row = plausible(&mut random);
        for value in &mut row {
            if random.unit() < 0.4 {
                *value = f32::NAN;
            }
        }
        found.push(("random missing", row));
    }
    for (kind, value) in [
        ("all missing", f32::NAN),
        ("all zero", 0.0),
        ("negative zero", -0.0),
        ("far outside", 1e9),
        ("far below", -1e9),
    ] {
        found.push((kind, vec![value; train.width()]));
    }
    found
}

/// Where the middle nine tenths of a column lie.
fn range(column: Vec<f32>) -> (f32, f32) {
    let mut values: Vec<f32> = column.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied();
    (at(0.05).unwrap_or(0.0), at(0.95).unwrap_or(1.0))
}

/// The file: each row with its log-odds and probability.
#[must_use]
pub fn file(forest: &Forest, calibration: &Calibration, rows: &[(&'static str, Vec<f32>)]) -> Value {
    let raws: Vec<f64> = rows.iter().map(|(_, row)| forest.raw(row)).collect();
    known(calibration, rows, &raws)
}

/// The same for log-odds that are known.
#[must_use]
pub fn known(calibration: &Calibration, rows: &[(&'static str, Vec<f32>)], raws: &[f64]) -> Value {
    let one = |((kind, row), raw): (&(&'static str, Vec<f32>), &f64)| {
        let features: Vec<Option<f32>> = row.iter().map(|v| (!v.is_nan()).then_some(*v)).collect();
        json!({"kind": kind, "features": features, "raw": raw, "p_fail": calibration.apply(*raw)})
    };
    json!({
        "tolerance": TOLERANCE,
        "note": "null is missing (NaN). raw is log-odds before calibration.",
        "rows": rows.iter().zip(raws).map(one).collect::<Vec<_>>(),
    })
}
