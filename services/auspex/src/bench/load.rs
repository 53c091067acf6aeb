//! Users: connections that are kept alive and ask again as soon as they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What users got.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Got {
    /// Whole answers of status 200.
    pub(super) good: u64,
    /// Everything else: another status, a broken answer, a closed connection under a request.
    pub(super) lost: u64,
    pub(super) took: Duration,
}

impl Got {
    /// Good answers a second.
    #[allow(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(super) fn rate(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64()
    }
}

/// So many users ask at an address until told to stop.
pub(super) struct Users {
    stop: Arc<AtomicBool>,
    began: Instant,
    tasks: JoinSet<(u64, u64)>,
}

impl Users {
    /// They connect, and begin.
    pub(super) async fn begin(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(connect(address).await?);
        }
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for connection in connections {
            tasks.spawn(ask(address, connection, Arc::clone(&stop)));
        }
        Ok(Self { stop, began, tasks })
    }

    /// They end what is under way, and say what they got.
    pub(super) async fn end(mut self) -> anyhow::Result<Got> {
        self.stop.store(true, Ordering::Relaxed);
        let mut got = Got {
            took: self.began.elapsed(),
            ..Got::default()
        };
        while let Some(one) = self.tasks.join_next().await {
            let (good, lost) = one?;
            got.good += good;
            got.lost += lost;
        }
        Ok(got)
    }
}

/// Users for a while.
pub(super) async fn ask_for(address: SocketAddr, count: usize, time: Duration) -> anyhow::Result<Got> {
    let users = Users::begin(address, count).await?;
    tokio::time::sleep(time).await;
    users.end().await
}

async fn ask(address: SocketAddr, first: SendRequest<Empty<Bytes>>, stop: Arc<AtomicBool>) -> (u64, u64) {
    let (mut good, mut lost) = (0, 0);
    let mut connection = first;
    while !stop.load(Ordering::Relaxed) {
        if once(&mut connection).await.is_ok() {
            good += 1;
            continue;
        }
        lost += 1;
        match connect(address).await {
            Ok(again) => connection = again,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    (good, lost)
}

async fn once(connection: &mut SendRequest<Empty<Bytes>>) -> anyhow::Result<()> {
    connection.ready().await?;
    let request = Request::get("/").header("host", "shop.test").body(Empty::new())?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    anyhow::ensure!(
        status == StatusCode::OK && body.len() == 128,
        "{status}, {} bytes",
        body.len()
    );
    Ok(())
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
