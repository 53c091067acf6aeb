//! What the service answers about what passed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod parts;

use std::sync::Arc;

use auspex_chassis::testing::TestHouse;
use auspex_history::query::Answers;
use auspex_history::shelf::Shelf;
use auspex_history::sqlite::Sqlite;
use auspex_proto::subject;
use auspex_proto::wire::history_server::History as _;
use auspex_proto::wire::{
    ArchivedFact, AuditRequest, ExportKind, ExportRequest, ListSegmentsRequest, RangeRequest,
    RolloutFactsRequest, Track, VerifyRequest,
};
use futures::StreamExt as _;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use parts::{archive, change, command, config, decision, event, observations, publish, stop};
use tonic::{Code, Request};

/// A house that has kept the story of one rollout among other things, and the door to it.
async fn told(folder: &std::path::Path) -> (TestHouse, Answers) {
    let test = TestHouse::start().await.unwrap();
    auspex_history::start(&test.house, &config(folder)).await.unwrap();
    let bus = test.house.bus();
    publish(bus, (0..60).map(event)).await;
    publish(bus, [change("c1", "rev-1"), change("c2", "rev-2")]).await;
    publish(bus, [decision("d1", "shop-1", "rev-1")]).await;
    publish(bus, (0..60).map(observations)).await;
    publish(
        bus,
        [command("k1", "shop-1", "alice"), command("k2", "shop-2", "bob")],
    )
    .await;
    publish(bus, [decision("d2", "shop-1", "rev-1")]).await;
    publish(bus, (60..120).map(event)).await;
    stop(&test).await;
    let answers = Answers {
        bus: bus.clone(),
        shelf: Some(Shelf {
            archive: archive(folder),
            tail: Arc::default(),
        }),
        series: Some(Arc::new(Sqlite::open(&folder.join("metrics.sqlite")).unwrap())),
        feed: Arc::default(),
        checked: Arc::default(),
    };
    (test, answers)
}

async fn facts(answers: &Answers, request: RolloutFactsRequest) -> Vec<ArchivedFact> {
    let stream = answers.facts(Request::new(request)).await.unwrap().into_inner();
    stream.map(Result::unwrap).collect().await
}

fn ids(facts: &[ArchivedFact]) -> Vec<String> {
    facts
        .iter()
        .map(|fact| {
            let id = fact.headers.iter().find(|h| h.name == "Nats-Msg-Id").unwrap();
            id.value.rsplit(':').next().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_rollout_is_told_from_its_change_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_test, answers) = told(folder.path()).await;
    let mut request = RolloutFactsRequest {
        rollout: "shop-1".to_owned(),
        ..RolloutFactsRequest::default()
    };
    let found = facts(&answers, request.clone()).await;
    assert_eq!(ids(&found), ["c1", "d1", "k1", "d2"]);
    assert!(
        found
            .iter()
            .all(|fact| fact.log_created_ms > 0 && fact.sequence > 0)
    );
    request.observations = true;
    let with = facts(&answers, request.clone()).await;
    assert_eq!(with.len(), 64, "its service was observed sixty times meanwhile");
    request.rollout = "nobody".to_owned();
    let fault = answers.facts(Request::new(request)).await.err().unwrap();
    assert_eq!(fault.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_and_what_decided() {
    let folder = tempfile::tempdir().unwrap();
    let (_test, answers) = told(folder.path()).await;
    let ask = async |request: AuditRequest| {
        answers
            .audit(Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .entries
    };
    let all = ask(AuditRequest::default()).await;
    let said: Vec<(&str, &str, &str)> = all
        .iter()
        .map(|e| (e.rollout.as_str(), e.actor.as_str(), e.what.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("shop-1", "auspex", "advance"),
            ("shop-1", "alice", "promote"),
            ("shop-2", "bob", "promote"),
            ("shop-1", "auspex", "advance"),
        ]
    );
    let (decided, asked) = (&all[0], &all[1]);
    assert!(decided.decided && decided.acts && !asked.decided);
    assert_eq!(
        (decided.model.as_str(), decided.weight, decided.p_failure),
        ("change-risk@1", 20, 0.25)
    );
    assert_eq!(
        (decided.reason.as_str(), asked.note.as_str()),
        ("budget_admits", "looks good")
    );
    let by_bob = AuditRequest {
        actor: "bob".to_owned(),
        ..AuditRequest::default()
    };
    assert_eq!(ask(by_bob).await.len(), 1);
    let newest = AuditRequest {
        rollout: "shop-1".to_owned(),
        limit: 2,
        ..AuditRequest::default()
    };
    let newest = ask(newest).await;
    assert_eq!(
        newest.iter().map(|e| e.what.as_str()).collect::<Vec<_>>(),
        ["promote", "advance"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_the_state_of_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (_test, answers) = told(folder.path()).await;
    let request = RangeRequest {
        metric: "requests".to_owned(),
        service: "shop".to_owned(),
        track: Track::Candidate.into(),
        from_ms: 1,
        to_ms: 60_000,
        step_ms: 30_000,
        ..RangeRequest::default()
    };
    let found = answers
        .range(Request::new(request.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((found.series.len(), found.step_ms), (1, 30_000));
    let windows = &found.series[0].windows;
    assert_eq!(windows.len(), 2);
    assert_eq!(
        (windows[0].bad, windows[0].total, windows[0].value),
        (Some(60), Some(300), Some(0.2))
    );
    let wrong = RangeRequest {
        metric: String::new(),
        ..request
    };
    assert_eq!(
        answers.range(Request::new(wrong)).await.err().unwrap().code(),
        Code::InvalidArgument
    );

    let list = answers
        .list(Request::new(ListSegmentsRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert!(list.segments.len() > 3 && list.waiting == 0, "{list:?}");
    assert_eq!(list.segments.iter().map(|s| s.facts).sum::<u64>(), 186);
    let before = answers
        .verify(Request::new(VerifyRequest { now: false }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(before.checked_ms, 0, "not yet");
    let second = folder.path().join("archive").join(&list.segments[1].name);
    std::fs::remove_file(&second).unwrap();
    let after = answers
        .verify(Request::new(VerifyRequest { now: true }))
        .await
        .unwrap()
        .into_inner();
    assert!(!after.sound && after.checked_ms > 0);
    assert_eq!(
        (after.faults[0].name.as_str(), after.faults[0].fault.as_str()),
        (list.segments[1].name.as_str(), "missing")
    );
    assert_eq!(after.metrics.unwrap().database, "sqlite");
}

async fn export(answers: &Answers, request: ExportRequest) -> SerializedFileReader<bytes::Bytes> {
    let mut stream = answers.export(Request::new(request)).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend(piece.unwrap().bytes);
    }
    SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_and_measurements_leave_as_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let (_test, answers) = told(folder.path()).await;
    let whole = export(&answers, ExportRequest::default()).await;
    assert_eq!(whole.metadata().file_metadata().num_rows(), 186);
    let decisions = ExportRequest {
        facts: vec!["decision".to_owned()],
        project: parts::PROJECT.to_owned(),
        ..ExportRequest::default()
    };
    let decisions = export(&answers, decisions).await;
    let rows: Vec<_> = decisions
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get_string(3).unwrap(), parts::PROJECT);
    assert_eq!(
        (
            rows[0].get_string(4).unwrap().as_str(),
            rows[0].get_string(6).unwrap().as_str()
        ),
        ("decision", "d1")
    );
    let document: serde_json::Value = serde_json::from_str(rows[0].get_string(10).unwrap()).unwrap();
    assert_eq!(document["rollout"], "shop-1");
    let payload = rows[0].get_bytes(11).unwrap().data().to_vec();
    assert!(auspex_proto::Fact::decode(subject::FactKind::Decision, &payload).is_ok());

    let measured = ExportRequest {
        kind: ExportKind::Observations.into(),
        ..ExportRequest::default()
    };
    let measured = export(&answers, measured).await;
    assert_eq!(measured.metadata().file_metadata().num_rows(), 240);
    let cpu = measured
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .find(|row| row.get_string(7).unwrap() == "cpu")
        .unwrap();
    assert!(
        cpu.get_double(12).is_ok() && cpu.get_long(9).is_err(),
        "a value, and no counts"
    );
    let unknown = ExportRequest {
        facts: vec!["gossip".to_owned()],
        ..ExportRequest::default()
    };
    let fault = answers.export(Request::new(unknown)).await.err().unwrap();
    assert_eq!(fault.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_says_so() {
    let test = TestHouse::start().await.unwrap();
    let answers = Answers {
        bus: test.house.bus().clone(),
        shelf: None,
        series: None,
        feed: Arc::default(),
        checked: Arc::default(),
    };
    let fault = answers
        .audit(Request::new(AuditRequest::default()))
        .await
        .err()
        .unwrap();
    assert!(
        fault.code() == Code::FailedPrecondition && fault.message().contains("history.folder"),
        "{fault}"
    );
    let request = RangeRequest {
        metric: "cpu".to_owned(),
        ..RangeRequest::default()
    };
    assert_eq!(
        answers.range(Request::new(request)).await.err().unwrap().code(),
        Code::FailedPrecondition
    );
}
