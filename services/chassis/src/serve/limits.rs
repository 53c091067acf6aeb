//! Deadlines and load shedding: overload answers quickly instead of growing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::Buses;
use super::settings::ServerSettings;
use crate::metrics::{Counter, Metrics};

/// While the bus is away, longer than most reconnections take; and nobody waits half a minute to hear of it.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(super) struct Limits {
    buses: Buses,
    room: Arc<Semaphore>,
    deadline: Duration,
    shed: Counter,
    late: Counter,
}

impl Limits {
    pub(super) fn new(settings: &ServerSettings, buses: Buses, metrics: &Metrics) -> Self {
        Self {
            buses,
            room: Arc::new(Semaphore::new(settings.max_in_flight)),
            deadline: Duration::from_millis(settings.deadline_ms),
            shed: metrics.counter(
                "auspex_requests_shed_total",
                "Requests refused because too many were under way.",
            ),
            late: metrics.counter(
                "auspex_requests_late_total",
                "Requests given up at their deadline.",
            ),
        }
    }
}

pub(super) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    // The operating doors must answer when everything else is full.
    if matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics") {
        return next.run(request).await;
    }
    let Ok(_room) = Arc::clone(&limits.room).try_acquire_owned() else {
        limits.shed.inc();
        return refuse(
            &request,
            tonic::Code::Unavailable,
            "too many requests are under way; try again in a second",
        );
    };
    let asked = request
        .headers()
        .get("grpc-timeout")
        .and_then(|v| v.to_str().ok())
        .and_then(grpc_timeout);
    let mut deadline = asked.map_or(limits.deadline, |asked| asked.min(limits.deadline));
    if !limits.buses.are_connected() {
        deadline = deadline.min(PATIENCE);
    }
    let head = head_of(&request);
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            limits.late.inc();
            let (code, why) = match limits.buses.are_connected() {
                true => (tonic::Code::DeadlineExceeded, ""),
                false => (tonic::Code::Unavailable, ": the bus is away"),
            };
            answer(
                head,
                code,
                &format!("no answer within {} ms{why}", deadline.as_millis()),
            )
        }
    }
}

/// `10S`, `250m`, `1M` and so on, as gRPC writes them.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value.checked_mul(3_600)?),
        "M" => Duration::from_secs(value.checked_mul(60)?),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[derive(Clone, Copy)]
struct Head {
    grpc: bool,
}

fn head_of(request: &Request) -> Head {
    Head {
        grpc: is_grpc(request.headers()),
    }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"))
}

/// A refusal in the caller's own language: a gRPC status, or an HTTP status with a line of text.
pub(super) fn refuse(request: &Request, code: tonic::Code, text: &str) -> Response {
    answer(head_of(request), code, text)
}

fn answer(head: Head, code: tonic::Code, text: &str) -> Response {
    if head.grpc {
        return tonic::Status::new(code, text).into_http::<Body>();
    }
    let status = match code {
        tonic::Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        tonic::Code::PermissionDenied => StatusCode::FORBIDDEN,
        tonic::Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(grpc_timeout(""), None);
        assert_eq!(grpc_timeout("9é"), None);
    }
}
