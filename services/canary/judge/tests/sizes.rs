//! States stay below 4 kB, as MessagePack with named fields writes them.

use auspex_judge::simulate::random::Random;
use auspex_judge::{
    CountSettings, CountTest, Counts, Direction, Histogram, HistogramSettings, HistogramTest, Pair,
    ValueSettings, ValueTest,
};
use serde_json::Value;

/// Bytes of a value in MessagePack, every number at its longest.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => 2 + text.len(),
        Value::Array(items) => 3 + items.iter().map(bytes).sum::<usize>(),
        Value::Object(fields) => {
            3 + fields
                .iter()
                .map(|(name, field)| 2 + name.len() + bytes(field))
                .sum::<usize>()
        }
    }
}

fn size(state: &impl serde::Serialize) -> usize {
    serde_json::to_value(state).map_or(usize::MAX, |value| bytes(&value))
}

#[test]
fn every_kind_stays_below_four_kilobytes() {
    let mut random = Random::new(3, 3);
    let (counts, values) = (CountSettings::default(), ValueSettings::default());
    let histograms = HistogramSettings {
        direction: Direction::Either,
        ..HistogramSettings::default()
    };
    let (mut count, mut value) = (CountTest::new(&counts), ValueTest::new(&values));
    let mut histogram = HistogramTest::new(&histograms);
    let bounds: Vec<f64> = (0..200).map(|k| f64::from(k) * 0.01).collect();
    for _ in 0..400 {
        count.absorb(
            &counts,
            &Counts {
                candidate_bad: random.poisson(1.0),
                candidate_total: 50,
                baseline_bad: random.poisson(9.0),
                baseline_total: 950,
            },
        );
        value.absorb(
            &values,
            &Pair {
                candidate: Some(random.normal()),
                baseline: Some(random.normal()),
            },
        );
        let draw =
            Histogram::new(bounds.clone(), (0..201).map(|_| random.poisson(2.0)).collect()).expect("valid");
        histogram.absorb(&histograms, &draw, &draw);
    }
    let sizes = [size(&count), size(&value), size(&histogram)];
    assert!(sizes.iter().all(|size| *size <= 4_096), "{sizes:?}");
}
