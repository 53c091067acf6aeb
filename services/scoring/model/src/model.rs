//! A model version and every check it must pass before it may score.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::explain::{Ensemble, EnsembleFault};
use crate::manifest::{GoldenRows, Manifest};
use crate::onnx::ModelProto;
use crate::score::Scale;

/// Why a model is not loaded.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ModelFault {
    /// A file is missing or is not what its name says.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// A field of the manifest says something impossible.
    #[error("manifest {field}: {reason}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not the one the manifest was written for.
    #[error("{file}: sha256 is {found}, the manifest says {expected}")]
    Digest {
        /// Which.
        file: String,
        /// Of the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// The manifest's features make another hash than it says.
    #[error("feature_schema_sha256: is {expected}, the features make {found}")]
    SchemaHash {
        /// Of the manifest.
        expected: String,
        /// Of its features.
        found: String,
    },
    /// The graph says something else about itself than the manifest.
    #[error("metadata {property}: the graph says {found:?}, the manifest {expected:?}")]
    Property {
        /// Which.
        property: &'static str,
        /// Of the manifest.
        expected: String,
        /// Of the graph; `None` when it says nothing.
        found: Option<String>,
    },
    /// It could not be explained.
    #[error("explanation: {0}")]
    Ensemble(#[from] EnsembleFault),
    /// It gives another answer than its golden rows say.
    #[error("golden row {row} ({kind}): {what} is {found}, expected {expected}")]
    Golden {
        /// Which, from 0.
        row: usize,
        /// What it tries.
        kind: String,
        /// Which answer.
        what: &'static str,
        /// The known answer.
        expected: f64,
        /// The answer given.
        found: f64,
    },
    /// ONNX Runtime refuses it.
    #[error("onnx runtime: {0}")]
    Runtime(String),
}

/// The three files of a model version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `manifest.json`.
    pub manifest: Vec<u8>,
    /// The graph.
    pub artifact: Vec<u8>,
    /// Rows with known answers.
    pub golden: Vec<u8>,
}

/// A model version that passed every check that needs no runtime. The golden rows are run when a session is made of it.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its manifest.
    pub manifest: Manifest,
    /// The graph, as bytes.
    pub artifact: Vec<u8>,
    /// Rows with known answers.
    pub golden: GoldenRows,
    /// The trees of the graph; `None` of one that has none, whose reasons are found by asking it.
    pub ensemble: Option<Ensemble>,
    /// By which name scores speak of it: name and version, as in `change-risk@1`.
    pub label: String,
    /// How a probability becomes a score.
    pub scale: Scale,
}

impl Model {
    /// Checks the files against each other: digests, schema hash, the graph's own properties, the trees, and the golden
    /// rows by the trees and the calibration alone.
    ///
    /// # Errors
    /// The first [`ModelFault`].
    pub fn check(files: Files) -> Result<Self, ModelFault> {
        let manifest = Manifest::parse(&files.manifest)?;
        digest(
            &manifest.artifact.file,
            &files.artifact,
            &manifest.artifact.sha256,
        )?;
        digest(&manifest.golden.file, &files.golden, &manifest.golden.sha256)?;
        let graph: ModelProto = prost::Message::decode(files.artifact.as_slice())
            .map_err(|f: prost::DecodeError| unreadable(&manifest.artifact.file, &f))?;
        properties(&manifest, &graph)?;
        let golden: GoldenRows =
            serde_json::from_slice(&files.golden).map_err(|f| unreadable(&manifest.golden.file, &f))?;
        rows(&manifest, &golden)?;
        let ensemble = trees(&manifest, &graph)?;
        let model = Self {
            label: manifest.label(),
            scale: Scale::of(&manifest),
            artifact: files.artifact,
            golden,
            ensemble,
            manifest,
        };
        model.check_trees()?;
        Ok(model)
    }

    /// Under another name: the registry numbers versions as it sees fit.
    #[must_use]
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..self
        }
    }

    /// The golden rows, answered by the trees alone: the explanation must explain the very function that is served.
    fn check_trees(&self) -> Result<(), ModelFault> {
        let Some(ensemble) = &self.ensemble else {
            return Ok(());
        };
        let (calibration, kind) = (&self.manifest.calibration, self.manifest.raw);
        let raws: Vec<f64> = self
            .golden
            .rows
            .iter()
            .map(|row| ensemble.raw(&row.row()))
            .collect();
        self.compare("raw", &raws, |row| row.raw)?;
        let p: Vec<f64> = raws
            .iter()
            .map(|raw| calibration.probability(*raw, kind))
            .collect();
        self.compare("calibrated probability", &p, |row| row.p_fail)
    }

    /// Compares answers with the golden ones.
    ///
    /// # Errors
    /// [`ModelFault::Golden`] for the first that differs by more than the manifest's tolerance, or is missing.
    pub fn compare(
        &self,
        what: &'static str,
        answers: &[f64],
        known: impl Fn(&crate::manifest::GoldenRow) -> f64,
    ) -> Result<(), ModelFault> {
        for (index, row) in self.golden.rows.iter().enumerate() {
            let found = answers.get(index).copied().unwrap_or(f64::NAN);
            let expected = known(row);
            if (found - expected).abs() <= self.manifest.golden.tolerance {
                continue;
            }
            return Err(ModelFault::Golden {
                row: index,
                kind: row.kind.clone(),
                what,
                expected,
                found,
            });
        }
        Ok(())
    }
}

fn unreadable(file: &str, fault: &dyn std::fmt::Display) -> ModelFault {
    ModelFault::Unreadable {
        file: file.to_owned(),
        reason: fault.to_string(),
    }
}

fn digest(file: &str, bytes: &[u8], expected: &str) -> Result<(), ModelFault> {
    let found = Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |text, byte| {
            text + &format!("{byte:02x}")
        });
    if found == expected {
        return Ok(());
    }
    Err(ModelFault::Digest {
        file: file.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

/// There must be golden rows, each as wide as the features: without one nothing shows that the graph is the model.
fn rows(manifest: &Manifest, golden: &GoldenRows) -> Result<(), ModelFault> {
    let (field, reason) = if golden.rows.is_empty() {
        (
            "golden.rows".to_owned(),
            "are none: at least one known answer is needed".to_owned(),
        )
    } else {
        let width = manifest.features.len();
        let odd = golden.rows.iter().position(|row| row.features.len() != width);
        let Some((place, row)) = odd.and_then(|place| Some((place, golden.rows.get(place)?))) else {
            return Ok(());
        };
        (
            format!("golden.rows[{place}].features"),
            format!("are {}, the model reads {width}", row.features.len()),
        )
    };
    Err(ModelFault::Field { field, reason })
}

/// The trees of a graph that has some. A graph with trees that cannot be read is refused rather than left unexplained.
fn trees(manifest: &Manifest, graph: &ModelProto) -> Result<Option<Ensemble>, ModelFault> {
    if !graph.has("TreeEnsembleRegressor")
        && !graph.has("TreeEnsembleClassifier")
        && !graph.has("TreeEnsemble")
    {
        return Ok(None);
    }
    let ensemble = Ensemble::of(graph)?;
    if ensemble.columns > manifest.features.len() {
        return Err(ModelFault::Field {
            field: "features".to_owned(),
            reason: format!(
                "are {}, the graph reads {}",
                manifest.features.len(),
                ensemble.columns
            ),
        });
    }
    Ok(Some(ensemble))
}

/// A model copied beside another manifest must not be served under its name.
fn properties(manifest: &Manifest, graph: &ModelProto) -> Result<(), ModelFault> {
    let wanted = [
        ("auspex.feature_service", manifest.feature_service.clone()),
        (
            "auspex.feature_schema_sha256",
            manifest.feature_schema_sha256.clone(),
        ),
        ("auspex.model_name", manifest.name.clone()),
        ("auspex.model_version", manifest.version.clone()),
    ];
    for (property, expected) in wanted {
        let found = graph.property(property);
        if found != Some(expected.as_str()) {
            return Err(ModelFault::Property {
                property,
                expected,
                found: found.map(str::to_owned),
            });
        }
    }
    Ok(())
}
