//! A version of a model that scoring may load.

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, percent};
use crate::meta::Meta;
use crate::wire;

/// A model version and where its artifact lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The head.
    pub meta: Meta,
    /// As in `change-risk`.
    pub name: String,
    /// Immutable.
    pub version: String,
    /// A folder with `manifest.json`.
    pub location: String,
    /// Of the artifact, lower-case hex.
    pub sha256: String,
    /// Of the features it reads.
    pub schema_hash: String,
    /// `champion`, `challenger` or `shadow`.
    pub alias: String,
    /// Of a challenger: its share of units, 0..=100; 0: scored beside the champion, served to nobody.
    #[serde(default)]
    pub percent: u8,
    /// The experiment that decides about it; empty: none.
    #[serde(default)]
    pub experiment: String,
    /// The version has this alias no longer, and nobody else has.
    #[serde(default)]
    pub removed: bool,
    /// Who gave or took the alias.
    #[serde(default)]
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub note: String,
}

impl Model {
    pub(crate) fn from_wire(model: wire::Model) -> Result<Self, Invalid> {
        for (field, text) in [
            ("name", &model.name),
            ("version", &model.version),
            ("location", &model.location),
        ] {
            if text.is_empty() {
                return Err(Invalid::new(field, "is empty"));
            }
        }
        if model.sha256.len() != 64 || !model.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Invalid::new("sha256", "is not 64 hexadecimal digits"));
        }
        Ok(Self {
            meta: Meta::from_wire(model.meta)?,
            name: model.name,
            version: model.version,
            location: model.location,
            sha256: model.sha256,
            schema_hash: model.schema_hash,
            alias: model.alias,
            percent: percent(model.percent, "percent")?,
            experiment: model.experiment,
            removed: model.removed,
            actor: model.actor,
            note: model.note,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::Model {
        wire::Model {
            meta: self.meta.to_wire(),
            name: self.name.clone(),
            version: self.version.clone(),
            location: self.location.clone(),
            sha256: self.sha256.clone(),
            schema_hash: self.schema_hash.clone(),
            alias: self.alias.clone(),
            percent: u32::from(self.percent),
            experiment: self.experiment.clone(),
            removed: self.removed,
            actor: self.actor.clone(),
            note: self.note.clone(),
        }
    }
}
