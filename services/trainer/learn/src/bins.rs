//! Columns cut into bins at quantiles, so that fitting counts instead of sorting.

use crate::Matrix;

/// The bin of a missing value.
pub const MISSING: u8 = 0;
/// At most this many bins a column, the missing one included.
pub const MOST: usize = 255;

/// A table as bin numbers, column after column.
#[derive(Debug, Clone, PartialEq)]
pub struct Binned {
    /// By column: a bin for each row; 0 is missing, bin b holds values up to `uppers[b - 1]`.
    pub codes: Vec<Vec<u8>>,
    /// By column: upper ends, ascending; the last bin has none.
    pub uppers: Vec<Vec<f32>>,
}

/// Upper ends of at most `most` bins of about equal weight; none for a constant column. Ends lie half-way between values that
/// occur, so that no row of the table sits on one.
#[must_use]
pub fn uppers(column: &[f32], most: usize) -> Vec<f32> {
    let mut values: Vec<f32> = column.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    let rows = values.len();
    let mut distinct: Vec<(f32, usize)> = Vec::new();
    for value in values {
        match distinct.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => distinct.push((value, 1)),
        }
    }
    let share = (rows as f64 / most.max(2) as f64).max(1.0);
    let (mut ends, mut held) = (Vec::new(), 0_usize);
    for pair in distinct.windows(2) {
        let [(value, count), (next, _)] = pair else {
            continue;
        };
        held += count;
        let room = ends.len() + 1 < most.max(2);
        if room && (distinct.len() <= most || held as f64 >= share) {
            ends.push(between(*value, *next));
            held = 0;
        }
    }
    ends
}

/// A number at least `low` and below `high`.
fn between(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high)) as f32;
    if middle >= low && middle < high {
        middle
    } else {
        low
    }
}

/// The bin of a value.
#[must_use]
pub fn code(uppers: &[f32], value: f32) -> u8 {
    if value.is_nan() {
        return MISSING;
    }
    let below = uppers.partition_point(|upper| *upper < value);
    u8::try_from(below + 1).unwrap_or(u8::MAX)
}

impl Binned {
    /// Cuts a table; `most` is at most [`MOST`] - 1.
    #[must_use]
    pub fn of(table: &Matrix, most: usize) -> Self {
        let most = most.min(MOST - 1);
        let columns = (0..table.width()).map(|column| table.column(column));
        let (codes, uppers) = columns
            .map(|column| {
                let uppers = uppers(&column, most);
                let codes = column.iter().map(|value| code(&uppers, *value)).collect();
                (codes, uppers)
            })
            .unzip();
        Self { codes, uppers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each() {
        let ends = uppers(&[3.0, 1.0, f32::NAN, 1.0, 2.0], 10);
        assert_eq!(ends, [1.5, 2.5]);
        let codes: Vec<u8> = [1.0, 2.0, 3.0, f32::NAN, 9.0]
            .map(|v| code(&ends, v))
            .into_iter()
            .collect();
        assert_eq!(codes, [1, 2, 3, MISSING, 3]);
        assert!(uppers(&[4.0; 9], 10).is_empty() && uppers(&[], 10).is_empty());
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size() {
        let column: Vec<f32> = (0..10_000).map(|v| v as f32).collect();
        let ends = uppers(&column, 64);
        assert!((60..64).contains(&ends.len()), "{}", ends.len());
        let mut counts = vec![0; 65];
        for value in &column {
            counts[code(&ends, *value) as usize] += 1;
        }
        assert!(counts.iter().skip(1).all(|c| *c < 320), "{counts:?}");
    }
}
