//! What is asked of the API server, and what may be.
//!
//! Whoever uses the server declares its grants in one table. The table is compared with the roles in `deploy/kubernetes/` by
//! a test, and the client refuses what is not in it: so a verb in use is granted, and nothing is granted that is not declared.

use std::fmt;

/// A permission: verbs on one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The plural, with its part after a slash: `deployments/scale`.
    pub resource: &'static str,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verbs: &'static [&'static str],
    /// Why it is needed.
    pub why: &'static str,
}

/// What one request asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// As in a rule.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// The plural, with its part after a slash.
    pub resource: String,
    /// Where; empty: everywhere.
    pub namespace: String,
}

impl Asked {
    /// What a request asks for, by Kubernetes' own rules; `None` when it asks for no object.
    #[must_use]
    pub fn of(method: &str, path: &str, query: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        parts.next()?;
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (resource, name, part) = match rest {
            [resource] => (*resource, "", ""),
            [resource, name] => (*resource, *name, ""),
            [resource, name, part] => (*resource, *name, *part),
            _ => return None,
        };
        let watched = query
            .split('&')
            .any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let verb = match (method, name.is_empty()) {
            ("GET", true) if watched => "watch",
            ("GET", true) => "list",
            ("GET", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", false) => "delete",
            _ => return None,
        };
        let resource = if part.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}/{part}")
        };
        Some(Self {
            verb,
            group: group.to_owned(),
            resource,
            namespace: namespace.to_owned(),
        })
    }

    /// Whether a table of grants allows it.
    #[must_use]
    pub fn within(&self, grants: &[Grant]) -> bool {
        grants.iter().any(|grant| {
            grant.group == self.group && grant.resource == self.resource && grant.verbs.contains(&self.verb)
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, query: &str) -> String {
        Asked::of(method, path, query)
            .map(|asked| asked.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_request_is_read_as_the_server_reads_it() {
        let routes = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices";
        assert_eq!(
            asked("GET", routes, ""),
            "list virtualservices.networking.istio.io"
        );
        assert_eq!(
            asked("GET", routes, "limit=5&watch=true"),
            "watch virtualservices.networking.istio.io"
        );
        assert_eq!(
            asked("PATCH", &format!("{routes}/a"), ""),
            "patch virtualservices.networking.istio.io"
        );
        let scale = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
        assert_eq!(asked("PUT", scale, ""), "update deployments/scale.apps");
        assert_eq!(asked("GET", "/api/v1/namespaces/shop", ""), "get namespaces");
        assert_eq!(
            asked("POST", "/api/v1/namespaces/shop/events", ""),
            "create events"
        );
        assert_eq!(asked("GET", "/version", ""), "");
        assert_eq!(
            asked("DELETE", routes, ""),
            "",
            "a whole collection is never asked for"
        );
    }

    #[test]
    fn only_what_is_granted_is_within() {
        let grants = [Grant {
            group: "apps",
            resource: "deployments/scale",
            verbs: &["get", "update"],
            why: "to make room",
        }];
        let scale = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
        let within = |method, path| Asked::of(method, path, "").is_some_and(|asked| asked.within(&grants));
        assert!(within("PUT", scale));
        assert!(!within("PATCH", scale));
        assert!(!within("PUT", "/apis/apps/v1/namespaces/shop/deployments/web"));
        assert!(!within(
            "PUT",
            "/apis/extensions/v1/namespaces/shop/deployments/web/scale"
        ));
    }
}
