//! A version of a model that scoring may load.

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, percent};
use crate::meta::Meta;
use crate::recalibration::Recalibration;
use crate::wire;

/// A model version and where its artifact lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How the version is to be read in the fact's project. Such a fact has the alias [`RECALIBRATION`] and says nothing of
    /// files; with `removed` the version is read as it is again.
    #[serde(default)]
    pub recalibration: Option<Recalibration>,
}

/// The alias of a fact that says how a version is to be read, not which one scores.
pub const RECALIBRATION: &str = "recalibration";

impl Model {
    /// A fact that says how a version is to be read in the project of its head.
    #[must_use]
    pub fn reading(meta: Meta, (name, version): (&str, &str), by: Recalibration) -> Self {
        Self {
            meta,
            name: name.to_owned(),
            version: version.to_owned(),
            location: String::new(),
            sha256: String::new(),
            schema_hash: String::new(),
            alias: RECALIBRATION.to_owned(),
            percent: 0,
            experiment: String::new(),
            removed: false,
            actor: String::new(),
            note: String::new(),
            recalibration: Some(by),
        }
    }

    pub(crate) fn from_wire(model: wire::Model) -> Result<Self, Invalid> {
        let files = model.recalibration.is_none();
        for (field, text, needed) in [
            ("name", &model.name, true),
            ("version", &model.version, true),
            ("location", &model.location, files),
        ] {
            if needed && text.is_empty() {
                return Err(Invalid::new(field, "is empty"));
            }
        }
        if !files && model.alias != RECALIBRATION {
            return Err(Invalid::new("alias", format!("is not {RECALIBRATION}")));
        }
        if (files && model.sha256.len() != 64) || !model.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
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
            recalibration: model
                .recalibration
                .map(|wire| Recalibration::from_wire(wire).map_err(|fault| fault.within("recalibration")))
                .transpose()?,
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
            recalibration: self.recalibration.map(Recalibration::to_wire),
        }
    }
}
