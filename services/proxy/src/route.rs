//! Which service a request is for. Pure.

/// One line of the routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Lower case, without a port; `None`: any host.
    pub host: Option<String>,
    /// Begins with `/`; `/` matches every path.
    pub prefix: String,
    /// Which lane serves it.
    pub lane: usize,
}

/// The routing table: a route with a host comes before one without, a longer prefix before a shorter one.
#[derive(Debug, Clone, Default)]
pub struct Table(Vec<Route>);

impl Table {
    /// Puts the routes in their order.
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.prefix.len())));
        Self(routes)
    }

    /// The lane of a request. A prefix matches whole segments: `/api` matches `/api` and `/api/x`, not `/apis`.
    #[must_use]
    pub fn lane(&self, host: &str, path: &str) -> Option<usize> {
        let name = without_port(host);
        let serves = |route: &&Route| {
            route
                .host
                .as_deref()
                .is_none_or(|own| own.eq_ignore_ascii_case(name))
                && under(path, &route.prefix)
        };
        self.0.iter().find(serves).map(|route| route.lane)
    }
}

fn under(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// The name in a `Host` header. An IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(Option<&str>, &str)]) -> Table {
        let route = |(lane, (host, prefix)): (usize, &(Option<&str>, &str))| Route {
            host: host.map(str::to_owned),
            prefix: (*prefix).to_owned(),
            lane,
        };
        Table::new(routes.iter().enumerate().map(route).collect())
    }

    #[test]
    fn the_most_particular_route_wins() {
        let table = table(&[
            (None, "/"),
            (Some("shop.test"), "/"),
            (Some("shop.test"), "/api"),
            (None, "/api/v2"),
        ]);
        assert_eq!(table.lane("shop.test:80", "/api/x"), Some(2));
        assert_eq!(table.lane("SHOP.test", "/apis"), Some(1));
        assert_eq!(table.lane("other", "/api/v2"), Some(3));
        assert_eq!(table.lane("[::1]:80", "/"), Some(0));
    }

    #[test]
    fn no_route_is_an_answer_too() {
        let table = table(&[(Some("a"), "/x/"), (Some("[::1]"), "/")]);
        assert_eq!(table.lane("a", "/x"), None);
        assert_eq!(table.lane("a", "/x/y"), Some(0));
        assert_eq!(table.lane("[::1]:8080", "/y"), Some(1));
        assert_eq!(table.lane("", "/x/y"), None);
    }
}
