//! The only way out: HTTPS to addresses of the open internet, for everybody who sends.
//!
//! A URL is checked when it is configured; its name is resolved and every address vetted when a connection is made, and the
//! connection goes to the vetted address, so that a name cannot point elsewhere in between. Redirects are not followed,
//! proxies of the environment not used; time and the body of an answer are capped. Errors never hold the URL: it is often
//! the secret itself. Loopback and plain HTTP to it are possible by configuration alone, for trying things out.

pub mod address;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

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
    let url = Url::parse(url).map_err(|fault| format!("is not a URL: {fault}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password".to_owned());
    }
    let loopback = match url.host() {
        None => return Err("has no host".to_owned()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let local = name == "localhost" || name.ends_with(".localhost");
            if !local
                && [".internal", ".local", ".localdomain"]
                    .iter()
                    .any(|end| name.ends_with(end))
            {
                return Err(format!("{name} is a name of an internal network"));
            }
            if !local && !name.contains('.') {
                return Err(format!("{name} is not a full name"));
            }
            local
        }
        Some(Host::Ipv4(v4)) => literal(IpAddr::V4(v4), allow_loopback)?,
        Some(Host::Ipv6(v6)) => literal(IpAddr::V6(v6), allow_loopback)?,
    };
    if loopback && !allow_loopback {
        return Err("leads to loopback; allow_loopback = true would allow it".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        scheme => Err(format!("has the scheme {scheme}, wanted https")),
    }
}

/// Whether the address is loopback and allowed.
fn literal(ip: IpAddr, allow_loopback: bool) -> Result<bool, String> {
    if ip.is_loopback() && allow_loopback {
        return Ok(true);
    }
    address::refusal(ip).map_or(Ok(false), |why| Err(format!("leads to {ip}, which is {why}")))
}

impl Outbound {
    /// A client with these limits.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(allow_loopback: bool, limit: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .dns_resolver(std::sync::Arc::new(Vetted { allow_loopback }))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(limit)
            .connect_timeout(limit)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("auspex/", env!("CARGO_PKG_VERSION")))
            .build()?;
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

/// Name resolution that answers nothing when any address is not to be spoken to: a name with one foot inside is not trusted.
#[derive(Debug)]
struct Vetted {
    allow_loopback: bool,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let local = name.as_str() == "localhost" || name.as_str().ends_with(".localhost");
            for address in &found {
                let ip = address.ip();
                if allow_loopback && local && ip.is_loopback() {
                    continue;
                }
                if let Some(why) = address::refusal(ip) {
                    return Err(format!("the host's name leads to {ip}, which is {why}").into());
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_by_their_looks() {
        for (url, open, loopback) in [
            ("https://hooks.slack.com/services/T/B/x", true, true),
            ("https://8.8.8.8:8443/x", true, true),
            ("http://hooks.slack.com/services/T/B/x", false, false),
            ("https://user:word@hooks.slack.com/", false, false),
            ("https://user@hooks.slack.com/", false, false),
            ("ftp://hooks.slack.com/", false, false),
            ("file:///etc/passwd", false, false),
            ("https://10.0.0.1/", false, false),
            ("https://169.254.169.254/latest/meta-data", false, false),
            ("https://2852039166/latest/meta-data", false, false),
            ("https://0xa9fea9fe/", false, false),
            ("https://[::ffff:169.254.169.254]/", false, false),
            ("https://[fd00:ec2::254]/", false, false),
            ("https://metadata.google.internal/", false, false),
            ("https://printer.local/", false, false),
            ("https://database/", false, false),
            ("http://10.0.0.1/", false, false),
            ("http://127.0.0.1:9000/x", false, true),
            ("https://127.0.0.1:9000/x", false, true),
            ("http://localhost:9000/x", false, true),
            ("https://2130706433/", false, true),
            ("http://[::1]:9000/x", false, true),
            ("not a url", false, false),
        ] {
            assert_eq!(check(url, false).is_ok(), open, "{url}");
            assert_eq!(check(url, true).is_ok(), loopback, "{url} with loopback allowed");
        }
    }

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

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        // `localhost` stands for any name whose server answers with an internal address.
        let resolve = |allow_loopback| Vetted { allow_loopback }.resolve("localhost".parse().unwrap());
        let fault = resolve(false)
            .await
            .err()
            .map(|fault| fault.to_string())
            .unwrap_or_default();
        assert!(fault.contains("which is loopback"), "{fault}");
        assert!(resolve(true).await.is_ok());
    }
}
