//! How the routes of a cluster are named in configuration.

use serde::{Deserialize, Serialize};

use super::split::{Destination, Split};

/// Seconds that one request to the API server may take, when nothing is configured.
const TIMEOUT: u64 = 10;

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// A kubeconfig file; empty: `KUBECONFIG`, `~/.kube/config`, or the pod's own service account.
    pub kubeconfig: String,
    /// A context of it; empty: the current one.
    pub context: String,
    /// Seconds that one request may take: beyond it the server counts as away.
    pub timeout_seconds: u64,
}

/// `[router.routes.istio]`: an Istio `VirtualService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Istio {
    /// How the API server is reached.
    pub server: Server,
    /// Where the object is.
    pub namespace: String,
    /// The `VirtualService`.
    pub virtual_service: String,
    /// Names of its HTTP routes to split; empty: the only one there is.
    pub routes: Vec<String>,
    /// The `DestinationRule` that defines the subsets; empty: none is looked at.
    pub destination_rule: String,
    /// Where stable is.
    pub stable: Destination,
    /// Where the candidate is.
    pub candidate: Destination,
}

/// `[router.routes.gateway_api]`: a Gateway API `HTTPRoute`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayApi {
    /// How the API server is reached.
    pub server: Server,
    /// Where the object is.
    pub namespace: String,
    /// The `HTTPRoute`.
    pub http_route: String,
    /// Names of its rules to split; empty: all that list both backends.
    pub rules: Vec<String>,
    /// The Service of stable.
    pub stable: String,
    /// The Service of the candidate.
    pub candidate: String,
}

/// `[router.routes.kubernetes]`: sizes of two Deployments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workloads {
    /// How the API server is reached.
    pub server: Server,
    /// Where the Deployments are.
    pub namespace: String,
    /// That of stable.
    pub stable: String,
    /// That of the candidate.
    pub candidate: String,
    /// Copies at which one version can take all traffic; 0: the larger of the two sizes there are, and then none is made smaller
    /// but to nothing, unless the document says how many copies there are to be.
    pub replicas: u32,
    /// The `VirtualService` from which this scaler reads who has traffic: so that it takes nothing from a version that
    /// needs it, whatever is asked. Empty: the `HTTPRoute` is looked at; with neither, control's word is all there is.
    pub virtual_service: String,
    /// Names of its HTTP routes.
    pub routes: Vec<String>,
    /// The same for an `HTTPRoute`.
    pub http_route: String,
    /// Where stable is in that route.
    pub stable_host: Destination,
    /// Where the candidate is in it.
    pub candidate_host: Destination,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            kubeconfig: String::new(),
            context: String::new(),
            timeout_seconds: TIMEOUT,
        }
    }
}

impl Server {
    /// As the client takes it.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub fn reach(&self) -> auspex_cluster::Reach {
        auspex_cluster::Reach {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            timeout: std::time::Duration::from_secs(self.timeout_seconds),
        }
    }

    fn problems(&self, found: &mut Vec<String>) {
        if !(1..=120).contains(&self.timeout_seconds) {
            found.push("server.timeout_seconds is not within 1..=120".to_owned());
        }
    }
}

impl Istio {
    /// Every mistake.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = named(&[
            ("namespace", &self.namespace),
            ("virtual_service", &self.virtual_service),
            ("stable.host", &self.stable.host),
            ("candidate.host", &self.candidate.host),
        ]);
        if self.stable == self.candidate {
            found.push("stable and candidate are the same destination".to_owned());
        }
        let subsets = [&self.stable, &self.candidate]
            .iter()
            .any(|side| !side.subset.is_empty());
        if !self.destination_rule.is_empty() && !subsets {
            found.push("destination_rule is named, and no destination has a subset".to_owned());
        }
        self.server.problems(&mut found);
        found
    }

    /// What is split.
    #[must_use]
    pub fn split(&self) -> Split {
        Split {
            namespace: self.namespace.clone(),
            routes: self.routes.clone(),
            stable: self.stable.clone(),
            candidate: self.candidate.clone(),
        }
    }
}

impl GatewayApi {
    /// Every mistake.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = named(&[
            ("namespace", &self.namespace),
            ("http_route", &self.http_route),
            ("stable", &self.stable),
            ("candidate", &self.candidate),
        ]);
        if self.stable == self.candidate {
            found.push("stable and candidate are the same Service".to_owned());
        }
        self.server.problems(&mut found);
        found
    }

    /// What is split.
    #[must_use]
    pub fn split(&self) -> Split {
        let to = |host: &String| Destination {
            host: host.clone(),
            subset: String::new(),
        };
        Split {
            namespace: self.namespace.clone(),
            routes: self.rules.clone(),
            stable: to(&self.stable),
            candidate: to(&self.candidate),
        }
    }
}

impl Workloads {
    /// Every mistake.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = named(&[
            ("namespace", &self.namespace),
            ("stable", &self.stable),
            ("candidate", &self.candidate),
        ]);
        if self.stable == self.candidate {
            found.push("stable and candidate are the same Deployment".to_owned());
        }
        if !self.virtual_service.is_empty() && !self.http_route.is_empty() {
            found.push("virtual_service and http_route are both named: one says who has traffic".to_owned());
        }
        let route = !self.virtual_service.is_empty() || !self.http_route.is_empty();
        let hosts = !self.stable_host.host.is_empty() && !self.candidate_host.host.is_empty();
        if route && !hosts {
            found.push("stable_host and candidate_host are wanted with a route".to_owned());
        }
        self.server.problems(&mut found);
        found
    }

    /// The route that says who has traffic.
    #[must_use]
    pub fn split(&self) -> Split {
        Split {
            namespace: self.namespace.clone(),
            routes: self.routes.clone(),
            stable: self.stable_host.clone(),
            candidate: self.candidate_host.clone(),
        }
    }
}

fn named(wanted: &[(&str, &String)]) -> Vec<String> {
    let empty = wanted.iter().filter(|(_, value)| value.is_empty());
    empty.map(|(name, _)| format!("{name} is empty")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        let problems = Istio::default().problems();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert_eq!(GatewayApi::default().problems().len(), 5);
        assert_eq!(Workloads::default().problems().len(), 4);
        let fine = Workloads {
            namespace: "shop".to_owned(),
            stable: "web-a".to_owned(),
            candidate: "web-b".to_owned(),
            ..Workloads::default()
        };
        assert_eq!(fine.problems(), Vec::<String>::new());
    }
}
