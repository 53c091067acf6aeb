//! Where a target is reached: the scheme, host and port of an `http` URL, and nothing else.

use std::fmt;

use auspex_proto::Invalid;

/// Host and port of a target that speaks plain HTTP/1.1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// 1..=65535; 80 when the URL has none.
    pub port: u16,
}

impl Origin {
    /// Reads `http://host[:port][/]`.
    ///
    /// # Errors
    /// [`Invalid`] when it is not a URL, has another scheme, a path, a query or user information.
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        let fault = |reason: &str| Invalid::new("url", format!("{url:?} {reason}"));
        let uri: http::Uri = url.parse().map_err(|_| fault("is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(fault(
                "does not begin with http:// (the proxy speaks plain HTTP to its targets)",
            ));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(fault("has a path or a query: a target is a host and a port"));
        }
        let authority = uri.authority().ok_or_else(|| fault("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(fault("holds user information"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(fault("has no host"));
        }
        let port = match authority.port() {
            None => 80,
            Some(port) if port.as_u16() > 0 => port.as_u16(),
            Some(_) => return Err(fault("has port 0")),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_port() {
        for (url, text) in [
            ("http://shop:8080", "http://shop:8080"),
            ("http://shop/", "http://shop:80"),
            ("http://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(Origin::parse(url).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "shop:80",
            "https://shop",
            "http://shop/v1",
            "http://shop?x",
            "http://a@shop",
            "http://shop:0",
        ] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }
}
