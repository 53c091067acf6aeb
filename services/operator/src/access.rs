//! What the operator asks of an API server. A test compares it with the roles in `deploy/kubernetes/`.

use auspex_cluster::Grant;

/// All of it.
pub const GRANTS: &[Grant] = &[
    Grant {
        group: "auspex.dev",
        resource: "rollouts",
        verbs: &["list", "watch", "create", "patch"],
        why: "to see what is wanted, and to show Argo's rollouts as Auspex's",
    },
    Grant {
        group: "auspex.dev",
        resource: "rollouts/status",
        verbs: &["update"],
        why: "to write back what became of it",
    },
    Grant {
        group: "argoproj.io",
        resource: "rollouts",
        verbs: &["list", "watch"],
        why: "to see what is wanted",
    },
    Grant {
        group: "argoproj.io",
        resource: "analysistemplates",
        verbs: &["list", "watch"],
        why: "what rollouts refer to",
    },
    Grant {
        group: "argoproj.io",
        resource: "clusteranalysistemplates",
        verbs: &["list", "watch"],
        why: "what rollouts refer to",
    },
    Grant {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        why: "to lead, and to see whether Argo's controller is alive",
    },
];
