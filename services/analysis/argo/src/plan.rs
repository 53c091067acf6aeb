//! A plan of analyses: what is measured when, beside the steps of a rollout. Auspex's own document of kind `Analysis`.

use serde::{Deserialize, Serialize};

use crate::expr::Mode;
use crate::template::Together;

/// The only version there is.
pub const API_VERSION: &str = "auspex.dev/v1";
/// Its kind.
pub const KIND: &str = "Analysis";

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// `auspex.dev/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `Analysis`.
    pub kind: String,
    /// What it is called.
    pub metadata: Metadata,
    /// What is measured.
    pub spec: Plan,
}

/// What a plan is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// The rollout's name.
    pub name: String,
    /// Its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// What is measured, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Whether Argo's quirks are kept.
    pub mode: Mode,
    /// The rollout's steps, one for one with those of its policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
}

/// A step of the rollout, as far as analyses are concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The candidate's share.
    Weight(u8),
    /// A pause that ends by itself.
    Pause(String),
    /// A pause that a person ends.
    Person,
    /// A pause that the run of this name ends.
    Run(String),
    /// Cohorts or a mirror: done at once.
    Beside,
}

/// When a run begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// At once.
    #[default]
    Now,
    /// Beside the steps, from this one on (0 is the first), until the rollout ends.
    Background(usize),
    /// As a step: it goes on when the run has succeeded.
    Step(usize),
    /// Before the switch of blue and green.
    PrePromotion,
    /// After it.
    PostPromotion,
}

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Run {
    /// Its name, unique within the plan.
    pub name: String,
    /// When it begins.
    pub when: When,
    /// What is measured.
    pub analysis: Together,
    /// Templates that were not among the documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// It is an experiment: how long it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Experiment>,
}

/// What is left of an experiment: its time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// A Go duration; empty: until what is required has been measured, or a person goes on.
    pub duration: String,
    /// It is over when its runs are.
    pub required: bool,
}

impl Document {
    /// Reads a plan.
    ///
    /// # Errors
    /// The field and the reason.
    pub fn read(text: &str) -> Result<Self, String> {
        let json = crate::document::read_one(text).map_err(|fault| fault.to_string())?;
        let document: Self = serde_path_to_error::deserialize(json)
            .map_err(|fault| format!("{}: {}", fault.path(), fault.inner()))?;
        document.check()?;
        Ok(document)
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), String> {
        if self.api_version != API_VERSION || self.kind != KIND {
            return Err(format!(
                "is {}/{}, not {API_VERSION}/{KIND}",
                self.api_version, self.kind
            ));
        }
        if self.metadata.name.is_empty() {
            return Err("metadata.name: is empty".to_owned());
        }
        for (at, run) in self.spec.runs.iter().enumerate() {
            let path = format!("spec.runs[{at}]");
            if !run.missing.is_empty() {
                return Err(format!(
                    "{path}: templates are missing: {}",
                    run.missing.join(", ")
                ));
            }
            if self.spec.runs.iter().take(at).any(|other| other.name == run.name) {
                return Err(format!("{path}.name: {} is there twice", run.name));
            }
            if let When::Step(step) = run.when
                && self.spec.steps.get(step) != Some(&Step::Run(run.name.clone()))
            {
                return Err(format!("{path}.when: step {step} does not wait for {}", run.name));
            }
            let metrics = &run.analysis.metrics;
            if metrics.is_empty() && run.experiment.is_some() {
                continue;
            }
            // Limits may be arguments, which are not in them yet.
            if metrics.is_empty() {
                return Err(format!("{path}: no metrics specified"));
            }
            for (index, metric) in metrics.iter().enumerate() {
                if let Err(refused) = metric.provider.known() {
                    let place = refused.place(&format!("{path}.analysis.metrics[{index}]"));
                    return Err(format!("{place}: {}", refused.reason));
                }
            }
        }
        Ok(())
    }
}
