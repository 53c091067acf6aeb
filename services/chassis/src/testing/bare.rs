//! The server without a house on it: what no service can be faster than. For `auspex bench` alone.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use auspex_proto::{Fact, subject};
use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;

/// A connection with nothing of ours on it.
#[derive(Debug, Clone)]
pub struct Bare {
    js: jetstream::Context,
}

impl Bare {
    /// Connects and lays out a stream for the measurements, with the server's defaults.
    ///
    /// # Errors
    /// When the server is out of reach.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = async_nats::connect(url)
            .await
            .with_context(|| format!("connecting to {url}"))?;
        let js = jetstream::ContextBuilder::new()
            .max_ack_inflight(16_384)
            .build(client);
        let config = stream::Config {
            name: subject::BENCH.to_owned(),
            subjects: vec![subject::BENCH_SUBJECTS.to_owned()],
            max_bytes: 1 << 30,
            ..stream::Config::default()
        };
        js.get_or_create_stream(config)
            .await
            .context("laying out the stream of the bench")?;
        Ok(Self { js })
    }

    /// How long it takes until `count` messages are acknowledged, `window` of them under way at once.
    ///
    /// # Errors
    /// When one is not acknowledged.
    pub async fn publish(&self, payload: &Bytes, count: usize, window: usize) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut under_way: VecDeque<PublishAckFuture> = VecDeque::with_capacity(window);
        for _ in 0..count {
            if under_way.len() >= window
                && let Some(oldest) = under_way.pop_front()
            {
                oldest.into_future().await?;
            }
            under_way.push_back(self.send(subject::BENCH_IN, payload.clone()).await?);
        }
        for last in under_way {
            last.into_future().await?;
        }
        Ok(began.elapsed())
    }

    /// Puts one message into the log, without waiting for the server's word.
    ///
    /// # Errors
    /// When it cannot be queued.
    pub async fn put(&self, payload: Bytes) -> anyhow::Result<()> {
        self.send(subject::BENCH_IN, payload).await.map(drop)
    }

    /// Reads what comes in and puts what `answer` makes of it into the log again, until the handle is aborted.
    ///
    /// # Errors
    /// When the consumer cannot be made.
    pub async fn answer(
        &self,
        mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> anyhow::Result<JoinHandle<()>> {
        let mut messages = self.read(subject::BENCH_IN).await?;
        let bare = self.clone();
        Ok(tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                if let Some(reply) = answer(&message.payload)
                    && bare.send(subject::BENCH_OUT, reply.into()).await.is_err()
                {
                    return;
                }
            }
        }))
    }

    /// Everything that comes out from now on, as a reader of the log gets it.
    ///
    /// # Errors
    /// When the consumer cannot be made.
    pub async fn answers(&self) -> anyhow::Result<Answers> {
        Ok(Answers(Box::new(self.read(subject::BENCH_OUT).await?)))
    }

    async fn read(&self, from: &str) -> anyhow::Result<pull::Stream> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::None,
            filter_subject: from.to_owned(),
            memory_storage: true,
            ..pull::Config::default()
        };
        let stream = self.js.get_stream(subject::BENCH).await?;
        Ok(stream
            .create_consumer(config)
            .await?
            .stream()
            .max_messages_per_batch(512)
            .messages()
            .await?)
    }

    /// Every fact there is in the log, in its order.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn log(&self) -> anyhow::Result<Vec<Landed>> {
        let stream = self.js.get_stream(subject::FACTS).await?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..pull::Config::default()
        };
        let mut messages = stream.create_consumer(config).await?.messages().await?;
        let mut log = Vec::new();
        let mut left = stream.cached_info().state.messages;
        while left > 0 {
            let message = messages.next().await.context("the consumer ended")??;
            let place = message.info().map_err(|fault| anyhow::anyhow!("{fault}"))?;
            left = place.pending;
            let address = subject::parse(&message.subject)?;
            log.push(Landed {
                seq: place.stream_sequence,
                nanos: place.published.unix_timestamp_nanos(),
                fact: Fact::decode(address.kind, &message.payload)?,
            });
        }
        Ok(log)
    }

    async fn send(&self, to: &'static str, payload: Bytes) -> anyhow::Result<PublishAckFuture> {
        let message = PublishMessage::build().payload(payload);
        Ok(self.js.send_publish(to, message).await?)
    }
}

/// A fact as the log keeps it.
#[derive(Debug, Clone)]
pub struct Landed {
    /// Its sequence.
    pub seq: u64,
    /// When it was kept, in nanoseconds since 1970 by the server's clock.
    pub nanos: i128,
    /// It.
    pub fact: Fact,
}

/// What came out.
pub struct Answers(Box<pull::Stream>);

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers")
    }
}

impl Answers {
    /// The next one.
    ///
    /// # Errors
    /// When the consumer broke.
    pub async fn next(&mut self) -> anyhow::Result<Bytes> {
        let next = self.0.next().await.context("the consumer ended")?;
        Ok(next?.payload.clone())
    }
}
