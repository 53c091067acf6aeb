//! What is asked of a training run.

use std::path::PathBuf;
use std::str::FromStr;

use crate::candidate::Candidate;
use crate::plugin::Plugin;
use crate::table::choice::Wanted;

/// A training run.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The table.
    pub table: PathBuf,
    /// What the feature store answered for the same rows; see [`crate::table::join`].
    pub join: Option<PathBuf>,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Share of each group's rows to learn from, the oldest, within 0..1; the others are the test.
    pub split: f64,
    /// Rows to test on, when they are a table of their own; all of `table` is then learned from.
    pub test: Option<PathBuf>,
    /// Who competes; empty: the usual ones.
    pub candidates: Vec<Candidate>,
    /// Whether the test is told with outcomes coming in.
    pub recalibrate: Recalibrate,
    /// Time from a row to its outcome being known, in the unit of the time column (seconds, or rows).
    pub delay: f64,
    /// Whether the outcomes of a group's earlier rows, as far as they were known, are learned from too; see
    /// [`crate::history`].
    pub history: bool,
    /// Whether the hour of a row and how busy its group was before it are learned from too; see [`crate::context`].
    pub context: bool,
    /// Ratios of columns to learn from too, as in `added+deleted/before`.
    pub ratios: Vec<String>,
    /// Where everything is written.
    pub out: PathBuf,
    /// Name of the model.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its feature service; empty: name and version.
    pub feature_service: String,
    /// Of whatever is drawn.
    pub seed: u64,
}

/// Whether probabilities follow the outcomes that come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recalibrate {
    /// As trained.
    #[default]
    None,
    /// With every outcome that is known by then.
    Online,
}

impl FromStr for Recalibrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "online" => Ok(Self::Online),
            other => Err(format!("`{other}` is neither none nor online")),
        }
    }
}

/// What a training run works with.
#[derive(Debug, Default)]
pub struct Bench {
    /// Fits what needs a library; `Err`: why there is none.
    pub plugin: Option<Result<Plugin, String>>,
    /// Path of ONNX Runtime's shared library; `Err`: why there is none.
    pub runtime: Option<Result<PathBuf, String>>,
}

impl Bench {
    /// ONNX Runtime's shared library, when there is one.
    #[must_use]
    pub fn library(&self) -> Option<&std::path::Path> {
        self.runtime.as_ref()?.as_deref().ok()
    }
}

/// Reads a delay: `90d`, `12h`, `30m`, `45s`, `2w`, or a number in the unit of the time column.
///
/// # Errors
/// What is wrong with it.
pub fn delay(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" | "sec" | "rows" | "row" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" => 604_800.0,
        other if digits.trim().is_empty() => {
            return Err(format!("`{other}` is no time, as in 90d or 12h"));
        }
        other => return Err(format!("`{other}` is no unit: s, m, h, d, w or rows")),
    };
    let number: f64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is no time, as in 90d or 12h"))?;
    if number >= 0.0 && number.is_finite() {
        Ok(number * unit)
    } else {
        Err(format!("`{text}` is not at least 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        assert_eq!(delay("90d"), Ok(7_776_000.0));
        assert_eq!(delay("0"), Ok(0.0));
        assert_eq!(delay("500rows"), Ok(500.0));
        assert!(delay("soon").is_err() && delay("-1d").is_err() && delay("3x").is_err());
    }
}
