//! How a version's probabilities are to be read in one project: a slope and an offset on the log-odds, within what was seen.
//!
//! Whoever has a Score can do it again: what the version says and what it was read by both stand there.

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, finite, probability, required};
use crate::wire;

/// Standard deviations to either side that hold four of five: the interval of a Score is one of 80 %.
const SIDE: f64 = 1.281_551_565_545;
/// Probabilities are kept off 0 and 1 by this before their log-odds are taken.
const LEAST: f64 = 1e-4;

/// A recalibration of one version in one project.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recalibration {
    /// Of the log-odds, above 0: what ranks above ranks above afterwards.
    pub slope: f64,
    /// Added to them.
    pub offset: f64,
    /// Least probability of the version of which enough outcomes were seen.
    pub from: f64,
    /// Greatest.
    pub to: f64,
    /// Of the offset, of the slope, and what they share, in log-odds squared.
    pub variances: [f64; 3],
    /// Outcomes it was learnt from.
    pub outcomes: u64,
    /// Natural logarithm of the evidence that it tells more than the version does.
    pub log_e: f64,
}

/// What a recalibration did to a score, or would have done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recalibrated {
    /// What the version says: `p_failure` when it is not served.
    pub raw: f64,
    /// Lower end of the version's own interval.
    pub raw_low: f64,
    /// Upper end of it.
    pub raw_high: f64,
    /// What the recalibration says: `p_failure` when it is served.
    pub told: f64,
    /// Whether it is served.
    pub served: bool,
    /// Sequence of the Model fact that says how.
    pub since: u64,
    /// How.
    pub by: Recalibration,
}

/// Log-odds of a probability, which is kept off 0 and 1.
#[must_use]
pub fn log_odds(p: f64) -> f64 {
    let p = p.clamp(LEAST, 1.0 - LEAST);
    (p / (1.0 - p)).ln()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

impl Recalibration {
    /// What a probability of the version means. Beyond what was seen the version's own word stands, but never so that two
    /// probabilities change places. Not a number stays none.
    #[must_use]
    pub fn read(&self, p: f64) -> f64 {
        // The ends are ordered: whatever is decoded or made was checked.
        let told = sigmoid(self.slope * log_odds(p.max(self.from).min(self.to)) + self.offset);
        if p > self.to {
            told.max(p)
        } else if p < self.from {
            told.min(p)
        } else {
            told
        }
    }

    /// The interval of a probability: the version's own ends, read like it, and moved apart by what the recalibration is not
    /// sure of itself. It holds what [`Self::read`] says of any probability between the ends.
    #[must_use]
    pub fn interval(&self, low: f64, high: f64) -> (f64, f64) {
        let moved = |p: f64, side: f64| {
            let z = log_odds(p.max(self.from).min(self.to));
            let [offset, slope, both] = self.variances;
            let spread = (offset + 2.0 * both * z + slope * z * z).max(0.0).sqrt();
            sigmoid(log_odds(self.read(p)) + side * SIDE * spread)
        };
        (
            moved(low, -1.0).min(self.read(low)),
            moved(high, 1.0).max(self.read(high)),
        )
    }

    pub(crate) fn from_wire(wire: wire::Recalibration) -> Result<Self, Invalid> {
        let (from, to) = (probability(wire.from, "from")?, probability(wire.to, "to")?);
        if from > to {
            return Err(Invalid::new("from", format!("{from} is above to, {to}")));
        }
        let slope = finite(wire.slope, "slope")?;
        if slope <= 0.0 {
            return Err(Invalid::new("slope", format!("{slope} is not above 0")));
        }
        Ok(Self {
            slope,
            offset: finite(wire.offset, "offset")?,
            from,
            to,
            variances: [
                finite(wire.offset_variance, "offset_variance")?,
                finite(wire.slope_variance, "slope_variance")?,
                finite(wire.covariance, "covariance")?,
            ],
            outcomes: wire.outcomes,
            log_e: finite(wire.log_e, "log_e")?,
        })
    }

    pub(crate) fn to_wire(self) -> wire::Recalibration {
        let [offset_variance, slope_variance, covariance] = self.variances;
        wire::Recalibration {
            slope: self.slope,
            offset: self.offset,
            from: self.from,
            to: self.to,
            offset_variance,
            slope_variance,
            covariance,
            outcomes: self.outcomes,
            log_e: self.log_e,
        }
    }
}

impl Recalibrated {
    pub(crate) fn from_wire(wire: wire::Recalibrated) -> Result<Self, Invalid> {
        let by = required(wire.by, "by")?;
        Ok(Self {
            raw: probability(wire.raw, "raw")?,
            raw_low: probability(wire.raw_low, "raw_low")?,
            raw_high: probability(wire.raw_high, "raw_high")?,
            told: probability(wire.told, "told")?,
            served: wire.served,
            since: wire.since_seq,
            by: Recalibration::from_wire(by).map_err(|fault| fault.within("by"))?,
        })
    }

    pub(crate) fn to_wire(self) -> wire::Recalibrated {
        wire::Recalibrated {
            raw: self.raw,
            raw_low: self.raw_low,
            raw_high: self.raw_high,
            told: self.told,
            served: self.served,
            since_seq: self.since,
            by: Some(self.by.to_wire()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any()(
            slope in 0.05_f64..5.0, offset in -10.0_f64..10.0, ends in (0.0_f64..=1.0, 0.0_f64..=1.0),
            spread in (0.0_f64..1.0, 0.0_f64..1.0, -1.0_f64..1.0),
        ) -> Recalibration {
            let (a, b, share) = spread;
            Recalibration {
                slope, offset, from: ends.0.min(ends.1), to: ends.0.max(ends.1),
                variances: [a, b, share * (a * b).sqrt()], outcomes: 100, log_e: 4.0,
            }
        }
    }

    proptest! {
        /// Nothing leaves 0..=1, no two probabilities change places, and the interval holds what it is about.
        #[test]
        fn order_and_bounds_are_kept(one in any(), p in 0.0_f64..=1.0, q in 0.0_f64..=1.0, r in 0.0_f64..=1.0) {
            let mut sorted = [p, q, r];
            sorted.sort_by(f64::total_cmp);
            let [low, p, high] = sorted;
            let told = sorted.map(|p| one.read(p));
            prop_assert!(told.iter().all(|t| (0.0..=1.0).contains(t)), "{:?}", told);
            // But for the last digit of a logarithm.
            prop_assert!(told[0] <= told[1] + 1e-12 && told[1] <= told[2] + 1e-12, "{:?}", told);
            let (below, above) = one.interval(low, high);
            prop_assert!(0.0 <= below && below <= told[1] + 1e-12 && told[1] <= above + 1e-12 && above <= 1.0, "{p}");
        }

        /// Beyond what was seen nothing is moved further away than the last that was.
        #[test]
        fn nothing_is_extrapolated(one in any(), p in 0.0_f64..=1.0) {
            if p < one.from {
                prop_assert!(one.read(p) == p.min(one.read(one.from)));
            } else if p > one.to {
                prop_assert!(one.read(p) == p.max(one.read(one.to)));
            }
        }
    }

    #[test]
    fn what_is_not_sure_of_itself_widens() {
        let sure = Recalibration {
            slope: 1.0,
            offset: -1.0,
            from: 0.05,
            to: 0.8,
            variances: [0.0; 3],
            outcomes: 100,
            log_e: 4.0,
        };
        let unsure = Recalibration {
            variances: [0.1, 0.01, 0.0],
            ..sure
        };
        assert!((sure.read(0.5) - 0.268_941).abs() < 1e-6);
        assert_eq!(sure.interval(0.2, 0.6), (sure.read(0.2), sure.read(0.6)));
        let (low, high) = unsure.interval(0.2, 0.6);
        assert!(low < sure.read(0.2) && high > sure.read(0.6));
        assert!(sure.read(f64::NAN).is_nan() || sure.read(f64::NAN) <= 1.0);
        assert_eq!((sure.read(0.01), sure.read(0.9)), (0.01, 0.9));
    }
}
