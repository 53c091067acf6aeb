//! Where an object stands: its path below the API server.

use std::fmt;

/// A kind of object, by what its path is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version, as in `v1`.
    pub version: &'static str,
    /// The plural, in lower case, as in `virtualservices`.
    pub resource: &'static str,
    /// Its name in documents, as in `VirtualService`.
    pub name: &'static str,
}

/// An object, or all objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// What.
    pub kind: Kind,
    /// Where; empty: in all namespaces.
    pub namespace: String,
    /// Which; empty: all.
    pub name: String,
    /// A part with a life of its own, as `status` or `scale`; empty: the object.
    pub part: &'static str,
}

impl Kind {
    /// One object of this kind.
    #[must_use]
    pub fn named(self, namespace: &str, name: &str) -> Place {
        Place {
            kind: self,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            part: "",
        }
    }

    /// All objects of this kind in a namespace; everywhere when it is empty.
    #[must_use]
    pub fn all(self, namespace: &str) -> Place {
        self.named(namespace, "")
    }

    /// What a document says of itself, as in `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl Place {
    /// A part of the object, as `status` or `scale`.
    #[must_use]
    pub fn part(mut self, part: &'static str) -> Self {
        self.part = part;
        self
    }

    /// Its path below the server. A name that would leave its segment is escaped.
    #[must_use]
    pub fn path(&self) -> String {
        let kind = &self.kind;
        let mut path = if kind.group.is_empty() {
            format!("/api/{}", kind.version)
        } else {
            format!("/apis/{}/{}", kind.group, kind.version)
        };
        if !self.namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&segment(&self.namespace));
        }
        path.push('/');
        path.push_str(kind.resource);
        if !self.name.is_empty() {
            path.push('/');
            path.push_str(&segment(&self.name));
        }
        if !self.part.is_empty() {
            path.push('/');
            path.push_str(self.part);
        }
        path
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.name, self.namespace, self.name)
    }
}

/// Names of objects need no escapes; whatever else arrives here must not become another path.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && text.len() > 2)
        {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: Kind = Kind {
        group: "networking.istio.io",
        version: "v1",
        resource: "virtualservices",
        name: "VirtualService",
    };
    const PODS: Kind = Kind {
        group: "",
        version: "v1",
        resource: "pods",
        name: "Pod",
    };

    #[test]
    fn a_path_is_made_of_its_parts() {
        let shop = ROUTES.named("shop", "frontend.main");
        assert_eq!(
            shop.path(),
            "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/frontend.main"
        );
        assert_eq!(PODS.all("").path(), "/api/v1/pods");
        assert_eq!(
            PODS.named("a", "b").part("status").path(),
            "/api/v1/namespaces/a/pods/b/status"
        );
        assert_eq!(shop.to_string(), "VirtualService shop/frontend.main");
    }

    #[test]
    fn a_name_does_not_leave_its_segment() {
        assert_eq!(
            PODS.named("a", "../b?x=1").path(),
            "/api/v1/namespaces/a/pods/..%2Fb%3Fx%3D1"
        );
        assert_eq!(PODS.named("..", "b").path(), "/api/v1/namespaces/%2E%2E/pods/b");
    }
}
