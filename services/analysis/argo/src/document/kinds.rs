//! Argo Rollouts' kinds. Fields that Argo does not have are faults, and so is nothing that it has.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::metric::Metric;

macro_rules! argo {
    ($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field])* pub $key: $type,)*
        }
    };
}

mod rollout;
mod routing;

pub use self::rollout::*;
pub use self::routing::*;

/// What a document is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A rollout.
    Rollout(Box<Rollout>),
    /// `AnalysisTemplate`, and `ClusterAnalysisTemplate` (true).
    Template(Box<Template>, bool),
    /// `AnalysisRun`.
    Run(Box<Template>),
    /// An experiment.
    Experiment(Box<Experiment>),
    /// Something of Kubernetes', or of nobody's: kind and name.
    Other(String, String),
}

argo!(
    /// An analysis of a rollout.
    Analysis {
        /// Which templates.
        templates: Vec<TemplateRef>,
        /// Their arguments.
        args: Vec<Argument>,
        /// Metrics that only watch.
        dry_run: Vec<DryRun>,
        /// Measurements that are kept.
        measurement_retention: Vec<Retention>,
        /// Labels of the run.
        analysis_run_metadata: Option<Json>,
    }
);
argo!(
    /// An analysis that runs beside the steps.
    Background {
        /// Which templates.
        templates: Vec<TemplateRef>,
        /// Their arguments.
        args: Vec<Argument>,
        /// Metrics that only watch.
        dry_run: Vec<DryRun>,
        /// Measurements that are kept.
        measurement_retention: Vec<Retention>,
        /// Labels of the run.
        analysis_run_metadata: Option<Json>,
        /// The step with which it begins; absent: 0.
        starting_step: Option<i64>,
    }
);
argo!(
    /// A template by its name.
    TemplateRef {
        /// Its name.
        template_name: String,
        /// A ClusterAnalysisTemplate.
        cluster_scope: Option<bool>,
    }
);
argo!(
    /// An argument.
    Argument {
        /// Its name.
        name: String,
        /// Its value. Argo's own pages write numbers without quotes here, though its API server wants a text.
        #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// Where its value is had.
        #[serde(skip_serializing_if = "Option::is_none")]
        value_from: Option<ValueFrom>,
    }
);
argo!(
    /// Where a value is had: one of these.
    ValueFrom {
        /// A Secret's key.
        #[serde(skip_serializing_if = "Option::is_none")]
        secret_key_ref: Option<SecretKey>,
        /// A field of the rollout.
        #[serde(skip_serializing_if = "Option::is_none")]
        field_ref: Option<FieldRef>,
        /// `Stable` or `Latest`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pod_template_hash_value: Option<String>,
    }
);
argo!(
    /// A Secret's key.
    SecretKey {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    }
);
argo!(
    /// A field of the rollout.
    FieldRef {
        /// Its path.
        field_path: String,
    }
);
argo!(
    /// Metrics that only watch, by an unanchored pattern.
    DryRun {
        /// The pattern.
        metric_name: String,
    }
);
argo!(
    /// Measurements that are kept of metrics, by an unanchored pattern.
    Retention {
        /// The pattern.
        metric_name: String,
        /// How many.
        limit: i64,
    }
);
argo!(
    /// A template, or a run: what is measured.
    Template {
        /// `argoproj.io/v1alpha1`.
        api_version: String,
        /// Its kind.
        kind: String,
        /// Kubernetes' metadata.
        metadata: Json,
        /// What is measured.
        spec: TemplateSpec,
        /// What Argo's controller has written.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Json>,
    }
);
argo!(
    /// What is measured.
    TemplateSpec {
        /// Arguments, with their defaults.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        args: Vec<Argument>,
        /// Metrics.
        metrics: Vec<Metric>,
        /// Metrics that only watch.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        dry_run: Vec<DryRun>,
        /// Measurements that are kept.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        measurement_retention: Vec<Retention>,
        /// Other templates that belong to it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        templates: Vec<TemplateRef>,
        /// Of a run: it is to end.
        #[serde(skip_serializing_if = "Option::is_none")]
        terminate: Option<bool>,
        /// Of a run: when it is forgotten.
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl_strategy: Option<Json>,
    }
);
argo!(
    /// An experiment as a step.
    ExperimentStep {
        /// Its pods.
        templates: Vec<ExperimentTemplate>,
        /// How long, a Go duration.
        duration: String,
        /// What is measured.
        analyses: Vec<ExperimentAnalysis>,
        /// Metrics that only watch.
        dry_run: Vec<DryRun>,
        /// Labels of its runs.
        analysis_run_metadata: Option<Json>,
        /// Seconds.
        scale_down_delay_seconds: Option<i64>,
    }
);
argo!(
    /// Pods of an experiment.
    ExperimentTemplate {
        /// Their name.
        name: String,
        /// `canary` or `stable`: of which version.
        spec_ref: String,
        /// How many; absent: 1.
        replicas: Option<i64>,
        /// Their labels.
        metadata: Option<PodMetadata>,
        /// Which they are.
        selector: Option<Selector>,
        /// Their share of traffic.
        weight: Option<i64>,
        /// A service of theirs.
        service: Option<Named>,
    }
);
argo!(
    /// What an experiment measures.
    ExperimentAnalysis {
        /// Its name.
        name: String,
        /// The template.
        template_name: String,
        /// A ClusterAnalysisTemplate.
        cluster_scope: Option<bool>,
        /// Arguments.
        args: Vec<Argument>,
        /// The experiment is over when it is.
        required_for_completion: Option<bool>,
    }
);
argo!(
    /// An experiment.
    Experiment {
        /// `argoproj.io/v1alpha1`.
        api_version: String,
        /// `Experiment`.
        kind: String,
        /// Kubernetes' metadata.
        metadata: Json,
        /// What is wanted.
        spec: ExperimentSpec,
        /// What Argo's controller has written.
        status: Option<Json>,
    }
);
argo!(
    /// What is wanted of an experiment.
    ExperimentSpec {
        /// Its pods.
        templates: Vec<Json>,
        /// How long, a Go duration.
        duration: String,
        /// Seconds.
        progress_deadline_seconds: Option<i64>,
        /// It is to end.
        terminate: Option<bool>,
        /// What is measured.
        analyses: Vec<ExperimentAnalysis>,
        /// Seconds.
        scale_down_delay_seconds: Option<i64>,
        /// Metrics that only watch.
        dry_run: Vec<DryRun>,
        /// Measurements that are kept.
        measurement_retention: Vec<Retention>,
        /// Labels of its runs.
        analysis_run_metadata: Option<Json>,
    }
);

/// Argo's group.
pub const GROUP: &str = "argoproj.io/";

/// Why a document of Argo's kinds cannot be read: the field and the reason.
pub type Fault = (String, String);

impl Kind {
    /// Reads a document.
    ///
    /// # Errors
    /// The field and the reason.
    pub fn of(document: &Json) -> Result<Self, Fault> {
        let text = |path: &str| document.pointer(path).and_then(Json::as_str).unwrap_or_default();
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        if !version.starts_with(GROUP) {
            return Ok(Self::Other(kind.to_owned(), text("/metadata/name").to_owned()));
        }
        if version != "argoproj.io/v1alpha1" {
            return Err((
                "apiVersion".to_owned(),
                format!("`{version}` is not argoproj.io/v1alpha1"),
            ));
        }
        Ok(match kind {
            "Rollout" => Self::Rollout(Box::new(typed(document)?)),
            "AnalysisTemplate" => Self::Template(Box::new(typed(document)?), false),
            "ClusterAnalysisTemplate" => Self::Template(Box::new(typed(document)?), true),
            "AnalysisRun" => Self::Run(Box::new(typed(document)?)),
            "Experiment" => Self::Experiment(Box::new(typed(document)?)),
            // Argo CD's and Argo Workflows' kinds share the group.
            other => Self::Other(other.to_owned(), text("/metadata/name").to_owned()),
        })
    }
}

/// A text, or a number or truth as YAML writes it.
fn scalar<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    use serde::de::Error as _;
    match Option::<Json>::deserialize(from)? {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(value @ (Json::Number(_) | Json::Bool(_))) => Ok(Some(value.to_string())),
        Some(_) => Err(D::Error::custom("wants a text")),
    }
}

/// What a document says without its nulls: to Kubernetes they are nothing. What is passed on to others stays as it is.
fn bare(document: &Json) -> Json {
    match document {
        Json::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            let kept = kept.map(|(key, value)| {
                let foreign = ["jsonBody", "config"].contains(&key.as_str());
                (key.clone(), if foreign { value.clone() } else { bare(value) })
            });
            Json::Object(kept.collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(bare).collect()),
        other => other.clone(),
    }
}

fn typed<T: serde::de::DeserializeOwned>(document: &Json) -> Result<T, Fault> {
    serde_path_to_error::deserialize(bare(document)).map_err(|fault| {
        let path = fault.path().to_string();
        (path, fault.into_inner().to_string())
    })
}

/// A text of a document's metadata.
#[must_use]
pub fn metadata<'d>(metadata: &'d Json, key: &str) -> &'d str {
    metadata.get(key).and_then(Json::as_str).unwrap_or_default()
}
