//! ONNX Runtime: one environment a process, one session a scoring thread.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use auspex_proto::FeatureVector;
use auspex_proto::score::Band;
use auspex_proto::vector::{Feature, Status};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use thiserror::Error;

use crate::model::{Model, ModelFault};
use crate::score::{Scored, reasons};

/// A process may have one environment only: whoever asks first names the library.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The loaded shared library.
#[derive(Clone)]
pub struct Runtime(Environment);

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

/// Why a vector has no score.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScoreFault {
    /// It was made for another model.
    #[error("schema_hash: the vector's is {vector}, the model's {model}")]
    Schema {
        /// Of the vector.
        vector: String,
        /// Of the model.
        model: String,
    },
    /// Its features are not those its hash stands for.
    #[error("features: are not, in name and order, those of the schema {0}")]
    Features(String),
    /// The model answered with no number.
    #[error("p_failure: the model gave no number")]
    NoNumber,
    /// ONNX Runtime failed.
    #[error("onnx runtime: {0}")]
    Runtime(String),
    /// Scoring it made the thread panic.
    #[error("p_failure: scoring this vector panicked")]
    Panicked,
}

/// When reasons are computed: they cost many times the score itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasons {
    /// Somebody asked.
    Always,
    /// When the score may start a rollout, or is not low.
    WhenNotable,
    /// Not even then.
    Never,
}

impl Runtime {
    /// Loads the library.
    ///
    /// # Errors
    /// [`ModelFault::Runtime`] when it is missing, too old, or not ONNX Runtime.
    pub fn load(library: &Path) -> Result<Self, ModelFault> {
        let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = slot.as_ref() {
            return Ok(Self(environment.clone()));
        }
        let builder = ort::init_from(library).map_err(|f| ModelFault::Runtime(f.to_string()))?;
        let environment = builder
            .with_name("auspex")
            .with_telemetry(false)
            .build()
            .map_err(runtime)?;
        *slot = Some(environment.clone());
        Ok(Self(environment))
    }
}

fn runtime(fault: impl fmt::Display) -> ModelFault {
    ModelFault::Runtime(fault.to_string())
}

/// One session and its model: what one thread scores with.
pub struct Scorer {
    session: Session,
    pub(crate) model: Arc<Model>,
    /// Rows on their way into the session.
    rows: Vec<f32>,
    /// Of a row that is not flat.
    shape: Vec<i64>,
    reasons_at_most: usize,
}

impl fmt::Debug for Scorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scorer({})", self.model.label)
    }
}

impl Scorer {
    /// Makes a session of a model and runs its golden rows, one by one and all at once.
    ///
    /// # Errors
    /// [`ModelFault`] when the runtime refuses the graph, its ports are others than the manifest's, or an answer is wrong.
    pub fn open(runtime: &Runtime, model: Arc<Model>, reasons_at_most: usize) -> Result<Self, ModelFault> {
        let session = session(runtime, &model.artifact)?;
        let ports = [
            ("input", session.inputs(), &model.manifest.input.name),
            ("output", session.outputs(), &model.manifest.output.name),
        ];
        for (what, outlets, name) in ports {
            if !matches!(outlets, [only] if only.name() == name) {
                let found: Vec<&str> = outlets.iter().map(ort::value::Outlet::name).collect();
                return Err(ModelFault::Field {
                    field: format!("{what}.name"),
                    reason: format!("is {name}, the graph has {}", found.join(", ")),
                });
            }
        }
        let mut scorer = Self {
            session,
            rows: Vec::new(),
            shape: model.manifest.input.sequence(),
            reasons_at_most,
            model: Arc::clone(&model),
        };
        let rows: Vec<Vec<f32>> = model
            .golden
            .rows
            .iter()
            .map(crate::manifest::GoldenRow::row)
            .collect();
        let answer =
            |found: Result<Vec<f32>, ScoreFault>| found.map_err(|f| ModelFault::Runtime(f.to_string()));
        let batch = answer(scorer.p_fail(&rows.concat()))?;
        let mut single = Vec::with_capacity(rows.len());
        for row in &rows {
            single.extend(answer(scorer.p_fail(row))?);
        }
        for answers in [batch, single] {
            let finish = |p: f32| model.manifest.calibration.finish(f64::from(p));
            let answers: Vec<f64> = answers.into_iter().map(finish).collect();
            model.compare("served probability", &answers, |row| row.p_fail)?;
        }
        Ok(scorer)
    }

    /// Its model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Nothing but the session, on rows laid end to end: the graph's probability of each, calibrated unless by a table.
    ///
    /// # Errors
    /// [`ScoreFault::Features`] when the numbers do not make whole rows; [`ScoreFault::Runtime`].
    pub fn p_fail(&mut self, rows: &[f32]) -> Result<Vec<f32>, ScoreFault> {
        let columns = self.model.manifest.features.len();
        if columns == 0 || !rows.len().is_multiple_of(columns) {
            return Err(ScoreFault::Features(
                self.model.manifest.feature_schema_sha256.clone(),
            ));
        }
        run(&mut self.session, rows, columns, &self.shape)
    }

    /// Scores one vector. What is not known goes in as NaN.
    ///
    /// # Errors
    /// [`ScoreFault`].
    pub fn score(&mut self, vector: &FeatureVector, when: Reasons) -> Result<Scored, ScoreFault> {
        self.rows.clear();
        self.push(vector)?;
        let answers = self.run_rows()?;
        self.read(answers.first().copied().unwrap_or(f32::NAN), vector, when)
    }

    /// Scores many vectors in one run; one that is at fault does not spoil the others.
    pub fn score_all(&mut self, vectors: &[(&FeatureVector, Reasons)]) -> Vec<Result<Scored, ScoreFault>> {
        self.rows.clear();
        let pushed: Vec<Result<(), ScoreFault>> = vectors.iter().map(|(v, _)| self.push(v)).collect();
        let answers = if self.rows.is_empty() {
            Ok(Vec::new())
        } else {
            self.run_rows()
        };
        let Ok(answers) = answers else {
            return vectors
                .iter()
                .map(|(vector, when)| self.score(vector, *when))
                .collect();
        };
        let mut answers = answers.into_iter();
        let each = vectors.iter().zip(pushed);
        each.map(|((vector, when), pushed)| {
            pushed?;
            self.read(answers.next().unwrap_or(f32::NAN), vector, *when)
        })
        .collect()
    }

    fn run_rows(&mut self) -> Result<Vec<f32>, ScoreFault> {
        let columns = self.model.manifest.features.len();
        run(&mut self.session, &self.rows, columns, &self.shape)
    }

    /// Appends a vector as a row.
    fn push(&mut self, vector: &FeatureVector) -> Result<(), ScoreFault> {
        let manifest = &self.model.manifest;
        if vector.schema_hash != manifest.feature_schema_sha256 {
            return Err(ScoreFault::Schema {
                vector: vector.schema_hash.clone(),
                model: manifest.feature_schema_sha256.clone(),
            });
        }
        let same = vector.features.len() == manifest.features.len()
            && vector
                .features
                .iter()
                .zip(&manifest.features)
                .all(|(a, b)| a.name == b.name);
        if !same {
            return Err(ScoreFault::Features(vector.schema_hash.clone()));
        }
        self.rows.extend(vector.features.iter().map(number));
        Ok(())
    }

    fn read(&mut self, p: f32, vector: &FeatureVector, when: Reasons) -> Result<Scored, ScoreFault> {
        let p = self.model.manifest.calibration.finish(f64::from(p));
        let mut scored = self
            .model
            .scale
            .read(p, &vector.features)
            .ok_or(ScoreFault::NoNumber)?;
        let wanted = match when {
            Reasons::Always => true,
            Reasons::WhenNotable => vector.wants_reasons || scored.band != Band::Low,
            Reasons::Never => false,
        };
        // What has to be found by asking the graph again is found for who asks, not for every score.
        if wanted && (when == Reasons::Always || self.model.ensemble.is_some()) {
            let row: Vec<f32> = vector.features.iter().map(number).collect();
            let explained = self.explain(&row)?;
            scored.reasons = reasons(&vector.features, &explained.contributions, self.reasons_at_most);
        }
        Ok(scored)
    }
}

/// A feature as the graph takes it: NaN is a missing one.
#[must_use]
pub fn number(feature: &Feature) -> f32 {
    match feature.status {
        Status::Present => feature.value as f32,
        Status::Null | Status::NotFound | Status::Expired => f32::NAN,
    }
}

fn session(runtime_: &Runtime, artifact: &[u8]) -> Result<Session, ModelFault> {
    // One thread: a row takes microseconds, and waking a pool for it takes longer.
    let builder = Session::builder(&runtime_.0).map_err(runtime)?;
    let builder = builder.with_intra_threads(1).map_err(runtime)?;
    let builder = builder.with_inter_threads(1).map_err(runtime)?;
    let builder = builder
        .with_log_level(ort::logging::LogLevel::Error)
        .map_err(runtime)?;
    let mut builder = builder
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(runtime)?;
    builder.commit_from_memory(artifact).map_err(runtime)
}

fn run(session: &mut Session, rows: &[f32], columns: usize, shape: &[i64]) -> Result<Vec<f32>, ScoreFault> {
    let fault = |fault: ort::Error| ScoreFault::Runtime(fault.to_string());
    let count = rows.len() / columns;
    let input = if shape.is_empty() {
        TensorRef::from_array_view(([count, columns], rows)).map_err(fault)?
    } else {
        let mut whole = vec![i64::try_from(count).unwrap_or(i64::MAX)];
        whole.extend_from_slice(shape);
        TensorRef::from_array_view((whole, rows)).map_err(fault)?
    };
    let outputs = session.run(ort::inputs![input]).map_err(fault)?;
    let output = outputs.values().next().ok_or(ScoreFault::NoNumber)?;
    let (_, answers) = output.try_extract_tensor::<f32>().map_err(fault)?;
    Ok(answers.to_vec())
}
