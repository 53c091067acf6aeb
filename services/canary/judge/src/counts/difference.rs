//! A bound on the difference of two failure rates that holds at every look, whatever the split and the time of day.
//!
//! For any `0 < k <= 1`, with `c_s, b_s` bad units and `n_s, m_s` units of candidate and baseline,
//! `M(k) = prod_s (1 - k)^(c_s) (1 + k n_s / m_s)^(b_s) exp(k n_s (p_s - q_s))` is a supermartingale, because
//! `E (1 - k)^X <= exp(-k p)` and `E (1 + h)^Y <= exp(h q)` for 0/1 outcomes with rates `p` (candidate), `q` (baseline).
//! The unknown rates enter by their difference alone: nothing is estimated, and rates may swing from interval to
//! interval (each baseline unit is weighed by the traffic of the candidate beside it, so a ramp cannot mislead).
//! A mixture over `k` refutes "the mean difference is at least d" as soon as
//! `sum_k v_k (1 - k)^C T_k exp(k d N) >= 1 / level`; solving for `d` gives the upper bound.
//!
//! Without any failure `k = 1` decides: `ln(1 / (level v_1)) / d` units of the candidate, where the limit for anybody is
//! `ln(1 / level) / d`.

use serde::{Deserialize, Serialize};

use crate::numeric::{bisect, log_mix};

/// Bets `k` and their prior weights. 1 is for flawless candidates; the best bet at failure rate p is near `d / 2p`.
const BETS: [(f64, f64); 9] = [
    (1.0, 0.40),
    (0.7, 0.10),
    (0.5, 0.10),
    (0.35, 0.10),
    (0.22, 0.08),
    (0.12, 0.07),
    (0.06, 0.06),
    (0.025, 0.05),
    (0.01, 0.04),
];

/// For each bet.
pub(super) type Worth = [f64; BETS.len()];

/// What a bad unit of the baseline is worth to each bet, at so many candidate units per baseline unit.
pub(super) fn worth(per_baseline: f64) -> Worth {
    BETS.map(|(bet, _)| (bet * per_baseline).ln_1p())
}

/// Running bound on the difference of the rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Difference {
    /// Bad units of the candidate, tempered.
    bad: f64,
    /// Units of the candidate, tempered.
    units: f64,
    /// `sum_s b_s ln(1 + k n_s / m_s)` for each bet.
    credit: Vec<f64>,
}

impl Default for Difference {
    fn default() -> Self {
        Self {
            bad: 0.0,
            units: 0.0,
            credit: vec![0.0; BETS.len()],
        }
    }
}

impl Difference {
    /// One interval: bad units of both tracks, units of the candidate, all tempered, and candidate units per baseline unit.
    pub(super) fn absorb(&mut self, candidate: f64, baseline: f64, units: f64, per_baseline: f64) {
        self.add(candidate, baseline, units, &worth(per_baseline));
    }

    /// The same, where what a bad unit of the baseline is worth to each bet is known already.
    pub(super) fn add(&mut self, candidate: f64, baseline: f64, units: f64, worth: &Worth) {
        self.bad += candidate;
        self.units += units;
        if baseline > 0.0 {
            for (worth, credit) in worth.iter().zip(&mut self.credit) {
                *credit += baseline * worth;
            }
        }
    }

    /// Log of the e-value against "the candidate's rate exceeds the baseline's by at least `margin`", a share of units.
    pub(super) fn log_safe(&self, margin: f64) -> f64 {
        log_mix(BETS.iter().zip(&self.credit).map(|((bet, weight), credit)| {
            let cost = match (self.bad > 0.0, *bet >= 1.0) {
                (false, _) => 0.0,
                (true, true) => f64::NEG_INFINITY,
                (true, false) => self.bad * (-bet).ln_1p(),
            };
            (*weight, cost + credit + bet * margin * self.units)
        }))
    }

    /// Upper bound on the mean difference of the rates, within [-1, 1], all looks together at `level`.
    pub(super) fn upper(&self, level: f64) -> f64 {
        let refuted = |d: f64| self.log_safe(d) >= -level.ln();
        if !refuted(1.0) {
            return 1.0;
        }
        if refuted(-1.0) {
            return -1.0;
        }
        // `bisect` returns the far, refuted side: the bound claims no more than was shown.
        bisect(44, -1.0, 1.0, |d| !refuted(d))
    }
}
