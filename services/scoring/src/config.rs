//! Section `[scoring]`.

use auspex_chassis::Settings;
use serde::{Deserialize, Serialize};

/// Which model scores, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the model, with its `manifest.json`; a relative one is looked for in the working directory, then beside
    /// the program. Empty: the `change-risk` model that comes inside the program.
    pub model: String,
    /// Path of ONNX Runtime's shared library, 1.24 or newer. Empty: `ORT_DYLIB_PATH`, else one is installed.
    pub onnxruntime: String,
    /// Scoring threads, 1..=64. One scores 70,000 vectors a second without reasons, 4,000 with them.
    pub threads: usize,
    /// How many reasons a score gives at most, 0..=100, largest first: more than a person reads helps nobody.
    pub reasons: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: String::new(),
            onnxruntime: String::new(),
            threads: 1,
            reasons: 8,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=64).contains(&self.threads) {
            problems.push(format!("threads: {} is not within 1..=64", self.threads));
        }
        if self.reasons > 100 {
            problems.push(format!("reasons: {} is above 100", self.reasons));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            threads: 0,
            reasons: 101,
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 2);
    }
}
