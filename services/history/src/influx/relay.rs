//! Between the crate and the server: a door on loopback that hands requests on, and whole answers back.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::InfluxConfig;

const WRITE: &str = "/api/v2/write";
const QUERY: &str = "/api/v2/query";
/// How the text of an answer says what its header said.
const RETRY_AFTER: &str = "retry-after-ms=";
/// The longest fault that is repeated, in bytes.
const LONGEST: usize = 2_000;

/// The open door.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Onward {
    client: reqwest::Client,
    base: String,
    limit: usize,
}

impl Relay {
    /// Opens it on a free port.
    pub(super) async fn open(config: &InfluxConfig) -> anyhow::Result<Self> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("setting up the client for InfluxDB")?;
        let onward = Onward {
            client,
            base: config.url.trim_end_matches('/').to_owned(),
            limit: config.max_answer_bytes,
        };
        let doors = Router::new()
            .route(WRITE, post(write))
            .route(QUERY, post(query))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::new(onward));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("opening the relay to InfluxDB")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // It ends with its owner only.
            axum::serve(listener, doors).await.ok();
        });
        Ok(Self { address, task })
    }

    /// Where the crate finds it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(State(onward): State<Arc<Onward>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let packed = match packed.write_all(&body).and_then(|()| packed.finish()) {
        Ok(packed) => packed,
        Err(fault) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string()),
    };
    let request = onward
        .request(WRITE, &uri, &headers)
        .header(header::CONTENT_ENCODING, "gzip")
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(packed);
    onward.hand_on(request).await
}

async fn query(State(onward): State<Arc<Onward>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = onward
        .request(QUERY, &uri, &headers)
        .header(header::ACCEPT, "application/csv")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body);
    let answer = onward.hand_on(request).await;
    if !answer.status().is_success() {
        return answer;
    }
    let (head, body) = answer.into_parts();
    match axum::body::to_bytes(body, usize::MAX).await {
        // The crate would take many another text for an answer without rows.
        Ok(bytes) if !is_annotated(&bytes) => {
            refuse(StatusCode::BAD_GATEWAY, "its answer is no annotated CSV")
        }
        Ok(bytes) => Response::from_parts(head, Body::from(bytes)),
        Err(fault) => refuse(StatusCode::BAD_GATEWAY, &fault.to_string()),
    }
}

/// Nothing, or tables that begin with what their columns are.
fn is_annotated(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        let text = text.trim_start();
        text.is_empty() || text.starts_with('#')
    })
}

impl Onward {
    fn request(&self, path: &str, uri: &Uri, headers: &HeaderMap) -> reqwest::RequestBuilder {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let request = self.client.post(format!("{}{path}{query}", self.base));
        match headers.get(header::AUTHORIZATION) {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    /// The answer, whole, or a reason why there is none.
    async fn hand_on(&self, request: reqwest::RequestBuilder) -> Response {
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(fault) => return broken(&fault),
        };
        let status = answer.status();
        let seconds = answer.headers().get(header::RETRY_AFTER);
        let seconds: Option<u64> = seconds.and_then(|s| s.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() > self.limit => {
                    let text = format!("the answer is longer than {} bytes", self.limit);
                    return refuse(StatusCode::BAD_GATEWAY, &text);
                }
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(fault) => return broken(&fault),
            }
        }
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            let text: String = text.chars().take(LONGEST).collect();
            let wait = seconds.map(|s| format!("{RETRY_AFTER}{}\n", s.saturating_mul(1_000)));
            return (status, format!("{}{text}", wait.unwrap_or_default())).into_response();
        }
        (status, Body::from(body)).into_response()
    }
}

fn broken(fault: &reqwest::Error) -> Response {
    use std::error::Error as _;
    if fault.is_timeout() {
        return refuse(StatusCode::GATEWAY_TIMEOUT, "it did not answer in time");
    }
    // Without the address: it may be told elsewhere.
    let deepest = std::iter::successors(fault.source(), |fault| (*fault).source()).last();
    let why = deepest.map_or_else(|| "no connection".to_owned(), ToString::to_string);
    let what = if fault.is_connect() {
        "it cannot be reached"
    } else {
        "its answer broke off"
    };
    refuse(StatusCode::BAD_GATEWAY, &format!("{what} ({why})"))
}

fn refuse(status: StatusCode, text: &str) -> Response {
    (status, text.to_owned()).into_response()
}

/// What the server asked for, when the text of its answer says so.
pub(super) fn retry_after(text: &str) -> Option<u64> {
    let rest = text.strip_prefix(RETRY_AFTER)?;
    rest.lines().next()?.parse().ok()
}

/// The text without it.
pub(super) fn text(text: &str) -> &str {
    match text.starts_with(RETRY_AFTER) {
        true => text.split_once('\n').map_or("", |(_, rest)| rest),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_asked_for_is_in_the_text() {
        assert_eq!(retry_after("retry-after-ms=3000\nbusy"), Some(3_000));
        assert_eq!(
            (text("retry-after-ms=3000\nbusy"), text("busy")),
            ("busy", "busy")
        );
        assert_eq!(retry_after("busy"), None);
    }
}
