//! The way out for whatever speaks to an address that somebody configured: to the open internet alone, unless told otherwise.
//!
//! A URL is checked when it is configured; its name is resolved and every address vetted when a connection is made, and the
//! connection goes to the vetted address, so that a name cannot point elsewhere in between. Redirects are not followed,
//! proxies of the environment not used.

pub mod address;
pub mod signature;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How far one may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// The open internet, by HTTPS.
    #[default]
    Open,
    /// This machine too, without TLS: to try things out.
    Loopback,
    /// One's own network too, without TLS; but never where a cloud keeps its secrets.
    Private,
}

/// Checks a URL by its looks.
///
/// # Errors
/// Why it may not be spoken to, without the URL.
pub fn check(url: &str, reach: Reach) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|fault| format!("is not a URL: {fault}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password".to_owned());
    }
    let inside = match url.host() {
        None => return Err("has no host".to_owned()),
        Some(Host::Domain(name)) => domain(name, reach)?,
        Some(Host::Ipv4(v4)) => reach.admits(IpAddr::V4(v4))?,
        Some(Host::Ipv6(v6)) => reach.admits(IpAddr::V6(v6))?,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if inside => Ok(url),
        scheme => Err(format!("has the scheme {scheme}, wanted https")),
    }
}

/// Whether a name is of one's own network.
fn domain(name: &str, reach: Reach) -> Result<bool, String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let internal = [".internal", ".local", ".localdomain"];
    match (is_local(&name), reach) {
        (true, Reach::Open) => Err("leads to loopback; allow_loopback = true would allow it".to_owned()),
        (true, _) => Ok(true),
        // Which of its addresses is vetted when it is resolved.
        (false, Reach::Private) => Ok(true),
        _ if internal.iter().any(|end| name.ends_with(end)) => {
            Err(format!("{name} is a name of an internal network"))
        }
        _ if !name.contains('.') => Err(format!("{name} is not a full name")),
        _ => Ok(false),
    }
}

fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// A client that goes nowhere else.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(reach: Reach, limit: Duration) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .dns_resolver(std::sync::Arc::new(Vetted { reach }))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(limit)
        .connect_timeout(limit)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("auspex/", env!("CARGO_PKG_VERSION")));
    Ok(builder.build()?)
}

impl Reach {
    /// Whether an address, as it is written, is inside; and whether it may be spoken to at all.
    fn admits(self, ip: IpAddr) -> Result<bool, String> {
        let inside = match self {
            Self::Open => false,
            Self::Loopback => ip.is_loopback(),
            Self::Private => true,
        };
        if inside && !(self == Self::Private && address::is_forbidden(ip)) {
            return Ok(true);
        }
        address::refusal(ip).map_or(Ok(false), |why| {
            let hint = if ip.is_loopback() && self == Self::Open {
                "; allow_loopback = true would allow it"
            } else {
                ""
            };
            Err(format!("leads to {ip}, which is {why}{hint}"))
        })
    }

    /// Why a resolved address may not be spoken to.
    fn refuses(self, local: bool, ip: IpAddr) -> Option<&'static str> {
        match self {
            Self::Loopback if local && ip.is_loopback() => None,
            Self::Private if !address::is_forbidden(ip) => None,
            _ => address::refusal(ip),
        }
    }
}

/// Name resolution that answers nothing when any address is not to be spoken to: a name with one foot inside is not trusted.
#[derive(Debug)]
struct Vetted {
    reach: Reach,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                let ip = address.ip();
                if let Some(why) = reach.refuses(is_local(name.as_str()), ip) {
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
            assert_eq!(check(url, Reach::Open).is_ok(), open, "{url}");
            assert_eq!(
                check(url, Reach::Loopback).is_ok(),
                loopback,
                "{url} with loopback allowed"
            );
        }
    }

    #[test]
    fn ones_own_network_is_reached_where_that_is_allowed_and_a_clouds_secrets_never() {
        for (url, private) in [
            ("http://10.0.0.1:9000/x", true),
            ("http://router.shop.svc.cluster.local/x", true),
            ("http://database/", true),
            ("http://127.0.0.1/", true),
            ("http://[fd12::1]/", true),
            ("http://169.254.169.254/latest/meta-data", false),
            ("http://[::ffff:169.254.169.254]/", false),
            ("http://[64:ff9b::169.254.169.254]/", false),
            ("http://[2002:a9fe:a9fe::1]/", false),
            ("http://[64:ff9b::10.0.0.1]/", true),
            ("http://[fd00:ec2::254]/", false),
            ("http://168.63.129.16/", false),
            ("http://0.0.0.0/", false),
            ("http://224.0.0.1/", false),
            ("ftp://10.0.0.1/", false),
        ] {
            assert_eq!(check(url, Reach::Private).is_ok(), private, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        // `localhost` stands for any name whose server answers with an internal address.
        let resolve = |reach| Vetted { reach }.resolve("localhost".parse().unwrap());
        let fault = resolve(Reach::Open)
            .await
            .err()
            .map(|fault| fault.to_string())
            .unwrap_or_default();
        assert!(fault.contains("which is loopback"), "{fault}");
        assert!(resolve(Reach::Loopback).await.is_ok());
    }
}
