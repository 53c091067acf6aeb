//! A site with two versions, users who count what they lose, controllers that can be killed.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may; each test uses a part"
)]

pub(crate) mod plane;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auspex_chassis::House;
use auspex_chassis::testing::TestHouse;
use auspex_proto::decision::{Action, Phase};
use auspex_proto::{Decision, Fact, RolloutName, sample, stage};
use auspex_router::record::Record;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

pub(crate) const ROUTE: &str = "shop-edge";
/// Generous: machines that test are slow.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A version that answers with its name.
pub(crate) async fn version(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            let answer = move |_: Request<hyper::body::Incoming>| async move {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(name.as_bytes()))))
            };
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

/// A port that is free at this moment.
pub(crate) fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) async fn connect(address: SocketAddr) -> Option<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    tokio::spawn(connection);
    Some(sender)
}

/// One answer, with headers of one's own; `None`: it is lost.
pub(crate) async fn ask(
    connection: &mut SendRequest<Empty<Bytes>>,
    headers: &[(&'static str, &str)],
) -> Option<String> {
    connection.ready().await.ok()?;
    let mut request = Request::get("/").header("host", "shop.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = connection
        .send_request(request.body(Empty::new()).unwrap())
        .await
        .ok()?;
    let good = response.status() == 200;
    let body = response.into_body().collect().await.ok()?.to_bytes();
    good.then(|| String::from_utf8_lossy(&body).into_owned())
}

/// Users who ask again as soon as they are answered.
pub(crate) struct Users {
    stop: Arc<AtomicBool>,
    pub(crate) good: Arc<AtomicU64>,
    pub(crate) lost: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Users {
    pub(crate) fn begin(address: SocketAddr, count: usize) -> Self {
        let users = Self {
            stop: Arc::default(),
            good: Arc::default(),
            lost: Arc::default(),
            tasks: JoinSet::new(),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (stop, good, lost) = (users.stop.clone(), users.good.clone(), users.lost.clone());
            tasks.spawn(async move {
                let mut connection = connect(address).await;
                while !stop.load(Ordering::Relaxed) {
                    let answer = match &mut connection {
                        Some(connection) => ask(connection, &[]).await,
                        None => None,
                    };
                    if answer.is_some() {
                        good.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    lost.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    connection = connect(address).await;
                }
            });
        }
        Self { tasks, ..users }
    }

    /// Good and lost requests.
    pub(crate) async fn end(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        (
            self.good.load(Ordering::Relaxed),
            self.lost.load(Ordering::Relaxed),
        )
    }
}

/// A decision that acts.
pub(crate) fn decision(number: u64, weight: u8, action: Action) -> Decision {
    let head = sample::meta(&format!("d{number}"), "acme/shop", number).unwrap();
    Decision {
        rollout: RolloutName::new("r1").unwrap(),
        phase: if action == Action::RollBack {
            Phase::RolledBack
        } else {
            Phase::Progressing
        },
        action,
        weight,
        stable: sample::track("1"),
        candidate: sample::track("2"),
        number,
        ..sample::decision(head, "shop").unwrap()
    }
}

pub(crate) async fn publish(house: &House, decision: Decision) {
    house.bus().publish(&Fact::Decision(decision)).await.unwrap();
}

/// What is kept of the route, and the process that holds it.
pub(crate) async fn kept(house: &House) -> (Record, Option<String>) {
    let all = house.claimed::<Record>(stage::ROUTER).await.unwrap_or_default();
    let ours = all.into_iter().find(|(name, ..)| name == ROUTE);
    ours.map_or((Record::default(), None), |(_, kept, holder)| {
        (kept.record, holder)
    })
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < LONG, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the record of the route is so.
pub(crate) async fn until_kept(house: &House, what: &str, check: impl Fn(&Record) -> bool) -> Record {
    let begun = Instant::now();
    loop {
        let record = kept(house).await.0;
        if check(&record) {
            return record;
        }
        assert!(begun.elapsed() < LONG, "{what}: not within {LONG:?}: {record:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A controller: the service in a process of its own.
pub(crate) struct Controller {
    child: Child,
}

impl Controller {
    /// Starts one with these settings of `[router]`.
    pub(crate) fn start(house: &TestHouse, folder: &Path, settings: &str) -> Self {
        let file = folder.join("auspex.toml");
        let nats = &house.settings;
        let level = std::env::var("AUSPEX_TEST_LOG").unwrap_or_else(|_| "error".to_owned());
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nlog_level = \"{level}\"\nlog_format = \"text\"\n\
             [nats]\nurl = \"{}\"\npartitions = {}\n[nats.streams]\nlease_seconds = {}\nduplicate_window_seconds = {}\n\
             {settings}",
            nats.url, nats.partitions, nats.streams.lease_seconds, nats.streams.duplicate_window_seconds
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_auspex-router"))
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Without a word.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.ok();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let done = std::process::Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(done.unwrap().success());
    }
}

/// The process that holds the route, by its instance's name.
pub(crate) fn pid_of(holder: &str) -> u32 {
    holder
        .split('-')
        .next()
        .and_then(|pid| pid.parse().ok())
        .unwrap_or(0)
}

/// A folder that is gone at the end.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let place = format!("auspex-{name}-{}-{}", std::process::id(), free().port());
        let folder = std::env::temp_dir().join(place);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// How many flips: a few in every test, 500 where `AUSPEX_FLIPS` says so.
pub(crate) fn flips() -> u64 {
    let asked = std::env::var("AUSPEX_FLIPS").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(60)
}
