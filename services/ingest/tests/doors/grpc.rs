//! Facts over gRPC, one by one and as a stream.

use std::collections::BTreeMap;

use auspex_proto::door;
use auspex_proto::wire::event_service_client::EventServiceClient;
use auspex_proto::wire::publish_request::Fact as Sent;
use auspex_proto::wire::{self, PublishRequest, PublishResponse};
use bytes::Bytes;
use prost::Message as _;
use tonic::Code;
use tonic::client::Grpc;
use tonic::transport::Channel;

use super::Doors;

fn meta(number: u64) -> wire::Meta {
    wire::Meta {
        id: format!("fact-{number}"),
        project: format!("acme/shop-{}", number % 7),
        time_ms: 1_800_000_000_000,
        cause_seq: 0,
        source: "test".to_owned(),
    }
}

fn event(number: u64) -> PublishRequest {
    let other = wire::Other {
        kind: "test".to_owned(),
        json: "{}".to_owned(),
    };
    let event = wire::Event {
        meta: Some(meta(number)),
        body: Some(wire::event::Body::Other(other)),
    };
    PublishRequest {
        number,
        fact: Some(Sent::Event(event)),
    }
}

fn observations(number: u64, length_ms: i64) -> PublishRequest {
    let observation = wire::Observation {
        service: "till".to_owned(),
        metric: "requests".to_owned(),
        instance: "i".to_owned(),
        length_ms,
        value: Some(wire::observation::Value::Counts(wire::Counts {
            bad: 1,
            total: 2,
        })),
        ..wire::Observation::default()
    };
    let batch = wire::ObservationBatch {
        meta: Some(meta(number)),
        observations: vec![observation],
        applied: Vec::new(),
        environment: String::new(),
    };
    PublishRequest {
        number,
        fact: Some(Sent::Observations(batch)),
    }
}

/// Sends everything on one stream, ends it, and answers what came back, by number.
async fn stream(doors: &Doors, requests: Vec<PublishRequest>) -> BTreeMap<u64, PublishResponse> {
    let mut client = EventServiceClient::connect(doors.url("")).await.unwrap();
    let mut answers = client
        .publish_stream(tokio_stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let mut by_number = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(
            by_number.insert(answer.number, answer).is_none(),
            "one answer per request"
        );
    }
    by_number
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_one() {
    let doors = Doors::open(&[]).await;
    let mut client = EventServiceClient::connect(doors.url("")).await.unwrap();
    let first = client.publish(event(1)).await.unwrap().into_inner();
    assert_eq!(
        (first.number, first.sequence, first.id.as_str()),
        (1, 1, "fact-1")
    );
    assert!(!first.duplicate && first.refused.is_empty());
    assert!(client.publish(event(1)).await.unwrap().into_inner().duplicate);
    let batch = client.publish(observations(2, 1_000)).await.unwrap().into_inner();
    assert_eq!((batch.sequence, batch.refused.as_str()), (2, ""));
    let empty = client
        .publish(PublishRequest {
            number: 3,
            fact: None,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(empty.refused, "fact: is missing");
    doors.facts(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_every_number_and_outlives_what_it_refuses() {
    let doors = Doors::open(&["ingest.window=64"]).await;
    let mut requests: Vec<_> = (1..=3_000).map(event).collect();
    let mut wrong = event(3_001);
    if let Some(Sent::Event(event)) = &mut wrong.fact {
        event.body = None;
    }
    let mut large = event(3_002);
    if let Some(Sent::Event(wire::Event {
        body: Some(wire::event::Body::Other(other)),
        ..
    })) = &mut large.fact
    {
        other.json = "x".repeat(2_000_000);
    }
    let mut timeless = event(3_003);
    if let Some(Sent::Event(wire::Event { meta: Some(meta), .. })) = &mut timeless.fact {
        meta.time_ms = 0;
    }
    requests.insert(10, wrong);
    requests.insert(20, large);
    requests.insert(30, timeless);
    requests.insert(40, observations(3_004, 0));
    requests.push(event(1));
    requests.last_mut().unwrap().number = 3_005;
    let answers = stream(&doors, requests).await;
    assert_eq!(answers.len(), 3_005);
    assert!((1..=3_000).all(|n| answers[&n].refused.is_empty() && answers[&n].sequence > 0));
    assert_eq!(answers[&3_001].refused, "event.body: is missing");
    assert!(
        answers[&3_002].refused.contains("the bus takes"),
        "{}",
        answers[&3_002].refused
    );
    assert!(
        answers[&3_003].refused.starts_with("event.meta.time_ms"),
        "{}",
        answers[&3_003].refused
    );
    assert_eq!(
        answers[&3_004].refused,
        "observation.observations[0].length_ms: is not above 0"
    );
    assert!(answers[&3_005].duplicate);
    // In the order in which they were sent.
    let facts = doors.facts(3_000).await;
    let ids = facts.iter().map(|followed| followed.fact.meta().id.to_string());
    assert!(ids.eq((1..=3_000).map(|n| format!("fact-{n}"))));
}

/// Sends these bytes in the place of an event.
async fn publish(doors: &Doors, number: u64, bytes: Vec<u8>) -> PublishResponse {
    let channel = Channel::from_shared(doors.url(""))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let request = door::PublishRequest {
        number,
        fact: Some(door::publish_request::Fact::Event(Bytes::from(bytes))),
    };
    let path = "/auspex.v1.EventService/Publish".parse().unwrap();
    let codec = tonic_prost::ProstCodec::default();
    client
        .unary(tonic::Request::new(request), path, codec)
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_by_number_and_what_a_newer_publisher_says_stays() {
    let doors = Doors::open(&[]).await;
    let answer = publish(&doors, 7, vec![0xff; 3]).await;
    assert_eq!((answer.number, answer.sequence), (7, 0));
    assert!(
        answer.refused.starts_with("event.payload: "),
        "{}",
        answer.refused
    );

    let Some(Sent::Event(known)) = event(8).fact else {
        panic!("an event");
    };
    let mut bytes = known.encode_to_vec();
    // Field 4,000, of which this version has never heard: a string of two.
    prost::encoding::string::encode(4_000, &"hi".to_owned(), &mut bytes);
    let answer = publish(&doors, 8, bytes.clone()).await;
    assert_eq!(
        (answer.id.as_str(), answer.sequence, answer.refused.as_str()),
        ("fact-8", 1, "")
    );
    let entry = doors.mesh.house().bus().log_entry(1).await.unwrap().unwrap();
    assert_eq!(entry.payload, bytes);
    doors.facts(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_as_unavailable_when_the_log_is_away_and_when_the_process_stops() {
    let mut doors = Doors::open(&[]).await;
    let mut client = EventServiceClient::connect(doors.url("")).await.unwrap();
    doors.mesh.broker().unwrap().kill().await.unwrap();
    let (send, requests) = tokio::sync::mpsc::channel(8);
    send.send(event(1)).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.publish_stream(requests).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));

    let doors = Doors::open(&[]).await;
    let mut client = EventServiceClient::connect(doors.url("")).await.unwrap();
    let (send, requests) = tokio::sync::mpsc::channel(8);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.publish_stream(requests).await.unwrap().into_inner();
    send.send(event(1)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().number, 1);
    let stopping = tokio::spawn(doors.mesh.stop());
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    drop((client, answers, send));
    assert_eq!(stopping.await.unwrap(), Vec::<String>::new(), "nobody is late");
}

fn signal(name: &str, process: u32) {
    let status = std::process::Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(status.unwrap().success(), "{name} {process}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_log_is_waited_for_once_and_not_for_every_fact() {
    let mut doors = Doors::open(&[]).await;
    let mut client = EventServiceClient::connect(doors.url("")).await.unwrap();
    let (send, requests) = tokio::sync::mpsc::channel(512);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.publish_stream(requests).await.unwrap().into_inner();
    send.send(event(1)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().number, 1);
    let server = doors.mesh.broker().unwrap().pid().unwrap();
    signal("-STOP", server);
    for number in 2..=300 {
        send.send(event(number)).await.unwrap();
    }
    // One wait of six seconds at the most; one for every fact would be half an hour. The signal may arrive behind the first facts.
    let last = async {
        loop {
            match answers.message().await {
                Ok(Some(answer)) => assert!(answer.number < 300, "the server was stopped"),
                last => return last,
            }
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), last).await;
    signal("-CONT", server);
    let status = ended.expect("the stream ends").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // Under the same ids again: those that the server had got all the same are known to it.
    drop((answers, send));
    let again = stream(&doors, (1..=300).map(event).collect()).await;
    assert!((1..=300).all(|n| again[&n].refused.is_empty() && again[&n].sequence > 0));
    doors.facts(300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_have_more_on_their_way_than_the_bus_carries_do_not_wait_for_each_other() {
    const STREAMS: u64 = 4;
    const EACH: u64 = 6_000;
    // With one partition the bus carries 8,192 at once.
    let mut doors = Doors::open(&["ingest.window=6000", "nats.partitions=1"]).await;
    let server = doors.mesh.broker().unwrap().pid().unwrap();
    // All that the bus carries at once is on its way before the first of it arrives.
    signal("-STOP", server);
    let doors = std::sync::Arc::new(doors);
    let streams: Vec<_> = (0..STREAMS)
        .map(|place| {
            let doors = std::sync::Arc::clone(&doors);
            let requests = (place * EACH + 1..=(place + 1) * EACH).map(event).collect();
            tokio::spawn(async move { stream(&doors, requests).await })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    signal("-CONT", server);
    for answers in streams {
        let answers = tokio::time::timeout(std::time::Duration::from_secs(60), answers).await;
        let answers = answers.expect("nobody waits for himself").unwrap();
        assert_eq!(answers.len() as u64, EACH);
        assert!(answers.values().all(|answer| answer.refused.is_empty()));
    }
}
