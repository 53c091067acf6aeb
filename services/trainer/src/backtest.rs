//! The time-ordered back-test: every choice is made on it, and none on the test rows.
//!
//! The training rows of each group are cut into an older part and three newer stretches; each stretch is scored by a model
//! fitted to what is older and whose outcome was known by then. Calibration and weights that a figure needs come from the
//! other stretches.

use std::collections::BTreeMap;

use auspex_learn::calibrate::{Calibration, Platt};
use auspex_learn::{Forest, metrics, stack};

use crate::sample::Sample;

/// Where the stretches begin and end, as shares of a group's rows.
const CUTS: [f64; 4] = [0.55, 0.70, 0.85, 1.0];

/// One stretch: what to fit to and what to score.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stretch {
    /// Older rows with outcomes known by then.
    pub fit: Vec<usize>,
    /// Newer rows.
    pub hold: Vec<usize>,
}

/// The stretches of a training sample. Stretches without enough of both classes are left out.
#[must_use]
pub fn stretches(sample: &Sample, delay: f64) -> Vec<Stretch> {
    let mut found = Vec::new();
    for pair in CUTS.windows(2) {
        let [from, to] = pair else { continue };
        let (older, newer) = sample.cut(*from);
        let (until, _) = sample.cut(*to);
        let hold: Vec<usize> = newer
            .into_iter()
            .filter(|row| until.binary_search(row).is_ok())
            .collect();
        let fit = sample.matured(&older, &hold, delay);
        let classes = |rows: &[usize]| {
            let failed = rows
                .iter()
                .filter(|row| sample.labels.get(**row) == Some(&true))
                .count();
            (failed, rows.len() - failed)
        };
        let (fit_classes, hold_classes) = (classes(&fit), classes(&hold));
        if fit_classes.0.min(fit_classes.1) >= 5 && hold_classes.0.min(hold_classes.1) >= 1 {
            found.push(Stretch { fit, hold });
        }
    }
    found
}

/// Rows that models scored without having seen them, stretch after stretch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unseen {
    /// Row numbers in the training sample.
    pub rows: Vec<usize>,
    /// Which stretch each is from.
    pub stretch: Vec<usize>,
    /// What became of them.
    pub labels: Vec<bool>,
    /// How much each counts.
    pub weights: Vec<f64>,
    /// When each was.
    pub times: Vec<f64>,
    /// Of which group each is.
    pub groups: Vec<u32>,
    /// Time until an outcome is known.
    pub delay: f64,
}

impl Unseen {
    /// Of these stretches.
    #[must_use]
    pub fn of(sample: &Sample, stretches: &[Stretch], weights: &[f64]) -> Self {
        let mut unseen = Self::default();
        for (number, stretch) in stretches.iter().enumerate() {
            for row in &stretch.hold {
                unseen.rows.push(*row);
                unseen.stretch.push(number);
                unseen
                    .labels
                    .push(sample.labels.get(*row).copied().unwrap_or(false));
                unseen.weights.push(weights.get(*row).copied().unwrap_or(1.0));
                unseen
                    .times
                    .push(sample.times.get(*row).copied().unwrap_or_default());
                unseen
                    .groups
                    .push(sample.groups.get(*row).copied().unwrap_or_default());
            }
        }
        unseen
    }

    /// With outcomes that are known after so long.
    #[must_use]
    pub fn after(self, delay: f64) -> Self {
        Self { delay, ..self }
    }

    /// Places of the rows of earlier stretches whose outcomes were known when a stretch began in their group, and of its own rows.
    #[must_use]
    pub fn known_before(&self, stretch: usize) -> (Vec<usize>, Vec<usize>) {
        let places = |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
            let of = self.stretch.iter().enumerate();
            of.filter(|(_, own)| wanted(**own))
                .map(|(place, _)| place)
                .collect()
        };
        let time = |place: usize| self.times.get(place).copied().unwrap_or_default();
        let group = |place: usize| self.groups.get(place).copied().unwrap_or_default();
        let own = places(&|of| of == stretch);
        let mut begins = BTreeMap::<u32, f64>::new();
        for place in &own {
            let first = begins.entry(group(*place)).or_insert(f64::INFINITY);
            *first = first.min(time(*place));
        }
        let known = |place: &usize| {
            let first = begins.get(&group(*place)).copied().unwrap_or(f64::INFINITY);
            self.delay <= 0.0 || time(*place) + self.delay <= first
        };
        let mut earlier = places(&|of| of < stretch);
        earlier.retain(known);
        (earlier, own)
    }

    /// What the models of the stretches say, one model a stretch, in log-odds.
    #[must_use]
    pub fn raws(&self, sample: &Sample, models: &[&Forest]) -> Vec<f64> {
        let score = |(row, stretch): (&usize, &usize)| {
            let model = models.get(*stretch);
            model.map_or(0.0, |model| model.raw(sample.table.row(*row)))
        };
        self.rows.iter().zip(&self.stretch).map(score).collect()
    }

    /// Places of the rows of other stretches, or of all when there is but one.
    fn others(&self, stretch: usize) -> Vec<usize> {
        let several = self.stretch.iter().any(|other| *other != stretch);
        let keep = |place: &usize| !several || self.stretch.get(*place) != Some(&stretch);
        (0..self.rows.len()).filter(keep).collect()
    }

    /// Log-odds, labels and weights of these places.
    pub(crate) fn at(&self, raws: &[f64], places: &[usize]) -> (Vec<f64>, Vec<bool>, Vec<f64>) {
        let at = |from: &[f64], row: usize| from.get(row).copied().unwrap_or_default();
        let label = |place: &usize| self.labels.get(*place).copied().unwrap_or(false);
        (
            places.iter().map(|place| at(raws, *place)).collect(),
            places.iter().map(label).collect(),
            places.iter().map(|place| at(&self.weights, *place)).collect(),
        )
    }

    /// The same of other stretches.
    fn without(&self, raws: &[f64], stretch: usize) -> (Vec<f64>, Vec<bool>, Vec<f64>) {
        self.at(raws, &self.others(stretch))
    }

    /// How many stretches there are.
    #[must_use]
    pub fn stretches(&self) -> usize {
        self.stretch.iter().max().map_or(0, |last| last + 1)
    }

    /// Probabilities, each calibrated in Platt's way on the other stretches.
    #[must_use]
    pub fn calibrated(&self, raws: &[f64]) -> Vec<f64> {
        self.crossed(raws, |places| Some(self.platt_of(raws, places)))
    }

    /// Probabilities, each calibrated by what is fitted to the places of the other stretches, or of all when there is but one.
    pub(crate) fn crossed(&self, raws: &[f64], fit: impl Fn(&[usize]) -> Option<Calibration>) -> Vec<f64> {
        let each: Vec<Calibration> = (0..self.stretches())
            .map(|stretch| {
                let others = self.others(stretch);
                fit(&others).unwrap_or_else(|| self.platt_of(raws, &others))
            })
            .collect();
        let apply =
            |(raw, stretch): (&f64, &usize)| each.get(*stretch).unwrap_or(&Calibration::IDENTITY).apply(*raw);
        raws.iter().zip(&self.stretch).map(apply).collect()
    }

    fn platt_of(&self, raws: &[f64], places: &[usize]) -> Calibration {
        let (raws, labels, weights) = self.at(raws, places);
        Calibration::Platt(Platt::fit(&raws, &labels, &weights))
    }

    /// Log-loss of log-odds, calibrated as above.
    #[must_use]
    pub fn log_loss(&self, raws: &[f64]) -> f64 {
        metrics::log_loss(&self.labels, &self.calibrated(raws))
    }

    /// The mean over groups of their log-loss.
    #[must_use]
    pub fn log_loss_of_groups(&self, raws: &[f64]) -> f64 {
        let mut groups = BTreeMap::<u32, (Vec<bool>, Vec<f64>)>::new();
        let rows = self.labels.iter().zip(self.calibrated(raws));
        for (group, (label, p)) in self.groups.iter().zip(rows) {
            let own = groups.entry(*group).or_default();
            own.0.push(*label);
            own.1.push(p);
        }
        let losses = groups.values().map(|(labels, p)| metrics::log_loss(labels, p));
        losses.sum::<f64>() / groups.len().max(1) as f64
    }

    /// The calibration for the model that is fitted to everything.
    #[must_use]
    pub fn platt(&self, raws: &[f64]) -> Platt {
        Platt::fit(raws, &self.labels, &self.weights)
    }

    /// Log-odds of the weighted sum of members, its weights from the other stretches; and the weights from all of them.
    #[must_use]
    pub fn stacked(&self, members: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
        let by_stretch: Vec<Vec<f64>> = (0..self.stretches())
            .map(|stretch| {
                let others: Vec<Vec<f64>> =
                    members.iter().map(|raws| self.without(raws, stretch).0).collect();
                let (_, labels, weights) = self.without(&self.weights, stretch);
                stack::weights(&others, &labels, &weights)
            })
            .collect();
        let sum = |(row, stretch): (usize, &usize)| {
            let weights = by_stretch.get(*stretch).map(Vec::as_slice).unwrap_or_default();
            let parts = weights.iter().zip(members);
            parts
                .map(|(weight, raws)| weight * raws.get(row).copied().unwrap_or(0.0))
                .sum()
        };
        let raws = self.stretch.iter().enumerate().map(sum).collect();
        (raws, stack::weights(members, &self.labels, &self.weights))
    }
}

#[cfg(test)]
mod tests {
    use auspex_learn::Matrix;

    use super::*;

    fn sample(rows: usize) -> Sample {
        Sample {
            table: Matrix::new((0..rows).map(|v| v as f32).collect(), 1),
            labels: (0..rows).map(|row| row % 3 == 0).collect(),
            times: (0..rows).map(|row| row as f64).collect(),
            groups: vec![0; rows],
            ..Sample::default()
        }
    }

    #[test]
    fn what_is_scored_is_newer_than_what_is_learned() {
        let s = sample(200);
        let found = stretches(&s, 10.0);
        assert_eq!(found.len(), 3);
        for stretch in &found {
            let newest = stretch.fit.last().unwrap();
            assert!(newest + 10 <= stretch.hold[0], "{newest} {}", stretch.hold[0]);
        }
        let held: usize = found.iter().map(|stretch| stretch.hold.len()).sum();
        assert_eq!(held, 90);
        assert!(stretches(&sample(9), 0.0).is_empty());
    }

    #[test]
    fn a_row_is_calibrated_without_its_own_stretch() {
        let s = sample(300);
        let unseen = Unseen::of(&s, &stretches(&s, 0.0), &[]);
        let raws: Vec<f64> = unseen.rows.iter().map(|row| (*row % 7) as f64 - 3.0).collect();
        let mut other = unseen.clone();
        for (label, stretch) in other.labels.iter_mut().zip(&other.stretch) {
            *label ^= *stretch == 2;
        }
        let (a, b) = (unseen.calibrated(&raws), other.calibrated(&raws));
        let last = unseen.stretch.iter().position(|s| *s == 2).unwrap();
        assert_eq!(a[last..], b[last..]);
        assert_ne!(a[..last], b[..last]);
    }
}
