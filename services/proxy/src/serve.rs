//! The listener for users' traffic.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::forward;
use crate::headers::Peer;
use crate::plane::Plane;
use crate::tunnel::Tunnels;

/// Serves users until `stop` resolves, then lets the exchanges under way end, for at most the drain time. Returns how many
/// connections and tunnels had to be cut.
pub async fn serve(listener: TcpListener, plane: Arc<Plane>, stop: impl Future<Output = ()>) -> usize {
    let drain = plane.timeouts().drain();
    let desk = Arc::new(Desk::new(plane));
    let room = Arc::new(Semaphore::new(desk.plane.config.max_connections));
    let connections = TaskTracker::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let desk = Arc::clone(&desk);
                connections.spawn(async move {
                    connection(desk, stream, from).await;
                    drop(place);
                });
            }
            Err(fault) => {
                // Out of file descriptors, most likely: the listener stays, some connections will end.
                tracing::warn!(%fault, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    desk.close();
    connections.close();
    desk.tunnels.tasks.close();
    let ended = async {
        connections.wait().await;
        desk.tunnels.tasks.wait().await;
    };
    let in_time = tokio::time::timeout(drain, ended).await.is_ok();
    let left = if in_time {
        0
    } else {
        connections.len() + desk.tunnels.tasks.len()
    };
    desk.tunnels.cut.cancel();
    desk.cut.cancel();
    left
}

/// What all connections of a listener share.
struct Desk {
    plane: Arc<Plane>,
    tunnels: Tunnels,
    closing: AtomicBool,
    close: CancellationToken,
    cut: CancellationToken,
}

impl Desk {
    fn new(plane: Arc<Plane>) -> Self {
        Self {
            plane,
            tunnels: Tunnels::default(),
            closing: AtomicBool::new(false),
            close: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.close.cancel();
    }
}

async fn connection(desk: Arc<Desk>, stream: TcpStream, from: SocketAddr) {
    if let Err(fault) = stream.set_nodelay(true) {
        tracing::debug!(%fault, "a connection ended at once");
        return;
    }
    let peer = Peer {
        address: HeaderValue::from_str(&from.ip().to_canonical().to_string())
            .unwrap_or(HeaderValue::from_static("unknown")),
        trusted: desk.plane.config.trust_forwarded,
    };
    let (shared, peer) = (&*desk, &peer);
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(forward::handle(&shared.plane, &shared.tunnels, peer, request).await)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(desk.plane.timeouts().client_idle())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let (mut close, mut cut) = (pin!(desk.close.cancelled()), pin!(desk.cut.cancelled()));
    let mut stage = Stage::Unheard;
    let ended = std::future::poll_fn(|cx| {
        // The words to close and to cut are waited for once; polling them at each step would take a lock that all share.
        if stage == Stage::Unheard || desk.closing.load(Ordering::Relaxed) {
            if close.as_mut().poll(cx).is_ready() && stage != Stage::Closing {
                served.as_mut().graceful_shutdown();
                stage = Stage::Closing;
            } else if stage == Stage::Unheard {
                stage = Stage::Open;
            }
            if cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        served.as_mut().poll(cx)
    })
    .await;
    if let Err(fault) = ended {
        tracing::trace!(%fault, "a connection broke");
    }
}

#[derive(PartialEq, Eq)]
enum Stage {
    Unheard,
    Open,
    Closing,
}
