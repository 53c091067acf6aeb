//! One change, build or deployment as numbers, as known at one time.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::invalid::Invalid;
use crate::meta::{Entity, Meta};
use crate::wire;

/// Why a value is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// There.
    Present,
    /// The source says there is none.
    Null,
    /// Nobody has told.
    NotFound,
    /// Older than its time to live.
    Expired,
}

/// One named number. Its value is NaN unless it is [`Status::Present`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Feature {
    /// Its name in the schema.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Why it is there or not.
    pub status: Status,
}

/// The numbers a model reads, and those people read beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureVector {
    /// The head.
    pub meta: Meta,
    /// What it describes.
    pub entity: Entity,
    /// Name and version, as in `change-risk@1`.
    pub feature_service: String,
    /// See [`schema_hash`].
    pub schema_hash: String,
    /// In the order of the schema.
    pub features: Vec<Feature>,
    /// For people and root-cause analysis.
    pub context: Vec<Feature>,
    /// Its score may start a rollout, so it wants its reasons.
    pub wants_reasons: bool,
}

impl Feature {
    /// A value that is there; a value that is not finite counts as [`Status::Null`].
    pub fn present(name: impl Into<String>, value: f64) -> Self {
        if value.is_finite() {
            Self {
                name: name.into(),
                value,
                status: Status::Present,
            }
        } else {
            Self {
                name: name.into(),
                value: f64::NAN,
                status: Status::Null,
            }
        }
    }

    /// A value that is not there.
    pub fn absent(name: impl Into<String>, status: Status) -> Self {
        Self {
            name: name.into(),
            value: f64::NAN,
            status,
        }
    }
}

/// NaN equals NaN here: two vectors that say "missing" say the same.
impl PartialEq for Feature {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.status == other.status
            && self.value.to_bits() == other.value.to_bits()
    }
}

/// The hash of a schema: lower-case hex sha256 over the lines `name:float32` in order, each ended by a line feed.
#[must_use]
pub fn schema_hash<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for name in names {
        digest.update(name.as_bytes());
        digest.update(b":float32\n");
    }
    hex::encode(digest.finalize())
}

impl FeatureVector {
    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(vector: wire::FeatureVector) -> Result<Self, Invalid> {
        if vector.feature_service.is_empty() {
            return Err(Invalid::new("feature_service", "is empty"));
        }
        let features: Vec<Feature> = vector
            .features
            .into_iter()
            .map(feature)
            .collect::<Result<_, _>>()?;
        let hash = schema_hash(features.iter().map(|f| f.name.as_str()));
        if hash != vector.schema_hash {
            return Err(Invalid::new(
                "schema_hash",
                format!("is {}, the features make {hash}", vector.schema_hash),
            ));
        }
        Ok(Self {
            meta: Meta::from_wire(vector.meta)?,
            entity: Entity::from_wire(vector.entity)?,
            feature_service: vector.feature_service,
            schema_hash: hash,
            features,
            context: vector
                .context
                .into_iter()
                .map(feature)
                .collect::<Result<_, _>>()?,
            wants_reasons: vector.wants_reasons,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::FeatureVector {
        wire::FeatureVector {
            meta: self.meta.to_wire(),
            entity: self.entity.to_wire(),
            feature_service: self.feature_service.clone(),
            schema_hash: self.schema_hash.clone(),
            features: self.features.iter().map(to_wire).collect(),
            context: self.context.iter().map(to_wire).collect(),
            wants_reasons: self.wants_reasons,
        }
    }
}

fn feature(wire: wire::Feature) -> Result<Feature, Invalid> {
    let status = match wire::FeatureStatus::try_from(wire.status) {
        Ok(wire::FeatureStatus::Present) if wire.value.is_finite() => {
            return Ok(Feature {
                name: wire.name,
                value: wire.value,
                status: Status::Present,
            });
        }
        Ok(wire::FeatureStatus::Present) => {
            return Err(Invalid::new(
                format!("features.{}", wire.name),
                "is present but not a finite number",
            ));
        }
        Ok(wire::FeatureStatus::Null) => Status::Null,
        Ok(wire::FeatureStatus::NotFound) => Status::NotFound,
        Ok(wire::FeatureStatus::Expired) => Status::Expired,
        _ => {
            return Err(Invalid::new(
                format!("features.{}.status", wire.name),
                "is not a status",
            ));
        }
    };
    Ok(Feature::absent(wire.name, status))
}

fn to_wire(feature: &Feature) -> wire::Feature {
    let status = match feature.status {
        Status::Present => wire::FeatureStatus::Present,
        Status::Null => wire::FeatureStatus::Null,
        Status::NotFound => wire::FeatureStatus::NotFound,
        Status::Expired => wire::FeatureStatus::Expired,
    };
    wire::Feature {
        name: feature.name.clone(),
        value: feature.value,
        status: status.into(),
    }
}
