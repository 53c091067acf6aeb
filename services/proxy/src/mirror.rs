//! Copies of requests for the candidate: what it would answer is thrown away, and counts nowhere.
//!
//! Only requests whose method changes nothing, and without a body, are copied; and only so many at once: a candidate that is
//! slow is not buried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

use crate::body::Upload;
use crate::config::Timeouts;
use crate::forward;
use crate::link::Upstream;

/// Copies under way at once.
const MOST: usize = 64;

/// Tells the candidate that this is a copy.
const MARK: HeaderName = HeaderName::from_static("x-auspex-mirror");

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Sends a copy on its way, when this request may be copied.
pub(crate) fn send(
    tasks: &TaskTracker,
    to: &Arc<Upstream>,
    request: &Request<Incoming>,
    timeouts: &Timeouts,
) {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !safe || !request.body().is_end_stream() {
        return;
    }
    if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= MOST {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let (place, to, timeouts) = (Place, Arc::clone(to), *timeouts);
    let head = head(request, &to.authority);
    let copy = async move {
        let _place = place;
        let all = timeouts.first_byte() + Duration::from_secs(5);
        // Whatever comes of it is nobody's business.
        tokio::time::timeout(all, forward::copy(&to, head, &timeouts))
            .await
            .ok();
    };
    tasks.spawn(copy);
}

/// A place among those under way.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

fn head(request: &Request<Incoming>, authority: &HeaderValue) -> Parts {
    let mut copy = Request::new(Upload::Nothing);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = Version::HTTP_11;
    let mut headers: HeaderMap = request.headers().clone();
    if !headers.contains_key(HOST) {
        headers.insert(HOST, authority.clone());
    }
    headers.insert(MARK, HeaderValue::from_static("1"));
    *copy.headers_mut() = headers;
    copy.into_parts().0
}
