//! The kinds of model that compete.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Candidate {
    /// A scorecard: logistic regression over binned columns. No Python.
    Baseline,
    /// The same, by the name people look for.
    Logistic,
    /// Boosted trees of our own. No Python.
    Gbdt,
    /// LightGBM, by the plug-in.
    Lightgbm,
    /// XGBoost, by the plug-in.
    Xgboost,
    /// A random forest, by the plug-in.
    RandomForest,
    /// An LSTM over the last rows of each group, by the plug-in.
    Lstm,
    /// The others but the LSTM, summed with weights.
    Ensemble,
}

impl Candidate {
    /// All, in the order of a report.
    pub const ALL: [Self; 8] = [
        Self::Baseline,
        Self::Logistic,
        Self::Gbdt,
        Self::Lightgbm,
        Self::Xgboost,
        Self::RandomForest,
        Self::Lstm,
        Self::Ensemble,
    ];
    /// Those that compete when none are named.
    pub const USUAL: [Self; 6] = [
        Self::Logistic,
        Self::Gbdt,
        Self::Lightgbm,
        Self::Xgboost,
        Self::RandomForest,
        Self::Ensemble,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Logistic => "logistic",
            Self::Gbdt => "gbdt",
            Self::Lightgbm => "lightgbm",
            Self::Xgboost => "xgboost",
            Self::RandomForest => "random_forest",
            Self::Lstm => "lstm",
            Self::Ensemble => "ensemble",
        }
    }

    /// Whether the plug-in fits it.
    #[must_use]
    pub fn needs_plugin(self) -> bool {
        matches!(
            self,
            Self::Lightgbm | Self::Xgboost | Self::RandomForest | Self::Lstm
        )
    }

    /// Its settings for so many rows: few rows get small trees.
    #[must_use]
    pub fn settings(self, rows: usize) -> Value {
        let size = |small: u64, middle: u64, large: u64| match rows {
            ..3000 => small,
            3000..40_000 => middle,
            _ => large,
        };
        let least = (rows / 600).clamp(10, 100);
        match self {
            Self::Baseline | Self::Logistic => json!({"bins": (rows / 60).clamp(2, 24)}),
            Self::Gbdt => {
                json!({"trees": size(80, 150, 200), "leaves": size(7, 15, 24), "rate": 0.04, "least": least, "bags": 3})
            }
            Self::Lightgbm => json!({
                "num_iterations": size(100, 200, 250), "learning_rate": if rows < 40_000 { 0.03 } else { 0.04 },
                "num_leaves": size(7, 15, 63), "min_data_in_leaf": least, "feature_fraction": if rows < 40_000 { 0.5 } else { 0.3 },
                "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "bags": 3,
            }),
            Self::Xgboost => json!({
                "num_boost_round": size(100, 200, 200), "eta": 0.03, "max_depth": size(3, 5, 6), "min_child_weight": 5,
                "subsample": 0.8, "colsample_bynode": 0.5, "lambda": 5.0, "max_bin": 128,
            }),
            Self::RandomForest => json!({
                "n_estimators": 60, "min_samples_leaf": (rows / 400).clamp(8, 400), "max_features": 0.35,
            }),
            Self::Lstm => json!({"units": 16, "steps": 8, "epochs": 30, "rate": 0.01}),
            Self::Ensemble => json!({"members": "those with weight, on back-test log-odds"}),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Candidate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase().replace('-', "_");
        let found = Self::ALL.into_iter().find(|candidate| candidate.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|candidate| candidate.name()).collect();
            format!("`{text}` is no candidate; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for candidate in Candidate::ALL {
            assert_eq!(candidate.name().parse(), Ok(candidate));
        }
        assert_eq!("Random-Forest".parse(), Ok(Candidate::RandomForest));
        assert!("svm".parse::<Candidate>().unwrap_err().contains("lightgbm"));
    }
}
