//! Normalisation as part of a view: fitted once, on a named snapshot, and kept with it.

use serde::{Deserialize, Serialize};

/// How a feature is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Less the mean, by the standard deviation.
    Standard,
    /// Less the median, by the distance of the quartiles.
    Robust,
    /// Less the least, by the range.
    Minmax,
    /// `ln(1 + x)` (of the size, with its sign), then as [`Method::Standard`].
    LogStandard,
}

/// A method and what was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// How.
    pub method: Method,
    /// What is taken away.
    pub center: f64,
    /// What is divided by; above 0.
    pub width: f64,
}

fn bend(method: Method, value: f64) -> f64 {
    match method {
        Method::LogStandard => value.abs().ln_1p().copysign(value),
        Method::Standard | Method::Robust | Method::Minmax => value,
    }
}

/// The value below which this share of sorted values lies, linear between them; `None` of none.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a place"
)]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let low = sorted.get(place.floor() as usize)?;
    let high = sorted.get((place.ceil() as usize).min(last))?;
    Some(low + (high - low) * (place - place.floor()))
}

impl Scale {
    /// Fits to values; those that are not finite are left out. Of nothing, and of values that do not differ, the width is 1.
    #[must_use]
    pub fn fit(method: Method, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .map(|value| bend(method, value))
            .collect();
        values.sort_by(f64::total_cmp);
        let at = |share| quantile(&values, share).unwrap_or(0.0);
        let (center, width) = match method {
            Method::Standard | Method::LogStandard => {
                let mut moments = crate::Moments::default();
                values.iter().for_each(|value| moments.add(*value));
                (
                    moments.mean().unwrap_or(0.0),
                    moments.variance().unwrap_or(0.0).sqrt(),
                )
            }
            Method::Robust => (at(0.5), at(0.75) - at(0.25)),
            Method::Minmax => (at(0.0), at(1.0) - at(0.0)),
        };
        let width = if width > 1e-12 { width } else { 1.0 };
        Self {
            method,
            center,
            width,
        }
    }

    /// A value, scaled.
    #[must_use]
    pub fn apply(&self, value: f64) -> f64 {
        (bend(self.method, value) - self.center) / self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_does_what_it_says() {
        let values = || [1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN];
        let of = |method| Scale::fit(method, values());
        assert!((of(Method::Standard).apply(3.0)).abs() < 1e-12);
        assert!((of(Method::Standard).apply(3.0 + 2.5_f64.sqrt()) - 1.0).abs() < 1e-12);
        assert!((of(Method::Robust).apply(5.0) - 1.0).abs() < 1e-12);
        assert_eq!(
            (of(Method::Minmax).apply(1.0), of(Method::Minmax).apply(5.0)),
            (0.0, 1.0)
        );
        assert!(of(Method::LogStandard).apply(5.0) > 0.0);
        assert_eq!(Scale::fit(Method::Standard, []).apply(7.0), 7.0);
        assert_eq!(Scale::fit(Method::Minmax, [2.0, 2.0]).apply(2.0), 0.0);
    }
}
