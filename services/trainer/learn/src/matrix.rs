//! Rows of numbers; NaN is a missing one.

/// Rows of one width, laid end to end.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    values: Vec<f32>,
    width: usize,
}

impl Matrix {
    /// Of values laid end to end; what does not make a whole row is cut off.
    #[must_use]
    pub fn new(mut values: Vec<f32>, width: usize) -> Self {
        let whole = values.len().checked_div(width).unwrap_or(0) * width;
        values.truncate(whole);
        Self { values, width }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row after row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// One row; empty beyond the last.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        let start = index * self.width;
        self.values.get(start..start + self.width).unwrap_or_default()
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// One column, top to bottom; empty beyond the last.
    #[must_use]
    pub fn column(&self, index: usize) -> Vec<f32> {
        if index >= self.width {
            return Vec::new();
        }
        self.values
            .iter()
            .skip(index)
            .step_by(self.width)
            .copied()
            .collect()
    }

    /// The rows with these numbers, in their order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|row| self.row(*row)).copied().collect();
        Self {
            values,
            width: self.width,
        }
    }

    /// The columns with these numbers, in their order; one that is not there is missing in every row.
    #[must_use]
    pub fn select(&self, columns: &[usize]) -> Self {
        let pick = |row: &[f32]| -> Vec<f32> {
            let one = |column: &usize| row.get(*column).copied().unwrap_or(f32::NAN);
            columns.iter().map(one).collect()
        };
        Self {
            values: self.iter().flat_map(pick).collect(),
            width: columns.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns() {
        let m = Matrix::new(vec![1.0, 2.0, 3.0, 4.0, 5.0], 2);
        assert_eq!((m.rows(), m.width()), (2, 2));
        assert_eq!(m.row(1), [3.0, 4.0]);
        assert!(m.row(2).is_empty() && m.column(2).is_empty());
        assert_eq!(m.column(1), [2.0, 4.0]);
        assert_eq!(m.take(&[1, 1]).values(), [3.0, 4.0, 3.0, 4.0]);
        assert_eq!(m.select(&[1]).values(), [2.0, 4.0]);
        assert_eq!(Matrix::default().rows(), 0);
    }
}
