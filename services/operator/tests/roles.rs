//! What the operator declares is what the files in `deploy/kubernetes/` grant it, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may")]

use auspex_cluster::testing::{declared, granted};
use auspex_operator::access::GRANTS;
use serde::Deserialize as _;
use serde_json::Value;

const ROLES: [&str; 2] = [
    include_str!("../../../deploy/kubernetes/rbac.yaml"),
    include_str!("../../../deploy/kubernetes/rbac-argo.yaml"),
];
const HEALTH: &str = include_str!("../../../deploy/kubernetes/argocd-health.lua");
const CRD: &str = include_str!("../../../deploy/kubernetes/crds/rollouts.auspex.dev.yaml");

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

#[test]
fn roles_grant_what_is_declared_and_nothing_else() {
    let granted = granted(&ROLES, "auspex-operator").unwrap();
    assert!(granted.iter().all(|(_, _, verb)| verb != "*"));
    assert_eq!(granted, declared(GRANTS));
}

#[test]
fn every_phase_has_a_health_in_argo_cd_and_a_place_in_the_schema() {
    let phases = [
        "Pending",
        "Waiting",
        "Progressing",
        "Paused",
        "Promoted",
        "RolledBack",
        "Baking",
        "Returning",
        "Refused",
    ];
    for phase in phases {
        assert!(
            HEALTH.contains(&format!("{phase} = \"")),
            "{phase} in argocd-health.lua"
        );
        assert!(CRD.contains(phase), "{phase} in the schema");
    }
    let crd = documents(CRD).remove(0);
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    for wanted in ["Phase", "Weight", "Reason", "SLA"] {
        assert!(names.contains(&wanted), "{wanted} in {names:?}");
    }
}
