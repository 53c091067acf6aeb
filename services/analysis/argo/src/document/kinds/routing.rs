//! What a rollout says of traffic: routers, header routes, mirrors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

argo!(
    /// Who routes: any of these.
    TrafficRouting {
        /// Istio.
        istio: Option<Istio>,
        /// NGINX Ingress.
        nginx: Option<Json>,
        /// AWS ALB.
        alb: Option<Json>,
        /// SMI.
        smi: Option<Json>,
        /// Ambassador.
        ambassador: Option<Json>,
        /// AWS App Mesh.
        app_mesh: Option<Json>,
        /// Traefik.
        traefik: Option<Json>,
        /// APISIX.
        apisix: Option<Json>,
        /// Others.
        plugins: Option<serde_json::Map<String, Json>>,
        /// Routes that steps make.
        managed_routes: Option<Vec<Named>>,
        /// What 100 % is called; absent: 100.
        max_traffic_weight: Option<i64>,
    }
);
argo!(
    /// A name.
    Named {
        /// It.
        name: String,
    }
);
argo!(
    /// Istio.
    Istio {
        /// The route.
        virtual_service: Option<VirtualService>,
        /// Its subsets.
        destination_rule: Option<DestinationRule>,
        /// Several routes.
        virtual_services: Option<Vec<VirtualService>>,
    }
);
argo!(
    /// A route of Istio's.
    VirtualService {
        /// Its name.
        name: String,
        /// HTTP routes; none: the only one there is.
        routes: Vec<String>,
        /// TLS routes.
        tls_routes: Vec<Json>,
        /// TCP routes.
        tcp_routes: Vec<Json>,
    }
);
argo!(
    /// Subsets of Istio's.
    DestinationRule {
        /// Its name.
        name: String,
        /// The candidate's subset.
        canary_subset_name: String,
        /// The stable version's.
        stable_subset_name: String,
        /// Others that are kept.
        additional_subset_names: Vec<String>,
    }
);
argo!(
    /// Two services that change roles.
    PingPong {
        /// One.
        ping_service: String,
        /// The other.
        pong_service: String,
    }
);
argo!(
    /// Users by header.
    HeaderRoute {
        /// Of managedRoutes.
        name: String,
        /// Which; none: the route goes.
        r#match: Vec<HeaderMatch>,
    }
);
argo!(
    /// A header's value.
    HeaderMatch {
        /// Its name.
        header_name: String,
        /// Its value.
        header_value: Option<TextMatch>,
    }
);
argo!(
    /// Exactly one of the three.
    TextMatch {
        /// All of it.
        exact: String,
        /// Its beginning.
        prefix: String,
        /// A pattern.
        regex: String,
    }
);
argo!(
    /// Copies of requests.
    MirrorRoute {
        /// Of managedRoutes.
        name: String,
        /// Which; none: the route goes.
        r#match: Vec<RouteMatch>,
        /// How many of 100; absent: all.
        percentage: Option<i64>,
    }
);
argo!(
    /// Requests.
    RouteMatch {
        /// By method.
        method: Option<TextMatch>,
        /// By path.
        path: Option<TextMatch>,
        /// By headers.
        headers: BTreeMap<String, TextMatch>,
    }
);
