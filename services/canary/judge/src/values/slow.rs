//! A wider null for lane A: a slow component under white noise.
//!
//! Counting noise on a slow signal looks nearly white, so an AR(1) fit takes the slow part's wandering for a shift. Here the
//! difference is `s_t + e_t` with `s` an AR(1) of unit variance and `e` white of variance `rho`, on a grid of both; a Kalman
//! filter per grid point keeps the scale-free likelihood `-1/2 sum ln F - N/2 ln sum e^2/F`. Points before the change bound
//! the slow part; without them it would explain every offset, so it is discounted (see the module above).

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::numeric::greatest_likelihood;

const COEFFICIENTS: [f64; 7] = [0.6, 0.75, 0.85, 0.9, 0.94, 0.97, 0.985];
const WHITE: [f64; 6] = [0.3, 0.7, 1.4, 3.0, 6.0, 12.0];

/// Points after which no filter's gain moves by more than the last digit.
const SETTLED: u32 = 255;

/// What a filter does with a point: its gain, the weight of the innovation's square, the log of its variance, and the variance
/// of the slow part predicted from then on. None of it depends on the data.
struct Step {
    f: f64,
    gain: f64,
    weight: f64,
    log: f64,
    variance: f64,
}

/// The steps of every filter for each number of points before.
static STEPS: LazyLock<Vec<Vec<Step>>> = LazyLock::new(|| {
    let grid = || {
        COEFFICIENTS
            .iter()
            .flat_map(|f| WHITE.iter().map(move |rho| (*f, *rho)))
    };
    let mut variances = vec![1.0; grid().count()];
    let steps = |_| {
        let step = |(variance, (f, rho)): (&mut f64, (f64, f64))| {
            let total = *variance + rho;
            let gain = *variance / total;
            *variance = f * f * *variance * rho / total + (1.0 - f * f);
            Step {
                f,
                gain,
                weight: total.recip(),
                log: total.ln(),
                variance: *variance,
            }
        };
        variances.iter_mut().zip(grid()).map(step).collect()
    };
    (0..=SETTLED).map(steps).collect()
});

/// One filter: predicted mean and variance of the slow part, sum of squared innovations, sum of log variances.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Filter(f64, f64, f64, f64);

/// The filters of the whole grid; empty until the first point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slow {
    filters: Vec<Filter>,
    points: u32,
}

impl Slow {
    /// Adds a difference.
    pub(super) fn absorb(&mut self, d: f64) {
        if self.filters.is_empty() {
            self.filters = vec![Filter(0.0, 1.0, 0.0, 0.0); COEFFICIENTS.len() * WHITE.len()];
        }
        let Some(steps) = STEPS.get(self.points.min(SETTLED) as usize) else {
            return;
        };
        self.points = self.points.saturating_add(1);
        for (Filter(mean, variance, square, log), step) in self.filters.iter_mut().zip(steps) {
            let innovation = d - *mean;
            *square += innovation * innovation * step.weight;
            *log += step.log;
            *mean = step.f * (*mean + step.gain * innovation);
            *variance = step.variance;
        }
    }

    /// Greatest likelihood on the grid; minus infinity when it is empty.
    pub(super) fn log_null(&self) -> f64 {
        let half = 0.5 * f64::from(self.points);
        let pair = |Filter(_, _, square, log): &Filter| (-0.5 * log, square.max(1e-280));
        greatest_likelihood(half, self.filters.iter().map(pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_oracle() {
        let oracle = crate::oracle();
        for row in oracle["slow"].as_array().expect("rows") {
            let mut slow = Slow::default();
            row["d"]
                .as_array()
                .expect("values")
                .iter()
                .filter_map(|d| d.as_f64())
                .for_each(|d| slow.absorb(d));
            let expected = row["log_null"].as_f64().expect("number");
            assert!(
                (slow.log_null() - expected).abs() < 1e-9,
                "{} {expected}",
                slow.log_null()
            );
        }
    }
}
