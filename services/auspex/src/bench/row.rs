//! What every bench prints: figures, their limits, and whether they hold.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A bench and what came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    /// Which.
    pub(super) bench: &'static str,
    /// One row a figure.
    pub(super) results: Vec<Row>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// What was measured.
    pub(super) name: String,
    /// What came out.
    pub(super) value: f64,
    /// Its unit.
    pub(super) unit: String,
    /// What the same machine gave in the same run without us; none where no limit is known.
    pub(super) limit: Option<f64>,
    /// Whose limit it is.
    pub(super) limit_name: Option<String>,
    /// Value divided by limit.
    pub(super) ratio: Option<f64>,
    /// The worst that passes: of the ratio where there is a limit, else of the value; none: the figure is only told.
    pub(super) floor: Option<f64>,
    /// Whether it passes.
    pub(super) ok: bool,
}

/// Which way a floor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    /// Times, losses.
    Less,
    /// Rates.
    More,
}

impl Row {
    /// A figure nobody judges.
    pub(super) fn told(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self {
            name: name.into(),
            value,
            unit: unit.to_owned(),
            limit: None,
            limit_name: None,
            ratio: None,
            floor: None,
            ok: true,
        }
    }

    /// Beside its limit.
    pub(super) fn beside(self, limit: f64, limit_name: impl Into<String>) -> Self {
        Self {
            ratio: Some(self.value / limit),
            limit: Some(limit),
            limit_name: Some(limit_name.into()),
            ..self
        }
    }

    /// With a floor for the ratio, or for the value when there is no limit. What is not a number does not pass.
    pub(super) fn floor(self, floor: f64, better: Better) -> Self {
        let judged = self.ratio.unwrap_or(self.value);
        let ok = match better {
            Better::Less => judged <= floor,
            Better::More => judged >= floor,
        };
        Self {
            floor: Some(floor),
            ok,
            ..self
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or_else(String::new, short);
        let width = self.results.iter().map(|row| row.name.chars().count()).max();
        let width = width.unwrap_or_default().max(4);
        writeln!(
            f,
            "{:width$}  {:>10}  {:10}  {:>10}  {:>7}  {:>7}  {:4}  limit",
            "name", "value", "unit", "limit", "ratio", "floor", ""
        )?;
        for row in &self.results {
            let verdict = match (row.floor, row.ok) {
                (None, true) => "",
                (_, true) => "ok",
                (_, false) => "FAIL",
            };
            writeln!(
                f,
                "{:width$}  {:>10}  {:10}  {:>10}  {:>7}  {:>7}  {:4}  {}",
                row.name,
                short(row.value),
                row.unit,
                number(row.limit),
                number(row.ratio),
                number(row.floor),
                verdict,
                row.limit_name.as_deref().unwrap_or_default()
            )?;
        }
        Ok(())
    }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    match value.abs() {
        whole if value.fract() == 0.0 && whole < 1e15 => format!("{value:.0}"),
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        one if one >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The value in the middle of these; NaN of none.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of them lies; NaN of none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a length is an index"
)]
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len() as f64) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Of rounds of (figure, limit): the one whose ratio is the median, so that a disturbance of some rounds does not count.
pub(super) fn median_round(rounds: &[(f64, f64)]) -> (f64, f64) {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    sorted
        .get(sorted.len() / 2)
        .copied()
        .unwrap_or((f64::NAN, f64::NAN))
}

/// In microseconds.
pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_of_the_ratio_where_there_is_a_limit() {
        let row = Row::told("p50", 700.0, "us").beside(200.0, "bare");
        assert!(row.clone().floor(3.5, Better::Less).ok);
        assert!(!row.clone().floor(3.4, Better::Less).ok);
        assert!(row.floor(0.5, Better::More).ok);
        assert!(!Row::told("lost", 1.0, "requests").floor(0.0, Better::Less).ok);
        assert!(
            !Row::told("p50", f64::NAN, "us")
                .beside(1.0, "bare")
                .floor(9.0, Better::Less)
                .ok
        );
    }

    #[test]
    fn the_median_round_is_one_that_was() {
        let rounds = [(9.0, 1.0), (4.0, 2.0), (6.0, 2.0)];
        assert_eq!(median_round(&rounds), (6.0, 2.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.99), 4.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn json_has_the_shape_that_every_bench_prints() {
        let results = vec![Row::told("x", 1.0, "s")];
        let text = serde_json::to_string(&Report {
            bench: "path",
            results,
        })
        .unwrap();
        let wanted = r#"{"bench":"path","results":[{"name":"x","value":1.0,"unit":"s","limit":null,"limit_name":null,"ratio":null,"floor":null,"ok":true}]}"#;
        assert_eq!(text, wanted);
    }
}
