//! A wider null: a slow component under noise, around a mean that nobody knows.
//!
//! Counting noise on a slow signal, or days that lie on levels of their own under minutes that resemble each other. The
//! difference is `m + s_t + a_t`: a mean, a slow AR(1) of coefficient `slow`, a quicker one of coefficient `quick` (0: white).
//! What is left of `a_t` after `quick` times its predecessor is white, and a slow part hardly differs from its predecessor: so a
//! Kalman filter for a slow component under white noise, as [`super::super::slow`] has it, runs over `d_t - quick d_(t-1)`. It
//! runs over a constant alike, by which the mean is projected out.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::super::shift::Bet;
use crate::numeric::{greatest_likelihood, log_sum_exp, real};

/// Coefficients of the quick part, of the slow part, and variances of what is white against the slow part's.
const GRID: [(&[f64], &[f64], &[f64]); 2] = [
    (&[0.0], &[0.8, 0.9, 0.96, 0.985, 0.996], &[0.5, 2.0, 8.0]),
    (&[0.0, 0.3, 0.5, 0.7, 0.9], &[0.985, 0.996], &[10.0, 40.0]),
];

/// Points after which no filter's gain moves by more than a few digits.
const SETTLED: u32 = 1_023;

/// What a filter does with a point; none of it depends on the data.
#[derive(Clone, Copy)]
struct Step {
    quick: f64,
    slow: f64,
    gain: f64,
    /// Weight of the innovation's square, and the innovation of the constant.
    weight: f64,
    constant: f64,
    /// Sums up to here: of squares of the constant's innovations, of log variances.
    norm: f64,
    log: f64,
    white: f64,
}

impl Step {
    /// Sums after so many steps more than the first.
    fn sums(&self, done: u32) -> (f64, f64) {
        let more = f64::from(done.saturating_sub(SETTLED));
        (
            self.norm + more * self.constant * self.constant * self.weight,
            self.log - more * self.weight.ln(),
        )
    }
}

/// The steps of every filter for each number of points before.
static STEPS: LazyLock<Vec<Vec<Step>>> = LazyLock::new(|| {
    let grid = GRID.iter().flat_map(|(quick, slow, white)| {
        let pairs = quick.iter().flat_map(|q| slow.iter().map(move |s| (*q, *s)));
        pairs.flat_map(|(q, s)| white.iter().map(move |w| (q, s, *w)))
    });
    let fresh = |(quick, slow, white)| Running {
        quick,
        slow,
        white,
        variance: 1.0,
        mean: 0.0,
        norm: 0.0,
        log: -(1.0 - quick * quick).ln(),
    };
    let mut running: Vec<Running> = grid.map(fresh).collect();
    (0..=SETTLED)
        .map(|at| running.iter_mut().map(|filter| filter.step(at == 0)).collect())
        .collect()
});

/// A filter running over the constant.
struct Running {
    quick: f64,
    slow: f64,
    white: f64,
    variance: f64,
    mean: f64,
    norm: f64,
    log: f64,
}

impl Running {
    fn step(&mut self, first: bool) -> Step {
        let total = self.variance + self.white;
        let (gain, weight) = (self.variance / total, total.recip());
        let constant = left(self.quick, 1.0, (!first).then_some(1.0)) - self.mean;
        self.norm += constant * constant * weight;
        self.log += total.ln();
        self.mean = self.slow * (self.mean + gain * constant);
        self.variance =
            self.slow * self.slow * self.variance * self.white / total + (1.0 - self.slow * self.slow);
        Step {
            quick: self.quick,
            slow: self.slow,
            gain,
            weight,
            constant,
            norm: self.norm,
            log: self.log,
            white: self.white,
        }
    }
}

/// What is left of a point after its predecessor.
fn left(quick: f64, now: f64, before: Option<f64>) -> f64 {
    before.map_or((1.0 - quick * quick).sqrt() * now, |before| now - quick * before)
}

/// One filter: predicted mean of the slow part, sums of squared innovations and of their products with the constant's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Filter(f64, f64, f64);

/// The filters of the whole grid; empty until the first point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wander {
    filters: Vec<Filter>,
    points: u32,
    last: Option<f64>,
    /// The filter that the past speaks for, chosen at the change, and by how many nats the past itself speaks less for it than
    /// for the even mixture of all: betting on it afterwards costs these.
    chosen: Option<(usize, f64)>,
}

/// What the chosen filter did with a point.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    quick: f64,
    slow: f64,
    gain: f64,
    weight: f64,
    constant: f64,
    innovation: f64,
}

/// A step of the level, as the chosen filter sees it: mean of the slow part, sums of squares of its innovations, of their products
/// with those of the differences and of the constant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Channel(pub(super) f64, pub(super) f64, pub(super) f64, pub(super) f64);

impl Channel {
    /// Adds a point of the step, its first one or a further one; one that is no jump is a further one from the first.
    pub(super) fn absorb(&mut self, first: bool, seen: &Seen) {
        let Self(mean, xx, xy, xz) = self;
        let innovation = if first { 1.0 } else { 1.0 - seen.quick } - *mean;
        *xx += innovation * innovation * seen.weight;
        *xy += innovation * seen.innovation * seen.weight;
        *xz += innovation * seen.constant * seen.weight;
        *mean = seen.slow * (*mean + seen.gain * innovation);
    }

    /// Sum of squares, of products with the differences, and with the constant.
    pub(super) const fn sums(&self) -> (f64, f64, f64) {
        (self.1, self.2, self.3)
    }
}

/// The chosen filter's view of all points: as [`super::level`] has them at a coefficient, and the bet on it.
pub(super) struct View {
    pub(super) centred: (f64, f64, f64),
    pub(super) bet: Bet,
    /// What betting on it costs.
    pub(super) price: f64,
}

impl Wander {
    /// Adds a difference; `changed` says that it lies after the change. What the chosen filter did with it.
    pub(super) fn absorb(&mut self, d: f64, changed: bool) -> Option<Seen> {
        let steps = STEPS.get(self.points.min(SETTLED) as usize)?;
        if changed && self.chosen.is_none() {
            self.chosen = self.choose();
        }
        if self.filters.is_empty() {
            self.filters = vec![Filter::default(); steps.len()];
        }
        self.points = self.points.saturating_add(1);
        let mut seen = None;
        for (at, (Filter(mean, square, cross), step)) in self.filters.iter_mut().zip(steps).enumerate() {
            let innovation = left(step.quick, d, self.last) - *mean;
            if self.chosen.is_some_and(|(chosen, _)| chosen == at) {
                let Step {
                    quick,
                    slow,
                    gain,
                    weight,
                    constant,
                    ..
                } = *step;
                seen = Some(Seen {
                    quick,
                    slow,
                    gain,
                    weight,
                    constant,
                    innovation,
                });
            }
            *square += innovation * innovation * step.weight;
            *cross += innovation * step.constant * step.weight;
            *mean = step.slow * (*mean + step.gain * innovation);
        }
        self.last = Some(d);
        seen
    }

    /// The filter of the greatest likelihood so far, and its price.
    fn choose(&self) -> Option<(usize, f64)> {
        let half = 0.5 * f64::from(self.points.saturating_sub(1));
        let logs: Vec<f64> = self
            .pairs()
            .map(|(norm, square)| norm - half * square.ln())
            .collect();
        let even = real(logs.len() as u64).ln();
        let mixed = log_sum_exp(logs.iter().copied()) - even;
        let best = logs.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map(|(at, log)| (at, mixed - log))
    }

    /// The chosen filter's view.
    pub(super) fn view(&self) -> Option<View> {
        let (chosen, price) = self.chosen?;
        let done = self.points.saturating_sub(1);
        let step = STEPS.get(done.min(SETTLED) as usize)?.get(chosen)?;
        let Filter(_, square, cross) = self.filters.get(chosen)?;
        let (norm, log) = step.sums(done);
        let size = step.white / (1.0 - step.quick * step.quick);
        Some(View {
            centred: (norm, *cross, square - cross * cross / norm),
            bet: Bet::of(size, -0.5 * log),
            price,
        })
    }

    /// Greatest likelihood on the grid; minus infinity when it is empty.
    pub(super) fn log_null(&self) -> f64 {
        greatest_likelihood(0.5 * f64::from(self.points.saturating_sub(1)), self.pairs())
    }

    /// Of each filter the part of its likelihood that does not depend on the data, and the sum of squares.
    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        let done = self.points.saturating_sub(1);
        let steps = STEPS
            .get(done.min(SETTLED) as usize)
            .map_or(&[][..], Vec::as_slice);
        self.filters
            .iter()
            .zip(steps)
            .map(move |(Filter(_, square, cross), step)| {
                let (norm, log) = step.sums(done);
                let rest = (square - cross * cross / norm).max(1e-280);
                (-0.5 * (log + norm.ln()), rest)
            })
    }
}
