//! The configuration of the mesh beside the cluster.

/// Control, analysis, routers and operator on one port; each of the latter two with its own kubeconfig.
pub(super) fn of(port: u16, (operator, router): (&str, &str), prometheus: &str) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
[nats]
sync_interval = "1s"
[canary]
score_wait = "1s"
[analysis]
prometheus = "{prometheus}"
mesh = "http://127.0.0.1:{port}"
[operator]
enabled = true
argo = true
kubeconfig = "{operator}"
namespace = "default"
control = "http://127.0.0.1:{port}"
look_ms = 200
lease_seconds = 5
[[router.routes]]
name = "frontend"
project = "shop"
service = "frontend"
[router.routes.istio]
server = {{ kubeconfig = "{router}" }}
namespace = "default"
virtual_service = "frontend"
routes = ["primary"]
destination_rule = "frontend"
stable = {{ host = "frontend", subset = "stable" }}
candidate = {{ host = "frontend", subset = "canary" }}
[[router.routes]]
name = "frontend-sizes"
project = "shop"
service = "frontend"
[router.routes.kubernetes]
server = {{ kubeconfig = "{router}" }}
namespace = "default"
stable = "frontend-stable"
candidate = "frontend-canary"
replicas = 4
virtual_service = "frontend"
routes = ["primary"]
stable_host = {{ host = "frontend", subset = "stable" }}
candidate_host = {{ host = "frontend", subset = "canary" }}
"#
    )
}
