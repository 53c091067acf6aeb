//! Documents of definitions, as people write them: YAML, `apiVersion: auspex.dev/v1`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::span;

/// What the documents are of.
pub(super) const API_VERSION: &str = "auspex.dev/v1";

/// One document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Name and words.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

/// Name and words about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// Unique among its kind.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whom to ask.
    pub owner: String,
    /// For people.
    pub tags: Vec<String>,
}

/// What a document says, by its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Spec {
    /// What features are about.
    Entity(EntitySpec),
    /// Features of one source.
    FeatureView(ViewSpec),
    /// Arithmetic over features and requests.
    OnDemandFeatureView(OnDemandSpec),
    /// What a model reads, in order.
    FeatureService(ServiceSpec),
}

/// What features are about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntitySpec {
    /// The key by which it is asked for; the entity's name when empty.
    pub join_key: String,
}

/// Features of one source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewSpec {
    /// Names of entities.
    pub entities: Vec<String>,
    /// Where rows come from.
    pub source: SourceSpec,
    /// How old the latest row may be, as in `30d`; empty: as old as it likes.
    pub ttl: String,
    /// What rows hold, when they are pushed.
    pub columns: Vec<ColumnSpec>,
    /// In order.
    pub features: Vec<FeatureSpec>,
    /// What scales are fitted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<NormalisationSpec>,
}

/// Where rows come from: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSpec {
    /// One of the streams that the mesh makes of its facts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// `Push`; rows come through the door.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub push: bool,
}

/// A column of what is pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// `number` (when empty) or `text`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureSpec {
    /// Its name.
    pub name: String,
    /// Of which column; the one of its name when empty. `count` and `rate` may do without.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub column: String,
    /// `latest` (when empty), `count`, `sum`, `mean`, `variance`, `stddev`, `min`, `max`, `last`, `age`, `distinct`, `p50` to
    /// `p99.9`, `rate`, `sum_rate`, `ewma`, `deviation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub aggregate: String,
    /// How far back it looks, as in `5m`, `12h`, `30d`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub window: String,
    /// Of `ewma`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub half_life: String,
    /// What stands in its place when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<f64>,
    /// `standard`, `robust`, `minmax`, `log_standard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<auspex_algebra::Method>,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What scales are fitted on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalisationSpec {
    /// Id of a snapshot of the offline store.
    pub snapshot: String,
    /// Of which project.
    pub project: String,
}

/// Arithmetic over features and requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnDemandSpec {
    /// In order.
    pub features: Vec<OnDemandFeature>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnDemandFeature {
    /// Its name.
    pub name: String,
    /// As in `orders:failures_7d / max(orders:count_7d, 1)` or `request.size * 2`.
    pub expression: String,
    /// What stands in its place when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<f64>,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What a model reads, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSpec {
    /// As in `orders` (all of a view) or `orders:amount`.
    pub features: Vec<String>,
    /// Share of served vectors that is kept to be compared with the offline store, 0..=1, chosen by entity.
    pub sample: f64,
}

impl Spec {
    /// The kind as documents write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Entity(_) => "Entity",
            Self::FeatureView(_) => "FeatureView",
            Self::OnDemandFeatureView(_) => "OnDemandFeatureView",
            Self::FeatureService(_) => "FeatureService",
        }
    }

    /// The same said in one way: what may be left out is, and a span of time is told in its largest unit.
    fn plain(mut self, name: &str) -> Self {
        let unless = |text: &mut String, usual: &str| {
            if text == usual {
                text.clear();
            }
        };
        match &mut self {
            Self::Entity(entity) => unless(&mut entity.join_key, name),
            Self::FeatureView(view) => {
                view.ttl = span(&view.ttl);
                for column in &mut view.columns {
                    unless(&mut column.kind, "number");
                }
                for feature in &mut view.features {
                    unless(&mut feature.column, &feature.name);
                    unless(&mut feature.aggregate, "latest");
                    feature.window = span(&feature.window);
                    feature.half_life = span(&feature.half_life);
                    unless(&mut feature.half_life, "6h");
                }
            }
            Self::OnDemandFeatureView(_) | Self::FeatureService(_) => {}
        }
        self
    }
}

/// Takes away what changes no value.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for words in ["description", "unit", "owner", "tags", "sample"] {
                fields.remove(words);
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

impl Document {
    /// What it means, without words for people and without what changes no value.
    #[must_use]
    pub fn meaning(&self) -> Value {
        let plain = self.spec.clone().plain(&self.metadata.name);
        let mut value = serde_json::to_value(plain).unwrap_or_default();
        strip(&mut value);
        value
    }

    /// `FeatureView/orders`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.spec.kind(), self.metadata.name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: serde_yaml_ng::Value,
}

/// Reads documents; answers those that can be read and everything that is wrong with the others.
#[must_use]
pub fn read(text: &str) -> (Vec<Document>, Vec<String>) {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for (number, document) in (1..).zip(serde_yaml_ng::Deserializer::from_str(text)) {
        let value = match serde_yaml_ng::Value::deserialize(document) {
            Ok(serde_yaml_ng::Value::Null) => continue,
            Ok(value) => value,
            Err(fault) => {
                problems.push(format!("document {number}: {fault}"));
                break;
            }
        };
        match one(value) {
            Ok(document) => documents.push(document),
            Err(fault) => problems.push(format!("document {number}: {fault}")),
        }
    }
    (documents, problems)
}

fn one(value: serde_yaml_ng::Value) -> Result<Document, String> {
    let text = |fault: serde_yaml_ng::Error| fault.to_string();
    let frame: Frame = serde_yaml_ng::from_value(value).map_err(text)?;
    if frame.api_version != API_VERSION {
        return Err(format!("apiVersion: {} is not {API_VERSION}", frame.api_version));
    }
    let at = |fault: serde_yaml_ng::Error| format!("{} {}: spec: {fault}", frame.kind, frame.metadata.name);
    let spec = match frame.kind.as_str() {
        "Entity" if frame.spec.is_null() => Spec::Entity(EntitySpec::default()),
        "Entity" => Spec::Entity(serde_yaml_ng::from_value(frame.spec).map_err(at)?),
        "FeatureView" => Spec::FeatureView(serde_yaml_ng::from_value(frame.spec).map_err(at)?),
        "OnDemandFeatureView" => {
            Spec::OnDemandFeatureView(serde_yaml_ng::from_value(frame.spec).map_err(at)?)
        }
        "FeatureService" => Spec::FeatureService(serde_yaml_ng::from_value(frame.spec).map_err(at)?),
        other => {
            return Err(format!(
                "kind: {other} is none of Entity, FeatureView, OnDemandFeatureView, FeatureService"
            ));
        }
    };
    Ok(Document {
        metadata: frame.metadata,
        spec,
    })
}
