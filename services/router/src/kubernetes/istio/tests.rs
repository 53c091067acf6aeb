use auspex_proto::intent::{By, Cohort, Match, UserHash};
use proptest::prelude::*;
use serde_json::json;

use super::*;

mod properties;

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

fn wish(weight: u8) -> Wish<'static> {
    Wish {
        weight,
        ..Wish::default()
    }
}

fn frontend() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "web", "namespace": "shop", "resourceVersion": "17" },
        "spec": {
            "hosts": ["web.example.org"], "gateways": ["mesh", "shop/outer"],
            "http": [
                { "name": "assets", "match": [{ "uri": { "prefix": "/assets" } }], "route": [{ "destination": { "host": "cdn" } }] },
                {
                    "name": "primary", "timeout": "2.5s", "fault": { "delay": { "percentage": { "value": 0.1 }, "fixedDelay": "5s" } },
                    "match": [{ "uri": { "prefix": "/" }, "headers": { "x-env": { "exact": "live" } } }],
                    "route": [
                        { "destination": { "host": "web-stable" }, "weight": 100, "headers": { "response": { "add": { "x-v": "s" } } } },
                        { "destination": { "host": "web-canary.shop.svc.cluster.local" }, "weight": 0 }
                    ]
                },
                { "name": "static", "route": [{ "destination": { "host": "web-stable" } }] }
            ]
        }
    })
}

fn applied(object: &Value, patch: &Patch) -> Result<Value, json_patch::PatchError> {
    let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch)?;
    Ok(object)
}

fn cohorts() -> Vec<Cohort> {
    let pair = |name: &str, value: &str| Match {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let of = |by, stable| Cohort {
        name: "c".to_owned(),
        by,
        stable,
    };
    vec![
        of(By::Header(pair("X-Beta", "yes")), false),
        of(By::Header(pair("x-any", "")), true),
        of(By::Cookie(pair("tier", "gold.1")), false),
        of(By::Cookie(pair("tier", "")), true),
    ]
}

fn held(object: &Value, split: &Split, wish: &Wish<'_>) -> (Shares, bool) {
    let held = read(object, split, wish).unwrap();
    (held.shares.unwrap(), held.beside.unwrap())
}

#[test]
fn two_weights_are_all_that_is_written() {
    let patch = patch(&frontend(), &split(&["primary"]), &wish(25)).unwrap();
    let writes: Vec<Value> = json!(patch)
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["op"] != "test")
        .cloned()
        .collect();
    assert_eq!(
        json!(writes),
        json!([
            { "op": "replace", "path": "/spec/http/1/route/0/weight", "value": 75 },
            { "op": "replace", "path": "/spec/http/1/route/1/weight", "value": 25 }
        ])
    );
}

#[test]
fn what_is_not_as_configured_is_named() {
    let unfit = |object: &Value, routes: &[&str]| patch(object, &split(routes), &wish(5)).unwrap_err().0;
    let mut object = frontend();
    assert_eq!(unfit(&object, &["main"]), "it has no http route named \"main\"");
    assert_eq!(
        unfit(&object, &[]),
        "it has several http routes: name those to split"
    );
    assert_eq!(
        unfit(&object, &["static"]),
        "route \"static\" does not list web-canary"
    );
    assert_eq!(unfit(&json!({}), &[]), "it has no http routes");
    let third = json!({ "destination": { "host": "third", "subset": "v3" }, "weight": 1 });
    object["spec"]["http"][1]["route"]
        .as_array_mut()
        .unwrap()
        .push(third);
    assert_eq!(
        unfit(&object, &["primary"]),
        "route \"primary\" sends traffic to third (v3), which is neither version"
    );
    object["spec"]["http"][1]["route"][2]["weight"] = json!(0);
    assert!(
        patch(&object, &split(&["primary"]), &wish(5)).is_ok(),
        "one without traffic is nobody's"
    );
    object["spec"]["http"][2]["name"] = json!("primary");
    assert_eq!(
        unfit(&object, &["primary"]),
        "it has several http routes named \"primary\""
    );
}

#[test]
fn subsets_of_one_host_are_told_apart() {
    let mut object = frontend();
    object["spec"]["http"][1]["route"] = json!([
        { "destination": { "host": "web", "subset": "canary", "port": { "number": 80 } }, "weight": 10 },
        { "destination": { "host": "web", "subset": "stable" }, "weight": 90 }
    ]);
    let mut split = split(&["primary"]);
    for (side, subset) in [(&mut split.stable, "stable"), (&mut split.candidate, "canary")] {
        *side = Destination {
            host: "web".to_owned(),
            subset: subset.to_owned(),
        };
    }
    let of = |stable, candidate| (Shares { stable, candidate }, true);
    assert_eq!(held(&object, &split, &wish(1)), of(90, 10));
    assert_eq!(held(&object, &split.turned(true), &wish(1)), of(10, 90));
    let after = applied(&object, &patch(&object, &split, &wish(50)).unwrap()).unwrap();
    assert!(held(&after, &split, &wish(50)).0.is(50));
}

#[test]
fn cohorts_and_copies_stand_before_their_route_and_go_again() {
    let (object, split, cohorts) = (frontend(), split(&["primary"]), cohorts());
    let wished = Wish {
        weight: 10,
        cohorts: &cohorts,
        mirror: 20,
    };
    let with = applied(&object, &patch(&object, &split, &wished).unwrap()).unwrap();
    let names: Vec<&str> = with["spec"]["http"]
        .as_array()
        .unwrap()
        .iter()
        .map(name_of)
        .collect();
    assert_eq!(names[0], "assets");
    assert_eq!(
        names[1..5]
            .iter()
            .filter(|name| name.starts_with("auspex-cohort-"))
            .count(),
        4
    );
    assert_eq!(names[5..], ["auspex-copies-primary", "primary", "static"]);
    let first = &with["spec"]["http"][1];
    assert_eq!(
        first["route"],
        json!([{ "destination": { "host": "web-canary.shop.svc.cluster.local" } }])
    );
    assert_eq!(
        first["match"],
        json!([{ "uri": { "prefix": "/" }, "headers": { "x-env": { "exact": "live" }, "x-beta": { "exact": "yes" } } }])
    );
    assert_eq!(first["timeout"], "2.5s");
    assert_eq!(with["spec"]["http"][2]["match"][0]["headers"]["x-any"], json!({}));
    assert_eq!(
        with["spec"]["http"][2]["route"][0]["destination"]["host"],
        "web-stable"
    );
    let cookie = |at: usize| with["spec"]["http"][at]["match"][0]["headers"]["cookie"]["regex"].clone();
    assert_eq!(
        (cookie(3), cookie(4)),
        (
            json!("(.*; *)?tier=gold\\.1(;.*)?"),
            json!("(.*; *)?tier=[^;]*(;.*)?")
        )
    );
    let copies = &with["spec"]["http"][5];
    assert_eq!(
        copies["match"][0]["method"],
        json!({ "regex": "GET|HEAD|OPTIONS" })
    );
    assert_eq!(copies["mirrorPercentage"], json!({ "value": 20 }));
    assert_eq!(copies["route"][1]["weight"], 10);
    assert!(held(&with, &split, &wished).1 && !held(&with, &split, &wish(10)).1);
    assert!(patch(&with, &split, &wished).unwrap().is_empty());
    // The weight of the copies' route follows the base's.
    let more = Wish { weight: 30, ..wished };
    let raised = applied(&with, &patch(&with, &split, &more).unwrap()).unwrap();
    assert_eq!(raised["spec"]["http"][5]["route"][1]["weight"], 30);
    let bare = applied(&raised, &patch(&raised, &split, &wish(0)).unwrap()).unwrap();
    assert_eq!(bare, object, "nothing of ours is left");
}

#[test]
fn what_cannot_be_added_to_a_route_is_said() {
    let mut object = frontend();
    let of = |by| {
        [Cohort {
            name: "beta".to_owned(),
            by,
            stable: false,
        }]
    };
    let clash = of(By::Header(Match {
        name: "X-Env".to_owned(),
        value: "test".to_owned(),
    }));
    let hash = of(By::User(UserHash {
        header: "user".to_owned(),
        cookie: String::new(),
        share: 0.5,
        salt: String::new(),
    }));
    let wished = |cohorts, mirror| Wish {
        weight: 0,
        cohorts,
        mirror,
    };
    let text = patch(&object, &split(&["primary"]), &wished(&hash, 0))
        .unwrap_err()
        .0;
    assert_eq!(text, "Istio cannot tell cohort \"beta\" by a hash");
    let text = patch(&object, &split(&["primary"]), &wished(&clash, 0))
        .unwrap_err()
        .0;
    assert_eq!(
        text,
        "route \"primary\" already tells requests apart by the header \"x-env\""
    );
    object["spec"]["http"][1]["match"][0]["method"] = json!({ "exact": "POST" });
    let text = patch(&object, &split(&["primary"]), &wished(&[], 5))
        .unwrap_err()
        .0;
    assert_eq!(text, "route \"primary\" is for methods that cannot all be copied");
    object["spec"]["http"][1]["mirror"] = json!({ "host": "audit" });
    let text = patch(&object, &split(&["primary"]), &wished(&[], 5))
        .unwrap_err()
        .0;
    assert_eq!(text, "route \"primary\" already copies requests elsewhere");
}

#[test]
fn our_routes_are_found_wherever_somebody_has_put_them() {
    let (object, split, cohorts) = (frontend(), split(&["primary"]), cohorts());
    let wished = Wish {
        weight: 10,
        cohorts: &cohorts[..1],
        mirror: 1,
    };
    let mut with = applied(&object, &patch(&object, &split, &wished).unwrap()).unwrap();
    let list = with["spec"]["http"].as_array_mut().unwrap();
    let (cohort, copies) = (list.remove(1), list.remove(1));
    list.push(cohort);
    list.insert(0, copies);
    let after = applied(&with, &patch(&with, &split, &wished).unwrap()).unwrap();
    let names: Vec<&str> = after["spec"]["http"]
        .as_array()
        .unwrap()
        .iter()
        .map(name_of)
        .collect();
    assert_eq!(
        names,
        [
            "assets",
            "auspex-cohort-0-primary",
            "auspex-copies-primary",
            "primary",
            "static"
        ]
    );
}
