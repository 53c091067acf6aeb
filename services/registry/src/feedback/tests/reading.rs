//! What is learnt, when, and what is said of it.

use auspex_proto::Recalibration;

use super::*;

/// What the verb has said about how a version is to be read: removed or not, and by what.
fn readings(log: &Log) -> Vec<(bool, Recalibration)> {
    let reading = |fact: &Fact| match fact {
        Fact::Model(model) => Some((model.removed, model.recalibration?)),
        _ => None,
    };
    log.told.iter().filter_map(reading).collect()
}

/// A change: its score, its deployment, and what became of it.
fn change(log: &mut Log, n: u64, p: f64, failed: bool) {
    let revision = format!("r{n}");
    log.score(&revision, p);
    log.event(Body::Deployment(Deployment {
        deployment_id: format!("d-{revision}"),
        service: ServiceName::new("checkout").unwrap(),
        environment: "production".to_owned(),
        revision: Revision::new(&revision).unwrap(),
        stable_revision: None,
        document: String::new(),
        actor: String::new(),
    }));
    let state = if failed {
        DeploymentState::RolledBack
    } else {
        DeploymentState::Success
    };
    log.status(&revision, state);
}

/// In a world where half fails of what is said to fail, an hour a change.
fn halved(log: &mut Log, from: u64, count: u64) {
    for n in from..from + count {
        // Of four with 0.6 and four with 0.2, those that fail: one and one, then two and none.
        let p = if n % 2 == 0 { 0.6 } else { 0.2 };
        let failed = if n % 2 == 0 { n % 20 < 6 } else { n % 20 == 11 };
        change(log, n, p, failed);
        log.pass(1);
    }
}

#[test]
fn a_failure_is_learnt_from_when_a_success_would_have_been() {
    let mut log = Log::new();
    change(&mut log, 1, 0.2, true);
    assert_eq!(log.counted(), (1, 1), "told at once");
    let learnt = |log: &Log| {
        let figures = log.state.models.get("change-risk@1");
        figures.map_or(0, |f| f.online.outcomes)
    };
    log.pass(23);
    assert_eq!((learnt(&log), log.state.held.len()), (0, 1));
    assert_eq!(
        log.verb.due(&log.state),
        Some(Timestamp(1_700_000_000_000 + 24 * HOUR))
    );
    log.pass(1);
    assert_eq!((learnt(&log), log.state.held.len()), (1, 0));
}

#[test]
fn what_is_proven_is_said_and_taken_back_when_nothing_more_is_heard() {
    let mut log = Log::new();
    halved(&mut log, 0, 300);
    let said = readings(&log);
    let (removed, last) = *said.last().unwrap();
    assert!(!removed && last.log_e > 3.0 && last.outcomes > 100, "{last:?}");
    assert!(
        (last.read(0.6) - 0.3).abs() < 0.1 && (last.read(0.2) - 0.1).abs() < 0.06,
        "{last:?}"
    );
    assert_eq!(
        (last.read(0.01), last.read(0.9)),
        (0.01, 0.9),
        "beyond what was seen"
    );
    // One fact for each time that it has learnt, not for each outcome.
    assert!(said.len() <= 16, "{}", said.len());
    log.pass(25);
    log.pass(24 * 31);
    let (removed, _) = *readings(&log).last().unwrap();
    assert!(removed);
    assert!(log.state.models["change-risk@1"].proof.since.is_none());
}

#[test]
fn another_version_begins_with_nothing() {
    let mut log = Log::new();
    halved(&mut log, 0, 300);
    let before = log.state.models["change-risk@1"].proof.clone();
    let sample = sample::score(log.meta("next"), "next", 0.6).unwrap();
    log.feed(&Fact::Score(Score {
        model: "change-risk@2".to_owned(),
        ..sample
    }));
    let heard = &log.state.waiting["revision next"].said.heard;
    assert_eq!((heard[0].model.as_str(), heard[0].told), ("change-risk@2", None));
    assert_eq!(log.state.models["change-risk@1"].proof, before);
}

/// Of what is to be held back only what chance let go is learnt from, and it stands for the rest.
#[test]
fn what_somebody_chose_to_see_teaches_nothing() {
    let mut log = Log::new();
    let one = |log: &mut Log, name: &str, quota: bool| {
        let sample = sample::score(log.meta(name), name, 0.9).unwrap();
        log.feed(&Fact::Score(Score {
            trial: auspex_proto::score::Trial {
                propensity: 0.02,
                quota,
                ..Default::default()
            },
            ..sample
        }));
        log.status(name, DeploymentState::Success);
    };
    one(&mut log, "approved", false);
    one(&mut log, "let-go", true);
    log.pass(24);
    let figures = &log.state.models["change-risk@1"];
    assert_eq!((figures.outcomes, figures.online.outcomes), (2, 1));
    assert!((figures.weight - 50.0).abs() < 1e-9, "{}", figures.weight);
}

#[test]
fn outcomes_that_are_one_sided_teach_nothing() {
    let mut log = Log::new();
    // More deployments at once than can be waited for: those that will pass are lost first.
    for n in 0..state::MOST_WAITING as u64 + 5 {
        change(&mut log, n, 0.2, false);
    }
    change(&mut log, 10_000, 0.2, true);
    assert!(log.state.lost.is_some());
    log.pass(23);
    log.pass(1);
    let figures = &log.state.models["change-risk@1"];
    assert_eq!(figures.online.outcomes, 0, "{:?}", log.state.lost);
}
