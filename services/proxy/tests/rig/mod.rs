//! Real servers and clients on the loopback.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auspex_proto::decision::{Affinity, Decision, Phase, TrackTarget};
use auspex_proto::{Partitions, sample};
use auspex_proxy::Plane;
use auspex_proxy::config::{Config, Route};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub struct Served {
    pub address: SocketAddr,
    pub requests: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Served {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn count(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A server whose every connection is handled by hyper; it counts its requests.
pub async fn server<F, R, B>(answer: F) -> Served
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<B>> + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = Served {
        address: listener.local_addr().unwrap(),
        requests: Arc::default(),
        stop: CancellationToken::new(),
    };
    let (requests, stop) = (Arc::clone(&served.requests), served.stop.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = tokio::select! {
                accepted = listener.accept() => accepted.unwrap(),
                () = stop.cancelled() => return,
            };
            stream.set_nodelay(true).unwrap();
            let (answer, requests, stop) = (answer.clone(), Arc::clone(&requests), stop.clone());
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request| {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                let served = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::select! {
                    _ = served => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    });
    served
}

pub struct Proxy {
    pub address: SocketAddr,
    pub plane: Arc<Plane>,
    stop: CancellationToken,
    served: Option<tokio::task::JoinHandle<std::io::Result<usize>>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Proxy {
    /// Stops it; how many connections had to be cut.
    pub async fn stop(mut self) -> usize {
        self.stop.cancel();
        self.served.take().unwrap().await.unwrap().unwrap()
    }
}

pub fn config(stable: &str, candidate: &str) -> Config {
    let route = Route {
        service: "shop".into(),
        project: "acme".into(),
        stable: stable.into(),
        candidate: candidate.into(),
        ..Route::default()
    };
    Config {
        routes: vec![route],
        ..Config::default()
    }
}

pub async fn proxy(config: Config) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plane = Plane::new(config, Partitions::new(8).unwrap()).unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(auspex_proxy::serve(
        listener,
        Arc::clone(&plane),
        stop.clone().cancelled_owned(),
    ));
    Proxy {
        address,
        plane,
        stop,
        served: Some(served),
    }
}

/// A keep-alive connection.
pub async fn connect<B>(address: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

pub fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path)
        .header("host", "shop.test")
        .body(Empty::new())
        .unwrap()
}

pub async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The plane's counts so far: (stable, candidate) as (bad, total).
pub fn counted(plane: &Plane) -> ((u64, u64), (u64, u64)) {
    let _line = plane.rotate();
    let totals = plane.standings().remove(0).totals;
    let of = |counts: &auspex_proxy::tally::Counts| (counts.bad, counts.total());
    (of(&totals.stable), of(&totals.candidate))
}

pub fn decision(phase: Phase, weight: u8, affinity: Option<Affinity>) -> Decision {
    let head = sample::meta(&format!("d-{phase:?}-{weight}"), "acme", 1).unwrap();
    Decision {
        phase,
        weight,
        affinity,
        stable: TrackTarget::default(),
        candidate: TrackTarget::default(),
        slo_ms: Some(500.0),
        ..sample::decision(head, "shop").unwrap()
    }
}
