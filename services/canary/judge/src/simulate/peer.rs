//! What a peer says of the same values: GrowthBook's sequential test, which takes samples for independent.
//!
//! Its interval (Waudby-Smith et al. 2021, asymptotic confidence sequences) is right for users who come one by one. Intervals of a
//! running service resemble their neighbours: the figures beside the judge's show what that costs.

/// Sample size that its interval is tuned for.
const TUNED: f64 = 5_000.0;

/// Count, mean and sum of squared deviations of one track.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Samples.
    pub n: f64,
    /// Their mean.
    pub mean: f64,
    /// Sum of their squared deviations from it.
    pub squares: f64,
}

impl Moments {
    /// Adds a sample.
    pub fn absorb(&mut self, x: f64) {
        self.n += 1.0;
        let off = x - self.mean;
        self.mean += off / self.n;
        self.squares += off * (x - self.mean);
    }

    /// Variance of the mean.
    fn error(&self) -> f64 {
        self.squares / (self.n - 1.0) / self.n
    }
}

/// Its always-valid p-value of two equal means at the level `alpha` it is tuned for; 1 with fewer than two samples of a track.
#[must_use]
pub fn p_value(candidate: &Moments, baseline: &Moments, alpha: f64) -> f64 {
    let variance = candidate.error() + baseline.error();
    if variance.is_nan() || variance <= 0.0 {
        return 1.0;
    }
    let both = candidate.n + baseline.n;
    let tuned = (-2.0 * alpha.ln() + (1.0 - 2.0 * alpha.ln()).ln()) / TUNED;
    let grown = both * tuned + 1.0;
    let off = (candidate.mean - baseline.mean).powi(2) * both / variance;
    let log_e = tuned * off / (2.0 * grown) - 0.5 * grown.ln();
    (-log_e).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_oracle() {
        let oracle = crate::later_oracle();
        for row in oracle["peer"].as_array().expect("rows") {
            let track = |name: &str| {
                let mut moments = Moments::default();
                let samples = row[name].as_array().expect("samples");
                samples
                    .iter()
                    .filter_map(|x| x.as_f64())
                    .for_each(|x| moments.absorb(x));
                moments
            };
            let expected = row["p"].as_f64().expect("number");
            let alpha = row["alpha"].as_f64().expect("number");
            let said = p_value(&track("candidate"), &track("baseline"), alpha);
            assert!((said / expected - 1.0).abs() < 1e-9, "{said} {expected}");
        }
    }
}
