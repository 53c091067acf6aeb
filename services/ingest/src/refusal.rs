//! Why a request is not accepted, in the words of HTTP.

use std::time::Duration;

use auspex_chassis::PublishError;
use auspex_proto::Invalid;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The same for every delivery that is not let in: which of the three it is, a stranger need not know.
const UNSIGNED: &str =
    "X-Hub-Signature-256 is missing, or made with another secret than ingest.github_secret, or none is set";

/// Why a request is not accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// 401, the same whatever was wrong: whoever guesses learns nothing.
    Unauthorized,
    /// 413.
    TooLarge(String),
    /// 415.
    Unsupported(String),
    /// 422.
    Invalid(Invalid),
    /// 429: one sender sends too much.
    TooMany(Duration),
    /// 503: it is us, and later it may be fine.
    Unavailable(String, Duration),
}

impl Refusal {
    /// The word under which it is counted.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::TooLarge(_) => "too_large",
            Self::Unsupported(_) => "unsupported",
            Self::Invalid(_) => "refused",
            Self::TooMany(_) => "limited",
            Self::Unavailable(..) => "unavailable",
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(fault: PublishError) -> Self {
        match fault {
            PublishError::TooLarge { .. } => Self::TooLarge(fault.to_string()),
            // A broker that restarts is back within seconds; a full log needs a person, or an hour of expiry.
            PublishError::Full(_) => Self::Unavailable(fault.to_string(), Duration::from_secs(60)),
            PublishError::Unavailable(_) | PublishError::Stale => {
                Self::Unavailable(fault.to_string(), Duration::from_secs(5))
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, retry, body) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, None, json!({"error": UNSIGNED})),
            Self::TooLarge(text) => (StatusCode::PAYLOAD_TOO_LARGE, None, json!({"error": text})),
            Self::Unsupported(text) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None, json!({"error": text})),
            Self::Invalid(fault) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                None,
                json!({"error": fault.to_string(), "field": fault.field, "reason": fault.reason}),
            ),
            Self::TooMany(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                Some(wait),
                json!({"error": "too many requests from this address"}),
            ),
            Self::Unavailable(text, wait) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some(wait),
                json!({"error": text}),
            ),
        };
        let mut response = (status, Json(body)).into_response();
        if let Some(wait) = retry {
            // Whole seconds, rounded up: never earlier than there is room.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status_and_says_when_to_come_back() {
        let answer = |refusal: Refusal| {
            let response = refusal.into_response();
            let retry = response.headers().get(header::RETRY_AFTER).cloned();
            (
                response.status().as_u16(),
                retry.map(|v| v.to_str().unwrap().to_owned()),
            )
        };
        assert_eq!(answer(Refusal::Unauthorized), (401, None));
        assert_eq!(
            answer(Refusal::TooMany(Duration::from_millis(200))),
            (429, Some("1".into()))
        );
        let away = PublishError::Unavailable("x".into());
        assert_eq!(answer(away.into()), (503, Some("5".into())));
        let large = PublishError::TooLarge { bytes: 2, limit: 1 };
        assert_eq!(answer(large.into()), (413, None));
        assert_eq!(answer(Refusal::Invalid(Invalid::new("a", "b"))), (422, None));
    }
}
