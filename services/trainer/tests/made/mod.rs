//! Tables and facts made up for tests.

#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

pub(crate) mod mesh;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use auspex_learn::random::Random;
use auspex_learn::sigmoid;
use auspex_proto::{FactId, Meta, Project, Timestamp};
use auspex_trainer::table::choice::Wanted;
use auspex_trainer::{Bench, Candidate, Fault, Recalibrate, Report, Request, train};

/// A table in which `size` and `tests` tell the outcome, `noise` does not; `rate` shifts the log-odds by row share (0..1).
pub(crate) fn csv(rows: usize, seed: u64, shift: impl Fn(f64) -> f64) -> String {
    let mut random = Random::new(seed);
    let mut text = String::from("time,size,tests,noise,kind,failed\n");
    for row in 0..rows {
        let (size, tests, noise) = (
            random.unit() * 400.0,
            (random.unit() * 10.0).floor(),
            random.unit(),
        );
        let kind = ["fix", "feature", "docs"][random.below(3)];
        let risk = -1.2 + size / 120.0 - tests * 0.25
            + if kind == "docs" { -1.0 } else { 0.0 }
            + shift(row as f64 / rows as f64);
        let failed = u8::from(random.unit() < sigmoid(risk));
        writeln!(
            text,
            "{},{size:.2},{tests},{noise:.4},{kind},{failed}",
            1_600_000_000 + row * 600
        )
        .unwrap();
    }
    text
}

/// Of a fact of the project `shop`.
pub(crate) fn meta(id: impl Into<String>, time: i64) -> Meta {
    Meta {
        id: FactId::new(id).unwrap(),
        project: Project::new("shop").unwrap(),
        time: Timestamp(time),
        cause: 0,
        source: "test".to_owned(),
    }
}

pub(crate) fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn request(table: &Path, out: &Path) -> Request {
    Request {
        table: table.to_owned(),
        join: None,
        wanted: Wanted {
            label: "failed".to_owned(),
            time: Some("time".to_owned()),
            ..Wanted::default()
        },
        split: 0.8,
        test: None,
        candidates: vec![Candidate::Baseline, Candidate::Gbdt, Candidate::Ensemble],
        recalibrate: Recalibrate::None,
        delay: 0.0,
        history: false,
        context: false,
        ratios: Vec::new(),
        out: out.to_owned(),
        name: "made".to_owned(),
        version: "1".to_owned(),
        feature_service: String::new(),
        seed: 1,
    }
}

/// A run without plug-in and without ONNX Runtime.
pub(crate) fn run(request: &Request) -> Result<Report, Fault> {
    train(request, &Bench::default(), &|_| ())
}

/// What a run on this text says is wrong.
pub(crate) fn fault(text: &str, change: impl Fn(&mut Request)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&file(folder.path(), "t.csv", text), &folder.path().join("out"));
    change(&mut request);
    run(&request).expect_err("it was accepted").to_string()
}
