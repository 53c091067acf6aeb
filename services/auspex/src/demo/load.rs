//! Users: real requests through the proxy at a steady rate, and what came back to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::shop::VERSION_HEADER;

/// How long a user waits before giving up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How users behave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crowd {
    /// Requests per second, all users together.
    pub rate: f64,
    /// Users, each with a connection of its own that is kept.
    pub users: u32,
    /// An answer later than this is as bad as none.
    pub patience: Duration,
}

/// What users got from one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers.
    pub requests: u64,
    /// Answers that were errors or came too late.
    pub bad: u64,
}

/// What users got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the version that answered.
    pub versions: BTreeMap<String, Tally>,
    /// Requests that no version answered.
    pub unanswered: u64,
}

impl Counts {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.versions.values().map(|tally| tally.requests).sum::<u64>() + self.unanswered
    }

    /// What users got from a version.
    #[must_use]
    pub fn of(&self, version: &str) -> Tally {
        self.versions.get(version).copied().unwrap_or_default()
    }
}

/// Users at work; they go with this value.
#[derive(Debug)]
pub struct Load {
    counts: Arc<Mutex<Counts>>,
    _users: JoinSet<()>,
}

impl Load {
    /// Lets the users begin.
    #[must_use]
    pub fn begin(target: SocketAddr, crowd: Crowd) -> Self {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let mut users = JoinSet::new();
        for number in 0..crowd.users {
            users.spawn(user(target, crowd, number, Arc::clone(&counts)));
        }
        Self {
            counts,
            _users: users,
        }
    }

    /// What users got so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn user(target: SocketAddr, crowd: Crowd, number: u32, counts: Arc<Mutex<Counts>>) {
    let pace = Duration::from_secs_f64(f64::from(crowd.users.max(1)) / crowd.rate.max(0.1));
    // Users come one after another, not all at once.
    let first = Instant::now() + pace.mul_f64(f64::from(number) / f64::from(crowd.users.max(1)));
    let mut turns = tokio::time::interval_at(first, pace);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
        turns.tick().await;
        let begun = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, ask(target, &mut connection)).await;
        let late = begun.elapsed() > crowd.patience;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(Some((status, version))) => {
                let tally = counts.versions.entry(version).or_default();
                tally.requests += 1;
                tally.bad += u64::from(late || status.is_server_error());
            }
            Ok(None) | Err(_) => {
                connection = None;
                counts.unanswered += 1;
            }
        }
    }
}

type Connection = SendRequest<Empty<Bytes>>;

/// One request on the kept connection, or on a new one where the old one is closed. `None`: nobody answered.
async fn ask(target: SocketAddr, kept: &mut Option<Connection>) -> Option<(StatusCode, String)> {
    let mut connection = match kept.take() {
        Some(mut connection) => match connection.ready().await {
            Ok(()) => connection,
            Err(_) => connect(target).await?,
        },
        None => connect(target).await?,
    };
    let request = Request::get("/checkout")
        .header("host", target.to_string())
        .body(Empty::new())
        .ok()?;
    let answer = connection.send_request(request).await.ok()?;
    let status = answer.status();
    let version = answer
        .headers()
        .get(VERSION_HEADER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    answer.into_body().collect().await.ok()?;
    *kept = Some(connection);
    // The proxy's own refusals carry no version: no version answered.
    Some((status, version?))
}

async fn connect(target: SocketAddr) -> Option<Connection> {
    let stream = TcpStream::connect(target).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move {
        // How it ends is seen by the request that uses it.
        connection.await.ok();
    });
    Some(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::shop::{Habits, Shop};

    #[tokio::test]
    async fn users_count_what_they_get_and_notice_when_nobody_answers() {
        let habits = Habits {
            errors: 0.5,
            slow_share: 0.0,
            ..Habits::healthy()
        };
        let shop = Shop::open("v1", habits).await.unwrap();
        let target: SocketAddr = shop.url().trim_start_matches("http://").parse().unwrap();
        let crowd = Crowd {
            rate: 200.0,
            users: 4,
            patience: Duration::from_secs(1),
        };
        let load = Load::begin(target, crowd);
        while load.counts().requests() < 60 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tally = load.counts().of("v1");
        assert_eq!(load.counts().unanswered, 0);
        assert!(tally.bad > 10 && tally.bad < tally.requests, "{tally:?}");
        drop(shop);
        while load.counts().unanswered == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
