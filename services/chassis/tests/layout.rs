//! Settings of the log that change while it is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use auspex_chassis::bus::{BusSettings, StreamSettings};
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{House, PublishError};
use auspex_proto::event::{Body, Event};
use auspex_proto::{Fact, FactId, Meta, Project, Timestamp};

async fn publish(house: &House, id: usize) -> Result<(), PublishError> {
    let meta = Meta {
        id: FactId::new(format!("e{id}")).unwrap(),
        project: Project::new("a").unwrap(),
        time: Timestamp(1_700_000_000_000),
        cause: 0,
        source: "test".to_owned(),
    };
    let body = Body::Other {
        kind: "large".to_owned(),
        json: "7".repeat(200_000),
    };
    house
        .bus()
        .publish(&Fact::Event(Event { meta, body }))
        .await
        .map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_is_given_room_and_never_less_than_it_holds() {
    let of = |max_bytes| StreamSettings {
        max_bytes,
        lease_seconds: if max_bytes == 2 << 20 { 10 } else { 60 },
        ..StreamSettings::default()
    };
    let test = TestHouse::start_with(of(2 << 20)).await.unwrap();
    let mut count = 0;
    let full = loop {
        count += 1;
        if let Err(fault) = publish(&test.house, count).await {
            break fault;
        }
        assert!(count < 100, "it is never full");
    };
    assert!(matches!(full, PublishError::Full(_)), "{full}");
    let other = |max_bytes| BusSettings {
        streams: of(max_bytes),
        ..test.settings.clone()
    };
    let (house, _shutdown) = TestHouse::another(&other(64 << 20)).await.unwrap();
    for id in 100..120 {
        publish(&house, id).await.unwrap();
    }
    // Facts would go if the stream shrank: it does not.
    let (house, _shutdown) = TestHouse::another(&other(1 << 20)).await.unwrap();
    publish(&house, 200).await.unwrap();
}
