//! The settings of `[operator]`.

use auspex_chassis::{Secret, Settings};
use serde::{Deserialize, Serialize};

/// The settings of `[operator]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a cluster is watched at all: a mesh need not run beside one.
    pub enabled: bool,
    /// A kubeconfig file; empty: `KUBECONFIG`, `~/.kube/config`, or the pod's own service account.
    pub kubeconfig: String,
    /// A context of it; empty: the current one.
    pub context: String,
    /// Seconds that one request to the API server may take: beyond it the server counts as away.
    pub timeout_seconds: u64,
    /// The namespace that is watched; empty: all of them, which needs a role for all of them.
    pub namespace: String,
    /// Whether Argo's rollouts and templates are watched too. Without its CRDs there is nothing to watch.
    pub argo: bool,
    /// Namespace and name of the lease of Argo's controller: while it is renewed, that controller is alive.
    pub argo_lease: String,
    /// The project of rollouts without the annotation `auspex.dev/project`; empty: their namespace.
    pub project: String,
    /// Where control answers gRPC.
    pub control: String,
    /// Where analyses are answered, by gRPC; empty: where control is.
    pub analysis: String,
    /// Access token for both.
    pub token: Secret,
    /// Root certificates (PEM file) to trust for control beside the usual ones; empty: none.
    pub ca: String,
    /// Namespace of the lease by which one of several replicas leads.
    pub lease_namespace: String,
    /// Its name.
    pub lease: String,
    /// Seconds after which a silent leader is replaced. Kubernetes' own controllers take 15.
    pub lease_seconds: u64,
    /// Milliseconds between two looks at what became of rollouts.
    pub look_ms: u64,
    /// Seconds between two writes of a status in which only numbers have moved: each write is one of the whole cluster's.
    pub quiet_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            kubeconfig: String::new(),
            context: String::new(),
            timeout_seconds: 10,
            namespace: String::new(),
            argo: false,
            argo_lease: "argo-rollouts/argo-rollouts-controller-lock".to_owned(),
            project: String::new(),
            control: "http://127.0.0.1:7700".to_owned(),
            analysis: String::new(),
            token: Secret::default(),
            ca: String::new(),
            lease_namespace: "auspex".to_owned(),
            lease: "auspex-operator".to_owned(),
            lease_seconds: 15,
            look_ms: 1_000,
            quiet_seconds: 10,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.enabled && !cfg!(feature = "kubernetes") {
            found.push("enabled: this build knows no Kubernetes: it needs the feature kubernetes".to_owned());
        }
        for (key, value, least, most) in [
            ("timeout_seconds", self.timeout_seconds, 1, 120),
            ("lease_seconds", self.lease_seconds, 3, 3_600),
            ("look_ms", self.look_ms, 100, 60_000),
            ("quiet_seconds", self.quiet_seconds, 0, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                found.push(format!("{key}: {value} is not within {least}..={most}"));
            }
        }
        for (key, value) in [("lease_namespace", &self.lease_namespace), ("lease", &self.lease)] {
            if value.is_empty() {
                found.push(format!("{key}: is empty"));
            }
        }
        if !(self.control.starts_with("http://") || self.control.starts_with("https://")) {
            found.push(format!("control: {} is not http(s)://host:port", self.control));
        }
        if !(self.analysis.is_empty()
            || self.analysis.starts_with("http://")
            || self.analysis.starts_with("https://"))
        {
            found.push(format!("analysis: {} is not http(s)://host:port", self.analysis));
        }
        if self.lease_of_argo().is_none() {
            found.push(format!("argo_lease: {} is not namespace/name", self.argo_lease));
        }
        found
    }
}

impl Config {
    /// Namespace and name of the lease of Argo's controller.
    #[must_use]
    pub fn lease_of_argo(&self) -> Option<(&str, &str)> {
        let parts = self.argo_lease.split_once('/')?;
        (!parts.0.is_empty() && !parts.1.is_empty() && !parts.1.contains('/')).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_right_and_every_mistake_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            timeout_seconds: 0,
            lease: String::new(),
            control: "localhost:1".to_owned(),
            argo_lease: "lock".to_owned(),
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 4);
    }
}
