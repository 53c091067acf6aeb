//! The contract of the plug-in: what keeps it competes, what does not is put out of the race with the reason.
//!
//! The plug-in that comes with the program, with all its candidates, is run when `AUSPEX_PLUGIN_TESTS` is set: its libraries take
//! a minute to install.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use std::path::Path;

use auspex_learn::calibrate::Calibration;
use auspex_learn::gbdt::{self, Growth};
use auspex_learn::{Forest, Matrix, sigmoid};
use auspex_trainer::graph::{self, Naming};
use auspex_trainer::plugin::Plugin;
use auspex_trainer::report::Row;
use auspex_trainer::{Bench, Candidate, Evaluation, Recalibrate, evaluate, train};
use made::{csv, file, request};

/// What a fit of another library might be: four columns, of which the first tells the outcome.
fn forest() -> Forest {
    let values: Vec<f32> = (0..4000_u32)
        .map(|v| ((v / 4 * (v % 4 + 7) * 37) % 400) as f32)
        .collect();
    let table = Matrix::new(values, 4);
    let labels: Vec<bool> = table.iter().map(|row| row[0] > 250.0).collect();
    let mut forest = gbdt::fit(&table, &labels, &[], &Growth::default());
    forest.snap();
    forest
}

/// A plug-in that leaves the same answer for every job; its golden answers are off by so much.
fn stub(folder: &Path, off: f64, error: bool) -> Plugin {
    let forest = forest();
    let naming = Naming {
        model: "candidate".to_owned(),
        version: "1".to_owned(),
        feature_service: String::new(),
        schema_sha256: String::new(),
        features: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
    };
    let answer = folder.join("answer");
    std::fs::create_dir_all(&answer).unwrap();
    let rows: Vec<String> = [[10.0_f32, 1.0, 2.0, 3.0], [390.0, 1.0, 2.0, f32::NAN]]
        .iter()
        .map(|row| {
            let shown: Vec<String> = row
                .iter()
                .map(|v| {
                    if v.is_nan() {
                        "null".to_owned()
                    } else {
                        v.to_string()
                    }
                })
                .collect();
            format!(
                "{{\"features\": [{}], \"p_fail\": {}}}",
                shown.join(","),
                sigmoid(forest.raw(row)) + off
            )
        })
        .collect();
    std::fs::write(
        answer.join("model.onnx"),
        graph::write(&forest, &Calibration::IDENTITY, &naming),
    )
    .unwrap();
    std::fs::write(
        answer.join("golden.json"),
        format!("{{\"rows\": [{}]}}", rows.join(",")),
    )
    .unwrap();
    std::fs::write(answer.join("manifest.json"), r#"{"versions": {"stub": "9"}}"#).unwrap();
    std::fs::write(answer.join("metrics.json"), r#"{"seconds": 0.5}"#).unwrap();
    if error {
        std::fs::write(answer.join("error.json"), r#"{"error": "out of memory"}"#).unwrap();
    }
    let script = format!(
        "for n in 0 1 2 3; do cp -r {} {{folder}}/job-$n; done",
        answer.display()
    );
    Plugin::other(&["sh", "-c", &script].map(str::to_owned))
}

fn lightgbm(plugin: Plugin, folder: &Path) -> Row {
    let mut request = request(&file(folder, "t.csv", &csv(600, 1, |_| 0.0)), &folder.join("out"));
    request.candidates = vec![Candidate::Lightgbm, Candidate::Baseline];
    let bench = Bench {
        plugin: Some(Ok(plugin)),
        runtime: None,
    };
    let report = train(&request, &bench, &|_| ()).unwrap();
    report
        .candidates
        .into_iter()
        .find(|row| row.name == "lightgbm")
        .unwrap()
}

#[test]
fn a_plug_in_that_keeps_the_contract_competes() {
    let folder = tempfile::tempdir().unwrap();
    let row = lightgbm(stub(folder.path(), 0.0, false), folder.path());
    assert_eq!(row.error, None);
    assert!(row.parity.unwrap() < 1e-9 && row.backtest.unwrap().roc_auc.unwrap() > 0.6);
}

#[test]
fn a_file_that_is_not_the_model_and_a_failure_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let row = lightgbm(stub(folder.path(), 0.52, false), folder.path());
    assert!(row.error.unwrap().contains("differs from its library by 5.2e-1"));
    let row = lightgbm(stub(folder.path(), 0.0, true), folder.path());
    assert_eq!(row.error.unwrap(), "out of memory");
    let row = lightgbm(
        Plugin::other(&["sh", "-c", "echo no GPU here >&2; exit 3"].map(str::to_owned)),
        folder.path(),
    );
    assert!(row.error.unwrap().contains("no GPU here"));
    let row = lightgbm(Plugin::other(&["no-such-program".to_owned()]), folder.path());
    assert!(row.error.unwrap().contains("no-such-program"));
}

#[tokio::test]
async fn the_plug_in_that_comes_with_the_program() {
    if std::env::var_os("AUSPEX_PLUGIN_TESTS").is_none() {
        auspex_chassis::testing::not_run(
            "AUSPEX_PLUGIN_TESTS is not set: the plug-in's libraries are not installed for this",
        );
        return;
    }
    let runtime = auspex_chassis::tools::onnxruntime().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plugin = Plugin::prepare(&Plugin::folder(), true, &|_| ())
        .unwrap()
        .with_runtime(Some(&runtime));
    let table = file(folder.path(), "t.csv", &csv(1500, 2, |_| 0.0));
    let mut request = request(&table, &folder.path().join("out"));
    request.candidates = Candidate::ALL.to_vec();
    let bench = Bench {
        plugin: Some(Ok(plugin)),
        runtime: Some(Ok(runtime.clone())),
    };
    let report = train(&request, &bench, &|_| ()).unwrap();
    for row in &report.candidates {
        assert_eq!(row.error, None, "{}", row.name);
        assert!(row.parity.is_none_or(|parity| parity < 1e-6), "{row:?}");
        assert!(row.test.as_ref().unwrap().roc_auc.unwrap() > 0.6, "{row:?}");
    }
    // An LSTM alone is served and evaluated like anything else.
    request.candidates = vec![Candidate::Lstm];
    let alone = train(&request, &bench, &|_| ()).unwrap();
    assert_eq!(alone.champion, "lstm");
    let evaluation = Evaluation {
        model: folder.path().join("out"),
        table,
        join: None,
        wanted: auspex_trainer::table::choice::Wanted::default(),
        recalibrate: Recalibrate::None,
        delay: 0.0,
        seed: 1,
    };
    assert!(evaluate(&evaluation, &runtime).unwrap().test.roc_auc.unwrap() > 0.6);
}
