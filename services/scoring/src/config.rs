//! Section `[scoring]`.

use auspex_chassis::Settings;
use serde::{Deserialize, Serialize};

use crate::mitigate::{self, Rule, WORDS};
use crate::readings::Recalibrate;
use crate::serving::Terms;

/// Which model scores, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Whether versions that the registry calls champion, challenger or shadow take their place. False: the model above
    /// scores, whatever the registry says.
    pub follow_registry: bool,
    /// What becomes of what outcomes have taught about a version's probabilities in a project, once that is proven to tell more
    /// than the version does: `serve` puts it in the version's place, `tell` beside it, `none` nowhere. Serve: what follows takes
    /// the probability for odds, and failure rates move between training and use; it is proven first, and taken back by itself.
    pub recalibrate: Recalibrate,
    /// Share of changes at high risk for which no approval is asked, 0..=0.5, so that what becomes of such is seen too: without
    /// it a model never learns that it was wrong to hold something back. 0: none, and nothing is learnt there.
    pub release_quota: f64,
    /// What is worth doing at which risk; see docs/models.md. Empty: the table that comes with the program.
    pub mitigations: Vec<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: String::new(),
            onnxruntime: String::new(),
            threads: 1,
            reasons: 8,
            follow_registry: true,
            recalibrate: Recalibrate::default(),
            release_quota: 0.02,
            mitigations: Vec::new(),
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
        if !(0.0..=0.5).contains(&self.release_quota) {
            problems.push(format!(
                "release_quota: {} is not within 0..=0.5",
                self.release_quota
            ));
        }
        for (number, rule) in self.mitigations.iter().enumerate() {
            if !WORDS.contains(&rule.mitigation.as_str()) {
                problems.push(format!(
                    "mitigations[{number}].mitigation: {} is none; there are {}",
                    rule.mitigation,
                    WORDS.join(", ")
                ));
            }
        }
        problems
    }
}

impl Config {
    /// How scores are made of what a version says.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            rules: if self.mitigations.is_empty() {
                mitigate::table()
            } else {
                self.mitigations.clone()
            },
            quota: self.release_quota,
            recalibrate: self.recalibrate,
        }
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
            release_quota: 0.6,
            mitigations: vec![Rule {
                mitigation: "hope".to_owned(),
                ..mitigate::table().swap_remove(0)
            }],
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 4);
    }
}
