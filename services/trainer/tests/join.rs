//! Labels beside what the feature store answered for them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use auspex_learn::random::Random;
use auspex_learn::sigmoid;
use auspex_trainer::table::choice::Wanted;
use auspex_trainer::{Evaluation, Recalibrate, evaluate};
use made::{file, request, run};
use parquet::data_type::{DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const SCHEMA: &str = "message t {
    required int64 event_timestamp (TIMESTAMP(MILLIS,true));
    optional double change_impact__files; required int32 change_impact__files__status;
    optional double build_history__rate; required int32 build_history__rate__status;
}";

/// The second feature is never known: a service of features is read whole all the same.
fn store(path: &Path, rows: &[(i64, Option<f64>)]) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let times: Vec<i64> = rows.iter().map(|(time, _)| *time).collect();
    let statuses: Vec<i32> = rows
        .iter()
        .map(|(_, value)| if value.is_some() { 1 } else { 2 })
        .collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<Int64Type>()
        .write_batch(&times, None, None)
        .unwrap();
    column.close().unwrap();
    for known in [
        rows.iter().map(|(_, value)| *value).collect(),
        vec![None; rows.len()],
    ] {
        let levels: Vec<i16> = known
            .iter()
            .map(|value: &Option<f64>| i16::from(value.is_some()))
            .collect();
        let values: Vec<f64> = known.iter().flatten().copied().collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<DoubleType>()
            .write_batch(&values, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int32Type>()
            .write_batch(&statuses, None, None)
            .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn what_the_store_knew_then_is_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut text, mut rows) = (Random::new(5), String::from("run,time,failed\n"), Vec::new());
    for row in 0..900_i64 {
        let (files, time) = (random.unit() * 20.0, 1_600_000_000 + row * 600);
        let failed = u8::from(random.unit() < sigmoid(files / 3.0 - 4.0));
        text += &format!("build {row},{time},{failed}\n");
        rows.push((time * 1000, (row % 9 > 0).then_some(files)));
    }
    let table = file(folder.path(), "runs.csv", &text);
    let answers = folder.path().join("runs.parquet");
    store(&answers, &rows);
    let mut asked = request(&table, &folder.path().join("model"));
    asked.join = Some(answers.clone());
    let report = run(&asked).unwrap();
    assert_eq!(
        report.table.features,
        ["change_impact__files", "build_history__rate"]
    );
    assert!(report.test.roc_auc.unwrap() > 0.75, "{:?}", report.test);
    let manifest = std::fs::read(folder.path().join("model/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["lineage"]["joined"].as_str().unwrap().len(), 64);
    let runtime = auspex_chassis::tools::onnxruntime().await.unwrap();
    let evaluation = Evaluation {
        model: folder.path().join("model"),
        table: table.clone(),
        join: Some(answers.clone()),
        wanted: Wanted::default(),
        recalibrate: Recalibrate::None,
        delay: 0.0,
        seed: 1,
    };
    assert_eq!(evaluate(&evaluation, &runtime).unwrap().test.rows, 900);

    let refused = |rows: &[(i64, Option<f64>)], named: &str| {
        store(&answers, rows);
        let fault = run(&asked).unwrap_err().to_string();
        assert!(fault.starts_with("--join: ") && fault.contains(named), "{fault}");
    };
    refused(&rows[..899], "fewer rows");
    refused(&[rows.as_slice(), &[(1, None)]].concat(), "more rows");
    rows.swap(3, 4);
    refused(&rows, "line 5: ");
    std::fs::write(&answers, "no such thing").unwrap();
    let fault = run(&asked).unwrap_err().to_string();
    assert!(fault.contains("is no Parquet file"), "{fault}");
}
