//! What a vector says, and when there is one.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;

use auspex_chassis::{Route, Verb};
use auspex_features::schema;
use auspex_proto::event::{Body, DeploymentState, Outcome};
use auspex_proto::vector::Status;
use auspex_proto::{EntityKind, Fact, Timestamp};
use facts::*;
use proptest::prelude::*;

#[test]
fn a_change_from_a_checkout_is_told_whole() {
    let mut log = Log::default();
    let vector = log.event("1", NOON, Body::Change(with_stats("abc"))).unwrap();
    assert_eq!(known(&vector), schema::MODEL);
    assert_eq!(
        (vector.entity.kind, vector.entity.id.as_str()),
        (EntityKind::Change, "abc")
    );
    assert_eq!(
        (vector.schema_hash.as_str(), vector.meta.cause),
        (schema::hash(), 1)
    );
    assert!(!vector.wants_reasons);
    assert_eq!(value(&vector, "author_experience"), Some(812.0));
    assert_eq!(
        (value(&vector, "hour_of_day"), value(&vector, "weekday")),
        (Some(12.0), Some(3.0))
    );
    assert_eq!(value(&vector, "off_hours"), Some(0.0));
    let bytes = Fact::Vector(vector.clone()).encode();
    assert_eq!(
        Fact::decode(auspex_proto::FactKind::Vector, &bytes).unwrap(),
        Fact::Vector(vector)
    );
}

#[test]
fn a_change_by_webhook_alone_has_what_its_paths_and_title_tell() {
    let mut log = Log::default();
    let vector = log.event("1", NOON, Body::Change(change("abc"))).unwrap();
    assert_eq!(known(&vector), ["subsystems", "directories", "files", "is_fix"]);
    let model = ["subsystems", "directories", "files", "is_fix"].map(|name| value(&vector, name).unwrap());
    assert_eq!(model, [3.0, 4.0, 4.0, 1.0]);
    assert!(
        vector
            .features
            .iter()
            .filter(|f| f.value.is_nan())
            .all(|f| f.status == Status::NotFound)
    );
    assert_eq!(value(&vector, "dependency_files"), Some(1.0));
    assert_eq!(value(&vector, "test_ratio"), Some(1.0 / 3.0));
    assert_eq!(value(&vector, "author_changes"), Some(0.0));
}

#[test]
fn the_richer_word_wins_and_a_poorer_one_says_nothing() {
    let mut log = Log::default();
    assert!(log.event("1", NOON, Body::Change(change("abc"))).is_some());
    let rich = log
        .event("2", NOON + SECOND, Body::Change(with_stats("abc")))
        .unwrap();
    assert_eq!(known(&rich).len(), 14);
    assert_eq!(value(&rich, "dependency_files"), Some(1.0));
    assert_eq!(
        value(&rich, "author_changes"),
        Some(0.0),
        "one change is counted once"
    );
    let before = log.state.changes.clone();
    assert_eq!(
        log.event("3", NOON + 2 * SECOND, Body::Change(change("abc"))),
        None
    );
    assert_eq!(
        log.event("4", NOON + 3 * SECOND, Body::Change(with_stats("abc"))),
        None
    );
    assert_eq!(log.state.changes, before);
}

#[test]
fn a_deployment_reads_the_remembered_change_and_wants_reasons() {
    let mut log = Log::default();
    log.event("1", NOON, Body::Change(with_stats("abc")));
    let vector = log.event("2", NOON + HOUR, deployment("d1", "abc")).unwrap();
    assert_eq!(known(&vector).len(), 14);
    assert_eq!(
        (vector.entity.kind, vector.entity.id.as_str()),
        (EntityKind::Deployment, "d1")
    );
    assert_eq!(vector.entity.service.as_ref().unwrap().as_str(), "checkout");
    assert!(vector.wants_reasons);
    // The same deployment under another id of its source starts nothing twice.
    assert_eq!(log.event("3", NOON + HOUR, deployment("d1", "abc")), None);
    let unknown = log
        .event("4", NOON + 2 * HOUR, deployment("d2", "never-announced"))
        .unwrap();
    assert!(unknown.features.iter().all(|f| f.status == Status::NotFound));
    assert_eq!(unknown.features.len(), 14);
}

#[test]
fn a_pull_request_fills_what_a_webhook_does_not_tell() {
    let mut log = Log::default();
    log.event("1", NOON, review("abc"));
    let vector = log.event("2", NOON, Body::Change(change("abc"))).unwrap();
    assert_eq!(value(&vector, "lines_added"), Some(50.0));
    assert_eq!(value(&vector, "files"), Some(4.0));
    log.event("3", NOON, review("other"));
    let vector = log.event("4", NOON, deployment("d", "other")).unwrap();
    assert_eq!(
        known(&vector),
        ["files", "lines_added", "lines_deleted", "is_fix"]
    );
}

#[test]
fn builds_are_told_against_their_history() {
    let mut log = Log::default();
    for n in 0..3 {
        log.event(
            &format!("old{n}"),
            NOON - DAY,
            run("ci", &format!("r{n}"), 1, Outcome::Success),
        );
    }
    log.event("f", NOON - DAY, run("ci", "r9", 1, Outcome::Failure));
    log.event("c", NOON, Body::Change(change("abc")));
    log.event("r1", NOON + SECOND, run("ci", "abc", 1, Outcome::Failure));
    log.event("r2", NOON + 2 * SECOND, run("ci", "abc", 2, Outcome::Success));
    let vector = log.event("d", NOON + HOUR, deployment("d", "abc")).unwrap();
    assert_eq!(
        (value(&vector, "build_failed"), value(&vector, "build_attempts")),
        (Some(0.0), Some(2.0))
    );
    assert_eq!(value(&vector, "build_seconds"), Some(120.0));
    assert_eq!(value(&vector, "build_queue_seconds"), Some(7.0));
    assert!((value(&vector, "build_duration_ratio").unwrap() - 1.0).abs() < 1e-6);
    assert!(value(&vector, "build_failure_rate").unwrap() > 0.3);
}

#[test]
fn deployments_and_incidents_of_the_service_are_told() {
    let mut log = Log::default();
    let ends = [
        DeploymentState::Success,
        DeploymentState::Failure,
        DeploymentState::RolledBack,
        DeploymentState::Success,
    ];
    for (n, end) in (0..).zip(ends) {
        let (at, id) = (NOON + n * HOUR, format!("d{n}"));
        log.event(&format!("a{n}"), at, deployment(&id, "r"));
        log.event(&format!("s{n}"), at + HOUR / 2, status(&id, end));
    }
    log.event("i1", NOON, incident("i1", false));
    log.event("i2", NOON, incident("i2", false));
    log.event("i3", NOON + SECOND, incident("i2", true));
    let vector = log.event("d", NOON + 5 * HOUR, deployment("d", "r")).unwrap();
    assert_eq!(value(&vector, "deployments"), Some(4.0));
    assert_eq!(value(&vector, "deployment_failure_rate"), Some(0.5));
    assert_eq!(value(&vector, "deployment_rollback_rate"), Some(0.25));
    assert_eq!(value(&vector, "hours_since_failure"), Some(2.5));
    assert_eq!(value(&vector, "hours_since_deployment"), Some(2.0));
    assert_eq!(value(&vector, "open_incidents"), Some(1.0));
}

#[test]
fn what_comes_late_or_happens_later_is_not_shown() {
    let mut log = Log::default();
    log.event("c", NOON, Body::Change(with_stats("abc")));
    log.event("r", NOON + 2 * HOUR, run("ci", "abc", 1, Outcome::Failure));
    log.event("f", NOON + 2 * HOUR, deployment("d0", "abc"));
    log.event("s", NOON + 3 * HOUR, status("d0", DeploymentState::Failure));
    let late = log
        .at(NOON + 4 * HOUR, &event("d", NOON + HOUR, deployment("d1", "abc")))
        .unwrap();
    assert_eq!(value(&late, "build_failed"), None);
    assert_eq!(
        (
            value(&late, "deployments"),
            value(&late, "hours_since_deployment")
        ),
        (Some(0.0), None)
    );
    assert_eq!(
        late.meta.time,
        Timestamp(NOON + 4 * HOUR),
        "the vector itself is as late as it is"
    );
}

#[test]
fn a_future_clock_of_a_source_is_the_time_of_the_log() {
    let mut log = Log::default();
    let vector = log
        .at(
            NOON,
            &event("c", NOON + 40 * DAY + 9 * HOUR, Body::Change(change("abc"))),
        )
        .unwrap();
    assert_eq!(value(&vector, "hour_of_day"), Some(12.0));
}

#[test]
fn facts_of_all_projects_and_of_other_kinds_are_nobodys() {
    let mut fact = event("1", NOON, Body::Change(change("abc")));
    if let Fact::Event(event) = &mut fact {
        event.meta.project = auspex_proto::Project::all();
    }
    assert_eq!(verb().route(&fact), Route::Nobody);
    let mut log = Log::default();
    let vector = log.event("1", NOON, Body::Change(change("abc"))).unwrap();
    assert_eq!(verb().route(&Fact::Vector(vector)), Route::Nobody);
}

#[test]
fn what_is_of_no_use_leaves_no_trace() {
    let mut log = Log::default();
    let mut queued = run("ci", "abc", 1, Outcome::Success);
    if let Body::Run(run) = &mut queued {
        run.phase = auspex_proto::event::RunPhase::Queued;
    }
    let other = Body::Other {
        kind: "star".to_owned(),
        json: "{}".to_owned(),
    };
    for (id, body) in [
        ("q", queued),
        ("o", other),
        ("p", status("d", DeploymentState::InProgress)),
    ] {
        assert_eq!(log.event(id, NOON, body), None);
    }
    assert_eq!(log.state, auspex_features::state::State::default());
}

#[test]
fn a_checkout_that_tells_of_no_touched_file_is_not_filled_from_paths() {
    let mut log = Log::default();
    let mut created = with_stats("abc");
    created.stats = Some(auspex_proto::event::ChangeStats {
        is_fix: Some(1.0),
        ..Default::default()
    });
    let vector = log.event("1", NOON, Body::Change(created)).unwrap();
    assert_eq!(known(&vector), ["is_fix"]);
}

/// Facts whose order must not matter to a later deployment.
fn any_order() -> Vec<Fact> {
    vec![
        event("hook", NOON, Body::Change(change("abc"))),
        event("git", NOON + SECOND, Body::Change(with_stats("abc"))),
        event("review", NOON - HOUR, review("abc")),
        event("ci", NOON + 2 * SECOND, run("ci", "abc", 1, Outcome::Failure)),
        event("ci2", NOON + 3 * SECOND, run("ci", "abc", 2, Outcome::Success)),
        event("lint", NOON + 3 * SECOND, run("lint", "abc", 1, Outcome::Success)),
        event("d0", NOON - DAY, deployment("d0", "old")),
        event("s0", NOON - DAY + HOUR, status("d0", DeploymentState::Success)),
        event(
            "s1",
            NOON - DAY + 2 * HOUR,
            status("d0", DeploymentState::RolledBack),
        ),
        event("i0", NOON - DAY, incident("i0", false)),
        event("i1", NOON - HOUR, incident("i0", true)),
    ]
}

proptest! {
    #[test]
    fn order_and_repeats_change_nothing_that_a_later_deployment_reads(
        order in Just((0..any_order().len()).collect::<Vec<_>>()).prop_shuffle(),
        repeats in prop::collection::vec(0..any_order().len(), 0..20),
    ) {
        let facts = any_order();
        let probe = event("probe", NOON + HOUR, deployment("probe", "abc"));
        let read = |order: &mut dyn Iterator<Item = usize>| {
            let mut log = Log::default();
            for index in order {
                log.at(NOON + 4 * SECOND, &facts[index]);
            }
            log.seq = 100;
            log.at(NOON + HOUR, &probe).unwrap()
        };
        let plain = read(&mut (0..facts.len()));
        let mixed = read(&mut order.iter().copied().chain(repeats));
        // How a run compares with earlier ones of its name is as known when it ended, so it does depend on the order.
        let keep = |mut vector: auspex_proto::FeatureVector| {
            vector.context.retain(|f| !["build_duration_ratio", "build_failure_rate"].contains(&f.name.as_str()));
            vector
        };
        prop_assert_eq!(keep(plain), keep(mixed));
    }

    #[test]
    fn a_state_goes_on_where_it_was_saved(stop in 0..11_usize) {
        let mut whole = Log::default();
        let mut broken = Log::default();
        for (index, fact) in any_order().iter().enumerate() {
            let one = whole.at(NOON + 4 * SECOND, fact);
            if index == stop {
                let saved = rmp_serde::to_vec_named(&broken.state).unwrap();
                broken.state = rmp_serde::from_slice(&saved).unwrap();
            }
            prop_assert_eq!(one, broken.at(NOON + 4 * SECOND, fact));
        }
        prop_assert_eq!(whole.state, broken.state);
    }

    #[test]
    fn every_context_feature_is_documented_and_in_order(order in Just((0..11_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (facts, mut log) = (any_order(), Log::default());
        for index in order {
            let Some(vector) = log.at(NOON + 4 * SECOND, &facts[index]) else { continue };
            let names: Vec<_> = schema::CONTEXT.iter().map(|c| c.name).collect();
            let places: Vec<_> = vector.context.iter().map(|f| names.iter().position(|n| *n == f.name).unwrap()).collect();
            prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
