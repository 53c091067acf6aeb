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
            json!([{"name": "prePromotionAnalysis", "at": "promotion"}, {"name": "postPromotionAnalysis", "at": "end"}])
        );
        let runs = converted.documents[1]["spec"]["runs"].as_array().unwrap();
        assert_eq!(
            (&runs[0]["name"], &runs[0]["when"]),
            (&json!("prePromotionAnalysis"), &json!("prePromotion"))
        );
    }
}

/// Argo's steps, and what they are in Auspex: the cohorts, the steps, the plan's steps.
#[test]
#[allow(
    clippy::too_many_lines,
    reason = "one table: Argo's steps, and what they become"
)]
fn header_and_mirror_routes_act_at_their_step_and_end_at_theirs() {
    let route = |kind: &str, name: &str, more: Value| {
        let mut step = json!({"name": name});
        step.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({kind: step})
    };
    let headers = |values: &[&str]| {
        let matches: Vec<Value> = values
            .iter()
            .map(|value| json!({"headerName": "x-user", "headerValue": {"exact": value}}))
            .collect();
        json!({"match": matches})
    };
    let header = |name: &str, values: &[&str]| route("setHeaderRoute", name, headers(values));
    let mirror = |name: &str, percent: Value| {
        let any = json!([{"method": {"exact": "GET"}}]);
        route(
            "setMirrorRoute",
            name,
            json!({"match": any, "percentage": percent}),
        )
    };
    let mut document = with(
        "/spec/strategy/canary/trafficRouting/managedRoutes",
        json!([{"name": "first"}, {"name": "second"}, {"name": "copies"}]),
    );
    document["spec"]["strategy"]["canary"]["steps"] = json!([
        {"setWeight": 5},
        header("second", &["a", "b"]),
        {"pause": {}},
        header("first", &["c"]),
        mirror("copies", json!(40)),
        {"pause": {"duration": 10}},
        header("second", &["b"]),
        route("setMirrorRoute", "copies", json!({})),
        header("first", &[]),
        header("first", &[]),
        {"setWeight": 50},
        mirror("copies", json!(null)),
    ]);
    document["spec"]["strategy"]["canary"]["analysis"] =
        json!({"templates": [{"templateName": "background"}], "startingStep": 10});
    let converted = of(&document);
    assert!(converted.refused.is_empty(), "{:?}", converted.refused);
    let spec = &converted.documents[0]["spec"];
    let by = |value: &str| json!({"name": "x-user", "value": value});
    assert_eq!(
        spec["cohorts"],
        json!([{"name": "first", "header": by("c")}, {"name": "second", "header": by("a")},
            {"name": "second-1", "header": by("b")}]),
        "of two that fit, the one that is listed first among managedRoutes counts"
    );
    assert_eq!(
        spec["policy"]["steps"],
        json!([
            {"setWeight": 5}, {"cohorts": ["second", "second-1"]}, {"pause": {}},
            {"cohorts": ["second", "second-1", "first"]}, {"mirror": 40}, {"pause": {"duration": "10s"}},
            {"cohorts": ["second-1", "first"]}, {"mirror": 0}, {"cohorts": ["second-1"]}, {"setWeight": 50}, {"mirror": 100},
        ])
    );
    assert_eq!(spec.get("mirror"), None, "nothing is copied before its step");
    let plan = &converted.documents[1]["spec"];
    assert_eq!(
        plan["steps"],
        json!([{"weight": 5}, "beside", "person", "beside", "beside", {"pause": "10s"}, "beside", "beside", "beside",
            {"weight": 50}, "beside"])
    );
    assert_eq!(
        plan["runs"][0]["when"],
        json!({"background": 9}),
        "the step that sets 50"
    );
}

#[test]
fn more_cohorts_than_a_rollout_may_have_are_refused() {
    let matches: Vec<Value> = (0..17)
        .map(|n| json!({"headerName": "x", "headerValue": {"exact": n.to_string()}}))
        .collect();
    let refused = of(&step(json!({"setHeaderRoute": {"name": "me", "match": matches}}))).refused;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].field, "spec.strategy.canary.steps");
    assert!(refused[0].reason.contains("at most 16"), "{refused:?}");
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

#[test]
fn one_provider_too_many_or_none_is_told_once() {
    for (provider, reason) in [
        ("{}", "no provider specified"),
        (
            "{prometheus: {query: up}, web: {url: \"http://x\"}}",
            "multiple providers specified",
        ),
    ] {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: a}}\nspec: {{metrics: [{{name: m, provider: {provider}}}]}}\n"
        );
        let kinds: Vec<Kind> = read_each(&text)
            .unwrap()
            .into_iter()
            .map(|document| Kind::of(&document.unwrap()).unwrap())
            .collect();
        let refused = convert(&kinds, &Templates::default(), Mode::Strict).refused;
        let told: Vec<(&str, &str)> = refused
            .iter()
            .map(|remark| (remark.field.as_str(), remark.reason.as_str()))
            .collect();
        assert_eq!(told, [("spec.metrics[0].provider", reason)]);
    }
}
