//! Metrics that a document lists: bounds, kinds, and what is no longer reported.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use auspex_canary::{Config, Decide};
use auspex_chassis::{Route, Verb as _};
use auspex_proto::command::Ask;
use auspex_proto::decision::{Phase, Reason};
use auspex_proto::{Decision, EntityKind, Fact, Score, sample};
use stage::{Extra, Stage};

fn document(service: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: {service}}}, spec: {{service: {service}, {spec}}}}}"
    )
}

fn begin(spec: &str, extra: Extra) -> Stage {
    let mut stage = Stage::new(Config::default());
    stage.extra.push(("m".to_owned(), extra));
    stage.deploy("r", &document("checkout", spec)).unwrap();
    stage.score(EntityKind::Deployment, "r", 0.1);
    stage
}

fn seconds(stage: &mut Stage, seconds: u32) -> Vec<Decision> {
    (0..seconds)
        .flat_map(|_| stage.traffic(350.0, (0.0, 0.0), None))
        .collect()
}

#[test]
fn a_project_lists_at_most_twelve_at_once() {
    let mut stage = Stage::new(Config::default());
    let list = |service: &str, count: usize| {
        let names: String = (0..count).map(|n| format!("{{name: m{n}}},")).collect();
        document(service, &format!("metrics: [{names}]"))
    };
    for (service, count) in [("a", 8), ("b", 4), ("c", 0)] {
        let document = list(service, count);
        let said = stage.command("x", Ask::Start { document }).unwrap();
        assert_eq!(said.len(), 1, "{service}");
    }
    let document = list("d", 1);
    assert_eq!(stage.command("x", Ask::Start { document }).unwrap(), []);
    let refused = &stage.state.answers.last().unwrap().refused;
    assert!(
        refused.contains("spec.metrics") && refused.contains("at most 12"),
        "{refused}"
    );
}

#[test]
fn what_is_no_longer_reported_proves_nothing() {
    let spec = "metrics: [{name: m, direction: increase, critical: true}], policy: {steps: [{setWeight: 20}, {pause: {duration: 3m}}]}";
    let mut stage = begin(spec, Extra::Gauge([5.0, 5.0]));
    seconds(&mut stage, 60);
    stage.extra.clear();
    let said = seconds(&mut stage, 200);
    let last = said.last().unwrap();
    assert_eq!(
        (last.reason, last.weight),
        (Reason::NoEvidence, 20),
        "{}",
        last.reason_text
    );
    assert!(
        last.reason_text.contains("has not reported m for long"),
        "{}",
        last.reason_text
    );
    assert_eq!(last.evidence[1].verdict, "no_evidence");
    stage.extra.push(("m".to_owned(), Extra::Gauge([5.0, 5.0])));
    assert_eq!(seconds(&mut stage, 10).last().unwrap().phase, Phase::Promoted);
}

#[test]
fn counts_that_may_go_either_way_are_judged_both_ways() {
    let judged = |direction: &str, rates: [f64; 2]| {
        let spec = format!("metrics: [{{name: m, {direction}critical: true}}]");
        let said = seconds(&mut begin(&spec, Extra::Counts(rates)), 120);
        let last = said.last().unwrap();
        (last.reason, last.phase, last.reason_text.clone())
    };
    let either = "direction: either, ";
    for rates in [[0.2, 0.05], [0.05, 0.2], [0.95, 0.8], [0.8, 0.95]] {
        let (reason, phase, text) = judged(either, rates);
        assert_eq!(
            (reason, phase),
            (Reason::EvidenceWorse, Phase::RolledBack),
            "{rates:?}: {text}"
        );
    }
    for rates in [[0.2, 0.2], [0.8, 0.8]] {
        let (_, phase, text) = judged(either, rates);
        assert_eq!(phase, Phase::Promoted, "{rates:?}: {text}");
    }
    // Who says nothing means bad units: fewer of them are no harm.
    let (_, phase, text) = judged("", [0.2, 0.05]);
    assert_eq!(phase, Phase::Promoted, "{text}");
    assert_eq!(judged("", [0.05, 0.2]).0, Reason::EvidenceWorse);
}

#[test]
fn a_minor_metric_can_alarm_and_need_not_be_proven() {
    let minor = "metrics: [{name: m, direction: increase}]";
    let mut blind = begin(minor, Extra::Gauge([5.0, 5.0]));
    blind.extra.clear();
    assert_eq!(seconds(&mut blind, 60).last().unwrap().phase, Phase::Promoted);
    let held = format!("{minor}, policy: {{steps: [{{setWeight: 20}}, {{pause: {{}}}}]}}");
    let mut worse = begin(&held, Extra::Gauge([5.0, 9.0]));
    let said = seconds(&mut worse, 90);
    let last = said.last().unwrap();
    assert_eq!(last.reason, Reason::EvidenceWorse, "{}", last.reason_text);
    assert_eq!((last.evidence.len(), last.evidence[1].metric.as_str()), (2, "m"));
}

#[test]
fn a_score_of_a_build_of_the_same_revision_is_no_prior() {
    let mut score = sample::score(sample::meta("s", "shop", 1).unwrap(), "r", 0.9).unwrap();
    let decide = Decide::new(Config::default());
    let route = |score: &Score| decide.route(&Fact::Score(score.clone()));
    assert_eq!(route(&score), Route::Key("shop".to_owned()));
    score.entity.kind = EntityKind::Run;
    assert_eq!(route(&score), Route::Nobody);
}
