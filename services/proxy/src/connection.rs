//! One connection of a user's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::forward;
use crate::headers::Peer;
use crate::plane::Plane;

/// What all connections of a listener share.
pub(crate) struct Desk {
    pub(crate) plane: Arc<Plane>,
    closing: AtomicBool,
    close: CancellationToken,
    /// No more time: everything still open ends now.
    pub(crate) cut: CancellationToken,
    /// How many were still open then.
    pub(crate) left: AtomicUsize,
}

impl Desk {
    pub(crate) fn new(plane: Arc<Plane>) -> Self {
        Self {
            plane,
            closing: AtomicBool::new(false),
            close: CancellationToken::new(),
            cut: CancellationToken::new(),
            left: AtomicUsize::new(0),
        }
    }

    /// Every connection ends after the exchange it is in.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.close.cancel();
    }
}

/// Serves it to its end. `tunnels`: where its upgrades go on.
pub(crate) async fn connection(desk: &Desk, tunnels: &TaskTracker, stream: TcpStream, from: SocketAddr) {
    let address = HeaderValue::from_str(&from.ip().to_canonical().to_string());
    let peer = &Peer {
        address: address.unwrap_or(HeaderValue::from_static("unknown")),
        trusted: desk.plane.config.trust_forwarded,
    };
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(forward::handle(&desk.plane, tunnels, peer, request).await)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(desk.plane.timeouts().client_idle())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let mut close = pin!(desk.close.cancelled());
    let mut stage = Stage::Unheard;
    let ended = std::future::poll_fn(|cx| {
        // The word to close is waited for once: polling it at each step would take a lock that all connections share.
        let heed = match stage {
            Stage::Unheard => true,
            Stage::Open => desk.closing.load(Ordering::Relaxed),
            Stage::Closing => false,
        };
        if heed {
            stage = Stage::Open;
            if close.as_mut().poll(cx).is_ready() {
                served.as_mut().graceful_shutdown();
                stage = Stage::Closing;
            }
        }
        served.as_mut().poll(cx)
    })
    .await;
    if let Err(fault) = ended {
        tracing::trace!(%fault, "a connection broke");
    }
}

enum Stage {
    Unheard,
    Open,
    Closing,
}
