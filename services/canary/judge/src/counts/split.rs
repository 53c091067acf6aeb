//! The closed form for one fixed split: Bayes factor and intervals by a Beta mixture (Lindon and Malek, NeurIPS 2022).
//!
//! Not valid on pooled counts once the split has changed, hence not what [`super::CountTest`] uses: it is here for planning,
//! and as a second opinion whose values are known from independent packages.

use crate::numeric::{bisect, ln_beta, real};

/// Log Bayes factor of "the candidate's share of failures is not `w`" for `c` failures there and `b` in the baseline.
///
/// `a` are the two parameters of the Beta prior on the candidate's share, each above 0.
#[must_use]
pub fn log_bayes_factor(c: u64, b: u64, w: f64, a: (f64, f64)) -> f64 {
    let (c, b) = (real(c), real(b));
    ln_beta(a.0 + c, a.1 + b) - ln_beta(a.0, a.1) - c * w.ln() - b * (-w).ln_1p()
}

/// Interval for the candidate's share of failures, all looks together at `level`.
#[must_use]
pub fn share_interval(c: u64, b: u64, a: (f64, f64), level: f64) -> (f64, f64) {
    let (cf, bf) = (real(c), real(b));
    let floor = ln_beta(a.0 + cf, a.1 + bf) - ln_beta(a.0, a.1) + level.ln();
    let inside = |theta: f64| cf * theta.ln() + bf * (-theta).ln_1p() >= floor;
    let centre = if c + b == 0 { 0.5 } else { cf / (cf + bf) };
    let centre = centre.clamp(1e-12, 1.0 - 1e-12);
    let low = if c == 0 {
        0.0
    } else {
        bisect(60, centre, 1e-300, inside)
    };
    let high = if b == 0 {
        1.0
    } else {
        bisect(60, centre, 1.0 - 1e-15, inside)
    };
    (low, high)
}

/// Relative risk at which the candidate takes the share `theta` of the failures with the share `w` of the units.
#[must_use]
pub fn relative_risk(theta: f64, w: f64) -> f64 {
    theta / (1.0 - theta) * (1.0 - w) / w
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_savvi() {
        let (w, k) = (0.05, 100.0);
        let prior = (k * w, k * (1.0 - w));
        assert!((log_bayes_factor(30, 400, w, prior).exp() - 1.391_709_441_2).abs() < 1e-9);
        assert!((log_bayes_factor(30, 400, w, (1.0, 1.0)).exp() - 0.150_085_151_7).abs() < 1e-9);
        let (low, high) = share_interval(30, 400, prior, 0.05);
        assert!((low - 0.039_529_0).abs() < 1e-6 && (high - 0.111_246_3).abs() < 1e-6);
        assert!((relative_risk(low, w) - 0.7820).abs() < 1e-4);
        assert!((relative_risk(high, w) - 2.3783).abs() < 1e-4);
    }

    #[test]
    fn agrees_with_the_oracle() {
        let oracle = crate::oracle();
        for row in oracle["split"].as_array().expect("rows") {
            let number = |name: &str| row[name].as_f64().expect("number");
            let count = |name: &str| row[name].as_u64().expect("count");
            let (w, k) = (number("w"), number("k"));
            let said = log_bayes_factor(count("c"), count("b"), w, (k * w, k * (1.0 - w)));
            assert!((said - number("log")).abs() < 1e-8, "{said}");
        }
    }
}
