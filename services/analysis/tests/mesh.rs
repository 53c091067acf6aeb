//! Plans on a real bus: decisions come in, what is measured goes out as commands, once, whoever measures.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test may")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auspex_analysis::Config;
use auspex_analysis::board::Board;
use auspex_argo::phase::Phase as PhaseOf;
use auspex_argo::plan::{Document, Step, When};
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Follow, From, House};
use auspex_proto::command::{Ask, Command};
use auspex_proto::decision::{Action, Decision, Phase, Reason};
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Meta, Project, sample};
use stage::{Web, vector};

fn plan(address: &str) -> Document {
    Document::read(&format!(
        r#"
apiVersion: auspex.dev/v1
kind: Analysis
metadata: {{name: shop}}
spec:
  mode: safe
  steps: [{{weight: 10}}, {{run: step-1}}, {{weight: 50}}]
  runs:
  - name: step-1
    when: {{step: 1}}
    analysis:
      args: [{{name: hash, valueFrom: {{podTemplateHashValue: Latest}}}}]
      metrics:
      - name: m
        interval: 100ms
        count: 3
        successCondition: result[0] >= 0.95
        provider: {{prometheus: {{address: "{address}", query: "step{{{{args.hash}}}}"}}}}
  - name: background
    when: {{background: 0}}
    analysis:
      metrics:
      - name: b
        interval: 100ms
        failureLimit: 1
        successCondition: result[0] >= 0.95
        provider: {{prometheus: {{address: "{address}", query: background}}}}
"#
    ))
    .unwrap()
}

/// A house where a plan is measured, and what is asked for there.
async fn measured(plan: Document) -> (TestHouse, Board, Follow) {
    let test = TestHouse::start().await.unwrap();
    let board = Board::open(&test.house, Config::default()).await.unwrap();
    board.start().await.unwrap();
    let commands = test.house.follow(&[FactKind::Command], From::All).await.unwrap();
    let project = Project::new("p").unwrap();
    board.put(&project, plan, "me").await.unwrap();
    (test, board, commands)
}

async fn command(commands: &mut Follow) -> Command {
    let next = tokio::time::timeout(Duration::from_secs(60), commands.next()).await;
    match next.unwrap().unwrap().fact {
        Fact::Command(command) => command,
        other => unreachable!("{other:?}"),
    }
}

const BEGUN: (Action, Phase, Reason) = (Action::Start, Phase::Waiting, Reason::Started);
const RAISED: (Action, Phase, Reason) = (Action::Advance, Phase::Progressing, Reason::StepDone);
const WAITS: (Action, Phase, Reason) = (Action::Pause, Phase::Paused, Reason::StepWait);
const RESUMED: (Action, Phase, Reason) = (Action::Resume, Phase::Progressing, Reason::Commanded);
const PAUSE: (Action, Phase, Reason) = (Action::Hold, Phase::Progressing, Reason::StepWait);
/// Control did not let a person go past the step.
const HELD: (Action, Phase, Reason) = (Action::Pause, Phase::Paused, Reason::Commanded);

/// Control decides.
async fn decide(house: &House, number: u64, (action, phase, reason): (Action, Phase, Reason), weight: u8) {
    let head = Meta {
        time: house.now(),
        ..sample::meta(&format!("decision-{number}"), "p", number).unwrap()
    };
    let decision = Decision {
        action,
        phase,
        reason,
        weight,
        number,
        ..sample::decision(head, "shop").unwrap()
    };
    house.bus().publish(&Fact::Decision(decision)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_begins_at_its_step_though_only_a_route_lies_between_two_pauses() {
    let web = Web::start(|_| (200, vector(&["0.99"]))).await;
    let mut plan = plan(&web.url);
    let pause = || Step::Pause("30s".to_owned());
    plan.spec.steps = vec![Step::Weight(10), pause(), Step::Beside, pause(), Step::Weight(50)];
    plan.spec.runs.remove(0);
    plan.spec.runs[0].when = When::Background(3);
    let (test, board, _) = measured(plan).await;
    let decided = async |number, (action, phase, reason), step| {
        let head = Meta {
            time: test.house.now(),
            ..sample::meta(&format!("decision-{number}"), "p", number).unwrap()
        };
        let decision = Decision {
            action,
            phase,
            reason,
            weight: 10,
            number,
            step: Some(step),
            ..sample::decision(head, "shop").unwrap()
        };
        test.house.bus().publish(&Fact::Decision(decision)).await.unwrap();
    };
    let stands = async |wanted: usize| {
        let begun = std::time::Instant::now();
        loop {
            let seen = board.seen("p").await.unwrap();
            if let Some(one) = seen.first().filter(|one| one.step == wanted) {
                return one.record.attempts.len();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "never at {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    decided(1, BEGUN, 0).await;
    decided(2, RAISED, 0).await;
    decided(3, PAUSE, 1).await;
    assert_eq!(stands(1).await, 0);
    decided(4, PAUSE, 3).await;
    assert_eq!(stands(3).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_goes_on_when_it_is_good_and_a_bad_background_aborts() {
    let good = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&good);
    let web = Web::start(move |asked| {
        let background = asked.body.contains("query=background");
        let fine = !background || seen.load(Ordering::Relaxed);
        (200, vector(&[if fine { "0.99" } else { "0.5" }]))
    })
    .await;
    let (test, board, mut commands) = measured(plan(&web.url)).await;
    let house = &test.house;
    decide(house, 1, BEGUN, 0).await;
    decide(house, 2, RAISED, 10).await;
    decide(house, 3, WAITS, 10).await;
    let first = command(&mut commands).await;
    assert_eq!((first.ask, first.actor.as_str()), (Ask::Resume, "analysis"));
    assert_eq!(first.note, "analysis step-1 is Successful");
    assert!(
        web.asked()
            .iter()
            .any(|asked| asked.body.contains("query=stepv2")),
        "the revision is put in"
    );
    decide(house, 4, RESUMED, 10).await;
    decide(house, 5, RAISED, 50).await;
    good.store(false, Ordering::Relaxed);
    let second = command(&mut commands).await;
    assert_eq!(second.ask, Ask::Abort);
    assert_eq!(
        second.note,
        "analysis background is Failed: Metric \"b\" assessed Failed due to failed (2) > failureLimit (1)"
    );
    let seen = board.seen("p").await.unwrap();
    assert_eq!(
        seen[0].record.attempts["step-1"].run.outcomes[0]
            .counters
            .successful,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_the_plan_that_is_over_goes() {
    let test = TestHouse::start().await.unwrap();
    let config = Config {
        plans: 2,
        ..Config::default()
    };
    let board = Board::open(&test.house, config.clone()).await.unwrap();
    board.start().await.unwrap();
    let (other, _going) = TestHouse::another(&test.settings).await.unwrap();
    let second = Board::open(&other, config).await.unwrap();
    second.start().await.unwrap();
    let project = Project::new("p").unwrap();
    let named = |name: &str| {
        let mut plan = plan("http://127.0.0.1:9");
        name.clone_into(&mut plan.metadata.name);
        plan
    };
    board.put(&project, named("other"), "me").await.unwrap();
    board.put(&project, named("shop"), "me").await.unwrap();
    let full = board.put(&project, named("late"), "me").await.unwrap_err();
    assert_eq!(full, "there are 2 plans already, and none of them is over");
    decide(&test.house, 1, BEGUN, 0).await;
    decide(
        &test.house,
        2,
        (Action::Promote, Phase::Promoted, Reason::StepDone),
        100,
    )
    .await;
    let begun = std::time::Instant::now();
    while let Err(fault) = board.put(&project, named("late"), "me").await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{fault}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for board in [&board, &second] {
        let names = async || {
            let seen = board.seen("p").await.unwrap();
            seen.into_iter()
                .map(|one| one.plan.metadata.name)
                .collect::<Vec<_>>()
        };
        while names().await != ["late", "other"] {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", names().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // The same name may come again.
    decide(&test.house, 3, BEGUN, 0).await;
    let again = board.put(&project, named("shop"), "me").await.unwrap_err();
    assert!(again.contains("none of them is over"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_data_asks_a_person_and_another_process_takes_over_without_asking_twice() {
    let web = Web::start(|_| (200, vector(&[]))).await;
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    let project = Project::new("p").unwrap();
    let (other, going) = TestHouse::another(&test.settings).await.unwrap();
    let first = Board::open(&other, Config::default()).await.unwrap();
    first.start().await.unwrap();
    first.put(&project, plan(&web.url), "me").await.unwrap();
    decide(house, 1, BEGUN, 0).await;
    decide(house, 2, RAISED, 10).await;
    let measured = async |board: &Board| {
        let seen = board.seen("p").await.unwrap();
        let attempt = seen
            .first()
            .and_then(|one| one.record.attempts.get("background").cloned());
        attempt.map_or(0, |attempt| {
            attempt.run.outcomes.first().map_or(0, |one| one.counters.no_data)
        })
    };
    let begun = std::time::Instant::now();
    while measured(&first).await < 2 && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The process that measures goes; the other one goes on where it was.
    going.finish(Duration::from_secs(5)).await;
    let second = Board::open(house, Config::default()).await.unwrap();
    second.start().await.unwrap();
    let mut commands = house.follow(&[FactKind::Command], From::All).await.unwrap();
    let asked = command(&mut commands).await;
    assert_eq!(asked.ask, Ask::Pause);
    assert!(
        asked.note.starts_with("analysis background is NoData"),
        "{}",
        asked.note
    );
    let more = tokio::time::timeout(Duration::from_millis(500), commands.next()).await;
    assert!(more.is_err(), "asked again: {more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_data_waits_and_is_measured_anew_when_somebody_resumes() {
    let there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&there);
    let web = Web::start(move |asked| {
        let fine = asked.body.contains("query=background") || seen.load(Ordering::Relaxed);
        (200, vector(if fine { &["0.99"] } else { &[] }))
    })
    .await;
    let (test, board, mut commands) = measured(plan(&web.url)).await;
    let house = &test.house;
    decide(house, 1, BEGUN, 0).await;
    decide(house, 2, RAISED, 10).await;
    decide(house, 3, WAITS, 10).await;
    let attempt = async || {
        let seen = board.seen("p").await.unwrap();
        let found = seen
            .first()
            .and_then(|one| one.record.attempts.get("step-1").cloned());
        found.unwrap_or_default()
    };
    let begun = std::time::Instant::now();
    while attempt().await.run.phase != PhaseOf::NoData {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", attempt().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = tokio::time::timeout(Duration::from_millis(500), commands.next()).await;
    assert!(asked.is_err(), "it waits for a person: {asked:?}");
    there.store(true, Ordering::Relaxed);
    decide(house, 4, HELD, 10).await;
    let asked = command(&mut commands).await;
    assert_eq!(
        (asked.ask, asked.note.as_str()),
        (Ask::Resume, "analysis step-1 is Successful")
    );
    assert_eq!(attempt().await.number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_succeeds_before_a_switch_approves_it() {
    let web = Web::start(|_| (200, vector(&["0.99"]))).await;
    let mut plan = plan(&web.url);
    plan.spec.steps.clear();
    plan.spec.runs.truncate(1);
    plan.spec.runs[0].name = "prePromotionAnalysis".to_owned();
    plan.spec.runs[0].when = When::PrePromotion;
    let (test, _board, mut commands) = measured(plan).await;
    decide(&test.house, 1, BEGUN, 0).await;
    let asked = command(&mut commands).await;
    let gate = "prePromotionAnalysis".to_owned();
    assert_eq!(
        asked.ask,
        Ask::Approve {
            gate,
            ticket: String::new()
        }
    );
}
