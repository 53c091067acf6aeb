//! Gateway API's `HTTPRoute`: the weights of two backends. Pure.
//!
//! Weights there are relative and default to 1; rules are found by name, or as those that list both backends. Cohorts and
//! copies need rules of our own, and rules have names only in newer versions of the API: they are not driven here.

use auspex_cluster::Patch;
use serde_json::Value;

use super::split::{Destination, Held, Split, Unfit};
use crate::router::Shares;

/// What holds in an `HTTPRoute`.
///
/// # Errors
/// [`Unfit`], naming the rule and what is wrong with it.
pub fn read(object: &Value, split: &Split) -> Result<Held, Unfit> {
    let mut held: Option<Held> = None;
    for rule in rules(object, split)? {
        match &mut held {
            None => {
                held = Some(Held {
                    shares: Some(rule.shares),
                    ..Held::default()
                });
            }
            Some(first) if first.shares.and_then(Shares::weight) != rule.shares.weight() => {
                first.note = format!("rule {} has other weights than the first", rule.at);
                first.shares = None;
            }
            Some(_) => {}
        }
    }
    held.ok_or_else(|| Unfit("no rule lists both backends".to_owned()))
}

/// The patch that brings this weight about; empty of writes when it holds.
///
/// # Errors
/// [`Unfit`], naming the rule and what is wrong with it.
pub fn patch(object: &Value, split: &Split, weight: u8) -> Result<Patch, Unfit> {
    let mut patch = Patch::default();
    let wanted = Shares::of(weight);
    for rule in rules(object, split)? {
        let path = format!("/spec/rules/{}/backendRefs", rule.at);
        patch.test(path.clone(), Value::from(rule.backends.to_vec()));
        if rule.shares.is(weight) {
            continue;
        }
        for (at, share) in [(rule.stable, wanted.stable), (rule.candidate, wanted.candidate)] {
            match rule.backends.get(at).and_then(|backend| backend.get("weight")) {
                Some(last) if last.as_u64() == Some(share.into()) => {}
                Some(_) => patch.replace(format!("{path}/{at}/weight"), share),
                None => patch.add(format!("{path}/{at}/weight"), share),
            }
        }
    }
    Ok(patch)
}

/// Whether every gateway that the route asks for has taken this version of it: `Err` says which has not, or that none
/// tells.
///
/// # Errors
/// What a person should know.
pub fn accepted(object: &Value) -> Result<(), String> {
    let version = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let wanted = object
        .pointer("/spec/parentRefs")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let parents = object.pointer("/status/parents").and_then(Value::as_array);
    let parents = parents.map(Vec::as_slice).unwrap_or_default();
    if parents.len() < wanted.max(1) {
        return Err("no gateway says that it has taken the route".to_owned());
    }
    for parent in parents {
        let name = parent
            .pointer("/parentRef/name")
            .and_then(Value::as_str)
            .unwrap_or("?");
        for wanted in ["Accepted", "ResolvedRefs"] {
            let conditions = parent
                .get("conditions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let mut of_kind =
                conditions.filter(|condition| condition.get("type").is_some_and(|kind| kind == wanted));
            let Some(condition) = of_kind.next() else {
                return Err(format!("gateway {name} does not say {wanted}"));
            };
            if condition.get("observedGeneration").and_then(Value::as_i64) < version {
                return Err(format!("gateway {name} has not seen this version yet"));
            }
            if condition.get("status").is_none_or(|status| status != "True") {
                let why = condition
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("without a reason");
                return Err(format!("gateway {name} says that {wanted} is not so: {why}"));
            }
        }
    }
    Ok(())
}

struct Rule<'a> {
    at: usize,
    backends: &'a [Value],
    stable: usize,
    candidate: usize,
    shares: Shares,
}

fn rules<'a>(object: &'a Value, split: &Split) -> Result<Vec<Rule<'a>>, Unfit> {
    let all = object.pointer("/spec/rules").and_then(Value::as_array);
    let all = all.ok_or_else(|| Unfit("it has no rules".to_owned()))?;
    let mut found = Vec::new();
    for (at, rule) in all.iter().enumerate() {
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        let wanted = split.routes.iter().any(|wanted| wanted == name);
        if !split.routes.is_empty() && !wanted {
            continue;
        }
        match of_rule(at, rule, split)? {
            Some(rule) => found.push(rule),
            None if wanted => return Err(Unfit(format!("rule {name:?} does not list both backends"))),
            None => {}
        }
    }
    let known = |name: &&String| {
        all.iter()
            .any(|rule| rule.get("name").is_some_and(|n| n == name.as_str()))
    };
    if let Some(missing) = split.routes.iter().find(|name| !known(name)) {
        return Err(Unfit(format!("it has no rule named {missing:?}")));
    }
    if found.is_empty() {
        return Err(Unfit(format!(
            "no rule lists both {} and {}",
            split.stable, split.candidate
        )));
    }
    Ok(found)
}

/// The rule, when it lists both backends; one that lists them and a third with traffic cannot be split in two.
fn of_rule<'a>(at: usize, rule: &'a Value, split: &Split) -> Result<Option<Rule<'a>>, Unfit> {
    let backends = rule.get("backendRefs").and_then(Value::as_array);
    let backends = backends.map(Vec::as_slice).unwrap_or_default();
    let place = |wanted: &Destination| {
        backends
            .iter()
            .position(|backend| is(backend, wanted, &split.namespace))
    };
    let (Some(stable), Some(candidate)) = (place(&split.stable), place(&split.candidate)) else {
        return Ok(None);
    };
    for (i, backend) in backends.iter().enumerate() {
        if i != stable && i != candidate && weight_of(backend) > 0 {
            let name = backend.get("name").and_then(Value::as_str).unwrap_or("?");
            let text = format!("rule {at} sends traffic to {name}, which is neither version");
            return Err(Unfit(text));
        }
    }
    let share = |i: usize| backends.get(i).map_or(0, weight_of);
    Ok(Some(Rule {
        at,
        backends,
        stable,
        candidate,
        shares: Shares {
            stable: share(stable),
            candidate: share(candidate),
        },
    }))
}

fn is(backend: &Value, wanted: &Destination, namespace: &str) -> bool {
    let field = |name: &str| backend.get(name).and_then(Value::as_str);
    let service =
        field("kind").is_none_or(|kind| kind == "Service") && field("group").is_none_or(str::is_empty);
    let host = format!(
        "{}.{}",
        field("name").unwrap_or_default(),
        field("namespace").unwrap_or(namespace)
    );
    service && wanted.is_host(&host, namespace)
}

fn weight_of(backend: &Value) -> u32 {
    let told = backend.get("weight").and_then(Value::as_u64);
    told.map_or(1, |weight| u32::try_from(weight).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn split(routes: &[&str]) -> Split {
        let to = |host: &str| Destination {
            host: host.to_owned(),
            subset: String::new(),
        };
        Split {
            namespace: "shop".to_owned(),
            routes: routes.iter().map(|name| (*name).to_owned()).collect(),
            stable: to("web-stable"),
            candidate: to("web-canary"),
        }
    }

    fn route(stable: Option<u32>, candidate: Option<u32>) -> Value {
        let mut object = json!({
            "metadata": { "generation": 3 },
            "spec": {
                "parentRefs": [{ "name": "outer" }],
                "rules": [
                    { "backendRefs": [{ "name": "cdn", "port": 80 }] },
                    { "name": "main", "matches": [{ "path": { "value": "/" } }], "backendRefs": [
                        { "name": "web-canary", "namespace": "shop", "kind": "Service", "group": "", "port": 80 },
                        { "name": "web-stable", "port": 80, "filters": [{ "type": "X" }] }
                    ], "timeouts": { "request": "10s" } }
                ]
            }
        });
        for (at, weight) in [(0, candidate), (1, stable)] {
            if let Some(weight) = weight {
                object["spec"]["rules"][1]["backendRefs"][at]["weight"] = json!(weight);
            }
        }
        object
    }

    fn applied(object: &Value, patch: &Patch) -> Result<Value, json_patch::PatchError> {
        let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
        let mut object = object.clone();
        json_patch::patch(&mut object, &patch)?;
        Ok(object)
    }

    #[test]
    fn a_weight_that_is_not_told_is_one() {
        let shares = |object: &Value| read(object, &split(&[])).unwrap().shares.unwrap();
        assert_eq!(shares(&route(None, None)).weight(), Some(50));
        assert_eq!(shares(&route(Some(9), None)).weight(), Some(10));
        assert_eq!(shares(&route(None, Some(0))).weight(), Some(0));
    }

    #[test]
    fn what_is_not_as_configured_is_named() {
        let mut object = route(None, None);
        let unfit = |object: &Value, routes: &[&str]| patch(object, &split(routes), 5).unwrap_err().0;
        assert_eq!(unfit(&object, &["other"]), "it has no rule named \"other\"");
        object["spec"]["rules"][0]["name"] = json!("cdn");
        assert_eq!(
            unfit(&object, &["cdn"]),
            "rule \"cdn\" does not list both backends"
        );
        let third = json!({ "name": "third" });
        object["spec"]["rules"][1]["backendRefs"]
            .as_array_mut()
            .unwrap()
            .push(third);
        assert_eq!(
            unfit(&object, &[]),
            "rule 1 sends traffic to third, which is neither version"
        );
        object["spec"]["rules"][1]["backendRefs"][0]["kind"] = json!("ServiceImport");
        assert_eq!(
            unfit(&object, &[]),
            "no rule lists both web-stable and web-canary"
        );
    }

    #[test]
    fn a_weight_is_verified_when_every_gateway_has_taken_this_version() {
        let mut object = route(None, None);
        let said = |object: &Value| accepted(object).err().unwrap_or_default();
        assert_eq!(said(&object), "no gateway says that it has taken the route");
        let condition = |kind: &str, status: &str, seen: i64| json!({ "type": kind, "status": status, "observedGeneration": seen, "message": "no such backend" });
        let mut tell = |conditions: Value| {
            object["status"] =
                json!({ "parents": [{ "parentRef": { "name": "outer" }, "conditions": conditions }] });
            said(&object)
        };
        assert_eq!(
            tell(json!([condition("Accepted", "True", 3)])),
            "gateway outer does not say ResolvedRefs"
        );
        let old = json!([
            condition("Accepted", "True", 2),
            condition("ResolvedRefs", "True", 3)
        ]);
        assert_eq!(tell(old), "gateway outer has not seen this version yet");
        let bad = json!([
            condition("Accepted", "True", 3),
            condition("ResolvedRefs", "False", 3)
        ]);
        assert_eq!(
            tell(bad),
            "gateway outer says that ResolvedRefs is not so: no such backend"
        );
        assert_eq!(
            tell(json!([
                condition("Accepted", "True", 3),
                condition("ResolvedRefs", "True", 4)
            ])),
            ""
        );
    }

    proptest! {
        #[test]
        fn everything_else_stays_byte_for_byte(
            stable in prop::option::of(0_u32..1_000_000), candidate in prop::option::of(0_u32..1_000_000), weight in 0_u8..=100,
        ) {
            let object = route(stable, candidate);
            let after = applied(&object, &patch(&object, &split(&["main"]), weight).unwrap()).unwrap();
            let without = |object: &Value| {
                let mut object = object.clone();
                for backend in object["spec"]["rules"][1]["backendRefs"].as_array_mut().unwrap() {
                    backend.as_object_mut().unwrap().remove("weight");
                }
                object.to_string()
            };
            prop_assert_eq!(without(&after), without(&object));
            prop_assert!(read(&after, &split(&[])).unwrap().shares.unwrap().is(weight));
            prop_assert!(patch(&after, &split(&[]), weight).unwrap().is_empty());
            let mut edited = object.clone();
            edited["spec"]["rules"][1]["backendRefs"][0]["port"] = json!(8080);
            prop_assert!(applied(&edited, &patch(&object, &split(&[]), weight).unwrap()).is_err());
        }
    }
}
