//! What every kind of route has in common: two destinations, and what is wished of their split. Pure.

use std::fmt;

use auspex_proto::intent::Cohort;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::router::{Intent, Shares};

/// Where one version is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Destination {
    /// The Kubernetes Service, by its short name or a longer one.
    pub host: String,
    /// A subset that a `DestinationRule` names; empty: the whole host.
    pub subset: String,
}

/// Whose traffic is split between what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Where the object is; short names of hosts are meant in it.
    pub namespace: String,
    /// Names of the routes; empty: the only one there is.
    pub routes: Vec<String>,
    /// Where stable is.
    pub stable: Destination,
    /// Where the candidate is.
    pub candidate: Destination,
}

/// What is to hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// The candidate's share, percent.
    pub weight: u8,
    /// Who has a track of their own, whatever the weight is.
    pub cohorts: &'a [Cohort],
    /// Percent of requests of which the candidate gets a copy.
    pub mirror: u8,
}

/// What holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// How traffic is split; `None`: the named routes disagree.
    pub shares: Option<Shares>,
    /// Whether cohorts and copies are as wished; `None`: this kind of route knows none.
    pub beside: Option<bool>,
    /// What a person should know; empty: nothing.
    pub note: String,
}

/// The object is not one that can be split as configured, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unfit(pub String);

impl<'a> Wish<'a> {
    /// What an intent asks of a route.
    #[must_use]
    pub fn of(intent: &'a Intent) -> Self {
        Self {
            weight: intent.weight,
            cohorts: &intent.cohorts,
            mirror: intent.mirror,
        }
    }
}

impl Split {
    /// The two places with their roles exchanged.
    #[must_use]
    pub fn turned(&self, swapped: bool) -> Self {
        let mut split = self.clone();
        if swapped {
            std::mem::swap(&mut split.stable, &mut split.candidate);
        }
        split
    }
}

impl Destination {
    /// Whether this host is meant: the same name, or the same Service by its longer name.
    #[must_use]
    pub fn is_host(&self, host: &str, namespace: &str) -> bool {
        let parts = |name: &str| {
            let mut parts = name.split('.');
            let service = parts.next().unwrap_or_default().to_owned();
            let within = parts.next().unwrap_or(namespace).to_owned();
            let rest = parts.next();
            (service, within, rest.is_none_or(|rest| rest == "svc"))
        };
        let (theirs, ours) = (parts(host), parts(&self.host));
        host == self.host || (theirs.2 && ours.2 && theirs == ours)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subset.is_empty() {
            f.write_str(&self.host)
        } else {
            write!(f, "{} ({})", self.host, self.subset)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_short_and_long_names() {
        let of = |host: &str| Destination {
            host: host.to_owned(),
            subset: String::new(),
        };
        for host in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
            assert!(of("web").is_host(host, "shop"), "{host}");
            assert!(of(host).is_host("web", "shop"), "{host}");
        }
        assert!(!of("web").is_host("web.other", "shop"));
        assert!(!of("web").is_host("web-canary", "shop"));
        assert!(of("api.example.org").is_host("api.example.org", "shop"));
        assert!(!of("api.example.org").is_host("api.example.com", "shop"));
    }
}
