//! What the HTTP doors have in common: whether facts may come in, reading a body within bounds, putting events on the log,
//! burying what cannot be read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auspex_chassis::{DeadLetter, House, Intake as Gate};
use auspex_proto::{Event, Fact, FactId, Invalid, stage};
use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::StreamExt as _;

use crate::config::Config;
use crate::figures::Figures;
use crate::http::address;
use crate::limit::Limiter;
use crate::normalize::{Normalized, Projects};
use crate::refusal::Refusal;

/// As much of a body as a dead letter keeps, in bytes: with its head it must fit the bus.
const MAX_BURIED: usize = 512 * 1024;
/// Bodies are accounted for in pieces of so many bytes.
const PIECE: usize = 1_024;
/// A body longer than this, in bytes, is verified and read beside the threads that answer everybody else.
const LONG: usize = 128 * 1024;

/// The common ground of the doors; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pub(crate) house: House,
    pub(crate) projects: Arc<Projects>,
    limiter: Arc<Limiter>,
    max_body: usize,
    room: Arc<Semaphore>,
}

/// A body and the room it takes until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// What an accepted request is answered. Of a payload that became several events: the first one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    id: String,
    /// In the log; 0 when it was ignored.
    sequence: u64,
    duplicate: bool,
    ignored: bool,
    /// What it is: a kind of event, or what was ignored.
    kind: String,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

impl Intake {
    pub(crate) fn new(house: &House, config: &Config, projects: Projects) -> Self {
        Self {
            house: house.clone(),
            projects: Arc::new(projects),
            limiter: Arc::new(Limiter::new(config.rate_per_second, config.rate_burst)),
            max_body: config.max_body_bytes,
            room: Arc::new(Semaphore::new(config.max_bodies_bytes / PIECE)),
        }
    }

    /// Whether a request may come in now: its sender does not come too often, and facts are taken.
    pub(crate) fn welcome(&self, request: &Parts) -> Result<(), Refusal> {
        self.limiter
            .admit(address(request), Instant::now())
            .map_err(Refusal::TooMany)?;
        match self.house.bus().intake() {
            Gate::Open => Ok(()),
            Gate::Closed { reason, retry_after } => Err(Refusal::Unavailable(reason, retry_after)),
        }
    }

    /// Reads a body, within the bounds of one and of all.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Held, Refusal> {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|v| *v != "identity") {
            let encoding = String::from_utf8_lossy(encoding.as_bytes());
            return Err(Refusal::Unsupported(format!(
                "content-encoding {encoding} is not read; send the body as it is"
            )));
        }
        let too_large = || Refusal::TooLarge(format!("the body is larger than {} bytes", self.max_body));
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > self.max_body) {
            return Err(too_large());
        }
        let mut room = self.take_room(1)?;
        let mut bytes = BytesMut::new();
        let mut stream = body.into_data_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|fault| Refusal::Invalid(Invalid::new("body", fault.to_string())))?;
            let length = bytes.len() + chunk.len();
            if length > self.max_body {
                return Err(too_large());
            }
            // Room is taken as bytes come, not as they are announced: who sends nothing holds up nobody.
            let more = length.div_ceil(PIECE).saturating_sub(room.num_permits());
            room.merge(self.take_room(more)?);
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _room: room,
        })
    }

    fn take_room(&self, pieces: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        Arc::clone(&self.room)
            .try_acquire_many_owned(pieces)
            .map_err(|_| {
                let text = "too many bytes of requests are held already".to_owned();
                Refusal::Unavailable(text, Duration::from_secs(1))
            })
    }

    /// Puts on the log what a payload means, and answers when it is there.
    pub(crate) async fn admit(
        &self,
        figures: &Figures,
        id: &FactId,
        normalized: Normalized,
    ) -> Result<Answer, Refusal> {
        let events = match normalized {
            Normalized::Event(events) => events,
            Normalized::Ignored { kind } => {
                figures.ignored(&kind, self.house.now());
                return Ok(Answer {
                    id: id.to_string(),
                    sequence: 0,
                    duplicate: false,
                    ignored: true,
                    kind,
                });
            }
        };
        let mut first = None;
        for event in events {
            let answer = self.publish(figures, event).await?;
            first.get_or_insert(answer);
        }
        // Never empty, by the word of `normalize`; if it were, nothing was lost.
        first.ok_or_else(|| Refusal::Invalid(Invalid::new("body", "means nothing")))
    }

    async fn publish(&self, figures: &Figures, event: Event) -> Result<Answer, Refusal> {
        let (id, kind) = (event.meta.id.to_string(), event.body.kind().to_owned());
        let receipt = self.house.bus().publish(&Fact::Event(event)).await?;
        figures.acknowledged(receipt.duplicate, self.house.now());
        let (sequence, duplicate) = (receipt.sequence, receipt.duplicate);
        Ok(Answer {
            id,
            sequence,
            duplicate,
            ignored: false,
            kind,
        })
    }

    /// Keeps what cannot be read, with the reason, and answers the refusal: what is not kept is to be sent again.
    pub(crate) async fn bury(&self, from: &str, id: &FactId, body: &Bytes, refusal: Refusal) -> Refusal {
        let mut reason = match &refusal {
            Refusal::Invalid(fault) => fault.to_string(),
            Refusal::TooLarge(text) => text.clone(),
            _ => return refusal,
        };
        let kept = body.get(..MAX_BURIED).unwrap_or(body);
        if kept.len() < body.len() {
            reason.push_str(&format!(
                "; of its {} bytes the first {MAX_BURIED} are kept",
                body.len()
            ));
        }
        tracing::warn!(from, %id, %reason, "refused, and kept as a dead letter");
        let letter = DeadLetter {
            stage: stage::INGEST.name.to_owned(),
            // It has no place in the log: it never became a fact.
            subject: from.trim_end().to_owned(),
            message_id: id.to_string(),
            reason,
            payload: kept.to_vec(),
            time_ms: self.house.now().0,
            ..DeadLetter::default()
        };
        match self.house.bus().dead_letter(&letter).await {
            Ok(_) => refusal,
            Err(fault) => fault.into(),
        }
    }
}

/// Does work that takes long for a long body beside the threads that answer everybody else.
pub(crate) async fn aside<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    if length <= LONG {
        return Ok(work());
    }
    let ended = |_| Refusal::Unavailable("reading was cut off".to_owned(), Duration::from_secs(1));
    tokio::task::spawn_blocking(work).await.map_err(ended)
}
