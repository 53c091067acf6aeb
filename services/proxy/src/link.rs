//! One connection to a target, and the pool of those that wait.
//!
//! A link has no task of its own: whoever uses it drives it, so an exchange runs in the one task of the user's connection
//! and no piece of it crosses threads. Dropping a link closes it, which is how a client's abort reaches the target.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::body::Upload;
use crate::origin::Origin;
use crate::plan::Readiness;
use crate::shard::{self, SHARDS};

type Connection = http1::Connection<TokioIo<TcpStream>, Upload>;

/// Why a target gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot be reached: {0}")]
    Connect(#[from] io::Error),
    #[error("could not be reached in time")]
    ConnectTimeout,
    #[error("did not answer in time")]
    Silent,
    #[error("broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("broke off")]
    Gone,
    /// The client stopped sending its own body.
    #[error("was not sent the whole request")]
    Client,
}

/// A connection to a target.
pub(crate) struct Link {
    pub(crate) sender: SendRequest<Upload>,
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    sleep: Pin<Box<Sleep>>,
    due: Instant,
    idle_since: Instant,
}

impl Link {
    async fn connect(origin: &Origin, patience: Duration) -> Result<Self, Fault> {
        let connect = TcpStream::connect((origin.host.as_str(), origin.port));
        let stream = timeout(patience, connect)
            .await
            .map_err(|_| Fault::ConnectTimeout)??;
        stream.set_nodelay(true)?;
        let (sender, connection): (_, Connection) = http1::handshake(TokioIo::new(stream)).await?;
        let now = Instant::now();
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection.with_upgrades())),
            sleep: Box::pin(sleep_until(now + patience)),
            due: now + patience,
            idle_since: now,
        })
    }

    /// Moves bytes; `false` when the connection has ended.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        match connection.as_mut().poll(cx) {
            Poll::Pending => true,
            // Its error, if any, has been told to the exchange.
            Poll::Ready(_) => {
                self.connection = None;
                false
            }
        }
    }

    /// Drives it to its end, as an upgrade needs.
    pub(crate) async fn finish(mut self) {
        std::future::poll_fn(|cx| {
            if self.drive(cx) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// From now on, this long.
    pub(crate) fn extend(&mut self, by: Duration) {
        self.due = Instant::now() + by;
        // One timer serves many exchanges: it is set anew only when it would ring too late, or has rung.
        if self.due < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.due);
        }
    }

    /// Whether its time is up; wakes the task when it is.
    pub(crate) fn overdue(&mut self, cx: &mut Context<'_>) -> bool {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.due {
                return true;
            }
            self.sleep.as_mut().reset(self.due);
        }
        false
    }
}

/// Links that wait; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Pool(Mutex<Vec<Link>>);

/// A target and its pools.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it is.
    pub(crate) origin: Origin,
    /// What stands in `Host` when the client sent none (HTTP/1.0).
    pub(crate) authority: HeaderValue,
    /// One per worker, so that a link stays on the thread that drives it.
    idle: [Pool; SHARDS],
    ready: AtomicU8,
    failures: AtomicU32,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Pool {
    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream {
    pub(crate) fn new(origin: Origin) -> Arc<Self> {
        let text = origin.to_string();
        let authority = text.strip_prefix("http://").unwrap_or(&text);
        let authority = HeaderValue::from_str(authority).unwrap_or(HeaderValue::from_static(""));
        Arc::new(Self {
            origin,
            authority,
            idle: std::array::from_fn(|_| Pool::default()),
            ready: AtomicU8::new(0),
            failures: AtomicU32::new(0),
        })
    }

    /// A waiting link that has not been idle longer than this and is not known to be closed. The last one put back comes
    /// first: it is the least likely to be closed, and those not needed grow old.
    pub(crate) async fn checkout(&self, max_idle: Duration) -> Option<Link> {
        std::future::poll_fn(|cx| Poll::Ready(self.take(cx, max_idle))).await
    }

    fn take(&self, cx: &mut Context<'_>, max_idle: Duration) -> Option<Link> {
        loop {
            let mut link = self
                .pool()?
                .pop_if(|link| link.idle_since.elapsed() <= max_idle)?;
            if link.drive(cx) && link.sender.is_ready() {
                return Some(link);
            }
        }
    }

    pub(crate) async fn connect(&self, patience: Duration) -> Result<Link, Fault> {
        Link::connect(&self.origin, patience).await
    }

    /// Puts a link back after a whole exchange; drops it when it cannot serve another.
    pub(crate) fn put_back(&self, mut link: Link, cx: &mut Context<'_>) {
        if link.drive(cx) && link.sender.is_ready() {
            link.idle_since = Instant::now();
            if let Some(mut pool) = self.pool() {
                pool.push(link);
            }
        }
    }

    /// Closes what has waited too long.
    pub(crate) fn sweep(&self, max_idle: Duration) {
        for pool in &self.idle {
            pool.links().retain(|link| link.idle_since.elapsed() <= max_idle);
        }
    }

    fn pool(&self) -> Option<MutexGuard<'_, Vec<Link>>> {
        self.idle.get(shard::mine()).map(Pool::links)
    }

    /// Whether it answers its health check.
    pub(crate) fn readiness(&self) -> Readiness {
        match self.ready.load(Ordering::Relaxed) {
            0 => Readiness::Unknown,
            1 => Readiness::Up,
            _ => Readiness::Down,
        }
    }

    /// Notes the result of a health check; `fall` failures in a row make it down.
    pub(crate) fn note(&self, answers: bool, fall: u32) {
        if answers {
            self.failures.store(0, Ordering::Relaxed);
            self.ready.store(1, Ordering::Relaxed);
        } else if self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= fall {
            self.ready.store(2, Ordering::Relaxed);
        }
    }
}

/// An attempt that gave no answer: why, and the request when not a byte of it was sent.
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) unsent: Option<Box<Request<Upload>>>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, unsent: None }
    }
}
