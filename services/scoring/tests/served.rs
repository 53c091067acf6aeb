//! The default model through the real ONNX Runtime.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use auspex_chassis::{Metrics, tools};

use auspex_proto::vector::{Feature, Status, schema_hash};
use auspex_proto::{Entity, EntityKind, Fact, FactId, FeatureVector, Meta, Project, Revision, Timestamp};
use auspex_scoring::manifest::GoldenRow;
use auspex_scoring::model::{Model, ModelFault};
use auspex_scoring::runtime::{Reasons, Runtime, ScoreFault, Scorer};
use auspex_scoring::schemas::Schemas;
use auspex_scoring::serving::Serving;
use auspex_scoring::swap::Opener;
use auspex_scoring::transform::ScoreVectors;
use auspex_scoring::wanted::Arm;
use auspex_scoring::{Config, embedded};

fn runtime() -> Runtime {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let wait = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        std::thread::spawn(move || wait.block_on(tools::onnxruntime()).unwrap())
            .join()
            .unwrap()
    });
    Runtime::load(library).unwrap()
}

fn model() -> Arc<Model> {
    Arc::new(Model::check(embedded::files()).unwrap())
}

fn scorer() -> Scorer {
    Scorer::open(&runtime(), model(), 5).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vector(model: &Model, row: &GoldenRow) -> FeatureVector {
    let names = model.manifest.features.iter().map(|f| f.name.clone());
    let feature = |(name, value): (String, &Option<f32>)| match value {
        Some(value) => Feature::present(name, f64::from(*value)),
        None => Feature::absent(name, Status::NotFound),
    };
    FeatureVector {
        meta: Meta {
            id: FactId::derived("features", 7, "shop", 0),
            project: Project::new("shop").unwrap(),
            time: Timestamp(5),
            cause: 7,
            source: "features".to_owned(),
        },
        entity: Entity {
            kind: EntityKind::Deployment,
            id: "d1".to_owned(),
            revision: Revision::new("abc").unwrap(),
            service: None,
        },
        feature_service: "change-risk@1".to_owned(),
        schema_hash: model.manifest.feature_schema_sha256.clone(),
        features: names.zip(&row.features).map(feature).collect(),
        context: Vec::new(),
        wants_reasons: false,
    }
}

#[test]
fn vectors_get_the_golden_answers_one_by_one_and_together() {
    let mut scorer = scorer();
    let model = model();
    let vectors: Vec<_> = model.golden.rows.iter().map(|row| vector(&model, row)).collect();
    let together: Vec<_> = vectors.iter().map(|v| (v, Reasons::Never)).collect();
    let together = scorer.score_all(&together);
    for ((vector, row), together) in vectors.iter().zip(&model.golden.rows).zip(together) {
        let single = scorer.score(vector, Reasons::Never).unwrap();
        assert!((single.p_failure - row.p_fail).abs() <= 1e-6, "{}", row.kind);
        assert!(
            (together.unwrap().p_failure - row.p_fail).abs() <= 1e-6,
            "{}",
            row.kind
        );
        let unknown = row.features.iter().filter(|f| f.is_none()).count();
        assert_eq!(single.missing.len(), unknown);
        assert!(single.low <= single.p_failure && single.p_failure <= single.high);
    }
}

/// The model that ships with its Platt nodes made to change nothing, and a table in their place.
fn isotonic(table: &[(f64, f64)]) -> Result<Model, ModelFault> {
    let mut files = embedded::files();
    let mut manifest: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
    for (name, nothing) in [("a", 1.0_f32), ("b", 0.0)] {
        let number = manifest["calibration"][name].as_f64().unwrap() as f32;
        let bytes = number.to_le_bytes();
        let found: Vec<usize> = (0..files.artifact.len() - 4)
            .filter(|at| files.artifact[*at..at + 4] == bytes)
            .collect();
        let [at] = found.as_slice() else {
            panic!("{name} stands {} times in the graph", found.len())
        };
        files.artifact[*at..at + 4].copy_from_slice(&nothing.to_le_bytes());
    }
    let mut golden: serde_json::Value = serde_json::from_slice(&files.golden).unwrap();
    for row in golden["rows"].as_array_mut().unwrap() {
        let p = 1.0 / (1.0 + (-row["raw"].as_f64().unwrap()).exp());
        row["p_fail"] = on_the_line(table, p).into();
    }
    files.golden = serde_json::to_vec(&golden).unwrap();
    manifest["calibration"] = serde_json::json!({"method": "isotonic", "table": table});
    manifest["artifact"]["sha256"] = hex(&files.artifact).into();
    manifest["golden"]["sha256"] = hex(&files.golden).into();
    files.manifest = serde_json::to_vec(&manifest).unwrap();
    Model::check(files)
}

/// A line between rows, and the nearest row beyond them.
fn on_the_line(table: &[(f64, f64)], p: f64) -> f64 {
    let (first, last) = (table[0], table[table.len() - 1]);
    for pair in table.windows(2) {
        let ((x, y), (to, height)) = (pair[0], pair[1]);
        if (x..=to).contains(&p) {
            return y + (height - y) * (p - x) / (to - x);
        }
    }
    if p < first.0 { first.1 } else { last.1 }
}

#[test]
fn a_table_beside_the_graph_gives_the_golden_answers_and_its_ends_beyond() {
    let table = [(0.2, 0.05), (0.4, 0.05), (0.6, 0.3), (0.7, 0.45)];
    let model = Arc::new(isotonic(&table).unwrap());
    let mut scorer = Scorer::open(&runtime(), Arc::clone(&model), 5).unwrap();
    let (mut below, mut above) = (0, 0);
    for row in &model.golden.rows {
        let p = scorer
            .score(&vector(&model, row), Reasons::Never)
            .unwrap()
            .p_failure;
        assert!((p - row.p_fail).abs() <= 1e-6, "{}: {p} {}", row.kind, row.p_fail);
        let graph = 1.0 / (1.0 + (-row.raw).exp());
        below += u32::from(graph < 0.2 && p == 0.05);
        above += u32::from(graph > 0.7 && p == 0.45);
    }
    assert!(
        below > 0 && above > 0,
        "{below} {above}: nothing lies beyond the table"
    );
    // The very table: one that says otherwise is refused by its golden rows.
    let mut other = Model::clone(&model);
    other.manifest.calibration.table[3].1 = 0.46;
    let fault = Scorer::open(&runtime(), Arc::new(other), 5).unwrap_err();
    assert!(matches!(fault, ModelFault::Golden { .. }), "{fault}");
    for wrong in [&[][..], &[(0.4, 0.1), (0.2, 0.3)], &[(0.2, 0.1), (0.4, 1.1)]] {
        let mut files = embedded::files();
        let mut manifest: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
        manifest["calibration"] = serde_json::json!({"method": "isotonic", "table": wrong});
        files.manifest = serde_json::to_vec(&manifest).unwrap();
        let fault = Model::check(files).unwrap_err().to_string();
        assert!(fault.contains("calibration"), "{fault}");
    }
}

#[test]
fn reasons_come_when_they_are_due() {
    let (mut scorer, model) = (scorer(), model());
    let of = |pick: fn(&f64) -> bool| {
        let row = model.golden.rows.iter().find(|row| pick(&row.p_fail)).unwrap();
        vector(&model, row)
    };
    let (mut low, risky) = (of(|p| *p < 0.2), of(|p| *p > 0.5));
    assert!(
        scorer
            .score(&low, Reasons::WhenNotable)
            .unwrap()
            .reasons
            .is_empty()
    );
    assert_eq!(scorer.score(&low, Reasons::Always).unwrap().reasons.len(), 5);
    assert_eq!(
        scorer.score(&risky, Reasons::WhenNotable).unwrap().reasons.len(),
        5
    );
    assert!(scorer.score(&risky, Reasons::Never).unwrap().reasons.is_empty());
    low.wants_reasons = true;
    let reasons = scorer.score(&low, Reasons::WhenNotable).unwrap().reasons;
    assert!(
        reasons
            .windows(2)
            .all(|pair| pair[0].log_odds.abs() >= pair[1].log_odds.abs())
    );
}

#[test]
fn a_vector_of_another_schema_is_refused_with_both_hashes() {
    let (mut scorer, model) = (scorer(), model());
    let mut other = vector(&model, &model.golden.rows[0]);
    other.features.pop();
    other.schema_hash = schema_hash(other.features.iter().map(|f| f.name.as_str()));
    let fault = scorer.score(&other, Reasons::Never).unwrap_err();
    assert!(fault.to_string().contains(&other.schema_hash));
    assert!(fault.to_string().contains(&model.manifest.feature_schema_sha256));

    // A hash that was not made of these features.
    let mut swapped = vector(&model, &model.golden.rows[0]);
    swapped.features.swap(0, 1);
    assert!(matches!(
        scorer.score(&swapped, Reasons::Never),
        Err(ScoreFault::Features(_))
    ));

    // It does not spoil its neighbours.
    let sound = vector(&model, &model.golden.rows[0]);
    let batch = [
        (&sound, Reasons::Never),
        (&other, Reasons::Never),
        (&sound, Reasons::Never),
    ];
    let found = scorer.score_all(&batch);
    assert_eq!(found[0], found[2]);
    assert!(found[0].is_ok() && found[1].is_err());
}

#[test]
fn a_model_that_is_not_what_it_says_is_refused() {
    let runtime = runtime();
    let refused = |change: fn(&mut serde_json::Value)| {
        let mut files = embedded::files();
        let mut manifest: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
        change(&mut manifest);
        files.manifest = serde_json::to_vec(&manifest).unwrap();
        let opened = Model::check(files).and_then(|m| Scorer::open(&runtime, Arc::new(m), 5));
        opened.unwrap_err()
    };
    let fault = refused(|m| m["artifact"]["sha256"] = "00".into());
    assert!(matches!(fault, ModelFault::Digest { .. }), "{fault}");
    let fault = refused(|m| m["features"][0]["name"] = "systems".into());
    assert!(matches!(fault, ModelFault::SchemaHash { .. }), "{fault}");
    let fault = refused(|m| m["version"] = "2".into());
    assert!(
        matches!(
            fault,
            ModelFault::Property {
                property: "auspex.model_version",
                ..
            }
        ),
        "{fault}"
    );
    let fault = refused(|m| m["calibration"]["a"] = 2.0.into());
    assert!(matches!(fault, ModelFault::Golden { .. }), "{fault}");
    let fault = refused(|m| m["output"]["name"] = "risk".into());
    assert!(fault.to_string().contains("risk"), "{fault}");
    let fault = refused(|m| m["bands"] = serde_json::json!([0.7, 0.3]));
    assert!(fault.to_string().contains("bands"), "{fault}");

    for (rows, named) in [
        (serde_json::json!([]), "golden.rows: are none"),
        (
            serde_json::json!([{"kind": "short", "features": [1.0], "raw": 0.0, "p_fail": 0.5}]),
            "golden.rows[0].features: are 1",
        ),
    ] {
        let mut files = embedded::files();
        files.golden = serde_json::json!({"rows": rows}).to_string().into_bytes();
        let mut manifest: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
        manifest["golden"]["sha256"] = hex(&files.golden).into();
        files.manifest = serde_json::to_vec(&manifest).unwrap();
        let fault = Model::check(files).unwrap_err();
        assert!(fault.to_string().contains(named), "{fault}");
    }

    let mut files = embedded::files();
    let at = files.artifact.len() / 2;
    files.artifact[at] ^= 1;
    assert!(matches!(Model::check(files), Err(ModelFault::Digest { .. })));
}

#[tokio::test]
async fn a_build_that_no_model_is_for_is_passed_over_and_one_of_another_schema_is_not() {
    let model = model();
    let opener = Opener {
        runtime: runtime(),
        threads: 1,
        reasons: 5,
    };
    let serving = Serving::new(Config::default().terms());
    let served = opener.open(Model::clone(&model), 0).unwrap();
    serving.change(|table| {
        let lineup = table.lineups.entry("change-risk".to_owned()).or_default();
        lineup.arms.insert(Arm::Champion, Arc::new(served));
    });
    let stage = ScoreVectors::new(serving, Schemas::default(), &Metrics::default());
    let build = |service: &str, schema: Option<&str>| {
        let mut build = vector(&model, &model.golden.rows[0]);
        build.entity.kind = EntityKind::Run;
        build.feature_service = service.to_owned();
        build.schema_hash = schema.map_or(build.schema_hash, str::to_owned);
        build
    };
    let mut change = build("ci-run@1", Some("other"));
    change.entity.kind = EntityKind::Change;
    let batch = [
        build("ci-run@1", Some("other")),
        build("change-risk@2", Some("other")),
        build("mine@1", None),
        change,
    ];
    let batch = (1..).zip(batch.map(Fact::Vector)).collect();
    let found = stage.score(batch).await;
    assert_eq!(found[0], Ok(Vec::new()), "nothing reads ci-run");
    assert!(found[1].as_ref().unwrap_err().to_string().contains("other"));
    assert_eq!(found[2].as_ref().unwrap().len(), 1, "it reads these features");
    assert!(found[3].is_err(), "a change is always to be scored");
}

#[tokio::test]
async fn the_stage_answers_in_order_and_names_what_follows_from_what() {
    let model = model();
    let opener = Opener {
        runtime: runtime(),
        threads: 2,
        reasons: 5,
    };
    let serving = Serving::new(Config::default().terms());
    let served = opener.open(Model::clone(&model), 0).unwrap();
    serving.change(|table| {
        let lineup = table.lineups.entry("change-risk".to_owned()).or_default();
        lineup.arms.insert(Arm::Champion, Arc::new(served));
    });
    let stage = ScoreVectors::new(serving, Schemas::default(), &Metrics::default());
    let mut batch = Vec::new();
    for seq in 0..600_u64 {
        let row = &model.golden.rows[seq as usize % model.golden.rows.len()];
        let mut vector = vector(&model, row);
        if seq == 100 {
            vector.schema_hash = "other".to_owned();
        }
        batch.push((seq + 1, Fact::Vector(vector)));
    }
    let found = stage.score(batch.clone()).await;
    let bytes = |results: &[Result<Vec<Fact>, _>]| -> Vec<Vec<u8>> {
        results.iter().flatten().flatten().map(Fact::encode).collect()
    };
    let again = stage.score(batch).await;
    assert_eq!(
        bytes(&found),
        bytes(&again),
        "the same vectors give the same scores"
    );
    assert_eq!(found.len(), 600);
    assert!(found[100].as_ref().unwrap_err().to_string().contains("other"));
    for (at, result) in found.iter().enumerate().filter(|(at, _)| *at != 100) {
        let [Fact::Score(score)] = result.as_deref().unwrap() else {
            panic!("not one score")
        };
        let row = &model.golden.rows[at % model.golden.rows.len()];
        assert!((score.p_failure - row.p_fail).abs() <= 1e-6);
        assert_eq!((score.meta.cause, score.meta.time), (at as u64 + 1, Timestamp(5)));
        assert_eq!(score.entity.kind, EntityKind::Deployment);
        assert_eq!(score.model, "change-risk@1");
    }
}
