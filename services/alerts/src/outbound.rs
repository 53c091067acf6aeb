//! The only way out: HTTPS to addresses of the open internet ([`outbound`]), for everybody who sends.
//!
//! Time and the body of an answer are capped. Errors never hold the URL: it is often the secret itself. Loopback and plain
//! HTTP to it are possible by configuration alone, for trying things out.

use std::time::Duration;

use auspex_chassis::outbound::{self, Reach};
use url::Url;

use crate::outbox::DeliveryError;

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// How long a receiver is left alone that says "too many requests" without saying for how long.
const UNTOLD: Duration = Duration::from_secs(30);
/// The longest pause a receiver is granted.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A client that goes nowhere else.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: reqwest::Client,
}

/// What came back: a status below 300, and the beginning of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// At most 16 kB of it.
    pub body: String,
}

/// Checks a URL by its looks.
///
/// # Errors
/// Why it may not be spoken to, without the URL.
pub fn check(url: &str, allow_loopback: bool) -> Result<Url, String> {
    outbound::check(url, reach(allow_loopback))
}

fn reach(allow_loopback: bool) -> Reach {
    if allow_loopback {
        Reach::Loopback
    } else {
        Reach::Open
    }
}

impl Outbound {
    /// A client with these limits.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(allow_loopback: bool, limit: Duration) -> anyhow::Result<Self> {
        let client = outbound::client(reach(allow_loopback), limit)?;
        Ok(Self { client })
    }

    /// Sends JSON and reads the answer.
    ///
    /// # Errors
    /// [`DeliveryError`]: final when repeating cannot help (a redirect, a refusal of the request itself), else to be repeated.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Answer, DeliveryError> {
        let mut request = self
            .client
            .post(url.clone())
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = request.send().await.map_err(unreached)?;
        let status = answer.status().as_u16();
        let asked = pause(answer.headers());
        let mut body = Vec::new();
        while body.len() < MAX_ANSWER {
            // A status without its body is still an answer, unless it is a good one: then nothing is certain.
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(fault) if status < 300 => return Err(unreached(fault)),
                Err(_) => break,
            }
        }
        body.truncate(MAX_ANSWER);
        let body = String::from_utf8_lossy(&body).trim().to_owned();
        let said = || format!("answered {status}: {}", crate::words::line(&body, 100));
        match status {
            200..=299 => Ok(Answer { status, body }),
            429 => Err(DeliveryError::Retry {
                after: Some(asked.unwrap_or(UNTOLD)),
                reason: said(),
            }),
            408 | 425 | 500..=599 => Err(DeliveryError::Retry {
                after: asked,
                reason: said(),
            }),
            300..=399 => Err(DeliveryError::Final(format!(
                "answered {status}; redirects are not followed"
            ))),
            _ => Err(DeliveryError::Final(said())),
        }
    }
}

/// `Retry-After`, in seconds or as a date.
fn pause(headers: &http::HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let asked = text("retry-after")?;
    if let Ok(seconds) = asked.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    // By the receiver's own clock when it tells it.
    let until = jiff::fmt::rfc2822::parse(asked).ok()?.timestamp();
    let now = text("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let now = now.map_or(auspex_chassis::clock::now().0, |date| {
        date.timestamp().as_millisecond()
    });
    let millis = u64::try_from(until.as_millisecond().saturating_sub(now)).unwrap_or(0);
    Some(Duration::from_millis(millis).min(LONGEST))
}

/// The fault and its causes, without the URL.
fn unreached(fault: reqwest::Error) -> DeliveryError {
    let fault = fault.without_url();
    let mut reason = fault.to_string();
    let mut cause = std::error::Error::source(&fault);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    DeliveryError::Retry { after: None, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_in_both_forms() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs
                .iter()
                .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
            pause(&pairs.collect())
        };
        assert_eq!(of(&[("retry-after", "17")]), Some(Duration::from_secs(17)));
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(
            of(&[("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT"), date]),
            Some(Duration::from_secs(9))
        );
        assert_eq!(
            of(&[("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), date]),
            Some(Duration::ZERO)
        );
        assert_eq!(of(&[("retry-after", "soon")]), None);
        assert_eq!(of(&[]), None);
    }
}
