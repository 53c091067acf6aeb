//! For any object: what is not ours stays, what is ours goes, and a patch that does not fit any more is refused.

use super::*;

/// Any other route that people may have: fields that we know nothing of among them.
fn other_route() -> impl Strategy<Value = Value> {
    let plain = ("[a-z]{1,6}", 0_u32..1_000).prop_map(|(host, weight)| {
        json!({ "name": format!("other-{host}"), "match": [{ "port": weight }], "retries": { "attempts": weight },
            "route": [{ "destination": { "host": host } }] })
    });
    let redirect = "[a-z]{1,6}"
        .prop_map(|to| json!({ "redirect": { "uri": format!("/{to}") }, "x": [null, true, 1.5, {}] }));
    prop_oneof![plain, redirect]
}

prop_compose! {
    fn object()(
        before in prop::collection::vec(other_route(), 0..4),
        between in prop::collection::vec(other_route(), 0..3),
        after in prop::collection::vec(other_route(), 0..4),
        weights in (0_u32..=100, 0_u32..=100),
        turned in any::<bool>(),
        bare in any::<bool>(),
    ) -> Value {
        let route = |name: &str| {
            let mut list = vec![
                json!({ "destination": { "host": "web-stable.shop" }, "weight": weights.0.max(1), "headers": { "request": {} } }),
                json!({ "destination": { "host": "web-canary" }, "weight": weights.1 }),
            ];
            if bare {
                list[1].as_object_mut().unwrap().remove("weight");
            }
            if turned {
                list.reverse();
            }
            json!({ "name": name, "route": list, "corsPolicy": { "maxAge": "24h" } })
        };
        let mut http = before;
        http.push(route("first"));
        http.extend(between);
        http.push(route("second"));
        http.extend(after);
        json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "http": http, "tls": [{ "route": [] }], "exportTo": ["."] }, "status": {} })
    }
}

/// The object with the weights of the named routes taken out.
fn without_weights(object: &Value) -> Value {
    let mut object = object.clone();
    for route in object["spec"]["http"].as_array_mut().unwrap() {
        if ["first", "second"].contains(&name_of(route)) {
            for entry in route["route"].as_array_mut().unwrap() {
                entry.as_object_mut().unwrap().remove("weight");
            }
        }
    }
    object
}

proptest! {
    #[test]
    fn everything_else_stays_byte_for_byte(object in object(), weight in 0_u8..=100) {
        let split = split(&["first", "second"]);
        let after = applied(&object, &patch(&object, &split, &wish(weight)).unwrap()).unwrap();
        prop_assert_eq!(without_weights(&after).to_string(), without_weights(&object).to_string());
        prop_assert!(held(&after, &split, &wish(weight)).0.is(weight));
        prop_assert!(patch(&after, &split, &wish(weight)).unwrap().is_empty(), "it holds: nothing is written");
    }

    #[test]
    fn what_comes_goes_without_a_trace(object in object(), weight in 0_u8..=100, count in 0_usize..=4, mirror in 0_u8..=100) {
        let split = split(&["first", "second"]);
        let cohorts = cohorts();
        let wished = Wish { weight, cohorts: &cohorts[..count], mirror };
        let with = applied(&object, &patch(&object, &split, &wished).unwrap()).unwrap();
        prop_assert!(held(&with, &split, &wished).1);
        prop_assert!(patch(&with, &split, &wished).unwrap().is_empty());
        let bare = applied(&with, &patch(&with, &split, &wish(weight)).unwrap()).unwrap();
        prop_assert_eq!(without_weights(&bare).to_string(), without_weights(&object).to_string());
    }

    #[test]
    fn somebody_elses_edit_of_our_route_refuses_the_patch(object in object(), weight in 0_u8..=100, kind in 0_usize..4) {
        let split = split(&["first", "second"]);
        let patch = patch(&object, &split, &wish(weight)).unwrap();
        let mut edited = object;
        let list = edited["spec"]["http"].as_array_mut().unwrap();
        let at = list.iter().position(|route| name_of(route) == "first").unwrap();
        match kind {
            0 => list.insert(0, json!({ "name": "new" })),
            1 => list[at]["route"][0]["weight"] = json!(1_234),
            2 => list[at]["route"][1]["destination"]["host"] = json!("elsewhere"),
            _ => { list.remove(at); }
        }
        prop_assert!(applied(&edited, &patch).is_err());
    }

    #[test]
    fn somebody_elses_edit_elsewhere_is_kept(object in object(), weight in 0_u8..=100, port in 1_u32..9_999) {
        let split = split(&["first", "second"]);
        let patch = patch(&object, &split, &wish(weight)).unwrap();
        let mut edited = object;
        edited["spec"]["http"].as_array_mut().unwrap().push(json!({ "name": "new", "port": port }));
        edited["metadata"]["labels"]["team"] = json!("blue");
        let after = applied(&edited, &patch).unwrap();
        prop_assert_eq!(without_weights(&after).to_string(), without_weights(&edited).to_string());
    }
}
