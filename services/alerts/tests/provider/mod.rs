//! A provider on loopback that answers as it is told to, and remembers what it heard and when.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code outside of test functions"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// How the provider answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With a status and a text.
    Says(u16, &'static str),
    /// With 429 and so many seconds.
    TooMany(u64),
    /// With a redirect.
    Redirect(String),
    /// Never.
    Hangs,
    /// It begins a body and breaks off.
    BreaksOff,
}

/// What it heard.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: Instant,
    pub path: String,
    pub body: Value,
}

/// The provider.
#[derive(Debug, Clone)]
pub struct Provider {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Provider {
    /// Its address, taken by somebody else.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            heard: Arc::default(),
            script: Arc::default(),
        }
    }

    /// Answers by the script, then always with `ok`.
    pub async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
        };
        let this = provider.clone();
        let router = Router::new().fallback(move |uri: Uri, body: String| {
            let this = this.clone();
            async move { this.answer(uri.path(), &body).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Answers so from now on, before falling back to `ok`.
    pub fn tell(&self, script: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(script);
    }

    /// Waits until it heard so many, or fails.
    pub async fn hears(&self, count: usize) -> Vec<Heard> {
        let end = Instant::now() + Duration::from_secs(30);
        while self.heard().len() < count {
            assert!(Instant::now() < end, "heard {:#?}, wanted {count}", self.heard());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.heard()
    }

    async fn answer(&self, path: &str, body: &str) -> Response {
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        self.heard.lock().unwrap().push(Heard {
            at: Instant::now(),
            path: path.to_owned(),
            body,
        });
        let answer = self
            .script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Answer::Says(200, "ok"));
        let status = |code: u16| axum::http::StatusCode::from_u16(code).unwrap();
        match answer {
            Answer::Says(code, text) => (status(code), text).into_response(),
            Answer::TooMany(seconds) => {
                (status(429), [("retry-after", seconds.to_string())], "slow down").into_response()
            }
            Answer::Redirect(to) => (status(302), [("location", to)], "").into_response(),
            Answer::Hangs => std::future::pending().await,
            Answer::BreaksOff => {
                let pieces = [Ok("o"), Err(std::io::Error::other("reset"))];
                Body::from_stream(futures::stream::iter(pieces)).into_response()
            }
        }
    }
}
