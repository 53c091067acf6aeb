//! Words that go out into the world: URLs, and names of headers and cookies. One that no request can carry never fits.

/// Whether a text is an http(s) URL with a host, and nothing in it that a URL cannot hold.
pub(super) fn is_http_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest else { return false };
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    // An address of IPv6 stands in brackets: colons within are no port's.
    let (host, port) = match place.rfind(']') {
        Some(end) => place.split_at(end + 1),
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    !host.is_empty() && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// Whether a text can name a header or a cookie (RFC 9110, a token).
pub(super) fn is_token(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host() {
        for right in [
            "http://a",
            "https://a.b:8080/x?y=z#f",
            "http://[::1]:80/",
            "http://[fe80::1]",
            "http://user:pw@host:1/",
            "http://checkout-stable:8080",
        ] {
            assert!(is_http_url(right), "{right}");
        }
        for wrong in [
            "http://",
            "http:///x",
            "http://:80",
            "http://a b",
            "http://a:99999/",
            "http://a:x/",
            "ftp://a",
            "a",
            "http://a\n",
        ] {
            assert!(!is_http_url(wrong), "{wrong}");
        }
    }

    #[test]
    fn headers_are_named_by_tokens() {
        assert!(is_token("x-staff") && is_token("__Host-id"));
        assert!(!is_token("") && !is_token("x staff") && !is_token("a=b") && !is_token("a;"));
    }
}
