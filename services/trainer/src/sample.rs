//! Labelled rows in time order, and how they are cut.

use auspex_learn::Matrix;

/// Labelled rows. All lists are as long as the table, but `effort`, which may be empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// Names of the columns.
    pub names: Vec<String>,
    /// What is learned from.
    pub table: Matrix,
    /// Whether it failed.
    pub labels: Vec<bool>,
    /// Seconds, or row numbers.
    pub times: Vec<f64>,
    /// Number of the group; `u32::MAX` for one that was not among those learned.
    pub groups: Vec<u32>,
    /// Effort of reading the row.
    pub effort: Vec<f64>,
    /// Of a large table every so many-th row is here.
    pub stride: u64,
    /// Rows without an outcome, which are not here.
    pub unlabelled: u64,
    /// Whether the file was in another order.
    pub reordered: bool,
}

impl Sample {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Sorted by time; rows of one time keep their order.
    #[must_use]
    pub fn in_time_order(self) -> Self {
        if self.times.windows(2).all(|w| matches!(w, [a, b] if a <= b)) {
            return self;
        }
        let mut order: Vec<usize> = (0..self.rows()).collect();
        let at = |row: usize| self.times.get(row).copied().unwrap_or(f64::NAN);
        order.sort_by(|a, b| at(*a).total_cmp(&at(*b)));
        let mut sorted = self.take(&order);
        sorted.reordered = true;
        sorted
    }

    /// The rows with these numbers, in their order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        fn pick<T: Copy>(from: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().filter_map(|row| from.get(*row).copied()).collect()
        }
        Self {
            names: self.names.clone(),
            table: self.table.take(rows),
            labels: pick(&self.labels, rows),
            times: pick(&self.times, rows),
            groups: pick(&self.groups, rows),
            effort: pick(&self.effort, rows),
            stride: self.stride,
            unlabelled: self.unlabelled,
            reordered: self.reordered,
        }
    }

    /// Row numbers by group, in order; groups that occur.
    #[must_use]
    pub fn by_group(&self) -> Vec<(u32, Vec<usize>)> {
        let mut found = std::collections::BTreeMap::<u32, Vec<usize>>::new();
        for (row, group) in self.groups.iter().enumerate() {
            found.entry(*group).or_default().push(row);
        }
        found.into_iter().collect()
    }

    /// Cuts every group at its own share of rows, the older ones first: `(older, newer)`, each in time order.
    #[must_use]
    pub fn cut(&self, share: f64) -> (Vec<usize>, Vec<usize>) {
        let (mut older, mut newer) = (Vec::new(), Vec::new());
        for (_, rows) in self.by_group() {
            let at = (rows.len() as f64 * share) as usize;
            let (a, b) = rows.split_at(at.min(rows.len()));
            older.extend_from_slice(a);
            newer.extend_from_slice(b);
        }
        older.sort_unstable();
        newer.sort_unstable();
        (older, newer)
    }

    /// Of `older`, the rows whose outcome was known, after the delay, before the first row of `newer` of their group.
    #[must_use]
    pub fn matured(&self, older: &[usize], newer: &[usize], delay: f64) -> Vec<usize> {
        if delay <= 0.0 {
            return older.to_vec();
        }
        let time = |row: usize| self.times.get(row).copied().unwrap_or(f64::INFINITY);
        let group = |row: usize| self.groups.get(row).copied().unwrap_or(u32::MAX);
        let mut first = std::collections::BTreeMap::<u32, f64>::new();
        for row in newer {
            let start = first.entry(group(*row)).or_insert(f64::INFINITY);
            *start = start.min(time(*row));
        }
        let known = |row: &usize| {
            let start = first.get(&group(*row)).copied().unwrap_or(f64::INFINITY);
            time(*row) + delay <= start
        };
        older.iter().copied().filter(known).collect()
    }

    /// Weights that halve with age; each group's newest row weighs 1. An infinite half-life weighs all the same.
    #[must_use]
    pub fn recency(&self, half_life: f64) -> Vec<f64> {
        let mut newest = std::collections::BTreeMap::<u32, f64>::new();
        for (time, group) in self.times.iter().zip(&self.groups) {
            let last = newest.entry(*group).or_insert(f64::NEG_INFINITY);
            *last = last.max(*time);
        }
        let weight = |(time, group): (&f64, &u32)| {
            let age = newest.get(group).copied().unwrap_or(*time) - time;
            0.5_f64.powf(age / half_life)
        };
        self.times.iter().zip(&self.groups).map(weight).collect()
    }

    /// Mean time from the oldest to the newest row of a group.
    #[must_use]
    pub fn span(&self) -> f64 {
        let groups = self.by_group();
        let time = |row: Option<&usize>| row.and_then(|row| self.times.get(*row)).copied().unwrap_or(0.0);
        let spans = groups
            .iter()
            .map(|(_, rows)| time(rows.last()) - time(rows.first()));
        spans.sum::<f64>() / groups.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            table: Matrix::new((0..8).map(|v| v as f32).collect(), 1),
            labels: vec![false; 8],
            times: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            groups: vec![0, 1, 0, 1, 0, 1, 0, 0],
            ..Sample::default()
        }
    }

    #[test]
    fn every_group_is_cut_at_its_own_share() {
        let (older, newer) = sample().cut(0.67);
        assert_eq!((older, newer), (vec![0, 1, 2, 3, 4], vec![5, 6, 7]));
    }

    #[test]
    fn outcomes_that_were_not_known_yet_are_not_learned_from() {
        let s = sample();
        let (older, newer) = s.cut(0.67);
        // Group 0 is cut before time 7, group 1 before time 6.
        assert_eq!(s.matured(&older, &newer, 2.0), [0, 1, 2, 3, 4]);
        assert_eq!(s.matured(&older, &newer, 3.0), [0, 1, 2]);
        assert_eq!(s.matured(&older, &newer, 0.0), older);
    }

    #[test]
    fn order_and_weights() {
        let mut s = sample();
        s.times.reverse();
        let sorted = s.in_time_order();
        assert!(sorted.reordered);
        assert_eq!(sorted.table.row(0), [7.0]);
        let weights = sample().recency(1.0);
        assert_eq!((weights[7], weights[6], weights[5]), (1.0, 0.5, 1.0));
        assert!(sample().recency(f64::INFINITY).iter().all(|w| *w == 1.0));
    }
}
