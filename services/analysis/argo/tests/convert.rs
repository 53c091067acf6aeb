//! Rollouts with one thing changed: what is refused, by which field and with which of Argo's sentences; and what becomes of the
//! rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use auspex_argo::convert::{Converted, convert};
use auspex_argo::document::{Kind, read_each};
use auspex_argo::expr::Mode;
use auspex_argo::template::Templates;
use serde_json::{Value, json};

const TEMPLATES: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: errors}
spec:
  args: [{name: service}, {name: count, value: "3"}]
  metrics:
  - name: errors
    interval: 10s
    count: "{{args.count}}"
    successCondition: result[0] < 0.05
    provider: {prometheus: {query: "errors{service='{{args.service}}'}"}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: endless}
spec:
  metrics:
  - name: endless
    interval: 10s
    successCondition: result[0] < 0.05
    provider: {prometheus: {query: up}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: both}
spec:
  args: [{name: token, value: x, valueFrom: {secretKeyRef: {name: a, key: b}}}]
  metrics: [{name: both, provider: {web: {url: "http://x/{{args.token}}"}}}]
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: hash}
spec:
  args: [{name: hash}]
  metrics: [{name: hash, provider: {web: {url: "http://x/{{args.hash}}"}}}]
"#;

/// A rollout that is right, with the routes that steps may speak of.
fn rollout() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop", "creationTimestamp": null},
        "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "shop"}}, "paused": null,
            "template": {"metadata": {"labels": {"app": "shop"}, "creationTimestamp": null},
                "spec": {"containers": [{"name": "shop", "image": "shop:2"}]}},
            "strategy": {"canary": {
                "canaryService": "shop-canary", "stableService": "shop-stable",
                "trafficRouting": {"managedRoutes": [{"name": "me"}], "istio": {"virtualService": {"name": "shop"}}},
                "steps": [{"setWeight": 10}, {"pause": {"duration": "1m30s"}}],
            }},
        },
    })
}

fn of(document: &Value) -> Converted {
    let mut kinds = Vec::new();
    let mut out = Converted::default();
    for document in read_each(TEMPLATES)
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .chain([document.clone()])
    {
        match Kind::of(&document) {
            Ok(kind) => kinds.push(kind),
            Err((field, reason)) => out.refused.push(auspex_argo::convert::Remark {
                document: String::new(),
                field,
                reason,
            }),
        }
    }
    let mut templates = Templates::default();
    templates.add_all(&kinds);
    // The templates of this file are themselves beside the point.
    kinds.retain(|kind| !matches!(kind, Kind::Template(..)));
    let mut converted = convert(&kinds, &templates, Mode::Strict);
    converted.refused.append(&mut out.refused);
    converted
}

/// The rollout with a value in place of another, or before it in a list.
fn with(path: &str, value: Value) -> Value {
    let mut document = rollout();
    let (parent, last) = path.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(fields) => {
            fields.insert(last.to_owned(), value);
        }
        Value::Array(items) => items.insert(last.parse().unwrap(), value),
        _ => panic!("{path}"),
    }
    document
}

fn step(value: Value) -> Value {
    with("/spec/strategy/canary/steps/0", value)
}

fn analysis(template: &str, args: Value) -> Value {
    json!({"analysis": {"templates": [{"templateName": template}], "args": args}})
}

#[test]
fn what_is_right_converts_and_nulls_are_nothing() {
    let converted = of(&rollout());
    assert!(converted.refused.is_empty(), "{:?}", converted.refused);
    assert_eq!(
        converted.documents[0]["spec"]["policy"]["steps"],
        json!([{"setWeight": 10}, {"pause": {"duration": "90s"}}])
    );
    assert_eq!(converted.documents[0]["spec"]["mode"], "observe");
}

/// A line: where, which value, the field that is refused and a word of the reason; neither: it is taken.
#[test]
fn each_fault_is_refused_by_its_field() {
    let mut lines = 0;
    for line in include_str!("refused.tsv").lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [path, value, field, word] = cells.as_slice() else {
            panic!("not four cells: {line}")
        };
        lines += 1;
        let refused = of(&with(path, serde_json::from_str(value).unwrap())).refused;
        match refused.as_slice() {
            [] => assert!(field.is_empty(), "nothing was refused: {line}"),
            [one] => assert!(
                one.field == *field && one.reason.contains(word) && !word.is_empty(),
                "{line}: {one:?}"
            ),
            several => panic!("{line}: {several:?}"),
        }
    }
    assert!(lines > 60, "only {lines} lines");
}

#[test]
fn annotations_say_what_argo_has_no_place_for() {
    let spec =
        |annotations: Value| of(&with("/metadata/annotations", annotations)).documents[0]["spec"].clone();
    let plain = spec(json!({}));
    assert!(
        plain.get("initial").is_none() && plain.get("scale").is_none(),
        "{plain}"
    );
    let told =
        spec(json!({"auspex.dev/initial": "true", "auspex.dev/scale": "true", "auspex.dev/mode": "gate"}));
    assert_eq!(told["initial"], true);
    assert_eq!(told["scale"], json!({"replicas": 4, "dynamic": false}));
    assert_eq!(told["mode"], "gate");
}

#[test]
fn a_switch_waits_for_its_analysis_and_for_a_person_where_argo_does() {
    let service = json!([{"name": "service", "value": "shop"}]);
    for enabled in [true, false] {
        let converted = of(&with(
            "/spec/strategy",
            json!({"blueGreen": {"activeService": "a", "previewService": "b", "autoPromotionEnabled": enabled,
                "prePromotionAnalysis": analysis("errors", service.clone())["analysis"],
                "postPromotionAnalysis": analysis("errors", service.clone())["analysis"]}}),
        ));
        assert!(converted.refused.is_empty(), "{:?}", converted.refused);
        let spec = &converted.documents[0]["spec"];
        assert_eq!(spec["strategy"]["blueGreen"]["autoPromotion"], enabled);
        assert_eq!(
            spec["gates"]["approvals"],
            json!([{"name": "prePromotionAnalysis", "at": "promotion"}])
        );
        let runs = converted.documents[1]["spec"]["runs"].as_array().unwrap();
        assert_eq!(
            (&runs[0]["name"], &runs[0]["when"]),
            (&json!("prePromotionAnalysis"), &json!("prePromotion"))
        );
    }
}

#[test]
fn limits_may_be_arguments() {
    let service = json!([{"name": "service", "value": "shop"}]);
    let converted = of(&step(analysis("errors", service)));
    assert!(converted.refused.is_empty(), "{:?}", converted.refused);
    let few = json!([{"name": "service", "value": "shop"}, {"name": "count", "value": "0"}]);
    let refused = of(&step(analysis("errors", few))).refused;
    assert!(refused[0].reason.contains("runs indefinitely"), "{refused:?}");
    let broken = json!([{"name": "service", "value": "\u{7}"}]);
    let refused = of(&step(analysis("errors", broken))).refused;
    assert_eq!(
        refused.len(),
        1,
        "what breaks the JSON of a metric is told: {refused:?}"
    );
}

#[test]
fn an_experiment_knows_the_revisions_of_both_versions() {
    let converted = of(&step(json!({"experiment": {
        "duration": "5m",
        "templates": [{"name": "old", "specRef": "stable"}, {"name": "new", "specRef": "canary"}],
        "dryRun": [{"metricName": "^hash$"}],
        "analyses": [
            {"name": "o", "templateName": "hash", "args": [{"name": "hash", "value": "{{templates.old.podTemplateHash}}"}]},
            {"name": "n", "templateName": "hash", "requiredForCompletion": true,
             "args": [{"name": "hash", "value": "{{ templates.new.podTemplateHash }}"}]}],
    }})));
    assert!(converted.refused.is_empty(), "{:?}", converted.refused);
    let run = &converted.documents[1]["spec"]["runs"][0];
    assert_eq!(run["experiment"], json!({"duration": "5m", "required": true}));
    assert_eq!(
        run["analysis"]["dryRun"],
        json!([{"metricName": "^o\\.hash$"}, {"metricName": "^n\\.hash$"}])
    );
    let step = &converted.documents[0]["spec"]["policy"]["steps"][0];
    assert_eq!(step, &json!({"pause": {}, "analysis": "step-0"}));
}
