//! Kubernetes as a data plane: Istio's `VirtualService`, Gateway API's `HTTPRoute`, and the sizes of Deployments.
//!
//! What is read and what is written is pure ([`istio`], [`gateway`], [`scale`]); the adapters ask the API server and pass the
//! fence. An API server is no data plane: a weight that it has stored is on its way to the proxies. Gateways say when they
//! have taken it; Istio does not, so its weights are never called verified.

pub mod access;
pub mod gateway;
pub mod istio;
pub mod scale;
pub mod settings;
pub mod split;

#[cfg(feature = "kubernetes")]
mod route;
#[cfg(feature = "kubernetes")]
mod workloads;
#[cfg(feature = "kubernetes")]
mod writer;

#[cfg(feature = "kubernetes")]
pub use route::Route;
pub use settings::{GatewayApi, Istio, Workloads};
#[cfg(feature = "kubernetes")]
pub use workloads::Scaler;

use auspex_cluster::Kind;

/// Istio's routes.
pub const VIRTUAL_SERVICES: Kind = Kind {
    group: "networking.istio.io",
    version: "v1",
    resource: "virtualservices",
    name: "VirtualService",
};
/// Istio's subsets.
pub const DESTINATION_RULES: Kind = Kind {
    group: "networking.istio.io",
    version: "v1",
    resource: "destinationrules",
    name: "DestinationRule",
};
/// Gateway API's routes.
pub const HTTP_ROUTES: Kind = Kind {
    group: "gateway.networking.k8s.io",
    version: "v1",
    resource: "httproutes",
    name: "HTTPRoute",
};
/// Workloads.
pub const DEPLOYMENTS: Kind = Kind {
    group: "apps",
    version: "v1",
    resource: "deployments",
    name: "Deployment",
};
