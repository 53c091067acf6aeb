//! Traffic routers: those that Auspex has, and those it refuses by name.

use serde_json::{Value as Json, json};

use super::{Paper, valid};
use crate::document::kinds::{Canary, HeaderRoute, MirrorRoute, TrafficRouting};

const PATH: &str = "spec.strategy.canary.trafficRouting";
/// The plugin that Auspex has a router for.
const GATEWAY: &str = "argoproj-labs/gatewayAPI";

fn others(routing: &TrafficRouting) -> [(&'static str, &Option<Json>, &'static str); 7] {
    [
        ("nginx", &routing.nginx, "NGINX Ingress"),
        ("alb", &routing.alb, "AWS Load Balancers"),
        ("smi", &routing.smi, "SMI"),
        ("ambassador", &routing.ambassador, "Ambassador"),
        ("appMesh", &routing.app_mesh, "AWS App Mesh"),
        ("traefik", &routing.traefik, "Traefik"),
        ("apisix", &routing.apisix, "APISIX"),
    ]
}

/// Refuses what Auspex does not drive, and checks what Argo checks.
pub(super) fn check(canary: &Canary, paper: &mut Paper<'_>) {
    let Some(routing) = &canary.traffic_routing else {
        for (field, given) in [
            ("scaleDownDelaySeconds", canary.scale_down_delay_seconds.is_some()),
            ("dynamicStableScale", canary.dynamic_stable_scale == Some(true)),
        ] {
            if given {
                let reason = format!("Canary {field} can only be used with traffic routing");
                paper.refuse(format!("spec.strategy.canary.{field}"), reason);
            }
        }
        return;
    };
    for (field, given, name) in others(routing) {
        if given.is_some() {
            paper.refuse(
                format!("{PATH}.{field}"),
                format!("Auspex does not drive {name}; it drives Istio, the Gateway API, Envoy, HAProxy, its own proxy and webhooks"),
            );
        }
    }
    for plugin in routing.plugins.iter().flat_map(|plugins| plugins.keys()) {
        if plugin == GATEWAY {
            paper.note(
                format!("{PATH}.plugins.{plugin}"),
                "the HTTPRoute is named in the router's configuration: [[router.routes]] with gateway_api",
            );
        } else {
            paper.refuse(
                format!("{PATH}.plugins.{plugin}"),
                "plugins of Argo Rollouts are Go binaries, which Auspex does not run",
            );
        }
    }
    if canary.scale_down_delay_seconds.is_some() && canary.dynamic_stable_scale == Some(true) {
        paper.refuse(
            "spec.strategy.canary.dynamicStableScale",
            "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds",
        );
    }
    let nginx_or_plugin = routing.nginx.is_some() || routing.plugins.as_ref().is_some_and(|p| !p.is_empty());
    if routing.max_traffic_weight.is_some() && !nginx_or_plugin {
        paper.refuse(
            format!("{PATH}.maxTrafficWeight"),
            "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins",
        );
    }
    istio(canary, routing, paper);
}

fn istio(canary: &Canary, routing: &TrafficRouting, paper: &mut Paper<'_>) {
    let both = [
        ("stableService", &canary.stable_service),
        ("canaryService", &canary.canary_service),
    ];
    if !canary.stable_service.is_empty() && canary.stable_service == canary.canary_service {
        paper.refuse(
            "spec.strategy.canary.stableService",
            "This rollout uses the same service for the stable and canary services, but two different services are required.",
        );
    }
    let Some(istio) = &routing.istio else {
        return;
    };
    valid::istio(&format!("{PATH}.istio"), istio, paper);
    if istio.destination_rule.is_none() && canary.ping_pong.is_none() {
        for (field, service) in both {
            if service.is_empty() {
                paper.refuse(
                    format!("spec.strategy.canary.{field}"),
                    "Canary service and Stable service must to be set to use Traffic Routing",
                );
            }
        }
    }
    let several = istio.virtual_services.iter().flatten().enumerate();
    let several = several.map(|(at, service)| (format!("virtualServices[{at}]"), service));
    let one = istio.virtual_service.iter();
    let one = one.map(|service| ("virtualService".to_owned(), service));
    for (field, service) in one.chain(several) {
        for (kind, routes) in [
            ("tlsRoutes", &service.tls_routes),
            ("tcpRoutes", &service.tcp_routes),
        ] {
            if !routes.is_empty() {
                paper.refuse(
                    format!("{PATH}.istio.{field}.{kind}"),
                    "Auspex moves the weights of HTTP routes only",
                );
            }
        }
    }
    paper.note(
        format!("{PATH}.istio"),
        "the VirtualService is named in the router's configuration: [[router.routes]] with istio",
    );
}

/// Whether a step's route is among those that are managed.
pub(super) fn managed(canary: &Canary, (path, name): (&str, &str), paper: &mut Paper<'_>) {
    let routing = canary.traffic_routing.as_ref();
    match routing.and_then(|routing| routing.managed_routes.as_ref()) {
        None => paper.refuse(
            format!("{PATH}.managedRoutes"),
            "Rollout has missing field 'spec.strategy.canary.trafficRouting.managedRoutes'",
        ),
        Some(routes) if routes.iter().any(|route| route.name == name) => {}
        Some(_) => paper.refuse(
            path,
            "Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes",
        ),
    }
}

fn routed(canary: &Canary) -> bool {
    canary.traffic_routing.as_ref().is_some_and(|routing| {
        let plugins = routing
            .plugins
            .as_ref()
            .is_some_and(|plugins| !plugins.is_empty());
        routing.istio.is_some() || routing.alb.is_some() || routing.apisix.is_some() || plugins
    })
}

/// The matches of a header route, as cohorts know them; none: the route goes, or it cannot be.
pub(super) fn header(
    canary: &Canary,
    (path, route): (&str, &HeaderRoute),
    paper: &mut Paper<'_>,
) -> Vec<Json> {
    if !routed(canary) {
        paper.refuse(
            path,
            "SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix",
        );
        return Vec::new();
    }
    managed(canary, (path, &route.name), paper);
    let mut headers = Vec::new();
    for (at, one) in route.r#match.iter().enumerate() {
        let path = format!("{path}.match[{at}].headerValue");
        let value = one.header_value.clone().unwrap_or_default();
        if !valid::text_match(&path, &value, paper) {
            continue;
        }
        if value.exact.is_empty() {
            paper.refuse(
                path,
                "Auspex's cohorts match a header's whole value or its presence, no prefix and no pattern",
            );
        } else {
            headers.push(json!({"name": one.header_name, "value": value.exact}));
        }
    }
    headers
}

/// The percentage of a mirror route; 0: the route goes, or it cannot be.
pub(super) fn mirror(canary: &Canary, (path, route): (&str, &MirrorRoute), paper: &mut Paper<'_>) -> u8 {
    let routing = canary.traffic_routing.as_ref();
    let plugins = routing.is_some_and(|r| r.plugins.as_ref().is_some_and(|plugins| !plugins.is_empty()));
    if !plugins && routing.is_none_or(|routing| routing.istio.is_none()) {
        paper.refuse(
            path,
            "SetMirrorRoute requires TrafficRouting, supports Istio and Plugins",
        );
        return 0;
    }
    managed(canary, (path, &route.name), paper);
    for (at, one) in route.r#match.iter().enumerate() {
        for (field, value) in [("method", &one.method), ("path", &one.path)] {
            if let Some(value) = value {
                valid::text_match(&format!("{path}.match[{at}].{field}"), value, paper);
            }
        }
    }
    if route.r#match.is_empty() {
        return 0;
    }
    paper.note(
        path,
        "Auspex copies only requests whose method changes nothing; the match is not kept",
    );
    super::percent(route.percentage.unwrap_or(100))
}
