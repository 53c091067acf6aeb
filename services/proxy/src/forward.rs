//! One request from a user to a target and its answer back.
//!
//! A request is sent a second time, on a new connection, only when the first one had been kept and ended before an answer,
//! and either not a byte of the request had been sent, or it has no body and its method may be repeated (RFC 9110, 9.2.2).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::body::{Download, Progress, Reply, Upload};
use crate::config::Timeouts;
use crate::exchange::Exchange;
use crate::headers::{self, Peer};
use crate::lane::Lane;
use crate::link::{Failed, Fault, Link, Upstream};
use crate::mirror;
use crate::plane::Plane;
use crate::split;
use crate::tunnel;

/// A request that may not be repeated takes a kept connection only when it was used this recently.
const FRESH: Duration = Duration::from_secs(1);

/// Why a request goes nowhere.
type Refusal = (StatusCode, &'static str);

/// Answers one request.
pub(crate) async fn handle(
    plane: &Plane,
    tunnels: &TaskTracker,
    peer: &Peer,
    mut request: Request<Incoming>,
) -> Response<Reply> {
    let began = Instant::now();
    let lane = match find(plane, &mut request) {
        Ok(lane) => lane,
        Err((status, words)) => return text(status, words),
    };
    let choice = lane.choose(request.headers(), || plane.fresh_cohort());
    let mut exchange = Exchange::new(lane, choice.track, choice.slo, began);
    let upgrades = headers::request(request.headers_mut(), peer);
    let waiting = upgrades.then(|| hyper::upgrade::on(&mut request));
    let timeouts = plane.timeouts();
    if let Some(sampled) = choice.sampled {
        headers::sample(request.headers_mut(), sampled, || plane.fresh_cohort());
    }
    if let (Some(to), false) = (&choice.copy, upgrades) {
        mirror::send(tunnels, to, &request, timeouts);
    }
    let (mut response, link) = match send(&choice.upstream, request, timeouts).await {
        Ok(answer) => answer,
        Err(Fault::Client) => {
            drop(exchange);
            return text(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive");
        }
        Err(fault) => {
            exchange.failed();
            tracing::debug!(target = %choice.upstream.origin, %fault, "no answer");
            return unanswered(&fault);
        }
    };
    exchange.answered(response.status());
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    headers::response(response.headers_mut(), switching);
    if let Some((name, cohort)) = choice.cookie
        && let Ok(cookie) = HeaderValue::from_str(&split::cookie(&name, &cohort))
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if switching {
        let Some(client) = waiting else {
            return text(StatusCode::BAD_GATEWAY, "the target switched protocols unasked");
        };
        let target = hyper::upgrade::on(&mut response);
        tunnels.spawn(tunnel::run(client, target, link));
        return response.map(|_| Reply::Text(None));
    }
    settle(response, (link, choice.upstream), exchange, timeouts.idle()).await
}

/// The lane of a request, which is brought into the form in which a target expects it.
fn find(plane: &Plane, request: &mut Request<Incoming>) -> Result<Arc<Lane>, Refusal> {
    if request.method() == Method::CONNECT {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here"));
    }
    // An absolute target outranks the Host header (RFC 9112, 3.2.2).
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str());
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
        if let Ok(host) = host {
            request.headers_mut().insert(HOST, host);
        }
    }
    // Of two the target might heed the other one (RFC 9112, 3.2).
    if request.headers().get_all(HOST).iter().count() > 1 {
        return Err((StatusCode::BAD_REQUEST, "there is more than one Host header"));
    }
    let host = request.headers().get(HOST);
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err((StatusCode::BAD_REQUEST, "the Host header is missing"));
    }
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = match request.uri().path() {
        "*" => "/",
        path => path,
    };
    plane
        .lane(host, path)
        .ok_or((StatusCode::NOT_FOUND, "no route leads there"))
}

/// The answer as the client gets it; one without a body is complete here.
async fn settle(
    response: Response<Incoming>,
    link: (Link, Arc<Upstream>),
    exchange: Exchange,
    idle: Duration,
) -> Response<Reply> {
    let empty = response.body().is_end_stream();
    let (head, body) = response.into_parts();
    let mut download = Download::new(body, link, exchange, idle);
    if empty {
        std::future::poll_fn(|cx| {
            download.complete(cx);
            Poll::Ready(())
        })
        .await;
    }
    let mut response = Response::from_parts(head, Reply::Stream(download));
    *response.version_mut() = Version::HTTP_11;
    response
}

/// Sends a request, and gives the head of its answer with the link that the rest comes through.
async fn send(
    upstream: &Upstream,
    request: Request<Incoming>,
    timeouts: &Timeouts,
) -> Result<(Response<Incoming>, Link), Fault> {
    let (mut head, body) = request.into_parts();
    head.version = Version::HTTP_11;
    head.extensions.clear();
    if !head.headers.contains_key(HOST) {
        head.headers.insert(HOST, upstream.authority.clone());
    }
    let (body, progress) = Upload::new(body);
    let progress = progress.as_deref();
    let repeatable = progress.is_none() && head.method.is_idempotent();
    let max_idle = if repeatable {
        timeouts.pool_idle()
    } else {
        timeouts.pool_idle().min(FRESH)
    };
    let Some(link) = upstream.checkout(max_idle).await else {
        let link = upstream.connect(timeouts.connect()).await?;
        let sent = attempt(
            link,
            Request::from_parts(head, body),
            progress,
            timeouts.first_byte(),
        );
        return sent.await.map_err(|failed| failed.fault);
    };
    let copy = repeatable.then(|| head.clone());
    let sent = attempt(
        link,
        Request::from_parts(head, body),
        progress,
        timeouts.first_byte(),
    );
    let failed = match sent.await {
        Ok(answer) => return Ok(answer),
        Err(failed) => failed,
    };
    let again = match (failed.unsent, copy) {
        (Some(unsent), _) => *unsent,
        (None, Some(head)) if ended_early(&failed.fault) => Request::from_parts(head, Upload::Nothing),
        _ => return Err(failed.fault),
    };
    let link = upstream.connect(timeouts.connect()).await?;
    let sent = attempt(link, again, progress, timeouts.first_byte());
    sent.await.map_err(|failed| failed.fault)
}

/// Sends a copy and reads its answer to the end, so that the target is not cut off in the middle of it.
pub(crate) async fn copy(upstream: &Arc<Upstream>, head: Parts, timeouts: &Timeouts) -> Result<(), Fault> {
    let link = upstream.connect(timeouts.connect()).await?;
    let request = Request::from_parts(head, Upload::Nothing);
    let sent = attempt(link, request, None, timeouts.first_byte()).await;
    let (response, mut link) = sent.map_err(|failed| failed.fault)?;
    let mut body = std::pin::pin!(response.into_body());
    std::future::poll_fn(|cx| {
        link.drive(cx);
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    Ok(())
}

/// Whether a kept connection ended before an answer, as it does when the target closes it while we send.
fn ended_early(fault: &Fault) -> bool {
    match fault {
        Fault::Broken(fault) => !fault.is_parse() && !fault.is_user() && !fault.is_timeout(),
        Fault::Gone => true,
        _ => false,
    }
}

async fn attempt(
    mut link: Link,
    request: Request<Upload>,
    progress: Option<&Progress>,
    patience: Duration,
) -> Result<(Response<Incoming>, Link), Failed> {
    link.extend(patience);
    let mut answer = pin!(link.sender.try_send_request(request));
    let answered = std::future::poll_fn(|cx| {
        let alive = link.drive(cx);
        // The answer comes by driving the link, here: nobody else needs to wake us for it.
        let mut unwoken = Context::from_waker(Waker::noop());
        match answer.as_mut().poll(&mut unwoken) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut fault)) => {
                let unsent = fault.take_message().map(Box::new);
                let fault = Fault::Broken(fault.into_error());
                return Poll::Ready(Err(Failed { fault, unsent }));
            }
            Poll::Pending if !alive => return Poll::Ready(Err(Fault::Gone.into())),
            Poll::Pending => {}
        }
        while link.overdue(cx) {
            match progress {
                Some(body) if body.moved.swap(false, Ordering::Relaxed) => link.extend(patience),
                Some(body) if body.waiting.load(Ordering::Relaxed) => {
                    return Poll::Ready(Err(Fault::Client.into()));
                }
                _ => return Poll::Ready(Err(Fault::Silent.into())),
            }
        }
        Poll::Pending
    })
    .await;
    match answered {
        Ok(response) => Ok((response, link)),
        Err(_) if progress.is_some_and(|body| body.failed.load(Ordering::Relaxed)) => {
            Err(Fault::Client.into())
        }
        Err(failed) => Err(failed),
    }
}

fn unanswered(fault: &Fault) -> Response<Reply> {
    match fault {
        Fault::ConnectTimeout | Fault::Silent => {
            text(StatusCode::GATEWAY_TIMEOUT, "the target did not answer in time")
        }
        _ => text(StatusCode::BAD_GATEWAY, "the target could not be reached"),
    }
}

fn text(status: StatusCode, words: &'static str) -> Response<Reply> {
    let mut response = Response::new(Reply::Text(Some(Bytes::from_static(words.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
