//! One vector scored, against nothing but the ONNX Runtime session in this process, on one thread; over gRPC, against an empty
//! call; explained, against LightGBM.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use auspex_chassis::tools;
use auspex_proto::vector::{Feature, Status};
use auspex_proto::{Entity, EntityKind, FactId, FeatureVector, Meta, Project, Revision, Timestamp};
use auspex_scoring::embedded;
use auspex_scoring::manifest::GoldenRow;
use auspex_scoring::model::Model;
use auspex_scoring::runtime::{Reasons, Runtime, Scorer};

use super::row::{Better, Row, median, median_round, micros};
use super::{shap, wire};

const ROUNDS: usize = 21;
/// Vectors a round and way.
const VECTORS: usize = 500;

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    let (mut scorer, vectors) = open().await?;
    let rounds = if quick { 7 } else { ROUNDS };
    let asked = vectors.clone();
    let compared = tokio::task::spawn_blocking(move || {
        let mut rows = compare(&mut scorer, &vectors, rounds)?;
        let model = scorer.model();
        let golden: Vec<Vec<f32>> = model.golden.rows.iter().map(GoldenRow::row).collect();
        if let Some(ensemble) = &model.ensemble {
            rows.extend(shap::measure(rounds, ensemble, &golden)?);
        }
        anyhow::Ok(rows)
    });
    let mut rows = compared.await??;
    rows.extend(wire::measure(rounds, &asked).await?);
    Ok(rows)
}

/// A scorer of the model that comes with the program, and its golden rows as vectors.
pub(super) async fn open() -> anyhow::Result<(Scorer, Vec<FeatureVector>)> {
    let runtime = Runtime::load(&tools::onnxruntime().await?)?;
    let model = Arc::new(Model::check(embedded::files())?);
    let vectors = model
        .golden
        .rows
        .iter()
        .map(|row| vector(&model, row))
        .collect::<Result<_, _>>()?;
    Ok((Scorer::open(&runtime, model, 5)?, vectors))
}

fn compare(scorer: &mut Scorer, vectors: &[FeatureVector], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let rows: Vec<Vec<f32>> = vectors.iter().map(row).collect();
    let (mut plain, mut reasoned, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    // The first round warms caches up and is not counted.
    for round in 0..=rounds {
        let b = p50(&rows, |row| scorer.p_fail(row).map(drop))?;
        let p = p50(vectors, |vector| scorer.score(vector, Reasons::Never).map(drop))?;
        let r = p50(vectors, |vector| scorer.score(vector, Reasons::Always).map(drop))?;
        if round > 0 {
            plain.push((p, b));
            reasoned.push((r, b));
            bare.push(b);
        }
    }
    let (value, limit) = median_round(&plain);
    let (with_reasons, beside) = median_round(&reasoned);
    let session = "bare ort session";
    Ok(vec![
        Row::told("score without reasons, p50", value, "us")
            .beside(limit, session)
            .floor(1.5, Better::Less),
        Row::told("score with reasons, p50", with_reasons, "us").beside(beside, session),
        Row::told("bare ort session, p50", median(&bare), "us"),
    ])
}

fn p50<T>(
    inputs: &[T],
    mut work: impl FnMut(&T) -> Result<(), auspex_scoring::runtime::ScoreFault>,
) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(VECTORS);
    for input in inputs.iter().cycle().take(VECTORS) {
        let began = Instant::now();
        black_box(work(black_box(input)))?;
        times.push(micros(began.elapsed()));
    }
    Ok(median(&times))
}

/// What the session is given for a vector.
pub(super) fn row(vector: &FeatureVector) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation, reason = "the session takes 32 bits")]
    let number = |feature: &Feature| feature.value as f32;
    vector.features.iter().map(number).collect()
}

fn vector(model: &Model, row: &GoldenRow) -> anyhow::Result<FeatureVector> {
    let names = model.manifest.features.iter().map(|feature| feature.name.clone());
    let feature = |(name, value): (String, &Option<f32>)| match value {
        Some(value) => Feature::present(name, f64::from(*value)),
        None => Feature::absent(name, Status::NotFound),
    };
    Ok(FeatureVector {
        meta: Meta {
            id: FactId::new("bench")?,
            project: Project::new("bench")?,
            time: Timestamp(0),
            cause: 1,
            source: "bench".to_owned(),
        },
        entity: Entity {
            kind: EntityKind::Deployment,
            id: "bench".to_owned(),
            revision: Revision::new("bench")?,
            service: None,
        },
        feature_service: "change-risk@1".to_owned(),
        schema_hash: model.manifest.feature_schema_sha256.clone(),
        features: names.zip(&row.features).map(feature).collect(),
        context: Vec::new(),
        wants_reasons: false,
    })
}
