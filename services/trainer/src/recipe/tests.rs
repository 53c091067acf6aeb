//! The models that ship.

use super::*;
use crate::graph::{self, Found};

#[test]
fn a_folder_without_the_tables_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("qt.csv"), "a\n1\n").unwrap();
    let fault = change_risk(folder.path(), Path::new("out"), Path::new("none"), &|_| {}).unwrap_err();
    assert!(fault.to_string().contains("holds no openstack.csv"), "{fault}");
    assert!(
        "change-risks"
            .parse::<Recipe>()
            .unwrap_err()
            .contains("change-risk")
    );
    assert_eq!("change-risk".parse(), Ok(Recipe::ChangeRisk));
    assert_eq!("ci-run".parse(), Ok(Recipe::CiRun));
}

#[tokio::test]
async fn the_model_that_ships_is_worth_what_its_card_says() {
    let Some(data) = std::env::var_os("AUSPEX_DATA").map(PathBuf::from) else {
        auspex_chassis::testing::not_run("AUSPEX_DATA names no folder with the public data");
        return;
    };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/change-risk");
    let runtime = auspex_chassis::tools::onnxruntime().await.unwrap();
    let report = checked(&shipped, &data.join("jit"), &runtime).unwrap();
    assert!(report.publishable, "{:?}", report.gates);
    assert_eq!((report.test.rows, report.groups.len()), (18_986, 6));
    assert!(report.mean_of_groups.unwrap().roc_auc.unwrap() > 0.76);
}

#[test]
fn figures_that_do_not_come_out_stop_the_run() {
    let told = r#"{"seed": 1, "libraries": {}, "base_rate": 0.2, "training": {"data": "", "rows": {"train": 1}, "settings": {}},
        "metrics": {"test": {"full": {"mean_roc_auc": 0.7635, "mean_pr_auc": 0.4962, "brier": 0.1448, "ece": 0.0113}}}}"#;
    let told: Told = serde_json::from_str(told).unwrap();
    let pooled = Figures {
        brier: 0.144_83,
        ece: 0.011_34,
        ..Figures::default()
    };
    let mean = Figures {
        roc_auc: Some(0.763_54),
        pr_auc: Some(0.496_21),
        ..Figures::default()
    };
    assert_eq!(same(&told, &pooled, Some(&mean)), Ok(()));
    let other = Figures {
        roc_auc: Some(0.7630),
        ..mean
    };
    let fault = same(&told, &pooled, Some(&other)).unwrap_err().to_string();
    assert!(
        fault.contains("mean ROC-AUC") && fault.contains("0.7635"),
        "{fault}"
    );
}

/// The folder of the cold start in the tree.
fn cold() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ci-run")
}

/// Its trees, and the manifest for people.
fn cold_files() -> (Files, auspex_learn::Forest, serde_json::Value) {
    let files = folder::files(&cold().display().to_string()).unwrap();
    let Ok(Found::Trees(forest)) = graph::read(&files.artifact) else {
        panic!("trees")
    };
    let manifest = serde_json::from_slice(&files.manifest).unwrap();
    (files, forest, manifest)
}

#[tokio::test]
async fn the_cold_start_loads_and_answers_its_golden_rows() {
    let runtime = auspex_chassis::tools::onnxruntime().await.unwrap();
    let (files, _, manifest) = cold_files();
    assert!(files.artifact.len() < 1_000_000, "{}", files.artifact.len());
    assert_eq!(manifest["artifact"]["sha256"], artifact::sha256(&files.artifact));
    let known: GoldenRows = serde_json::from_slice(&files.golden).unwrap();
    let rows: Vec<f32> = known.rows.iter().flat_map(|row| row.row()).collect();
    let mut served = Served::known(files, &runtime).unwrap();
    assert!(served.by_runtime() && known.rows.len() >= 90);
    let said = served.p(&Matrix::new(rows, commits::SERVED.len())).unwrap();
    for (p, row) in said.iter().zip(&known.rows) {
        assert!((p - row.p_fail).abs() <= 1e-6, "{}: {p} {}", row.kind, row.p_fail);
    }
}

#[test]
fn no_tree_of_the_cold_start_asks_for_what_commits_do_not_tell() {
    let (_, forest, manifest) = cold_files();
    assert!(forest.trees.len() > 100);
    for (thresholds, (name, origin)) in forest
        .thresholds(commits::SERVED.len())
        .iter()
        .zip(commits::SERVED)
    {
        let silent = matches!(origin, commits::Origin::Nothing(_));
        assert!(!silent || thresholds.is_empty(), "{name}: {thresholds:?}");
    }
    let names = manifest["features"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|feature| feature["name"].as_str().unwrap()).collect();
    assert_eq!(names, commits::SERVED.map(|(name, _)| name));
    // By this the trainer knows it for what it is, and people too.
    assert!(manifest["lineage"]["parameters"][ci_run::COLD_START].is_string());
    let card = std::fs::read_to_string(cold().join("CARD.md")).unwrap();
    let begins: Vec<&str> = card.lines().take(12).collect();
    for told in [
        "It has never seen a build",
        "not the probability that a build fails",
        "Not for go/no-go",
    ] {
        assert!(begins.join("\n").contains(told), "{told}");
    }
}

#[tokio::test]
async fn the_cold_start_comes_again_byte_for_byte() {
    let Some(data) = std::env::var_os("AUSPEX_DATA").map(PathBuf::from) else {
        auspex_chassis::testing::not_run("AUSPEX_DATA names no folder with the public data");
        return;
    };
    let runtime = auspex_chassis::tools::onnxruntime().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let report = Recipe::CiRun.make(&data.join("jit"), out.path(), &runtime, &|text| {
        eprintln!("{text}")
    });
    let report = report.unwrap();
    assert!(report.publishable, "{:?}", report.gates);
    assert_eq!((report.test.rows, report.groups.len()), (18_986, 6));
    for name in [
        "model.onnx",
        "golden.json",
        "manifest.json",
        "CARD.md",
        "LICENSE-data",
    ] {
        let [made, shipped] = [out.path(), &cold()].map(|folder| std::fs::read(folder.join(name)).unwrap());
        assert!(made == shipped, "{name} is not what ships");
    }
}
