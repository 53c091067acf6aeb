//! What is said of a model is true: the test has no say in it, labels that lie do little harm, and a failure rate that moves
//! is followed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use auspex_trainer::{Candidate, Evaluation, Recalibrate, evaluate};
use made::{csv, file, request, run};

fn flipped(text: &str, which: impl Fn(usize) -> bool) -> String {
    text.lines()
        .enumerate()
        .map(|(row, line)| {
            match (
                row > 0 && which(row),
                line.strip_suffix('1'),
                line.strip_suffix('0'),
            ) {
                (true, Some(head), _) => format!("{head}0\n"),
                (true, None, Some(head)) => format!("{head}1\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect()
}

#[test]
fn the_test_rows_choose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = csv(800, 1, |_| 0.0);
    let run = |name: &str, text: &str| {
        let table = file(folder.path(), name, text);
        run(&request(&table, &folder.path().join("out"))).unwrap()
    };
    let (a, b) = (
        run("a.csv", &text),
        run("b.csv", &flipped(&text, |row| row > 640)),
    );
    assert_eq!(
        (&a.champion, &a.artifact.sha256),
        (&b.champion, &b.artifact.sha256)
    );
    let backtests = |report: &auspex_trainer::Report| -> Vec<_> {
        report.candidates.iter().map(|c| c.backtest.clone()).collect()
    };
    assert_eq!(backtests(&a), backtests(&b));
    assert!((a.test.roc_auc.unwrap() + b.test.roc_auc.unwrap() - 1.0).abs() < 1e-9);
}

#[test]
fn a_fifth_of_the_outcomes_wrong_does_little_harm() {
    let folder = tempfile::tempdir().unwrap();
    let text = csv(2500, 2, |_| 0.0);
    let table = file(
        folder.path(),
        "t.csv",
        &flipped(&text, |row| row <= 2000 && row % 5 == 0),
    );
    let poisoned = run(&request(&table, &folder.path().join("a"))).unwrap();
    let clean = run(&request(
        &file(folder.path(), "c.csv", &text),
        &folder.path().join("b"),
    ))
    .unwrap();
    let (poisoned, clean) = (poisoned.test.roc_auc.unwrap(), clean.test.roc_auc.unwrap());
    assert!(poisoned > clean - 0.03, "{poisoned} {clean}");
}

#[test]
fn outcomes_the_wrong_way_round_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let text = flipped(&csv(3000, 3, |_| 0.0), |row| (1700..2100).contains(&row));
    let report = run(&request(
        &file(folder.path(), "t.csv", &text),
        &folder.path().join("o"),
    ))
    .unwrap();
    assert!(
        report.notes.iter().any(|note| note.contains("wrong way round")),
        "{:?}",
        report.notes
    );
}

#[test]
fn a_halved_failure_rate_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    // From the test on, log-odds are lower by 1.6: somewhat less than half of the failures.
    let text = csv(6000, 4, |share| if share >= 0.8 { -1.6 } else { 0.0 });
    let table = file(folder.path(), "t.csv", &text);
    let mut request = request(&table, &folder.path().join("o"));
    request.recalibrate = Recalibrate::Online;
    // Outcomes are known after a day: 144 rows.
    request.delay = 86_400.0;
    let report = run(&request).unwrap();
    assert!(report.test.rate < report.table.train_rate * 0.6);
    let plain = report.test_as_trained.unwrap();
    assert!(
        plain.brier > report.test.brier_base,
        "the drift is no challenge: {plain:?}"
    );
    assert!(report.test.brier < report.test.brier_base, "{:?}", report.test);
    assert!(
        report.test.ece < plain.ece / 2.0,
        "{} {}",
        report.test.ece,
        plain.ece
    );
}

#[test]
fn what_cannot_be_foretold_is_not_called_foretold() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = auspex_learn::random::Random::new(5);
    let mut text = String::from("time,a,b,failed\n");
    for row in 0..1500 {
        text.push_str(&format!(
            "{row},{:.4},{:.4},{}\n",
            random.unit(),
            random.unit(),
            u8::from(random.unit() < 0.3)
        ));
    }
    let report = run(&request(
        &file(folder.path(), "t.csv", &text),
        &folder.path().join("o"),
    ))
    .unwrap();
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("no better than a coin")),
        "{:?}",
        report.notes
    );
    assert!(report.test.brier < report.test.brier_base + 0.01);
}

#[tokio::test]
async fn an_evaluation_says_what_the_training_said() {
    let runtime = auspex_chassis::tools::onnxruntime().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = csv(900, 6, |_| 0.0);
    let table = file(folder.path(), "t.csv", &text);
    let mut request = request(&table, &folder.path().join("o"));
    request.candidates = vec![Candidate::Gbdt, Candidate::Baseline, Candidate::Ensemble];
    let bench = auspex_trainer::Bench {
        plugin: None,
        runtime: Some(Ok(runtime.clone())),
    };
    let report = auspex_trainer::train(&request, &bench, &|_| ()).unwrap();
    assert!(report.artifact.by_runtime && report.artifact.parity < 1e-6);
    let lines: Vec<&str> = text.lines().collect();
    let newest = [&lines[..1], &lines[721..]].concat().join("\n");
    let evaluation = Evaluation {
        model: folder.path().join("o"),
        table: file(folder.path(), "new.csv", &newest),
        join: None,
        wanted: auspex_trainer::table::choice::Wanted::default(),
        recalibrate: Recalibrate::None,
        delay: 0.0,
        seed: 1,
    };
    let found = evaluate(&evaluation, &runtime).unwrap();
    assert_eq!(found.test, report.test);
    for name in [
        "model.onnx",
        "manifest.json",
        "golden.json",
        "CARD.md",
        "report.json",
        "report.html",
    ] {
        assert!(folder.path().join("o").join(name).is_file(), "{name}");
    }
}

#[test]
fn outcomes_of_earlier_builds_are_learned_from_once_they_are_known() {
    let folder = tempfile::tempdir().unwrap();
    // Builds fail in streaks that no column shows.
    let mut random = auspex_learn::random::Random::new(8);
    let (mut text, mut broken) = (String::from("started,files,failed\n"), false);
    for row in 0..3000 {
        broken = if broken {
            random.unit() < 0.85
        } else {
            random.unit() < 0.06
        };
        let failed = if broken {
            random.unit() < 0.9
        } else {
            random.unit() < 0.05
        };
        text.push_str(&format!(
            "{},{},{}\n",
            1_600_000_000 + row * 1800,
            random.below(40),
            u8::from(failed)
        ));
    }
    let table = file(folder.path(), "t.csv", &text);
    let mut request = request(&table, &folder.path().join("o"));
    request.wanted.time = Some("started".to_owned());
    let plain = run(&request).unwrap();
    request.history = true;
    request.delay = 1200.0;
    let known = run(&request).unwrap();
    assert!(
        plain.test.roc_auc.unwrap() < 0.6 && known.test.roc_auc.unwrap() > 0.75,
        "{:?} {:?}",
        plain.test,
        known.test
    );
    // Known only two days later, it helps little.
    request.delay = 172_800.0;
    let late = run(&request).unwrap();
    assert!(late.test.roc_auc.unwrap() < 0.65, "{:?}", late.test);
}
