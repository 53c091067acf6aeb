//! Publishing: a message goes out under a deduplication key and is there once the server has acknowledged it.

use std::borrow::Cow;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_MESSAGE_ID, NATS_MESSAGE_TTL};
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use auspex_proto::subject::TRACE_HEADER;
use auspex_proto::{Fact, Partition, Partitions, subject, wire};
use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Bus;
use super::refusals::Refusals;
use super::stale::is_stale;
use crate::telemetry::Trace;

/// As much of a payload as a letter keeps that waits in an outbox, in bytes: the outbox is saved with its state, below the
/// server's 1 MB, and the log has the whole of it.
pub(crate) const KEPT: usize = 128 * 1024;

/// Where a published message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence in the log; of the first one when it is a duplicate.
    pub sequence: u64,
    /// It was there already.
    pub duplicate: bool,
}

/// Why a message is not on the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The server is away or slow: try again with the same id.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// The log is full: try again later.
    #[error("the log is full: {0}")]
    Full(String),
    /// Never.
    #[error("the message has {bytes} bytes, the bus takes {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most the server takes.
        limit: usize,
    },
    /// Somebody else wrote first.
    #[error("a newer message is there already")]
    Stale,
}

/// A message on its way, with everything it needs to be sent again: what an outbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    subject: String,
    message_id: String,
    kind: Cow<'static, str>,
    trace: String,
    ttl_seconds: u64,
    payload: Bytes,
}

impl Outgoing {
    /// A fact, on its way to its place in the log. One without a parent begins a trace, which need not be written down:
    /// [`Trace::begin`] finds it again by the fact's id.
    #[must_use]
    pub fn fact(fact: &Fact, partitions: Partitions, parent: Option<&Trace>) -> Self {
        Self::encoded(fact, fact.encode(), partitions, parent)
    }

    /// A fact whose encoding is at hand.
    #[must_use]
    pub fn encoded(
        fact: &Fact,
        payload: impl Into<Bytes>,
        partitions: Partitions,
        parent: Option<&Trace>,
    ) -> Self {
        let message_id = fact.message_id();
        let trace = parent.map(|parent| parent.child(&message_id).as_str().to_owned());
        Self {
            subject: fact.subject(partitions),
            trace: trace.unwrap_or_default(),
            kind: fact.kind().token().into(),
            ttl_seconds: fact.kind().lifetime().as_secs(),
            payload: payload.into(),
            message_id,
        }
    }

    /// A dead letter, on its way to its stream; of a large payload it keeps a part.
    #[must_use]
    pub fn dead_letter(letter: &DeadLetter, partition: Partition) -> Self {
        let (mut letter, bytes) = (letter.clone(), letter.payload.len());
        if bytes > KEPT {
            letter.payload.truncate(KEPT);
            letter.reason = format!(
                "{}; of its {bytes} bytes the first {KEPT} are kept",
                letter.reason
            );
        }
        Self::whole_letter(letter, partition)
    }

    fn whole_letter(letter: DeadLetter, partition: Partition) -> Self {
        let message_id = format!(
            "dead:{}:{}:{}:{}",
            letter.stage, letter.sequence, letter.attempt, letter.message_id
        );
        Self {
            subject: subject::dead_letters(&letter.stage, partition),
            message_id,
            kind: "dead_letter".into(),
            trace: String::new(),
            ttl_seconds: 0,
            payload: wire::DeadLetter {
                stage: letter.stage,
                subject: letter.subject,
                sequence: letter.sequence,
                message_id: letter.message_id,
                reason: letter.reason,
                payload: letter.payload,
                attempt: letter.attempt,
                time_ms: letter.time_ms,
            }
            .encode_to_vec()
            .into(),
        }
    }

    /// Under another deduplication key: a new attempt, not a duplicate.
    #[must_use]
    pub(crate) fn raw(
        subject: String,
        message_id: String,
        kind: &str,
        ttl: Duration,
        payload: Vec<u8>,
    ) -> Self {
        Self {
            subject,
            message_id,
            kind: kind.to_owned().into(),
            trace: String::new(),
            ttl_seconds: ttl.as_secs(),
            payload: payload.into(),
        }
    }

    /// What is left to say of a message that can never be published: its head, without the payload that is the trouble.
    pub(crate) fn obituary(&self, reason: &str) -> DeadLetter {
        DeadLetter {
            stage: "outbox".to_owned(),
            subject: self.subject.clone(),
            message_id: self.message_id.clone(),
            reason: format!("{reason}; the payload is not kept"),
            ..DeadLetter::default()
        }
    }

    /// Whether it is a fact rather than a dead letter.
    pub(crate) fn is_fact(&self) -> bool {
        self.kind != "dead_letter"
    }

    /// Its deduplication key.
    pub(crate) fn message_id(&self) -> &str {
        &self.message_id
    }

    /// Where it goes.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Where it went.
    pub(crate) fn into_subject(self) -> String {
        self.subject
    }

    /// Its bytes.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Its size, for the limit of an outbox.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        self.payload.len() + self.subject.len() + self.message_id.len() + 128
    }

    fn message(&self) -> PublishMessage {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, self.message_id.as_str());
        if !self.trace.is_empty() {
            headers.insert(TRACE_HEADER, self.trace.as_str());
        }
        if self.ttl_seconds > 0 {
            // With its unit: the server reads a number without one only after having made an error of it.
            headers.insert(NATS_MESSAGE_TTL, format!("{}s", self.ttl_seconds));
        }
        PublishMessage::build()
            .payload(self.payload.clone())
            .headers(headers)
    }
}

/// What could not be absorbed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetter {
    /// Who could not.
    pub stage: String,
    /// Where it stands, or would have stood, in the log.
    pub subject: String,
    /// In the log; 0 when it never got there.
    pub sequence: u64,
    /// Its deduplication key.
    pub message_id: String,
    /// Why.
    pub reason: String,
    /// As it came.
    pub payload: Vec<u8>,
    /// Retries so far.
    pub attempt: u32,
    /// When, in unix milliseconds.
    pub time_ms: i64,
}

/// A message that is queued; await it for its receipt. Whoever keeps several may ask the first of them alone: the server acknowledges
/// them in their order.
pub struct Pending {
    ack: <PublishAckFuture as IntoFuture>::IntoFuture,
    bytes: usize,
    /// Whom to tell what became of it.
    refusals: Option<Arc<Refusals>>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("bytes", &self.bytes).finish()
    }
}

impl Pending {
    pub(crate) fn of(ack: PublishAckFuture, bytes: usize) -> Self {
        Self {
            ack: ack.into_future(),
            bytes,
            refusals: None,
        }
    }

    /// Resolves when the server has acknowledged.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn receipt(self) -> Result<Receipt, PublishError> {
        self.await
    }
}

impl Future for Pending {
    type Output = Result<Receipt, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let published = match ready!(self.ack.as_mut().poll(context)) {
            Ok(ack) => Ok(Receipt {
                sequence: ack.sequence,
                duplicate: ack.duplicate,
            }),
            Err(fault) => Err(explain(&fault, self.bytes)),
        };
        if let Some(refusals) = &self.refusals {
            refusals.note(&published);
        }
        Poll::Ready(published)
    }
}

impl Bus {
    /// Publishes a fact and waits for the server's word.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, fact: &Fact) -> Result<Receipt, PublishError> {
        self.publish_later(fact).await?.receipt().await
    }

    /// Queues a fact; keep a window of the answers.
    ///
    /// # Errors
    /// [`PublishError`] when it cannot even be queued.
    pub async fn publish_later(&self, fact: &Fact) -> Result<Pending, PublishError> {
        self.send(&Outgoing::fact(fact, self.partitions(), None)).await
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`PublishError`] when it cannot even be queued.
    pub async fn send(&self, outgoing: &Outgoing) -> Result<Pending, PublishError> {
        self.queue(outgoing, outgoing.message()).await
    }

    /// Queues a message that must follow this sequence on its subject.
    pub(crate) async fn send_after(&self, outgoing: &Outgoing, last: u64) -> Result<Pending, PublishError> {
        let message = outgoing.message().expected_last_subject_sequence(last);
        self.queue(outgoing, message).await
    }

    async fn queue(&self, outgoing: &Outgoing, message: PublishMessage) -> Result<Pending, PublishError> {
        if !self.is_connected() {
            return Err(PublishError::Unavailable("not connected".to_owned()));
        }
        match self.js().send_publish(outgoing.subject.clone(), message).await {
            Ok(ack) => Ok(self.pending(ack, outgoing)),
            Err(fault) => Err(explain(&fault, outgoing.payload.len())),
        }
    }

    /// Dead letters have a stream of their own, which says nothing of the log.
    fn pending(&self, ack: PublishAckFuture, outgoing: &Outgoing) -> Pending {
        Pending {
            ack: ack.into_future(),
            bytes: outgoing.payload.len(),
            refusals: outgoing.is_fact().then(|| Arc::clone(&self.refusals)),
        }
    }

    /// Keeps what could not be absorbed, with its reason.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn dead_letter(&self, letter: &DeadLetter) -> Result<Receipt, PublishError> {
        let partition = subject::parse(&letter.subject).map_or(Partition::All, |address| address.partition);
        self.send(&Outgoing::whole_letter(letter.clone(), partition))
            .await?
            .receipt()
            .await
    }
}

fn explain(fault: &async_nats::jetstream::context::PublishError, bytes: usize) -> PublishError {
    let text = fault.to_string();
    match fault.kind() {
        _ if is_stale(fault) => PublishError::Stale,
        PublishErrorKind::WrongLastMessageId => PublishError::Stale,
        PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge {
            bytes,
            limit: 1 << 20,
        },
        _ if text.contains("maximum") || text.contains("insufficient") => PublishError::Full(text),
        _ => PublishError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an outbox holds was saved by whichever version ran before.
    #[test]
    fn a_message_is_saved_as_it_always_was() {
        let message = Outgoing::raw(
            "s".to_owned(),
            "m".to_owned(),
            "k",
            Duration::ZERO,
            vec![1, 2, 255],
        );
        let saved = b"\x86\xa7subject\xa1s\xaamessage_id\xa1m\xa4kind\xa1k\xa5trace\xa0\xabttl_seconds\x00\xa7payload\xc4\x03\x01\x02\xff";
        assert_eq!(rmp_serde::to_vec_named(&message).unwrap(), saved);
        assert_eq!(rmp_serde::from_slice::<Outgoing>(saved).unwrap(), message);
    }

    #[test]
    fn a_lifetime_is_said_with_its_unit() {
        let days = Duration::from_secs(7 * 86_400);
        let message = Outgoing::raw("s".to_owned(), "m".to_owned(), "k", days, Vec::new()).message();
        let headers = format!("{message:?}");
        assert!(headers.contains("604800s"), "{headers}");
    }
}
