//! A backlog of large messages is read in order and to its end, and not all of it lies in memory at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use auspex_chassis::From;
use auspex_chassis::testing::TestHouse;
use auspex_proto::event::Body;
use auspex_proto::subject::{self, FactKind};
use auspex_proto::{Event, Fact, FactId, Meta, Project, Timestamp};
use futures::TryStreamExt as _;

const COUNT: usize = 90;

/// Of 400 kB, or of a few bytes.
fn event(n: usize) -> Fact {
    let size = if n % 3 == 2 { 10 } else { 400_000 };
    Fact::Event(Event {
        meta: Meta {
            id: FactId::new(format!("e{n}")).unwrap(),
            project: Project::new("acme/shop").unwrap(),
            time: Timestamp(1),
            cause: 0,
            source: "test".to_owned(),
        },
        body: Body::Other {
            kind: "x".to_owned(),
            json: format!("\"{}\"", "p".repeat(size)),
        },
    })
}

/// How far the server has told the one reader of the log.
async fn told(url: &str) -> u64 {
    let client = async_nats::connect(url).await.unwrap();
    let js = async_nats::jetstream::new(client);
    let stream = js.get_stream(subject::FACTS).await.unwrap();
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    consumers
        .iter()
        .map(|consumer| consumer.delivered.stream_sequence)
        .max()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_comes_piece_by_piece() {
    let test = TestHouse::start().await.unwrap();
    for n in 0..COUNT {
        test.house.bus().publish(&event(n)).await.unwrap();
    }
    let mut follow = test.house.follow(&[FactKind::Event], From::All).await.unwrap();
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await;
        next.unwrap().unwrap().fact.meta().id.to_string()
    };
    assert_eq!(next().await, "e0");
    // The server has had time to send whatever was asked for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ahead = told(&test.settings.url).await;
    assert!(
        (1..=30).contains(&ahead),
        "of {COUNT} messages {ahead} are on their way"
    );
    for n in 1..COUNT {
        assert_eq!(next().await, format!("e{n}"));
    }
    test.house.bus().publish(&event(COUNT)).await.unwrap();
    assert_eq!(
        next().await,
        format!("e{COUNT}"),
        "and it goes on with what is new"
    );
}

/// Who rests between looks reads the same, and rests only where there is nothing to read.
#[tokio::test(flavor = "multi_thread")]
async fn in_beats_everything_comes_in_its_order() {
    let test = TestHouse::start().await.unwrap();
    for n in 0..COUNT {
        test.house.bus().publish(&event(n)).await.unwrap();
    }
    let follow = test.house.follow(&[FactKind::Event], From::All).await.unwrap();
    // With a rest after each of them it would take an hour.
    let mut follow = follow.in_beats(Duration::from_secs(3_600) / u32::try_from(COUNT).unwrap());
    for n in 0..COUNT {
        let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await;
        assert_eq!(next.unwrap().unwrap().fact.meta().id.to_string(), format!("e{n}"));
    }
    let beat = Duration::from_millis(50);
    let mut follow = follow.in_beats(beat);
    for n in COUNT..COUNT + 20 {
        test.house.bus().publish(&event(n)).await.unwrap();
        if n % 7 == 0 {
            tokio::time::sleep(beat * 2).await;
        }
    }
    for n in COUNT..COUNT + 20 {
        let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await;
        assert_eq!(next.unwrap().unwrap().fact.meta().id.to_string(), format!("e{n}"));
    }
}

/// Who reads in beats is not woken by each: the server writes what has come at once, and the first after a pause as it comes.
#[tokio::test(flavor = "multi_thread")]
async fn in_beats_the_first_comes_at_once_and_the_rest_together() {
    let test = TestHouse::start().await.unwrap();
    let follow = test.house.follow(&[FactKind::Event], From::New).await.unwrap();
    let beat = Duration::from_secs(3);
    let mut follow = follow.in_beats(beat);
    let bus = test.house.bus().clone();
    let publishing = tokio::spawn(async move {
        // By then the reader waits.
        tokio::time::sleep(Duration::from_millis(500)).await;
        for n in 0..10 {
            bus.publish(&event(n)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut came = Vec::new();
    for n in 0..10 {
        let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await;
        assert_eq!(next.unwrap().unwrap().fact.meta().id.to_string(), format!("e{n}"));
        came.push(std::time::Instant::now());
    }
    publishing.await.unwrap();
    let after = |n: usize| came[n].duration_since(came[0]);
    assert!(
        after(1) >= beat,
        "the second was delivered by itself, {:?} after",
        after(1)
    );
    assert!(after(9) < beat * 2, "the last came a beat of its own later");
}
