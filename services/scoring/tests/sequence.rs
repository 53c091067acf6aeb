//! A graph without trees: an LSTM over a window of values, scored and explained. `tests/lstm/make.py` makes it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use auspex_chassis::tools;
use auspex_scoring::folder;
use auspex_scoring::model::{Model, ModelFault};
use auspex_scoring::runtime::{Runtime, Scorer};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lstm");

#[tokio::test(flavor = "multi_thread")]
async fn an_lstm_is_scored_and_its_gradients_add_up() {
    let runtime = Runtime::load(&tools::onnxruntime().await.unwrap()).unwrap();
    let model = Arc::new(Model::check(folder::files(FOLDER).unwrap()).unwrap());
    assert!(model.ensemble.is_none());
    // Its golden rows are scored here, one by one and together.
    let mut scorer = Scorer::open(&runtime, Arc::clone(&model), 5).unwrap();
    let mut explained = 0;
    for row in &model.golden.rows {
        let found = scorer.explain(&row.row()).unwrap();
        assert_eq!(found.method, "integrated_gradients");
        assert!((found.raw - row.raw).abs() < 1e-4);
        assert!(found.remainder.abs() < 5e-3, "{}", found.remainder);
        let Some(known) = &row.contributions else { continue };
        explained += 1;
        assert!((found.base - row.contribution_base.unwrap()).abs() < 1e-4);
        for (found, known) in found.contributions.iter().zip(known) {
            assert!((found - known).abs() < 5e-3, "{found} is not {known}");
        }
    }
    assert_eq!(explained, 4);
    // A value that is missing is owed nothing.
    let mut row = model.golden.rows[0].row();
    row[3] = f32::NAN;
    if let Ok(found) = scorer.explain(&row) {
        assert_eq!(found.contributions[3], 0.0);
    }
}

#[test]
fn a_window_of_another_size_is_refused() {
    let mut files = folder::files(FOLDER).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
    manifest["input"]["shape"] = serde_json::json!([null, 5, 3]);
    files.manifest = serde_json::to_vec(&manifest).unwrap();
    let fault = Model::check(files).unwrap_err();
    assert!(
        matches!(&fault, ModelFault::Field { field, .. } if field == "input.shape"),
        "{fault}"
    );
}
