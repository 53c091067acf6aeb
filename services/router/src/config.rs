//! The settings of `[router]`.

use std::collections::BTreeSet;
use std::time::Duration;

use auspex_chassis::Settings;
use auspex_proto::{Project, ServiceName};
use serde::{Deserialize, Serialize};

use crate::course::Slots;
use crate::{envoy, haproxy, kubernetes, webhook};

/// The settings of `[router]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Milliseconds between two looks at a data plane that is where it should be: how late somebody else's change is found.
    pub check_ms: u64,
    /// Milliseconds that control may be silent before a route's watchdog acts. Pulses come each second; ten may be lost.
    pub lease_ms: u64,
    /// Which service is split by which data plane. A service may have several routes: each is told, verified and reported
    /// alone.
    pub routes: Vec<Route>,
    /// Milliseconds that one exchange with a data plane may take.
    pub timeout_ms: u64,
}

/// One route: a service at a data plane. Exactly one of the tables of adapters is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Its name in answers and reports, unique; empty: the service and the kind, as `checkout-envoy`.
    pub name: String,
    /// The project whose decisions are followed.
    pub project: String,
    /// The service, as its decisions call it.
    pub service: String,
    /// Where the data plane is, for weights by region; empty when there is one region only.
    pub region: String,
    /// What promotion does to the places of stable and candidate: `swap` or `fixed`.
    pub slots: Slots,
    /// Whether traffic goes back to stable when control has been silent for `lease_ms`. False: the weight stays.
    pub watchdog: bool,
    /// Envoy, by its admin address.
    pub envoy: Option<envoy::Settings>,
    /// HAProxy, by its runtime socket.
    pub haproxy: Option<haproxy::Settings>,
    /// Anything that answers a signed request.
    pub webhook: Option<webhook::Settings>,
    /// An Istio `VirtualService`.
    pub istio: Option<kubernetes::Istio>,
    /// A Gateway API `HTTPRoute`.
    pub gateway_api: Option<kubernetes::GatewayApi>,
    /// Sizes of two Deployments.
    pub kubernetes: Option<kubernetes::Workloads>,
}

/// The adapter of a route.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Via<'a> {
    Envoy(&'a envoy::Settings),
    Haproxy(&'a haproxy::Settings),
    Webhook(&'a webhook::Settings),
    Istio(&'a kubernetes::Istio),
    GatewayApi(&'a kubernetes::GatewayApi),
    Kubernetes(&'a kubernetes::Workloads),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            check_ms: 1_000,
            lease_ms: 10_000,
            routes: Vec::new(),
            timeout_ms: 2_000,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let spans = [
            ("check_ms", self.check_ms),
            ("lease_ms", self.lease_ms),
            ("timeout_ms", self.timeout_ms),
        ];
        for (key, value) in spans {
            if value == 0 {
                found.push(format!("{key}: is 0"));
            }
        }
        let mut names = BTreeSet::new();
        for (i, route) in self.routes.iter().enumerate() {
            found.extend(route.problems().into_iter().map(|p| format!("routes[{i}].{p}")));
            if !names.insert(route.name()) {
                found.push(format!(
                    "routes[{i}].name: {} is another route's too",
                    route.name()
                ));
            }
        }
        found
    }
}

impl Config {
    /// How long an exchange with a data plane may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Via<'_> {
    /// Its name.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Envoy(_) => "envoy",
            Self::Haproxy(_) => "haproxy",
            Self::Webhook(_) => "webhook",
            Self::Istio(_) => "istio",
            Self::GatewayApi(_) => "gateway_api",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    fn problems(self) -> Vec<String> {
        let mut found = match self {
            Self::Envoy(settings) => settings.problems(),
            Self::Haproxy(settings) => settings.problems(),
            Self::Webhook(settings) => settings.problems(),
            Self::Istio(settings) => settings.problems(),
            Self::GatewayApi(settings) => settings.problems(),
            Self::Kubernetes(settings) => settings.problems(),
        };
        let needs_a_cluster = matches!(self, Self::Istio(_) | Self::GatewayApi(_) | Self::Kubernetes(_));
        if needs_a_cluster && !cfg!(feature = "kubernetes") {
            found.push("this build knows no Kubernetes: it needs the feature kubernetes".to_owned());
        }
        found
    }
}

impl Route {
    /// Its adapter; none, or several, is a mistake.
    ///
    /// # Errors
    /// What is wrong.
    pub fn via(&self) -> Result<Via<'_>, String> {
        let all = [
            self.envoy.as_ref().map(Via::Envoy),
            self.haproxy.as_ref().map(Via::Haproxy),
            self.webhook.as_ref().map(Via::Webhook),
            self.istio.as_ref().map(Via::Istio),
            self.gateway_api.as_ref().map(Via::GatewayApi),
            self.kubernetes.as_ref().map(Via::Kubernetes),
        ];
        let given: Vec<Via<'_>> = all.into_iter().flatten().collect();
        match given.as_slice() {
            [one] => Ok(*one),
            [] => Err(
                "names no data plane: one of envoy, haproxy, webhook, istio, gateway_api, kubernetes"
                    .to_owned(),
            ),
            [first, second, ..] => Err(format!(
                "names both {} and {}: a route has one data plane",
                first.kind(),
                second.kind()
            )),
        }
    }

    /// Its name in answers and reports.
    #[must_use]
    pub fn name(&self) -> String {
        if self.name.is_empty() {
            format!("{}-{}", self.service, self.via().map_or("", Via::kind))
        } else {
            self.name.clone()
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(fault) = Project::new(&*self.project) {
            found.push(format!("project: {}", fault.reason));
        }
        if let Err(fault) = ServiceName::new(&*self.service) {
            found.push(format!("service: {}", fault.reason));
        }
        if self.name().len() > 128 {
            found.push("name: is longer than 128 bytes".to_owned());
        }
        match self.via() {
            Ok(via) => found.extend(via.problems().into_iter().map(|p| format!("{}: {p}", via.kind()))),
            Err(fault) => found.push(fault),
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        let route = Route {
            service: "shop".to_owned(),
            project: "acme/shop".to_owned(),
            ..Route::default()
        };
        let both = Route {
            haproxy: Some(haproxy::Settings::default()),
            webhook: Some(webhook::Settings::default()),
            ..route.clone()
        };
        let config = Config {
            check_ms: 0,
            routes: vec![route.clone(), both, route],
            ..Config::default()
        };
        let found = config.problems().join("\n");
        for wanted in [
            "check_ms: is 0",
            "routes[0].names no data plane",
            "routes[1].names both haproxy and webhook",
            "routes[2].name: shop- is another route's too",
        ] {
            assert!(found.contains(wanted), "{wanted} is not in {found}");
        }
    }

    #[test]
    fn without_the_feature_a_cluster_is_refused_by_name() {
        let route = Route {
            service: "shop".to_owned(),
            project: "acme/shop".to_owned(),
            istio: Some(kubernetes::Istio::default()),
            ..Route::default()
        };
        let told = route.problems().iter().any(|p| p.contains("knows no Kubernetes"));
        assert_eq!(told, !cfg!(feature = "kubernetes"));
    }
}
