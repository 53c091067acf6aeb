//! Events a second through the gRPC stream, one event a fact, against publishing the same bytes to the log without us.

use std::time::{Duration, Instant};

use anyhow::Context;
use auspex_chassis::broker::Sync;
use auspex_chassis::testing::bare::Bare;
use auspex_proto::event::{Body, Outcome, Run, RunPhase};
use auspex_proto::wire::event_service_client::EventServiceClient;
use auspex_proto::wire::{PublishRequest, publish_request};
use auspex_proto::{Event, Fact, FactId, Meta, Project, Revision, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::path::start;
use super::row::{Better, Row, median_round};

/// Share of the bare rate that must be reached.
const FLOOR: f64 = 0.5;
/// Facts on their way at once, of both.
const WINDOW: usize = 512;
/// Bytes of an event.
const SIZE: usize = 256;
/// About how long a round of the bare server takes.
const ROUND: Duration = Duration::from_millis(1_500);

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    let rounds = if quick { 1 } else { 7 };
    let mut rows = Vec::new();
    for sync in [Sync::EverySecond, Sync::Always] {
        rows.push(compare(sync, rounds).await?);
    }
    Ok(rows)
}

async fn compare(sync: Sync, rounds: usize) -> anyhow::Result<Row> {
    let folder = super::scratch()?;
    let mut mesh = start(folder.path(), sync, &["ingest"]).await?;
    let url = mesh.broker().context("the mesh has a server of its own")?.url();
    let bare = Bare::connect(&url).await?;
    let mut client = EventServiceClient::connect(format!("http://{}", mesh.address())).await?;
    let payload = bytes::Bytes::from(Fact::Event(event(0)?).encode());
    anyhow::ensure!(payload.len() == SIZE, "an event has {} bytes", payload.len());
    let trial = 4 * WINDOW;
    let took = bare.publish(&payload, trial, WINDOW).await?;
    let count = whole(rate(trial, took) * ROUND.as_secs_f64()).max(2 * WINDOW);
    let mut found = Vec::new();
    let mut next = 0;
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        let limit = rate(count, bare.publish(&payload, count, WINDOW).await?);
        let requests = (next..next + count)
            .map(request)
            .collect::<anyhow::Result<Vec<_>>>()?;
        next += count;
        let value = rate(count, publish(&mut client, requests).await?);
        if round > 0 {
            found.push((value, limit));
        }
    }
    drop(client);
    mesh.stop().await;
    let (value, limit) = median_round(&found);
    let name = format!(
        "gRPC stream, {SIZE} B, window {WINDOW}, sync {}",
        sync.setting().replace('"', "")
    );
    Ok(Row::told(name, value, "events/s")
        .beside(limit, "raw JetStream publish")
        .floor(FLOOR, Better::More))
}

/// How long it takes until all of these are answered as being on the log.
async fn publish(
    client: &mut EventServiceClient<Channel>,
    requests: Vec<PublishRequest>,
) -> anyhow::Result<Duration> {
    let count = requests.len();
    let (sender, receiver) = mpsc::channel(WINDOW);
    let mut requests = requests.into_iter();
    let began = Instant::now();
    for request in requests.by_ref().take(WINDOW) {
        sender.send(request).await?;
    }
    let mut sender = Some(sender);
    let mut answers = client
        .publish_stream(ReceiverStream::new(receiver))
        .await?
        .into_inner();
    let mut answered = 0;
    while let Some(answer) = answers.message().await? {
        anyhow::ensure!(
            answer.refused.is_empty(),
            "an event was refused: {}",
            answer.refused
        );
        anyhow::ensure!(!answer.duplicate, "an event was taken for a repeat");
        answered += 1;
        match requests.next() {
            Some(request) => {
                if let Some(sender) = &sender {
                    sender.send(request).await?;
                }
            }
            None => sender = None,
        }
    }
    anyhow::ensure!(answered == count, "{answered} of {count} events were answered");
    Ok(began.elapsed())
}

fn request(number: usize) -> anyhow::Result<PublishRequest> {
    Ok(PublishRequest {
        number: u64::try_from(number)?,
        fact: Some(publish_request::Fact::Event(event(number)?.to_wire())),
    })
}

/// A finished build, as large as every other one.
fn event(number: usize) -> anyhow::Result<Event> {
    Ok(Event {
        meta: Meta {
            id: FactId::new(format!("bench-{number:012}"))?,
            project: Project::new(format!("bench/{:03}", number % 64))?,
            time: Timestamp(1_700_000_000_000),
            cause: 0,
            source: "bench".to_owned(),
        },
        body: Body::Run(Run {
            run_id: format!("{number:012}"),
            name: "build and test".to_owned(),
            revision: Some(Revision::new(format!("{number:040x}"))?),
            branch: "b".repeat(109),
            attempt: 1,
            phase: RunPhase::Finished(Outcome::Success),
            queued: Some(Duration::from_secs(3)),
            duration: Some(Duration::from_secs(240)),
            runner: "runner-1".to_owned(),
        }),
    })
}

#[allow(clippy::cast_precision_loss, reason = "counts of messages")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_mesh_that_is_measured_starts() {
        let folder = crate::bench::scratch().unwrap();
        let mut mesh = start(folder.path(), Sync::EverySecond, &["ingest"])
            .await
            .unwrap();
        assert!(mesh.broker().is_some(), "it has a server of its own");
        mesh.stop().await;
    }

    #[test]
    fn every_event_has_the_size_that_the_row_names() {
        for number in [0, 7, 1_000_000] {
            assert_eq!(Fact::Event(event(number).unwrap()).encode().len(), SIZE);
        }
    }
}
