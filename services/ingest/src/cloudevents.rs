//! The door for CloudEvents, structured and binary. Who may come in is the chassis' affair: a publisher's token.

use auspex_proto::{FactId, Invalid};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::figures::Figures;
use crate::intake::{Answer, Intake, aside};
use crate::normalize::{self, Envelope};
use crate::refusal::Refusal;

const SOURCE: &str = "cloudevents";

/// What the door needs; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    intake: Intake,
    figures: Figures,
    /// Events that a sender may send per minute, as the handshake of the webhook specification says it.
    per_minute: u64,
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Structured,
    Binary,
}

impl Door {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn new(intake: &Intake, config: &Config) -> Self {
        Self {
            figures: Figures::new(intake.house.metrics(), SOURCE),
            intake: intake.clone(),
            per_minute: (config.rate_per_second * 60.0) as u64,
        }
    }

    async fn take(&self, request: Request) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        self.intake.welcome(&parts)?;
        let mode = mode(&parts.headers)?;
        let held = self.intake.read(&parts.headers, body).await?;
        let (projects, received) = (self.intake.projects.clone(), self.intake.house.now());
        let (bytes, headers) = (held.bytes.clone(), parts.headers);
        let normalized = aside(held.bytes.len(), move || {
            let envelope = envelope(mode, &headers, &bytes)?;
            let normalized = normalize::cloudevent(&envelope, &projects, received)?;
            Ok((FactId::outside(&envelope.source, &envelope.id), normalized))
        });
        let answer = match normalized.await? {
            Ok((id, normalized)) => self.intake.admit(&self.figures, &id, normalized).await,
            Err(fault) => Err(Refusal::Invalid(fault)),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(refusal) => {
                // What cannot be read may have no id of its own.
                let id = FactId::outside(SOURCE, &hex::encode(Sha256::digest(&held.bytes)));
                Err(self.intake.bury(SOURCE, &id, &held.bytes, refusal).await)
            }
        }
    }
}

/// `POST /events`
pub(crate) async fn deliver(State(door): State<Door>, request: Request) -> Response {
    match door.take(request).await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => {
            door.figures.other(refusal.outcome());
            refusal.into_response()
        }
    }
}

/// `OPTIONS /events`: a sender asks whether it is welcome before it sends anything, by the webhook specification.
pub(crate) async fn handshake(State(door): State<Door>, headers: HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let answers = response.headers_mut();
    answers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    if let Some(origin) = headers.get("webhook-request-origin") {
        answers.insert(HeaderName::from_static("webhook-allowed-origin"), origin.clone());
        answers.insert(
            HeaderName::from_static("webhook-allowed-rate"),
            HeaderValue::from(door.per_minute),
        );
    }
    response
}

fn mode(headers: &HeaderMap) -> Result<Mode, Refusal> {
    let media = content_type(headers)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media.strip_prefix("application/cloudevents") {
        Some("" | "+json") => Ok(Mode::Structured),
        Some(batch) if batch.starts_with("-batch") => {
            Err(Refusal::Unsupported("batches are not taken: send events one by one, or stream them over gRPC".to_owned()))
        }
        Some(_) => Err(Refusal::Unsupported(format!("{media} is not read: send application/cloudevents+json"))),
        None if headers.contains_key("ce-specversion") => Ok(Mode::Binary),
        None => Err(Refusal::Unsupported(
            "neither content-type application/cloudevents+json nor header ce-specversion: this is no CloudEvent".to_owned(),
        )),
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
}

fn envelope(mode: Mode, headers: &HeaderMap, body: &Bytes) -> Result<Envelope, Invalid> {
    match mode {
        Mode::Structured => normalize::structured(body),
        Mode::Binary => {
            let attributes = headers
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().strip_prefix("ce-")?, value.as_bytes())));
            normalize::binary(attributes, content_type(headers), body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_told_by_the_headers() {
        let of = |name: &'static str, value: &'static str| {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            mode(&headers).ok()
        };
        assert_eq!(
            of("content-type", "application/cloudevents+json; charset=utf-8"),
            Some(Mode::Structured)
        );
        assert_eq!(
            of("content-type", "Application/CloudEvents"),
            Some(Mode::Structured)
        );
        assert_eq!(of("ce-specversion", "1.0"), Some(Mode::Binary));
        for media in [
            "application/cloudevents-batch+json",
            "application/cloudevents+avro",
            "application/json",
            "",
        ] {
            assert_eq!(of("content-type", media), None, "{media}");
        }
    }
}
