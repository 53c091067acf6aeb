//! Running a stateless stage: one shared durable with explicit acks, batching what has arrived. Order does not matter to it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{AckKind, Message};
use auspex_proto::stage::Stage;
use auspex_proto::{Fact, subject};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::bus::{Bus, DeadLetter, Outgoing};
use crate::shutdown::Stop;
use crate::telemetry::Trace;
use crate::verb::Reject;

/// A stage that remembers nothing.
pub trait Transform: Send + Sync + 'static {
    /// What follows from each of these facts: one result per input, in their order.
    fn apply(&self, batch: Vec<(u64, Fact)>) -> BoxFuture<'_, Vec<Result<Vec<Fact>, Reject>>>;
}

/// The most that is taken at once, and its bytes: of large messages fewer.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 4 << 20;
/// Batches under way at once: while one is being published the next is applied.
const TURNS: usize = 4;
/// How long what is published waits to be acknowledged with the next batch: a message of its own for each acknowledgement
/// would wake the server as often again as all the rest. The server gives a message again after 10 s.
const ACK_WITHIN: Duration = Duration::from_millis(50);

pub(crate) async fn run<T: Transform>(
    bus: Bus,
    stage: Stage,
    transform: T,
    stop: Stop,
) -> anyhow::Result<()> {
    while !stop.is_requested() {
        let opened = tokio::select! {
            () = stop.requested() => return Ok(()),
            opened = open(&bus, stage) => opened,
        };
        let ended = match opened {
            Ok(messages) => work(messages, (&bus, stage), &transform, &stop).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = ended {
            tracing::warn!(
                stage = stage.name,
                fault = format!("{fault:#}"),
                "beginning again"
            );
        }
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
    Ok(())
}

async fn open(bus: &Bus, stage: Stage) -> anyhow::Result<pull::Stream> {
    let stream = bus.js().get_stream(subject::FACTS).await?;
    let durable = subject::durable(stage.name);
    let config = pull::Config {
        durable_name: Some(durable.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(10),
        max_ack_pending: 10_000,
        filter_subjects: stage.everywhere(),
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(&durable, config).await?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(BATCH)
        .max_bytes_per_batch(BATCH_BYTES)
        .heartbeat(Duration::from_secs(1))
        .expires(Duration::from_secs(30))
        .messages()
        .await?;
    Ok(messages)
}

/// Until told to stop.
async fn work<T: Transform>(
    mut messages: pull::Stream,
    (bus, stage): (&Bus, Stage),
    transform: &T,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut turns = FuturesUnordered::new();
    // Published, and not acknowledged yet.
    let mut done: Vec<Message> = Vec::new();
    let mut since = Instant::now();
    loop {
        let first = tokio::select! {
            biased;
            () = stop.requested() => return acknowledge(done).await,
            Some(batch) = turns.next(), if !turns.is_empty() => {
                if done.is_empty() {
                    since = Instant::now();
                }
                done.extend(batch?);
                continue;
            }
            () = sleep_until(since + ACK_WITHIN), if !done.is_empty() => {
                acknowledge(std::mem::take(&mut done)).await?;
                continue;
            }
            first = messages.next(), if turns.len() < TURNS => first.context("the consumer ended")?,
        };
        let mut batch = vec![first?];
        while batch.len() < BATCH {
            match messages.next().now_or_never() {
                Some(Some(message)) => batch.push(message?),
                _ => break,
            }
        }
        turns.push(turn(bus, stage, transform, batch, std::mem::take(&mut done)));
    }
}

/// One batch: applied and published. `before` are acknowledged meanwhile; the batch is to be acknowledged after it.
async fn turn<T: Transform>(
    bus: &Bus,
    stage: Stage,
    transform: &T,
    batch: Vec<Message>,
    mut before: Vec<Message>,
) -> anyhow::Result<Vec<Message>> {
    let mut facts = Vec::with_capacity(batch.len());
    let mut outgoing = Vec::new();
    let mut heads = Vec::with_capacity(batch.len());
    for message in &batch {
        let seq = message
            .info()
            .map_err(|f| anyhow::anyhow!("{f}"))?
            .stream_sequence;
        match subject::parse(&message.subject).and_then(|a| Fact::decode(a.kind, &message.payload)) {
            Ok(fact) => {
                heads.push((message, seq));
                facts.push((seq, fact));
            }
            Err(fault) => outgoing.push(letter(stage, message, seq, fault.to_string())),
        }
    }
    // Who takes long over a batch does not keep the one before it waiting: the server would give it again.
    let mut applying = AssertUnwindSafe(transform.apply(facts)).catch_unwind();
    let applied = match timeout(ACK_WITHIN, &mut applying).await {
        Ok(applied) => applied,
        Err(_) => {
            acknowledge(std::mem::take(&mut before)).await?;
            applying.await
        }
    };
    let results = match applied {
        Ok(results) => results,
        Err(_) => one_by_one(stage, transform, &heads).await?,
    };
    for ((message, seq), result) in heads.into_iter().zip(results) {
        match result {
            Ok(facts) => {
                let trace = Trace::of(
                    header(message, subject::TRACE_HEADER),
                    header(message, "Nats-Msg-Id"),
                );
                let out = |fact| Outgoing::fact(fact, bus.partitions(), Some(&trace));
                outgoing.extend(facts.iter().map(out));
            }
            Err(reject) => outgoing.push(letter(stage, message, seq, reject.0)),
        }
    }
    crate::stage::publish_all(bus, outgoing, acknowledge(before)).await?;
    Ok(batch)
}

/// A fact that a stage panics on takes no other with it, nor the process: given again and again it would never come to rest.
async fn one_by_one<T: Transform>(
    stage: Stage,
    transform: &T,
    heads: &[(&Message, u64)],
) -> anyhow::Result<Vec<Result<Vec<Fact>, Reject>>> {
    let mut results = Vec::with_capacity(heads.len());
    for (message, seq) in heads {
        let address = subject::parse(&message.subject)?;
        let alone = vec![(*seq, Fact::decode(address.kind, &message.payload)?)];
        let applied = AssertUnwindSafe(transform.apply(alone)).catch_unwind().await;
        let panicked = || Reject(format!("{} panicked on it", stage.name));
        let result = applied.ok().and_then(|mut results| results.pop());
        results.push(result.unwrap_or_else(|| Err(panicked())));
    }
    Ok(results)
}

async fn acknowledge(messages: Vec<Message>) -> anyhow::Result<()> {
    for message in messages {
        message
            .ack_with(AckKind::Ack)
            .await
            .map_err(|f| anyhow::anyhow!("{f}"))?;
    }
    Ok(())
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    message
        .headers
        .as_ref()
        .and_then(|h| h.get(name))
        .map_or("", |v| v.as_str())
}

fn letter(stage: Stage, message: &Message, seq: u64, reason: String) -> Outgoing {
    let partition = subject::parse(&message.subject).map_or(auspex_proto::Partition::All, |a| a.partition);
    let letter = DeadLetter {
        stage: stage.name.to_owned(),
        subject: message.subject.to_string(),
        sequence: seq,
        message_id: header(message, "Nats-Msg-Id").to_owned(),
        reason,
        payload: message.payload.to_vec(),
        attempt: 0,
        time_ms: crate::clock::now().0,
    };
    Outgoing::dead_letter(&letter, partition)
}
