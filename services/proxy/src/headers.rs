//! What a proxy may pass on, and what it adds. Pure.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("upgrade");
const HTTP: HeaderValue = HeaderValue::from_static("http");

/// Who asks, as the target is told.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, as it stands in `X-Forwarded-For`.
    pub address: HeaderValue,
    /// Whether what the client says in `X-Forwarded-*` is passed on.
    pub trusted: bool,
}

/// Prepares a request's headers: no hop-by-hop headers (RFC 9110, 7.6.1), `X-Forwarded-*` added, `Host` kept.
/// Returns whether it asks for an upgrade, which is then the one hop-by-hop wish that is passed on.
pub fn request(headers: &mut HeaderMap, peer: &Peer) -> bool {
    let upgrade = asks_upgrade(headers)
        .then(|| headers.get(UPGRADE).cloned())
        .flatten();
    let trailers = headers.get(TE).is_some_and(|te| names(te, "trailers"));
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    strip(headers);
    headers.remove(PROXY_AUTHORIZATION);
    // This side answers it: `100 Continue` is sent as soon as the body is asked for.
    headers.remove(EXPECT);
    if chunked {
        headers.remove(CONTENT_LENGTH);
    }
    if trailers {
        headers.insert(TE, TRAILERS);
    }
    forwarded(headers, peer);
    let upgrades = upgrade.is_some();
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, UPGRADE_TOKEN);
    }
    upgrades
}

/// Begins a trace (W3C Trace Context) where the sender has none; who has one has decided already. `id`: 32 hex digits.
pub fn sample(headers: &mut HeaderMap, sampled: bool, id: impl FnOnce() -> String) {
    if headers.contains_key(TRACEPARENT) {
        return;
    }
    let (id, flag) = (id(), u8::from(sampled));
    let Some(span) = id.get(..16) else {
        return;
    };
    if let Ok(value) = HeaderValue::from_str(&format!("00-{id}-{span}-{flag:02x}")) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Prepares a response's headers. `switching`: it is a `101`, whose `Upgrade` belongs to the client.
pub fn response(headers: &mut HeaderMap, switching: bool) {
    let protocol = if switching {
        headers.get(UPGRADE).cloned()
    } else {
        None
    };
    strip(headers);
    headers.remove(PROXY_AUTHENTICATE);
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, UPGRADE_TOKEN);
    }
}

fn forwarded(headers: &mut HeaderMap, peer: &Peer) {
    if !peer.trusted {
        disbelieve(headers);
    }
    // Several lines are one list (RFC 9110, 5.3).
    let before = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    let chain: Vec<&[u8]> = before.chain([peer.address.as_bytes()]).collect();
    let chain = HeaderValue::from_bytes(&chain.join(b", ".as_slice())).ok();
    headers.insert(FORWARDED_FOR, chain.unwrap_or_else(|| peer.address.clone()));
    if !(peer.trusted && headers.contains_key(FORWARDED_PROTO)) {
        headers.insert(FORWARDED_PROTO, HTTP);
    }
    if !(peer.trusted && headers.contains_key(FORWARDED_HOST)) {
        match headers.get(HOST).cloned() {
            Some(host) => headers.insert(FORWARDED_HOST, host),
            None => headers.remove(FORWARDED_HOST),
        };
    }
}

/// Removes what a client says of its own way here: whoever is behind believes it.
fn disbelieve(headers: &mut HeaderMap) {
    let said: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-forwarded-") || *name == FORWARDED || *name == REAL_IP)
        .cloned()
        .collect();
    for name in said {
        headers.remove(name);
    }
}

fn asks_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && headers
            .get_all(CONNECTION)
            .iter()
            .any(|value| names(value, "upgrade"))
}

fn names(value: &HeaderValue, token: &str) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|part| {
        part.split(';')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case(token))
    })
}

/// Removes what concerns one connection alone, and what `Connection` names.
fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .collect();
        for name in named {
            // Naming these does not make them a matter of one connection: a request without them means another thing.
            if name != HOST && name != CONTENT_LENGTH {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    fn peer(trusted: bool) -> Peer {
        Peer {
            address: HeaderValue::from_static("10.0.0.9"),
            trusted,
        }
    }

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let mut headers = map(&[
            ("host", "shop"),
            ("connection", "close, X-Hop, host"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("te", "trailers, gzip"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("proxy-authorization", "x"),
            ("x-end", "2"),
            ("upgrade", "h2c"),
        ]);
        assert!(
            !request(&mut headers, &peer(false)),
            "Connection does not name Upgrade"
        );
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "host",
                "te",
                "x-end",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto"
            ]
        );
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn an_upgrade_is_passed_on_both_ways() {
        let mut headers = map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert!(request(&mut headers, &peer(false)));
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (&UPGRADE_TOKEN, &HeaderValue::from_static("websocket"))
        );
        let mut answer = map(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        response(&mut answer, true);
        assert_eq!(answer.len(), 2);
        response(&mut answer, false);
        assert!(answer.is_empty());
    }

    #[test]
    fn only_a_trusted_client_says_where_it_comes_from() {
        let said = [
            ("host", "shop"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/admin"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
        ];
        let mut headers = map(&said);
        request(&mut headers, &peer(false));
        assert_eq!(headers.len(), 4, "{headers:?}");
        assert_eq!(
            (&headers["x-forwarded-for"], &headers["x-forwarded-proto"]),
            (&peer(false).address, &HTTP)
        );
        let mut headers = map(&said);
        request(&mut headers, &peer(true));
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "shop");
        assert_eq!(headers["x-forwarded-prefix"], "/admin");
        let mut headers = map(&said);
        headers.append(FORWARDED_FOR, HeaderValue::from_static("5.6.7.8"));
        request(&mut headers, &peer(true));
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 5.6.7.8, 10.0.0.9");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    }
}
