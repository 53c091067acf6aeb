use super::*;
use crate::streams;

const ORDERS: &str = r#"
apiVersion: auspex.dev/v1
kind: Entity
metadata: { name: customer }
---
apiVersion: auspex.dev/v1
kind: FeatureView
metadata: { name: orders, description: "what was ordered" }
spec:
  entities: [customer]
  source: { push: true }
  ttl: 30d
  columns: [{ name: amount }, { name: coupon, type: text }]
  features:
    - { name: amount, unit: EUR, default: 0 }
    - { name: amount_1h, column: amount, aggregate: sum, window: 1h }
    - { name: coupons_7d, column: coupon, aggregate: distinct, window: 7d }
---
apiVersion: auspex.dev/v1
kind: OnDemandFeatureView
metadata: { name: basket }
spec:
  features:
    - { name: share, expression: "request.amount / max(orders:amount_1h, 1)" }
---
apiVersion: auspex.dev/v1
kind: FeatureService
metadata: { name: fraud }
spec: { features: [orders, "basket:share"], sample: 0.5 }
"#;

fn apply(registry: &Registry, text: &str) -> Result<(Registry, Vec<Change>), Vec<String>> {
    let (documents, problems) = read(text);
    assert_eq!(problems, Vec::<String>::new());
    registry.apply(&documents, &[], &Fitted::new())
}

fn actions(changes: &[Change]) -> Vec<(&str, &str, u32)> {
    changes
        .iter()
        .map(|c| (c.key.as_str(), c.action.word(), c.version))
        .collect()
}

#[test]
fn what_comes_with_the_program_is_sound() {
    let (documents, problems) = read(BUILTIN);
    assert_eq!(problems, Vec::<String>::new());
    let registry = Registry::builtin();
    let wrong: Vec<String> = documents
        .iter()
        .flat_map(|d| super::check::check(d, &registry))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    let catalogue = Catalogue::of(&registry);
    assert_eq!(catalogue.services.len(), 7);
    let features: usize = catalogue.views.values().map(|v| v.names.len()).sum();
    assert!(features > 150, "{features}");
    for document in &documents {
        assert!(!document.metadata.description.is_empty(), "{}", document.key());
        if let Spec::FeatureView(view) = &document.spec {
            for feature in &view.features {
                assert!(
                    !feature.unit.is_empty() && !feature.description.is_empty(),
                    "{}",
                    feature.name
                );
            }
        }
    }
    assert!(
        streams::STREAMS
            .iter()
            .all(|s| catalogue.views.values().any(|v| v.source == s.name))
    );
}

#[test]
fn a_version_is_made_by_meaning_alone() {
    let (first, changes) = apply(&Registry::builtin(), ORDERS).unwrap();
    let created = [
        "Entity/customer",
        "FeatureService/fraud",
        "FeatureView/orders",
        "OnDemandFeatureView/basket",
    ];
    assert_eq!(actions(&changes), created.map(|key| (key, "create", 1)));

    let (same, changes) = apply(&first, ORDERS).unwrap();
    assert!(
        changes.iter().all(|c| c.action == Action::None) && same == first,
        "idempotent"
    );

    let told = ORDERS
        .replace("what was ordered", "orders")
        .replace("EUR", "USD")
        .replace("sample: 0.5", "sample: 0.1");
    let (told, changes) = apply(&first, &told).unwrap();
    assert!(
        changes
            .iter()
            .all(|c| c.version == 1 && c.action != Action::Change),
        "{changes:?}"
    );
    assert_eq!(changes.iter().filter(|c| c.action == Action::Describe).count(), 2);

    let (next, changes) = apply(&told, &ORDERS.replace("ttl: 30d", "ttl: 7d")).unwrap();
    let orders = changes.iter().find(|c| c.key == "FeatureView/orders").unwrap();
    assert_eq!(
        (orders.action, orders.version, orders.needs_backfill),
        (Action::Change, 2, false)
    );
    assert_eq!(orders.differences, ["FeatureView.ttl: \"30d\" -> \"7d\""]);
    let fraud = changes.iter().find(|c| c.key == "FeatureService/fraud").unwrap();
    assert_eq!(
        (fraud.version, fraud.differences.as_slice()),
        (2, ["what it reads has changed".to_owned()].as_slice())
    );

    let (_, changes) = apply(&next, &ORDERS.replace("aggregate: sum", "aggregate: max")).unwrap();
    let orders = changes.iter().find(|c| c.key == "FeatureView/orders").unwrap();
    assert!(
        orders.needs_backfill && orders.version == 3,
        "the shape is another"
    );
}

#[test]
fn everything_that_is_wrong_is_told() {
    let wrong = ORDERS
        .replace("entities: [customer]", "entities: [nobody]")
        .replace("ttl: 30d", "ttl: soon")
        .replace("aggregate: sum, window: 1h", "aggregate: total, window: 1h")
        .replace(
            "column: coupon, aggregate: distinct",
            "column: coupon, aggregate: mean",
        )
        .replace("orders:amount_1h", "orders:nothing")
        .replace("[orders, ", "[orders, gone, ");
    let faults = apply(&Registry::builtin(), &wrong).unwrap_err();
    for part in [
        "no entity nobody",
        "soon is no duration",
        "total is no aggregate",
        "is a text",
        "orders:nothing is neither",
        "there is no gone",
    ] {
        assert!(
            faults.iter().any(|fault| fault.contains(part)),
            "{part}: {faults:#?}"
        );
    }
    let (_, problems) = read(
        "apiVersion: v2\nkind: Entity\nmetadata: {name: a}\n---\nkind: Nothing\napiVersion: auspex.dev/v1\nmetadata: {name: a}\n---\napiVersion: auspex.dev/v1\nkind: FeatureView\nmetadata: {name: a}\nspec: {sorce: x}\n",
    );
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn what_others_read_is_not_taken_away() {
    let (registry, _) = apply(&Registry::builtin(), ORDERS).unwrap();
    let gone = |keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
        registry.apply(&[], &keys, &Fitted::new())
    };
    assert!(
        gone(&["FeatureView/orders"])
            .unwrap_err()
            .iter()
            .any(|f| f.contains("FeatureService/fraud"))
    );
    assert!(gone(&["FeatureView/service_health"]).unwrap_err()[0].contains("comes with the program"));
    let (less, changes) = gone(&["FeatureService/fraud"]).unwrap();
    assert_eq!(actions(&changes), [("FeatureService/fraud", "remove", 1)]);
    let (again, changes) = apply(&less, ORDERS).unwrap();
    assert!(
        actions(&changes).contains(&("FeatureService/fraud", "create", 2)),
        "versions are not used twice"
    );
    assert_eq!(Registry::restored(again.own()), again);
    let saved: Registry = serde_json::from_str(&serde_json::to_string(&again.own()).unwrap()).unwrap();
    assert_eq!(Registry::restored(saved), again);
}

#[test]
fn an_answer_is_put_together_by_its_recipe() {
    use auspex_algebra::{Cell, Status};
    let (registry, _) = apply(&Registry::builtin(), ORDERS).unwrap();
    let catalogue = Catalogue::of(&registry);
    let recipe = &catalogue.services["fraud"];
    assert_eq!(recipe.service, "fraud@1");
    assert_eq!(
        recipe.names,
        [
            "orders__amount",
            "orders__amount_1h",
            "orders__coupons_7d",
            "basket__share"
        ]
    );
    assert_eq!(recipe.keys(), ["customer"]);
    let part = vec![
        Cell {
            value: 0.0,
            status: Status::Expired,
        },
        Cell::of(Some(8.0)),
        Cell::of(Some(2.0)),
    ];
    let request = [("amount".to_owned(), 4.0)].into();
    let cells = recipe.assemble(std::slice::from_ref(&part), &request, false);
    assert_eq!((cells[3].value, cells[0].status), (0.5, Status::Expired));
    assert_eq!(
        recipe.assemble(&[part], &[].into(), false)[3].status,
        Status::Null
    );
    assert!(
        catalogue
            .recipe(&["orders:amount".to_owned(), "orders".to_owned()])
            .unwrap_err()
            .contains("twice")
    );
}

#[test]
fn other_words_of_the_same_are_no_other_meaning() {
    let (first, _) = apply(&Registry::builtin(), ORDERS).unwrap();
    let same = [
        ("ttl: 30d", "ttl: 720h"),
        ("window: 7d", "window: 1w"),
        ("window: 1h", "window: 60m"),
        (
            "{ name: amount, unit",
            "{ name: amount, column: amount, aggregate: latest, unit",
        ),
        ("[{ name: amount }", "[{ name: amount, type: number }"),
        (
            "metadata: { name: customer }",
            "metadata: { name: customer }\nspec: { join_key: customer }",
        ),
        ("default: 0 }", "default: 0.0 }"),
    ];
    for (one, other) in same {
        assert!(ORDERS.contains(one), "{one}");
        let (_, changes) = apply(&first, &ORDERS.replace(one, other)).unwrap();
        assert!(
            changes
                .iter()
                .all(|c| c.version == 1 && c.action != Action::Change),
            "{other}: {changes:?}"
        );
    }
    let (_, changes) = apply(&first, &ORDERS.replace("window: 1h", "window: 61m")).unwrap();
    assert!(
        changes
            .iter()
            .any(|c| c.differences == ["FeatureView.features[amount_1h].window: \"1h\" -> \"61m\""])
    );
}

#[test]
fn what_was_told_by_older_rules_keeps_its_version() {
    let (first, _) = apply(&Registry::builtin(), ORDERS).unwrap();
    let mut saved = serde_json::to_value(first.own()).unwrap();
    saved.as_object_mut().unwrap().remove("rules");
    saved["entries"]["FeatureView/orders"]["meaning"] = "of another rule".into();
    let old: Registry = serde_json::from_value(saved).unwrap();
    let restored = Registry::restored(old);
    assert_eq!(restored, first);
    let (_, changes) = apply(&restored, ORDERS).unwrap();
    assert!(changes.iter().all(|c| c.action == Action::None), "{changes:?}");
}

#[test]
fn a_name_that_means_two_things_is_refused() {
    let told = |one: &str, other: &str| {
        assert!(ORDERS.contains(one), "{one}");
        apply(&Registry::builtin(), &ORDERS.replace(one, other))
            .unwrap_err()
            .join("; ")
    };
    for (one, other, words) in [
        (
            "{ name: coupon, type: text }",
            "{ name: coupon, type: text }, { name: created }",
            "column created: every row has it by itself",
        ),
        (
            "{ name: coupon, type: text }",
            "{ name: coupon, type: text }, { name: customer }",
            "column customer: is a join key",
        ),
        (
            "[orders, \"basket:share\"]",
            "[orders, \"orders:amount\"]",
            "features: orders__amount is there twice",
        ),
        (
            "entities: [customer]",
            "entities: [customer, customer]",
            "two of them have the join key customer",
        ),
    ] {
        assert!(told(one, other).contains(words), "{words}: {}", told(one, other));
    }
    let second = "apiVersion: auspex.dev/v1\nkind: OnDemandFeatureView\nmetadata: { name: orders }\nspec: { features: [{ name: x, expression: \"1\" }] }\n";
    let (first, _) = apply(&Registry::builtin(), ORDERS).unwrap();
    let wrong = apply(&first, second).unwrap_err();
    assert_eq!(
        wrong,
        ["OnDemandFeatureView/orders: name: FeatureView/orders has it"]
    );
}
