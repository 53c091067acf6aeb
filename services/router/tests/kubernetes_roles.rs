//! What the routers declare is what `deploy/kubernetes/rbac.yaml` grants them, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;

use auspex_router::kubernetes::access::GRANTS;
use serde::Deserialize as _;
use serde_json::Value;

const ROLES: &str = include_str!("../../../deploy/kubernetes/rbac.yaml");

type Right = (String, String, String);

fn texts(rule: &Value, field: &str) -> Vec<String> {
    let list = rule[field].as_array().unwrap();
    list.iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn roles_grant_what_is_declared_and_nothing_else() {
    let mut granted: BTreeSet<Right> = BTreeSet::new();
    for document in serde_yaml_ng::Deserializer::from_str(ROLES) {
        let object = Value::deserialize(document).unwrap();
        if object["kind"] != "ClusterRole" || object["metadata"]["name"] != "auspex-router" {
            continue;
        }
        for rule in object["rules"].as_array().unwrap() {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
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
    assert!(GRANTS.iter().all(|grant| !grant.why.is_empty()));
}
