//! What the routers ask of an API server. A test compares it with the role in `deploy/kubernetes/`.

use auspex_cluster::Grant;

/// All of it.
pub const GRANTS: &[Grant] = &[
    Grant {
        group: "networking.istio.io",
        resource: "virtualservices",
        verbs: &["get", "patch"],
        why: "to read and set the weights of a route",
    },
    Grant {
        group: "networking.istio.io",
        resource: "destinationrules",
        verbs: &["get"],
        why: "to see that a subset exists before traffic goes to it",
    },
    Grant {
        group: "gateway.networking.k8s.io",
        resource: "httproutes",
        verbs: &["get", "patch"],
        why: "to read and set the weights of a route",
    },
    Grant {
        group: "apps",
        resource: "deployments",
        verbs: &["get"],
        why: "to see how many copies are ready",
    },
    Grant {
        group: "apps",
        resource: "deployments/scale",
        verbs: &["get", "update"],
        why: "to make room for traffic before it comes, and to give it back",
    },
];
