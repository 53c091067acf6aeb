//! What is written is served as it was fitted, by the real ONNX Runtime; and a table under other names is read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod made;

use auspex_chassis::tools;
use auspex_learn::calibrate::{Beta, Calibration, Platt};
use auspex_learn::conformal::Bin;
use auspex_learn::gbdt::{self, Growth};
use auspex_learn::isotonic::Isotonic;
use auspex_learn::random::Random;
use auspex_learn::{Matrix, sigmoid};
use auspex_trainer::artifact::{self, Served, Version};
use auspex_trainer::graph::Naming;
use auspex_trainer::report::html;
use auspex_trainer::sample::Sample;
use auspex_trainer::table::choice::Wanted;
use auspex_trainer::{Evaluation, Recalibrate, evaluate};
use made::{csv, file, request, run};

fn sample(rows: usize) -> Sample {
    let mut random = Random::new(7);
    let values: Vec<f32> = (0..rows * 2).map(|_| random.unit() as f32 * 9.0).collect();
    let labels = values
        .chunks(2)
        .map(|row| random.unit() < sigmoid(f64::from(row[0]) * 1.5 - 6.0));
    Sample {
        names: vec!["a".to_owned(), "b".to_owned()],
        labels: labels.collect(),
        times: (0..rows).map(|row| row as f64).collect(),
        groups: vec![0; rows],
        table: Matrix::new(values, 2),
        ..Sample::default()
    }
}

#[tokio::test]
async fn calibrations_are_served_as_they_were_fitted() {
    let runtime = tools::onnxruntime().await.unwrap();
    let train = sample(1500);
    let mut forest = gbdt::fit(&train.table, &train.labels, &[], &Growth::default());
    forest.snap();
    let naming = Naming {
        model: "made".to_owned(),
        version: "1".to_owned(),
        feature_service: "made@1".to_owned(),
        schema_sha256: auspex_proto::vector::schema_hash(["a", "b"]),
        features: train.names.clone(),
    };
    // Of other rows, of whose failures among the riskiest every second is none: what a table is for.
    let other = sample(6000);
    let raws = forest.raws(&other.table);
    let bent: Vec<bool> = other
        .labels
        .iter()
        .zip(&raws)
        .enumerate()
        .map(|(row, (failed, raw))| *failed && (*raw < 0.0 || row % 2 == 0))
        .collect();
    let table = Isotonic::fit(&raws, &bent, &[]).unwrap();
    assert!(table.table.len() >= 4, "{table:?}");
    for calibration in [
        Calibration::Isotonic(table),
        Calibration::Platt(Platt { a: 0.75, b: -0.25 }),
        Calibration::Beta(Beta {
            a: 0.5,
            b: 1.75,
            c: 0.25,
        }),
        Calibration::Beta(Beta {
            a: 4.0,
            b: 0.125,
            c: -3.0,
        }),
    ] {
        let version = Version {
            naming: naming.clone(),
            forest: &forest,
            sequence: None,
            calibration: &calibration,
            train: &train,
            base_rate: 0.3,
            bins: &[Bin {
                upto: 1.0,
                low: 0.0,
                high: 1.0,
                rows: 1,
            }],
            quantiles: &[],
            more: serde_json::json!({}),
            seed: 1,
        };
        let files = artifact::files(&version, Some(&runtime)).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
        assert_eq!(told["calibration"]["method"], calibration.name());
        let mut served = Served::open(files, Some(&runtime), &forest, &calibration).unwrap();
        let parity = served.parity(&other.table).unwrap();
        assert!(served.by_runtime() && parity <= 1e-6, "{calibration:?}: {parity}");
    }
}

#[tokio::test]
async fn the_model_that_ships_reads_the_public_table() {
    let runtime = tools::onnxruntime().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("date,bug,ns,nd,nf,entrophy,la,ld,lt,fix,ndev,age,nuc,exp,rexp,sexp\n");
    let mut random = Random::new(3);
    for row in 0..300 {
        let lines = (random.unit() * 300.0).floor();
        let bug = u8::from(random.unit() < lines / 400.0);
        text += &format!(
            "{},{bug},1,1,2,0.5,{lines},3,500,0,4,12.5,9,40,11,9\n",
            1_600_000_000 + row * 600
        );
    }
    let evaluation = Evaluation {
        model: concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/change-risk").into(),
        table: file(folder.path(), "t.csv", &text),
        join: None,
        wanted: Wanted {
            label: "bug".to_owned(),
            time: Some("date".to_owned()),
            ..Wanted::default()
        },
        recalibrate: Recalibrate::None,
        delay: 0.0,
        seed: 1,
    };
    let found = evaluate(&evaluation, &runtime).unwrap();
    assert_eq!((found.test.rows, found.missing), (300, 0.0));
    assert!(found.test.roc_auc.unwrap() > 0.7, "{:?}", found.test);
    let page = html::evaluated(&found);
    assert!(
        page.starts_with("<!doctype html>") && page.matches("<svg").count() == 4,
        "{page}"
    );
}

#[tokio::test]
async fn what_was_made_of_columns_is_made_again() {
    let runtime = tools::onnxruntime().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let table = file(folder.path(), "t.csv", &csv(1200, 4, |_| 0.0));
    let mut asked = request(&table, &folder.path().join("model"));
    asked.context = true;
    asked.ratios = vec!["size/tests".to_owned(), "size+tests".to_owned()];
    let trained = run(&asked).unwrap();
    for name in ["context.rows_7d", "time.hour", "size/tests", "size+tests"] {
        assert!(
            trained.table.features.iter().any(|feature| feature == name),
            "{name}"
        );
    }
    let evaluation = Evaluation {
        model: folder.path().join("model"),
        table,
        join: None,
        wanted: Wanted::default(),
        recalibrate: Recalibrate::None,
        delay: 0.0,
        seed: 1,
    };
    let found = evaluate(&evaluation, &runtime).unwrap();
    assert_eq!(found.test.rows, 1200);
    assert!(found.test.roc_auc.unwrap() > trained.test.roc_auc.unwrap() - 0.05);
    asked.wanted.time = None;
    let fault = run(&asked).unwrap_err().to_string();
    assert!(fault.contains("--context") && fault.contains("--time"), "{fault}");
}
