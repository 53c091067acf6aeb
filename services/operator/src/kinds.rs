//! The kinds of objects that are watched.

use auspex_cluster::Kind;
use serde_json::Value;

/// Auspex's rollouts.
pub const ROLLOUTS: Kind = Kind {
    group: "auspex.dev",
    version: "v1",
    resource: "rollouts",
    name: "Rollout",
};
/// Argo's rollouts.
pub const ARGO_ROLLOUTS: Kind = Kind {
    group: "argoproj.io",
    version: "v1alpha1",
    resource: "rollouts",
    name: "Rollout",
};
/// Argo's analyses of a namespace.
pub const ARGO_TEMPLATES: Kind = Kind {
    group: "argoproj.io",
    version: "v1alpha1",
    resource: "analysistemplates",
    name: "AnalysisTemplate",
};
/// Argo's analyses of a cluster.
pub const ARGO_CLUSTER_TEMPLATES: Kind = Kind {
    group: "argoproj.io",
    version: "v1alpha1",
    resource: "clusteranalysistemplates",
    name: "ClusterAnalysisTemplate",
};

/// Annotation: the project, where it is not the namespace.
pub const PROJECT: &str = "auspex.dev/project";
/// Annotation: what a person asks of the rollout, as in `promote`, with anything after a space to ask it once more.
pub const ASK: &str = "auspex.dev/ask";
/// Annotation of an object that was made from one of Argo's: which, by its uid.
pub const FROM: &str = "auspex.dev/from";
/// Annotation of such an object: why Argo's cannot be taken over.
pub const REFUSED: &str = "auspex.dev/refused";
/// Annotation of such an object: what is otherwise than with Argo.
pub const NOTES: &str = "auspex.dev/notes";

/// Annotation of one of Argo's: `safe` makes no data an outcome of its own; else conditions are Argo's bit by bit.
pub const CONDITIONS: &str = "auspex.dev/conditions";
/// Annotation: what is measured beside the rollout, the spec of a document of kind `Analysis` as JSON.
pub const ANALYSIS: &str = "auspex.dev/analysis";

/// A text in the metadata; empty when there is none.
#[must_use]
pub fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    let found = object.get("metadata").and_then(|meta| meta.get(field));
    found.and_then(Value::as_str).unwrap_or_default()
}

/// An annotation; `None` when there is none.
#[must_use]
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

/// Namespace and name: unique within a kind.
#[must_use]
pub fn key(object: &Value) -> (String, String) {
    (
        meta(object, "namespace").to_owned(),
        meta(object, "name").to_owned(),
    )
}
