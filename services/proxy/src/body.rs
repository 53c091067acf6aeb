//! Bodies on their way: the client's to the target, the target's to the client. Nothing is collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::exchange::Exchange;
use crate::link::{Link, Upstream};

/// A request's body.
#[derive(Debug)]
pub(crate) enum Upload {
    Nothing,
    Stream(Incoming, Arc<Progress>),
}

/// How a request's body gets on, as the exchange sees it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// A piece has come since this was last asked.
    pub(crate) moved: AtomicBool,
    /// The client is waited for.
    pub(crate) waiting: AtomicBool,
    /// The client broke off.
    pub(crate) failed: AtomicBool,
}

impl Upload {
    pub(crate) fn new(body: Incoming) -> (Self, Option<Arc<Progress>>) {
        if body.is_end_stream() {
            return (Self::Nothing, None);
        }
        let progress = Arc::new(Progress::default());
        (Self::Stream(body, Arc::clone(&progress)), Some(progress))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Stream(body, progress) = self.get_mut() else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        progress.waiting.store(polled.is_pending(), Ordering::Relaxed);
        match &polled {
            Poll::Ready(Some(Err(_))) => progress.failed.store(true, Ordering::Relaxed),
            Poll::Ready(_) => progress.moved.store(true, Ordering::Relaxed),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}

/// Why a response's body ends before its end: the connection to the client is then closed, so that it can tell.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The target broke off.
    #[error("the target broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The target's connection ended without a word.
    #[error("the target broke off")]
    Gone,
    /// Nothing came for too long.
    #[error("the target sent nothing for too long")]
    Idle,
}

/// A response's body.
#[derive(Debug)]
pub enum Reply {
    /// A few words of the proxy's own; `None`: nothing (more).
    Text(Option<Bytes>),
    /// The target's.
    Stream(Download),
}

/// A response's body as the target sends it. Polling it drives the link.
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    link: Option<(Link, Arc<Upstream>)>,
    exchange: Option<Exchange>,
    idle: Duration,
}

impl Download {
    pub(crate) fn new(
        body: Incoming,
        link: (Link, Arc<Upstream>),
        exchange: Exchange,
        idle: Duration,
    ) -> Self {
        let (mut link, upstream) = link;
        link.extend(idle);
        Self {
            body,
            link: Some((link, upstream)),
            exchange: Some(exchange),
            idle,
        }
    }

    /// The whole answer is here: counts it, and gives the link back.
    pub(crate) fn complete(&mut self, cx: &mut Context<'_>) {
        drop(self.exchange.take());
        if let Some((link, upstream)) = self.link.take() {
            upstream.put_back(link, cx);
        }
    }

    fn cut(&mut self, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.failed();
        }
        self.link = None;
        Poll::Ready(Some(Err(cut)))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        // Whatever comes through the body comes by driving the link, here: nobody else needs to wake us for it.
        let mut unwoken = Context::from_waker(Waker::noop());
        let (mut driven, mut alive) = (false, true);
        loop {
            match Pin::new(&mut self.body).poll_frame(&mut unwoken) {
                Poll::Ready(Some(Ok(frame))) => {
                    if self.body.is_end_stream() {
                        self.complete(cx);
                    } else if let Some((link, _)) = &mut self.link {
                        link.extend(self.idle);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(fault))) => return self.cut(fault.into()),
                Poll::Ready(None) => {
                    self.complete(cx);
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
            let Some((link, _)) = &mut self.link else {
                return self.cut(Cut::Gone);
            };
            match (driven, alive) {
                (true, false) => return self.cut(Cut::Gone),
                (true, true) if link.overdue(cx) => return self.cut(Cut::Idle),
                (true, true) => return Poll::Pending,
                (false, _) => {
                    alive = link.drive(cx);
                    driven = true;
                }
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Stream(download) => download.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Stream(download) => download.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Stream(download) => download.body.size_hint(),
        }
    }
}
