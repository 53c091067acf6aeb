//! What the operator declares is what the files in `deploy/kubernetes/` grant it, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;

use auspex_operator::access::GRANTS;
use serde::Deserialize as _;
use serde_json::Value;

const ROLES: [&str; 2] = [
    include_str!("../../../deploy/kubernetes/rbac.yaml"),
    include_str!("../../../deploy/kubernetes/rbac-argo.yaml"),
];
const HEALTH: &str = include_str!("../../../deploy/kubernetes/argocd-health.lua");
const CRD: &str = include_str!("../../../deploy/kubernetes/crds/rollouts.auspex.dev.yaml");

type Right = (String, String, String);

fn texts(rule: &Value, field: &str) -> Vec<String> {
    let list = rule[field].as_array().unwrap();
    list.iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

#[test]
fn roles_grant_what_is_declared_and_nothing_else() {
    let mut granted: BTreeSet<Right> = BTreeSet::new();
    for object in ROLES.iter().flat_map(|text| documents(text)) {
        let role = object["kind"] == "ClusterRole" || object["kind"] == "Role";
        if !role
            || !object["metadata"]["name"]
                .as_str()
                .unwrap()
                .starts_with("auspex-operator")
        {
            continue;
        }
        for rule in object["rules"].as_array().unwrap() {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        assert_ne!(verb, "*");
                        granted.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    let declared: BTreeSet<Right> = GRANTS
        .iter()
        .flat_map(|grant| grant.verbs.iter().map(move |verb| (grant, *verb)))
        .map(|(grant, verb)| (grant.group.to_owned(), grant.resource.to_owned(), verb.to_owned()))
        .collect();
    assert_eq!(granted, declared);
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
