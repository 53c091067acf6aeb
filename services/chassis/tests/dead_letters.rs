//! What cannot be absorbed becomes a dead letter with its reason, and what follows it is absorbed all the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Reject, Transform};
use auspex_proto::event::Body;
use auspex_proto::stage::{Keeps, Stage};
use auspex_proto::subject::{self, FactKind};
use auspex_proto::wire::DeadLetter;
use auspex_proto::{Event, Fact};
use futures::future::BoxFuture;
use parts::{COUNTER, Counter, assert_each_once, event, insist, log_with_alerts};
use prost::Message;

async fn letters(url: &str, wanted: u64) -> Vec<DeadLetter> {
    let client = async_nats::connect(url).await.unwrap();
    let js = async_nats::jetstream::new(client);
    for _ in 0..100 {
        let stream = js.get_stream(subject::DEAD).await.unwrap();
        let count = stream.cached_info().state.messages;
        if count >= wanted {
            let mut letters = Vec::new();
            for seq in 1..=count {
                let message = stream.get_raw_message(seq).await.unwrap();
                letters.push(DeadLetter::decode(message.payload).unwrap());
            }
            return letters;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no {wanted} dead letters within 10 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_panicking_and_undecodable_messages_are_kept_with_their_reason() {
    let test = TestHouse::start().await.unwrap();
    test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    let bus = test.house.bus();
    insist(bus, &event("a", "one", "x")).await;
    insist(bus, &event("a", "bad", "bad")).await;
    insist(bus, &event("a", "poison", "poison")).await;
    let client = async_nats::connect(&test.settings.url).await.unwrap();
    let js = async_nats::jetstream::new(client);
    let place = event("a", "x", "x").subject(test.house.partitions());
    js.publish(place.clone(), "\u{ff}garbage".into())
        .await
        .unwrap()
        .await
        .unwrap();
    insist(bus, &event("a", "two", "x")).await;
    assert_each_once(&log_with_alerts(bus, 2).await, 2);
    let letters = letters(&test.settings.url, 3).await;
    assert_eq!(letters.len(), 3, "{letters:#?}");
    let reason = |n: usize| letters[n].reason.as_str();
    let mut reasons = [reason(0), reason(1), reason(2)];
    reasons.sort_unstable();
    assert_eq!(reasons[0], "counter panicked on it");
    assert!(reasons[1].starts_with("event.payload: "), "{}", reasons[1]);
    assert_eq!(reasons[2], "it is bad");
    assert!(
        letters
            .iter()
            .all(|l| l.stage == "counter" && l.subject == place && l.sequence > 0)
    );
    assert!(letters.iter().any(|l| l.payload == "\u{ff}garbage".as_bytes()));
}

const SHARED: Stage = Stage {
    name: "shared",
    does: "say each event as an event of another project",
    reads: &[FactKind::Event],
    writes: &[FactKind::Event],
    keeps: Keeps::Nothing,
};

/// Panics on `poison`, refuses `bad`, and says of the others that they came.
struct Shy;

impl Transform for Shy {
    fn apply(&self, batch: Vec<(u64, Fact)>) -> BoxFuture<'_, Vec<Result<Vec<Fact>, Reject>>> {
        Box::pin(async move {
            let one = |(_, fact): &(u64, Fact)| match fact {
                Fact::Event(Event {
                    meta,
                    body: Body::Other { kind, .. },
                }) => match kind.as_str() {
                    "poison" => panic!("poison"),
                    "bad" => Err(Reject("it is bad".to_owned())),
                    "x" => Ok(vec![event("told", &format!("told-{}", meta.id), "told")]),
                    _ => Ok(Vec::new()),
                },
                _ => Ok(Vec::new()),
            };
            batch.iter().map(one).collect()
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_without_memory_that_panics_on_one_fact_goes_on_with_the_others() {
    let test = TestHouse::start().await.unwrap();
    let bus = test.house.bus();
    // All there before it begins, so that they come in one batch.
    for (id, kind) in [("one", "x"), ("bad", "bad"), ("poison", "poison"), ("two", "x")] {
        insist(bus, &event("a", id, kind)).await;
    }
    test.house.run_transform(SHARED, Shy).await.unwrap();
    let letters = letters(&test.settings.url, 2).await;
    let mut reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["it is bad", "shared panicked on it"]);
    let told = |id: &str| event("told", id, "told").message_id();
    for _ in 0..300 {
        let log = auspex_chassis::stage::Logged::read_all(bus).await.unwrap();
        let came = |id: &str| log.iter().any(|logged| logged.message_id == told(id));
        if came("told-one") && came("told-two") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the others were not told of");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_log_is_fatal_and_says_so() {
    let test = TestHouse::start().await.unwrap();
    test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    for n in 0..5 {
        insist(test.house.bus(), &event("a", &format!("e{n}"), "x")).await;
    }
    log_with_alerts(test.house.bus(), 5).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    let client = async_nats::connect(&test.settings.url).await.unwrap();
    let js = async_nats::jetstream::new(client);
    js.delete_stream(subject::FACTS).await.unwrap();
    TestHouse::another(&test.settings).await.unwrap();
    let fault = tokio::time::timeout(Duration::from_secs(20), test.shutdown.failed())
        .await
        .unwrap();
    assert!(fault.contains("replaced"), "{fault}");
}
