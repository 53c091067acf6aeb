//! From what a graph's trees add up to, to a probability that can be believed.
//!
//! Platt's and the beta calibration stand in the graph as nodes, and are here to check it by. An isotonic one is a table that
//! this crate applies to the graph's output, in 64 bits: as nodes it drifts by up to 0.02.

use serde::Deserialize;

use crate::manifest::Raw;

/// How the probability is calibrated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Calibration {
    /// Which formula.
    #[serde(default)]
    pub method: Method,
    /// Platt: slope. Beta: of `ln p`.
    #[serde(default = "one")]
    pub a: f64,
    /// Platt: offset, in log-odds. Beta: of `-ln(1 - p)`.
    #[serde(default)]
    pub b: f64,
    /// Beta: offset, in log-odds.
    #[serde(default)]
    pub c: f64,
    /// Isotonic: the graph's probability and the calibrated one, both ascending; between two rows it is a line.
    #[serde(default)]
    pub table: Vec<(f64, f64)>,
}

/// A formula.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// `1 / (1 + exp(-(a z + b)))` of the log-odds `z`; in the graph.
    #[default]
    Platt,
    /// `1 / (1 + exp(-(a ln p - b ln(1 - p) + c)))`; in the graph.
    Beta,
    /// By the table; beside the graph.
    Isotonic,
    /// The graph's probability as it is.
    None,
}

impl Method {
    /// Its name in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Platt => "platt",
            Self::Beta => "beta",
            Self::Isotonic => "isotonic",
            Self::None => "none",
        }
    }
}

fn one() -> f64 {
    1.0
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Log-odds of a probability, which is kept off 0 and 1.
#[must_use]
pub fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1e-7, 1.0 - 1e-7);
    (p / (1.0 - p)).ln()
}

impl Calibration {
    /// What is wrong with it.
    #[must_use]
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if ![self.a, self.b, self.c].iter().all(|v| v.is_finite()) {
            return Some("is not finite");
        }
        if self.method != Method::Isotonic {
            return None;
        }
        let within = |p: f64| (0.0..=1.0).contains(&p);
        let sound = self.table.iter().all(|(from, to)| within(*from) && within(*to));
        let ascends = |pair: &[(f64, f64)]| matches!(pair, [a, b] if a.0 < b.0 && a.1 <= b.1);
        if self.table.is_empty() || !sound || !self.table.windows(2).all(ascends) {
            return Some("table is empty, does not ascend, or leaves 0..=1");
        }
        None
    }

    /// What the whole model answers when its trees add up to this.
    #[must_use]
    pub fn probability(&self, raw: f64, kind: Raw) -> f64 {
        let (z, p) = match kind {
            Raw::LogOdds => (raw, sigmoid(raw)),
            Raw::Probability => (log_odds(raw), raw),
        };
        match self.method {
            Method::Platt => sigmoid(self.a * z + self.b),
            Method::Beta => {
                let p = p.clamp(1e-12, 1.0 - 1e-12);
                sigmoid(self.a * p.ln() - self.b * (1.0 - p).ln() + self.c)
            }
            Method::Isotonic => self.finish(p),
            Method::None => p,
        }
    }

    /// What is left to do to the graph's output.
    #[must_use]
    pub fn finish(&self, p: f64) -> f64 {
        if self.method != Method::Isotonic || p.is_nan() {
            return p;
        }
        let after = self.table.partition_point(|(from, _)| *from <= p);
        let below = after.checked_sub(1).and_then(|at| self.table.get(at));
        match (below, self.table.get(after)) {
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (p - x0) / (x1 - x0),
            (Some((_, only)), None) | (None, Some((_, only))) => *only,
            (None, None) => p,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(json: &str) -> Calibration {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_says_no_method_is_platts() {
        let platt = calibration(r#"{"a": 2.0, "b": -1.0}"#);
        assert_eq!(platt.method, Method::Platt);
        assert!((platt.probability(0.5, Raw::LogOdds) - 0.5).abs() < 1e-15);
        // Beta with a = b is Platt's on the log-odds.
        let beta = calibration(r#"{"method": "beta", "a": 2.0, "b": 2.0, "c": -1.0}"#);
        for raw in [-3.0, 0.1, 2.0] {
            let (x, y) = (
                beta.probability(raw, Raw::LogOdds),
                platt.probability(raw, Raw::LogOdds),
            );
            assert!((x - y).abs() < 1e-12);
        }
    }

    #[test]
    fn a_table_is_a_line_between_its_rows() {
        let table = calibration(r#"{"method": "isotonic", "table": [[0.1, 0.0], [0.3, 0.4], [0.5, 0.4]]}"#);
        assert_eq!(table.problem(), None);
        assert!((table.finish(0.2) - 0.2).abs() < 1e-15);
        assert_eq!(
            (table.finish(0.05), table.finish(0.4), table.finish(0.9)),
            (0.0, 0.4, 0.4)
        );
        assert!((table.probability(0.2, Raw::Probability) - 0.2).abs() < 1e-15);
        for wrong in [
            r#"{"method": "isotonic"}"#,
            r#"{"method": "isotonic", "table": [[0.3, 0.4], [0.1, 0.5]]}"#,
            r#"{"method": "isotonic", "table": [[0.3, 1.4]]}"#,
        ] {
            assert!(calibration(wrong).problem().is_some(), "{wrong}");
        }
    }
}
