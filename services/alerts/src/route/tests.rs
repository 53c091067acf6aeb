//! Stories told to the verb, and what people hear.

mod story;

use auspex_chassis::{Route as Keyed, Verb as _};
use auspex_proto::alert::{Kind, Severity, Status};
use auspex_proto::decision::{Action, Mode, Phase, Reason};
use auspex_proto::event::{Body, Outcome, Run, RunPhase};
use auspex_proto::{Alert, Decision, EntityKind, Fact, Revision, RolloutName, Score, ServiceName, sample};
use proptest::prelude::*;

use self::story::{REVISION, Story, errors};
use crate::state::State;

fn kinds(alerts: &[Alert]) -> Vec<(Kind, Status)> {
    alerts.iter().map(|a| (a.kind, a.status)).collect()
}

fn sums_to_one(alert: &Alert) {
    let sum: f64 = alert.causes.iter().map(|c| c.weight).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{:?}", alert.causes);
    assert!(
        alert
            .causes
            .windows(2)
            .all(|pair| pair[0].weight >= pair[1].weight)
    );
}

/// A risky change on its way: announced, deployed, started.
fn risky() -> (Story, Alert) {
    let mut story = Story::new();
    assert!(story.change().is_empty());
    assert!(story.failed_run().is_empty());
    let mut risk = story.score(EntityKind::Change, 0.82, true);
    assert_eq!(kinds(&risk), [(Kind::HighRisk, Status::Firing)]);
    let deploying = story.deployment("d1", "checkout", REVISION);
    assert_eq!(kinds(&deploying), [(Kind::Deployment, Status::Notice)]);
    let title = "Deploying checkout 3f2a1b9c00 to production by ada";
    assert_eq!(deploying[0].title, title);
    let again = story.score(EntityKind::Deployment, 0.85, true);
    assert!(again.is_empty(), "once per revision");
    assert!(story.starts().is_empty());
    (story, risk.remove(0))
}

#[test]
fn a_score_of_a_build_wakes_nobody() {
    let story = Story::new();
    let mut score = sample::score(sample::meta("s", "shop", 1).unwrap(), REVISION, 0.9).unwrap();
    let route = |score: &Score| story.router.route(&Fact::Score(score.clone()));
    assert_eq!(route(&score), Keyed::Key("shop".to_owned()));
    score.entity.kind = EntityKind::Run;
    assert_eq!(route(&score), Keyed::Nobody);
}

#[test]
fn a_bad_change_is_announced_before_it_errs() {
    let (_, risk) = risky();
    let title = "High risk: checkout 3f2a1b9c00 fails with a probability of 82 %";
    assert_eq!(risk.title, title);
    assert_eq!(risk.receivers, ["pager", "team"]);
    assert_eq!(risk.causes[0].what, "812 lines added");
    sums_to_one(&risk);
}

#[test]
fn a_rollback_is_explained() {
    let (mut story, risk) = risky();
    let alerts = story.rolls_back((41, 312), (5, 2_801));
    let both = [
        (Kind::RolledBack, Status::Firing),
        (Kind::HighRisk, Status::Resolved),
    ];
    assert_eq!(kinds(&alerts), both);
    assert_eq!(alerts[1].dedup_key, risk.dedup_key);
    let back = &alerts[0];
    assert_eq!(back.severity, Severity::Error);
    let key = format!("auspex/acme/shop/checkout/rollout/checkout/{REVISION}");
    assert_eq!(back.dedup_key, key);
    sums_to_one(back);
    let first = &back.causes[0];
    assert_eq!(first.what, "errors of the candidate, not of the baseline");
    assert_eq!(
        first.detail,
        "41 of 312 (13 %) against 5 of 2801 (0.18 %) in the baseline; 18x as often (interval 9.0x to 40x)"
    );
    let whats: Vec<&str> = back.causes.iter().map(|c| c.what.as_str()).collect();
    assert!(whats.contains(&"run \"integration\" failed"), "{whats:?}");
    assert!(whats.contains(&"a database migration"), "{whats:?}");
    for part in [
        "What: ",
        "Why: 1. ",
        "Impact: 7 requests harmed in 1 s",
        "Auspex: moved all",
        "auspex rollout get checkout",
    ] {
        assert!(back.text.contains(part), "{part} is not in {}", back.text);
    }
}

#[test]
fn a_rollback_is_over_when_a_later_revision_is_promoted() {
    let (mut story, _) = risky();
    let back = story.rolls_back((41, 312), (5, 2_801)).remove(0);
    let to_v3 = |d: &mut Decision| d.candidate.revision = "v3".to_owned();
    assert!(story.decides(Action::Start, Reason::Started, to_v3).is_empty());
    let good = story.decides(Action::Promote, Reason::EvidenceSafe, to_v3);
    let both = [
        (Kind::Promoted, Status::Notice),
        (Kind::RolledBack, Status::Resolved),
    ];
    assert_eq!(kinds(&good), both);
    assert_eq!(good[1].dedup_key, back.dedup_key);
    assert!(story.state.open.is_empty());
}

#[test]
fn a_deployment_waits_for_reasons_or_for_its_rollout() {
    let mut story = Story::new();
    assert!(story.score(EntityKind::Deployment, 0.9, false).is_empty());
    assert_eq!(
        kinds(&story.score(EntityKind::Deployment, 0.9, true)),
        [(Kind::HighRisk, Status::Firing)]
    );
    assert!(story.starts().is_empty());

    let mut story = Story::new();
    assert!(story.score(EntityKind::Deployment, 0.9, false).is_empty());
    assert_eq!(kinds(&story.starts()), [(Kind::HighRisk, Status::Firing)]);
    assert!(story.starts().is_empty());
    let mut story = Story::new();
    assert!(story.score(EntityKind::Deployment, 0.9, false).is_empty());
    assert!(story.score(EntityKind::Deployment, 0.2, false).is_empty());
    assert!(story.starts().is_empty(), "the newest score is low");
}

#[test]
fn a_repeat_tells_nothing_twice() {
    let mut story = Story::new();
    assert_eq!(story.deployment("d1", "checkout", REVISION).len(), 1);
    assert!(story.deployment("d1", "checkout", REVISION).is_empty());
    story.starts();
    let back = Fact::Decision(story.decision(Action::RollBack, Reason::EvidenceWorse));
    let late = Fact::Decision(story.decision(Action::Promote, Reason::EvidenceSafe));
    let told = story.hears(&back);
    assert_eq!(told.len(), 1);
    let reason = ("reason".to_owned(), "evidence_worse".to_owned());
    assert!(
        told[0].facts.contains(&reason),
        "as the runbook is headed: {:?}",
        told[0].facts
    );
    assert!(story.hears(&back).is_empty());
    assert!(story.hears(&late).is_empty(), "a run ends once");
    story.starts();
    assert!(story.hears(&back).is_empty(), "older than what has been told");
    assert_eq!(
        kinds(&story.rolls_back((9, 10), (0, 10))),
        [(Kind::RolledBack, Status::Firing)],
        "a new run"
    );
}

#[test]
fn what_was_asked_for_or_not_done_is_said_softly() {
    let mut story = Story::new();
    story.starts();
    let asked = story.decides(Action::RollBack, Reason::Commanded, |_| {});
    assert_eq!(
        (kinds(&asked), asked[0].severity),
        (vec![(Kind::RolledBack, Status::Notice)], Severity::Info)
    );
    story.starts();
    let would = story.decides(Action::RollBack, Reason::EvidenceWorse, |d| {
        (d.acts, d.mode, d.phase) = (false, Mode::Observe, Phase::Progressing);
    });
    assert_eq!(
        (would[0].status, would[0].severity),
        (Status::Firing, Severity::Warning)
    );
    assert!(
        would[0].title.starts_with("Would have rolled back"),
        "{}",
        would[0].title
    );
    story.starts();
    let would = story.decides(Action::Promote, Reason::EvidenceSafe, |d| d.acts = false);
    assert_eq!(
        kinds(&would),
        [
            (Kind::Promoted, Status::Notice),
            (Kind::RolledBack, Status::Resolved)
        ]
    );
    story.decides(Action::Start, Reason::Started, |d| {
        d.service = ServiceName::new("payments").unwrap()
    });
    let critical = story.decides(Action::RollBack, Reason::EvidenceWorse, |d| {
        d.service = ServiceName::new("payments").unwrap()
    });
    assert_eq!(critical[0].severity, Severity::Critical);
}

#[test]
fn a_hold_is_told_once_and_resolved_when_the_rollout_moves() {
    let mut story = Story::new();
    story.starts();
    let silent = story.decides(Action::Hold, Reason::SilentCandidate, |_| {});
    assert_eq!(
        (kinds(&silent), silent[0].severity),
        (vec![(Kind::Held, Status::Firing)], Severity::Warning)
    );
    assert!(
        story
            .decides(Action::Hold, Reason::SilentCandidate, |_| {})
            .is_empty()
    );
    assert!(story.decides(Action::Hold, Reason::NoEvidence, |_| {}).is_empty());
    let paused = story.decides(Action::Pause, Reason::StepDone, |_| {});
    assert_eq!(paused[0].dedup_key, silent[0].dedup_key);
    let moves = story.decides(Action::Advance, Reason::StepDone, |_| {});
    assert_eq!(kinds(&moves), [(Kind::Held, Status::Resolved)]);
    let asked = story.decides(Action::Pause, Reason::Commanded, |_| {});
    assert_eq!(kinds(&asked), [(Kind::Held, Status::Notice)]);
    assert!(story.decides(Action::Hold, Reason::StepWait, |_| {}).is_empty());
}

#[test]
fn a_degraded_baseline_and_a_neighbour_share_the_blame() {
    let mut story = Story::new();
    story.starts();
    story.decides(Action::Promote, Reason::EvidenceSafe, |d| {
        d.evidence = vec![errors((1, 900), (2, 2_000))]
    });
    story.deployment("d9", "payments", "v9");
    story.starts();
    let alerts = story.rolls_back((90, 300), (200, 2_000));
    let whats: Vec<&str> = alerts[0].causes.iter().map(|c| c.what.as_str()).collect();
    assert!(
        whats
            .iter()
            .any(|w| w.starts_with("the whole service degraded: errors")),
        "{whats:?}"
    );
    assert!(whats.contains(&"payments was deployed near in time"), "{whats:?}");
}

#[test]
fn a_full_state_stays_small() {
    let mut story = Story::new();
    let long = |n: usize| format!("{n:0>250}");
    for n in 0..200 {
        let revision = long(n);
        for run in 0..8 {
            let mut fact = Run {
                run_id: long(run),
                name: long(run),
                revision: Some(Revision::new(revision.clone()).unwrap()),
                branch: String::new(),
                attempt: 1,
                phase: RunPhase::Finished(Outcome::Failure),
                queued: None,
                duration: None,
                runner: String::new(),
            };
            fact.name.push('x');
            story.event(&format!("run-{n}-{run}"), Body::Run(fact));
        }
        story.deployment(&long(n), &long(n), &revision);
        let change = |d: &mut Decision| {
            d.rollout = RolloutName::new(long(n)).unwrap();
            d.service = ServiceName::new(long(n)).unwrap();
            d.candidate.revision.clone_from(&revision);
            d.reason_text = long(n).repeat(20);
            d.evidence = vec![errors((9, 10), (1, 1_000)); 20];
        };
        story.decides(Action::Start, Reason::Started, change);
        let alerts = story.decides(Action::RollBack, Reason::EvidenceWorse, change);
        let bytes = Fact::Alert(alerts[0].clone()).encode().len();
        assert!(bytes < 12_000, "an alert of {bytes} bytes");
        assert!(alerts[0].dedup_key.len() <= 255);
    }
    let bytes = rmp_serde::to_vec_named(&story.state).unwrap().len();
    assert!(bytes < 600_000, "{bytes} bytes");
    assert_eq!(
        rmp_serde::from_slice::<State>(&rmp_serde::to_vec_named(&story.state).unwrap()).unwrap(),
        story.state
    );
}

proptest! {
    /// Whatever happens: what is resolved had fired under the same key and told the same receivers, and nothing fires
    /// for good without being remembered.
    #[test]
    fn every_end_has_a_beginning(steps in prop::collection::vec((0_u8..8, 0_u8..3), 1..60)) {
        let mut story = Story::new();
        let mut firing = std::collections::BTreeMap::new();
        for (step, n) in steps {
            let revision = format!("v{n}");
            let to = |d: &mut Decision| d.candidate.revision.clone_from(&revision);
            let alerts = match step {
                0 => story.decides(Action::Start, Reason::Started, to),
                1 => story.decides(Action::RollBack, Reason::EvidenceWorse, to),
                2 => story.decides(Action::Promote, Reason::EvidenceSafe, to),
                3 => story.decides(Action::Hold, Reason::SilentCandidate, to),
                4 => story.decides(Action::Advance, Reason::StepDone, to),
                5 => story.score(EntityKind::Deployment, 0.9, n == 0),
                6 => story.decides(Action::RollBack, Reason::EvidenceWorse, |d| { to(d); d.acts = false; }),
                _ => story.deployment(&revision, "checkout", &revision),
            };
            for alert in alerts {
                match alert.status {
                    Status::Firing => { firing.insert(alert.dedup_key, alert.receivers); }
                    Status::Resolved => prop_assert_eq!(firing.remove(&alert.dedup_key), Some(alert.receivers)),
                    Status::Notice => {}
                }
            }
            let open: Vec<String> = story.state.open.iter().map(|(key, _)| key.to_owned()).collect();
            prop_assert_eq!(open.len(), firing.len());
            prop_assert!(open.iter().all(|key| firing.contains_key(key)));
        }
    }
}
