//! Reading a stream in order, without acks, through anything: the position is ours, not the server's.
//!
//! Under it is an ephemeral pull consumer in memory (`AckPolicy::None`, one-second heartbeats). After any error it is opened
//! again behind the last message read. An ordered consumer of the client library would do the same, but was silent for 17 s
//! after the server was killed; with heartbeats of our own it is two.
//!
//! Who reads [in beats](super::beats) has no heartbeats, and takes a request that is not answered for an error.
//!
//! It is opened again after every reconnection, too: without acks the server counts as delivered what it wrote to a
//! connection that broke, and the client library would go on behind it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use auspex_proto::Timestamp;
use auspex_proto::subject::ORIGIN_HEADER;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use thiserror::Error;

use super::beats::in_beats;
use super::{Bus, timestamp};

const HEARTBEAT: Duration = Duration::from_secs(1);
pub(super) const EXPIRES: Duration = Duration::from_secs(30);
const INACTIVE: Duration = Duration::from_secs(60);
/// Messages on their way at once, and their bytes: of large ones fewer, so that a backlog does not come into memory at once.
/// A message has at most 1 MB; half as much again may be asked for before the first half is read.
pub(super) const AHEAD: usize = 512;
pub(super) const AHEAD_BYTES: usize = 4 << 20;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the newest message of each subject, then everything new.
    LastPerSubject,
    /// With what comes from now on.
    New,
    /// With this sequence.
    At(u64),
}

/// One message as it lies in the stream.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    pub(crate) subject: String,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: bytes::Bytes,
    /// How many more there are at this moment.
    pub(crate) behind: u64,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .as_ref()
            .and_then(|h| h.get(name))
            .map_or("", |v| v.as_str())
    }
}

/// What no reopening mends.
#[derive(Debug, Error)]
pub(crate) enum ReadFault {
    #[error(
        "stream {stream} was created at {now}, its reader knew one of {before}: it has been replaced; \
         rebuild the state from the archive before going on"
    )]
    Recreated {
        stream: String,
        before: Timestamp,
        now: Timestamp,
    },
}

/// Reads a stream in order.
pub(crate) struct Reader {
    bus: Bus,
    stream: String,
    filters: Vec<String>,
    start: Start,
    created: Option<Timestamp>,
    /// How long it rests whenever it has read all there is; `None`: it does not.
    beat: Option<Duration>,
    open: Option<Incoming>,
    /// Which connection of the client's it was opened on.
    connection: u64,
}

impl Reader {
    pub(crate) fn new(bus: &Bus, stream: &str, filters: Vec<String>, start: Start) -> Self {
        Self {
            bus: bus.clone(),
            stream: stream.to_owned(),
            filters,
            start,
            created: None,
            beat: None,
            open: None,
            connection: 0,
        }
    }

    /// The stream's creation time, which a position belongs to.
    pub(crate) fn knows(mut self, created: Timestamp) -> Self {
        self.created = Some(created);
        self
    }

    /// Reads in beats; see [`in_beats`].
    pub(crate) fn in_beats(mut self, beat: Duration) -> Self {
        self.beat = Some(beat);
        // What it had asked for in the other way is asked for again.
        self.open = None;
        self
    }

    /// The next message; waits through absences of the server.
    pub(crate) async fn next(&mut self) -> Result<Raw, ReadFault> {
        let mut pause = Duration::from_millis(20);
        loop {
            let fault = match self.opened().await {
                Ok(open) => match tokio::time::timeout(HEARTBEAT, open.next()).await {
                    // Silence: time to see whether the connection is still the same.
                    Err(_) => continue,
                    // Whatever was under way on the connection before is lost: read again from there.
                    Ok(Some(Ok(_))) if self.is_cut_off() => continue,
                    Ok(Some(Ok(message))) => match raw(message) {
                        Some(raw) => {
                            self.start = Start::At(raw.seq + 1);
                            return Ok(raw);
                        }
                        None => "a message without its place in the stream".to_owned(),
                    },
                    Ok(Some(Err(fault))) => fault,
                    Ok(None) => "the consumer ended".to_owned(),
                },
                Err(OpenFault::Fatal(fault)) => return Err(fault),
                Err(OpenFault::Transient(fault)) => fault,
            };
            tracing::debug!(stream = %self.stream, %fault, "reading again");
            self.open = None;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// The next message if it has already arrived.
    pub(crate) fn arrived(&mut self) -> Option<Raw> {
        use futures::FutureExt;
        let message = self.open.as_mut()?.next().now_or_never()?;
        if self.is_cut_off() {
            return None;
        }
        match message.and_then(Result::ok).and_then(raw) {
            Some(raw) => {
                self.start = Start::At(raw.seq + 1);
                Some(raw)
            }
            None => {
                self.open = None;
                None
            }
        }
    }

    async fn opened(&mut self) -> Result<&mut Incoming, OpenFault> {
        if self.open.is_none() || self.is_cut_off() {
            // A consumer on a connection that is no more is not kept while the next one is asked for.
            self.open = None;
            self.connection = self.bus.connection();
            self.open = Some(self.reopen().await?);
        }
        self.open
            .as_mut()
            .ok_or_else(|| OpenFault::Transient("not open".to_owned()))
    }

    /// Whether the connection is another than the one it was opened on.
    fn is_cut_off(&self) -> bool {
        self.connection != self.bus.connection()
    }

    async fn reopen(&mut self) -> Result<Incoming, OpenFault> {
        let transient = |fault: &dyn std::fmt::Display| OpenFault::Transient(fault.to_string());
        let stream = self
            .bus
            .js()
            .get_stream(&self.stream)
            .await
            .map_err(|f| transient(&f))?;
        let now = timestamp(stream.cached_info().created.unix_timestamp_nanos());
        match self.created {
            Some(before) if before != now => {
                let stream = self.stream.clone();
                return Err(OpenFault::Fatal(ReadFault::Recreated { stream, before, now }));
            }
            _ => self.created = Some(now),
        }
        let config = pull::Config {
            deliver_policy: match self.start {
                Start::LastPerSubject => DeliverPolicy::LastPerSubject,
                Start::New => DeliverPolicy::New,
                Start::At(seq) => DeliverPolicy::ByStartSequence {
                    start_sequence: seq.max(1),
                },
            },
            ack_policy: AckPolicy::None,
            filter_subjects: self.filters.clone(),
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        // What is new is counted from the first opening: a reopening must not skip what came between.
        if self.start == Start::New {
            self.start = Start::At(stream.cached_info().state.last_sequence + 1);
        }
        let consumer = stream.create_consumer(config).await.map_err(|f| transient(&f))?;
        if let Some(beat) = self.beat {
            return Ok(in_beats(consumer, beat).boxed());
        }
        let messages = consumer
            .stream()
            .max_messages_per_batch(AHEAD)
            .max_bytes_per_batch(AHEAD_BYTES)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES)
            .messages()
            .await
            .map_err(|f| transient(&f))?;
        Ok(messages.map_err(|fault| fault.to_string()).boxed())
    }
}

/// What a consumer delivers, or why it does not.
type Incoming = BoxStream<'static, Result<jetstream::Message, String>>;

enum OpenFault {
    Transient(String),
    Fatal(ReadFault),
}

fn raw(message: async_nats::jetstream::Message) -> Option<Raw> {
    let (seq, time, behind) = {
        let place = message.info().ok()?;
        (
            place.stream_sequence,
            timestamp(place.published.unix_timestamp_nanos()),
            place.pending,
        )
    };
    let (message, _acker) = message.split();
    Some(Raw {
        seq,
        time: stream_time(time, message.headers.as_ref()),
        behind,
        subject: message.subject.to_string(),
        headers: message.headers,
        payload: message.payload,
    })
}

/// When a message passed that has been stored at this time: a fact that was put back passed when it passed, not when it was put back.
pub(crate) fn stream_time(stored: Timestamp, headers: Option<&HeaderMap>) -> Timestamp {
    let origin = headers.and_then(|headers| headers.get(ORIGIN_HEADER));
    let origin = origin.and_then(|origin| crate::logbook::Origin::parse(origin.as_str()));
    origin.map_or(stored, |origin| origin.time)
}
