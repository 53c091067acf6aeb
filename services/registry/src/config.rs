//! Section `[registry]`.

use auspex_chassis::Settings;
use auspex_chassis::objects::roots;
use auspex_proto::subject;
use serde::{Deserialize, Serialize};

/// Where versions lie, and how outcomes are waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where files are kept: `nats://BUCKET` is the bus's own object store, `file:///FOLDER` a folder that the processes of
    /// scoring reach under the same path; with the feature `clouds` also `s3://`, `gs://` and `az://`.
    pub storage: String,
    /// The most bytes of one version, all files together. 256 MB: a forest of a thousand trees has 40.
    pub max_bytes: u64,
    /// Path of ONNX Runtime's shared library, 1.24 or newer. Empty: `ORT_DYLIB_PATH`, else one is installed.
    pub onnxruntime: String,
    /// Whether the subset of MLflow's REST API that its Python client needs is answered.
    pub mlflow: bool,
    /// How outcomes are counted.
    pub feedback: FeedbackConfig,
    /// How experiments are decided.
    pub experiments: ExperimentConfig,
}

/// Section `[registry.feedback]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedbackConfig {
    /// After a deployment has succeeded, this long without a rollback or an incident counts as an outcome, in minutes. 1,440:
    /// most incidents that a change causes come within a day.
    pub maturity_minutes: u64,
    /// A score whose outcome never comes is forgotten after this long, in days. 30.
    pub give_up_days: u64,
    /// Outcomes after which the figures of a project are published as Observations. 1: after each.
    pub publish_every: u64,
    /// Greatest probability that a version whose probabilities are right is ever overruled by its recalibration in a project,
    /// within (0, 0.5). 0.05.
    pub recalibration_alpha: f64,
    /// Outcomes below which no recalibration is served. 50.
    pub recalibration_least: u64,
}

/// Section `[registry.experiments]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Greatest probability of ever promoting a challenger that is no better, or of ever returning one that is no worse,
    /// within (0, 0.5). 0.05.
    pub alpha: f64,
    /// Greatest probability of calling a cost no worse that is worse by the margin, within (0, 0.5). 0.1.
    pub beta: f64,
    /// Outcomes below which nothing is decided. 50.
    pub least: u64,
    /// Outcomes after which an undecided experiment is returned. 5,000.
    pub most: u64,
    /// What a failure costs that was let through at low risk. 10, in units of the next.
    pub cost_missed: f64,
    /// What it costs to hold back, at high risk, what would not have failed. 1.
    pub cost_held: f64,
    /// By how much a challenger's mean cost may be greater, in those units. 0.05.
    pub cost_margin: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            storage: format!("nats://{}", subject::MODELS),
            max_bytes: 256 << 20,
            onnxruntime: String::new(),
            mlflow: true,
            feedback: FeedbackConfig::default(),
            experiments: ExperimentConfig::default(),
        }
    }
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        Self {
            maturity_minutes: 1_440,
            give_up_days: 30,
            publish_every: 1,
            recalibration_alpha: 0.05,
            recalibration_least: 50,
        }
    }
}

impl Default for ExperimentConfig {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            beta: 0.1,
            least: 50,
            most: 5_000,
            cost_missed: 10.0,
            cost_held: 1.0,
            cost_margin: 0.05,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !roots().iter().any(|root| self.storage.starts_with(root)) {
            let roots = roots().join(", ");
            problems.push(format!("storage: {} begins with none of {roots}", self.storage));
        }
        if self.max_bytes == 0 {
            problems.push("max_bytes: is below 1".to_owned());
        }
        if self.feedback.publish_every == 0 {
            problems.push("feedback.publish_every: is below 1".to_owned());
        }
        if self.feedback.give_up_days == 0 {
            problems.push("feedback.give_up_days: is below 1".to_owned());
        }
        let tests = &self.experiments;
        for (name, level) in [
            ("experiments.alpha", tests.alpha),
            ("experiments.beta", tests.beta),
            ("feedback.recalibration_alpha", self.feedback.recalibration_alpha),
        ] {
            if !(level > 0.0 && level < 0.5) {
                problems.push(format!("{name}: {level} is not within (0, 0.5)"));
            }
        }
        if tests.least == 0 || tests.most < tests.least {
            problems.push("experiments.most: least is 0, or most is below it".to_owned());
        }
        let costs = [tests.cost_missed, tests.cost_held, tests.cost_margin];
        if costs.iter().any(|cost| !(cost.is_finite() && *cost >= 0.0)) {
            problems.push("experiments.cost_margin: a cost is not a number from 0 on".to_owned());
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
        let mut wrong = Config {
            storage: "ftp://x".to_owned(),
            max_bytes: 0,
            ..Config::default()
        };
        (wrong.feedback.publish_every, wrong.feedback.give_up_days) = (0, 0);
        (wrong.experiments.alpha, wrong.experiments.least) = (0.5, 0);
        (wrong.experiments.cost_held, wrong.feedback.recalibration_alpha) = (f64::NAN, 0.0);
        assert_eq!(wrong.problems().len(), 8, "{:?}", wrong.problems());
    }
}
