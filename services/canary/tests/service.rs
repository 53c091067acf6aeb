//! The service on a real bus: documents are refused at the door, commands are answered, a watch shows what changes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use auspex_canary::query::Answers;
use auspex_canary::{Config, Decide};
use auspex_chassis::serve::Caller;
use auspex_chassis::testing::TestHouse;
use auspex_proto::wire::rollout_service_server::RolloutService;
use auspex_proto::wire::{
    self, CommandRolloutRequest, GetRolloutRequest, ListRolloutsRequest, RolloutView, StartRolloutRequest,
};
use auspex_proto::{decision, stage};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

const DOCUMENT: &str = "
apiVersion: auspex.dev/v1
kind: Rollout
metadata: {name: checkout}
spec: {service: checkout, score_wait: 1s}
";

/// The same with these gates.
fn gated(gates: &str) -> String {
    DOCUMENT.replace("score_wait: 1s", &format!("score_wait: 1s, gates: {{{gates}}}"))
}

fn start(document: &str) -> Request<StartRolloutRequest> {
    Request::new(StartRolloutRequest {
        project: "acme/shop".to_owned(),
        document: document.to_owned(),
        actor: "alice".to_owned(),
    })
}

fn ask(name: &str, ask: wire::command::Ask) -> Request<CommandRolloutRequest> {
    let command = wire::Command {
        rollout: name.to_owned(),
        actor: "alice".to_owned(),
        ask: Some(ask),
        ..wire::Command::default()
    };
    Request::new(CommandRolloutRequest {
        command: Some(command),
    })
}

fn named(name: &str) -> Request<GetRolloutRequest> {
    Request::new(GetRolloutRequest {
        project: String::new(),
        name: name.to_owned(),
    })
}

/// Control on a bus of its own, as it is configured by default; `true` on the channel closes the house.
async fn control() -> (TestHouse, watch::Sender<bool>, Answers) {
    let test = TestHouse::start().await.unwrap();
    let decide = Decide::new(Config::default());
    let view = test.house.run_verb(stage::CANARY, decide).await.unwrap();
    let (close, closing) = watch::channel(false);
    let answers = Answers::new(test.house.clone(), view, closing);
    (test, close, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_started_watched_and_aborted() {
    let (test, close, answers) = control().await;

    let refused = answers.start(start("kind: Pod")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let unknown = answers.get(named("checkout")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let begun = answers.start(start(DOCUMENT)).await.unwrap().into_inner();
    assert_eq!(begun.refused, "");
    assert_eq!(begun.rollout.unwrap().phase, wire::Phase::Waiting as i32);
    let resume = wire::command::Ask::Resume(wire::Resume {});
    let resumed = answers
        .command(ask("checkout", resume))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(resumed.refused, "it is not paused");

    // Nobody scores it: time passes in the log, and the base rate takes the score's place.
    let mut seen = answers.watch(named("checkout")).await.unwrap().into_inner();
    let under_way = |view: &RolloutView| view.weight > 0;
    let moved = until(&mut seen, under_way).await;
    let last = moved.last.unwrap();
    assert_eq!(last.reason, decision::Reason::ScoreMissing.to_wire() as i32);

    let abort = wire::command::Ask::Abort(wire::Abort {});
    let aborted = answers
        .command(ask("checkout", abort))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(aborted.refused, "");
    let over = until(&mut seen, |view| view.phase == wire::Phase::RolledBack as i32).await;
    assert_eq!((over.weight, over.ended_ms > over.started_ms), (0, true));
    let listed = answers
        .list(Request::new(ListRolloutsRequest::default()))
        .await
        .unwrap();
    assert_eq!(listed.into_inner().rollouts.len(), 1);
    close.send_replace(true);
    let rest = tokio::time::timeout(Duration::from_secs(5), seen.next()).await;
    assert!(rest.unwrap().is_none(), "a watch ends when the house closes");
    assert_eq!(
        test.shutdown.finish(Duration::from_secs(5)).await,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_names_the_field_as_the_request_calls_it() {
    let (_test, _close, answers) = control().await;
    let said = answers
        .start(start("kind: Pod"))
        .await
        .unwrap_err()
        .message()
        .to_owned();
    for field in ["apiVersion", "metadata", "spec"] {
        assert!(said.contains(&format!("missing field `{field}`")), "{said}");
    }
    // A fault names the field as the request calls it.
    let nameless = answers.get(named("")).await.unwrap_err();
    assert_eq!(nameless.message(), "name: is empty");
    let nameless = answers
        .command(ask("", wire::command::Ask::Pause(wire::Pause {})))
        .await
        .unwrap_err();
    assert_eq!(nameless.message(), "command.rollout: is empty");
    let nameless = answers
        .gate(Request::new(wire::GateRequest::default()))
        .await
        .unwrap_err();
    assert!(
        nameless
            .message()
            .starts_with("name: is empty, and so is service"),
        "{nameless}"
    );
}

/// What became of a check is control's own word: whoever may command could pass any gate with it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_reports_a_check_in_the_place_of_control() {
    let (_test, _close, answers) = control().await;
    let checked = gated("checks: [{name: smoke, http: {url: 'http://127.0.0.1:1/'}}]");
    answers.start(start(&checked)).await.unwrap();
    let forged = wire::Report {
        check: "smoke".to_owned(),
        attempt: 1,
        passed: true,
        ..wire::Report::default()
    };
    let refused = answers
        .command(ask("checkout", wire::command::Ask::Report(forged)))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().starts_with("command.report:"), "{refused}");
}

/// Where tokens are configured a name alone proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn approvals_go_by_the_token_that_came_with_them() {
    let (_test, _close, answers) = control().await;
    let approved = gated("approvals: [{name: go, at: start, by: [alice]}]");
    answers.start(start(&approved)).await.unwrap();
    let approve = |token: &str| {
        let what = wire::Approve {
            gate: "go".to_owned(),
            ..wire::Approve::default()
        };
        let mut asked = ask("checkout", wire::command::Ask::Approve(what));
        asked.extensions_mut().insert(Caller(token.to_owned()));
        answers.command(asked)
    };
    let other = approve("ops").await.unwrap().into_inner();
    assert_eq!(
        other.refused,
        "alice via ops is not among those who may approve go: alice"
    );
    let own = approve("alice").await.unwrap().into_inner();
    assert_eq!(own.refused, "");
    let gate = own.rollout.unwrap().gates.remove(0);
    assert_eq!((gate.state.as_str(), gate.actor.as_str()), ("passed", "alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_undoes_is_shown_the_rollout_that_goes_back() {
    let (_test, _close, answers) = control().await;
    let document = "
apiVersion: auspex.dev/v1
kind: Rollout
metadata: {name: checkout}
spec: {service: checkout, score_wait: 0s, tracks: {stable: {revision: a}, candidate: {revision: b}}}
";
    answers.start(start(document)).await.unwrap();
    let answer = |what| async { answers.command(ask("checkout", what)).await.unwrap().into_inner() };
    let full = wire::Promote { full: true };
    let promoted = answer(wire::command::Ask::Promote(full)).await.rollout.unwrap();
    assert_eq!(promoted.phase, wire::Phase::Promoted as i32);
    let undone = answer(wire::command::Ask::Undo(wire::Undo {})).await;
    assert_eq!(undone.refused, "");
    let undone = undone.rollout.unwrap();
    let back = (undone.name, undone.stable_revision, undone.candidate_revision);
    assert_eq!(back, ("checkout-undo".to_owned(), "b".to_owned(), "a".to_owned()));
}

async fn until(
    seen: &mut (impl StreamExt<Item = Result<RolloutView, tonic::Status>> + Unpin),
    wanted: impl Fn(&RolloutView) -> bool,
) -> RolloutView {
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let view = seen.next().await.unwrap().unwrap();
            if wanted(&view) {
                return view;
            }
        }
    })
    .await
    .unwrap()
}
