//! Requests that are answered before their body has been read.
//!
//! A refusal needs no body. But dropping one resets the stream while its sender still writes, and many clients (curl over HTTP/2,
//! most libraries over HTTP/1.1) then tell of a broken connection instead of the answer. So what is left of it is read and thrown
//! away beside the answer, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::runtime::Handle;

use super::limits::is_grpc;

/// As much is thrown away, in bytes: more than the largest body of any door.
const MOST: usize = 32 * 1024 * 1024;
/// ... for so long: an answer is there by then, or the sender does not listen.
const LONGEST: Duration = Duration::from_secs(10);

/// Puts a body that may be dropped in the place of the request's own. gRPC's clients know how to be answered early, and who
/// expects to be told to go on has sent nothing yet.
pub(super) async fn drain(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() || is_grpc(&parts.headers) || parts.headers.contains_key(header::EXPECT) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let rest = Rest(Some(body.into_data_stream()));
    next.run(Request::from_parts(parts, Body::from_stream(rest)))
        .await
}

/// What has not been read yet; `None`: nothing.
struct Rest(Option<BodyDataStream>);

impl Stream for Rest {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = self.0.as_mut() else {
            return Poll::Ready(None);
        };
        let next = ready!(stream.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let (Some(stream), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LONGEST, waste(stream)));
        }
    }
}

async fn waste(mut stream: BodyDataStream) {
    let mut left = MOST;
    while let Some(Ok(piece)) = stream.next().await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
