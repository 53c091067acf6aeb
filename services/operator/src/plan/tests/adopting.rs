use super::*;
use crate::plan::adopt::{Show, settle, shown, templates};

fn argo(status: Value, annotations: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "shop", "uid": "a-1", "generation": 2, "annotations": annotations },
        "spec": {
            "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "web", "image": "web:2" }] } },
            "strategy": { "canary": { "canaryService": "web-canary", "stableService": "web-stable",
                "trafficRouting": { "istio": { "virtualService": { "name": "web", "routes": ["primary"] } } },
                "steps": [{ "setWeight": 10 }, { "pause": { "duration": "30s" } }, { "setWeight": 50 }] } }
        },
        "status": status
    })
}

fn show(argo: &Value, alive: Option<&str>) -> Value {
    shown(argo, &templates([], "shop"), alive).unwrap()
}

#[test]
fn a_rollout_is_shown_in_observe_and_owned_by_argos() {
    let argo = argo(
        json!({ "stableRS": "abc", "currentPodHash": "def", "phase": "Progressing" }),
        json!({}),
    );
    let object = show(&argo, Some("its lease is held by x"));
    assert_eq!(object["spec"]["mode"], "observe");
    assert_eq!(object["spec"]["service"], "web");
    assert_eq!(object["spec"]["tracks"]["stable"]["revision"], "abc");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "a-1");
    assert!(
        object["metadata"]["annotations"]
            .get("auspex.dev/refused")
            .is_none(),
        "{object}"
    );
    assert!(
        object["spec"]["policy"]["steps"]
            .as_array()
            .is_some_and(|steps| steps.len() == 3),
        "{object}"
    );
    assert!(matches!(step(&object, None), Next::Start(_)));
}

#[test]
fn what_is_measured_goes_with_it() {
    let mut argo = argo(json!({}), json!({}));
    let steps = argo["spec"]["strategy"]["canary"]["steps"]
        .as_array_mut()
        .unwrap();
    steps.insert(
        1,
        json!({ "analysis": { "templates": [{ "templateName": "errors" }] } }),
    );
    let refused = show(&argo, None)["metadata"]["annotations"]["auspex.dev/refused"].clone();
    assert!(refused.as_str().unwrap().contains("errors"), "{refused}");
    let template = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": "errors", "namespace": "shop" },
        "spec": { "metrics": [{ "name": "errors", "successCondition": "result[0] < 0.05",
            "provider": { "prometheus": { "address": "http://prometheus", "query": "up" } } }] } });
    let mut elsewhere = template.clone();
    elsewhere["metadata"]["namespace"] = json!("other");
    assert!(shown(&argo, &templates([&elsewhere], "shop"), None).unwrap()["metadata"]["annotations"]["auspex.dev/refused"].is_string());
    let object = shown(&argo, &templates([&template], "shop"), None).unwrap();
    let plan = intake::read(&object, "").unwrap().analysis.unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(
        (&plan["kind"], &plan["metadata"]["project"]),
        (&json!("Analysis"), &json!("shop"))
    );
    assert!(plan["spec"].to_string().contains("result[0] < 0.05"), "{plan}");
}

#[test]
fn a_first_deployment_has_no_stable_version() {
    let first = argo(
        json!({ "currentPodHash": "def", "phase": "Progressing" }),
        json!({}),
    );
    assert_eq!(show(&first, None)["spec"]["initial"], true);
    // Nobody has looked at it yet: that says nothing.
    let unseen = show(&argo(json!({}), json!({})), None);
    assert!(unseen["spec"].get("initial").is_none(), "{unseen}");
    let later = show(
        &argo(json!({ "stableRS": "abc", "currentPodHash": "def" }), json!({})),
        None,
    );
    assert!(later["spec"].get("initial").is_none(), "{later}");
}

#[test]
fn conditions_are_argos_unless_told_otherwise() {
    let template = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": "errors", "namespace": "shop" },
        "spec": { "metrics": [{ "name": "errors", "successCondition": "result[0] < 0.05",
            "provider": { "prometheus": { "query": "up" } } }] } });
    let mode = |annotations: Value| {
        let mut argo = argo(json!({}), annotations);
        argo["spec"]["strategy"]["canary"]["analysis"] =
            json!({ "templates": [{ "templateName": "errors" }] });
        let object = shown(&argo, &templates([&template], "shop"), None).unwrap();
        let refused = object["metadata"]["annotations"]["auspex.dev/refused"].clone();
        let plan = object["metadata"]["annotations"]["auspex.dev/analysis"].as_str();
        let plan: Value = plan.map_or(Value::Null, |plan| serde_json::from_str(plan).unwrap());
        (plan["mode"].clone(), refused)
    };
    assert_eq!(mode(json!({})).0, "strict");
    assert_eq!(mode(json!({ "auspex.dev/conditions": "safe" })).0, "safe");
    let refused = mode(json!({ "auspex.dev/conditions": "lax" })).1;
    assert!(
        refused.as_str().unwrap().contains("auspex.dev/conditions"),
        "{refused}"
    );
}

#[test]
fn what_runs_stable_has_nothing_under_way() {
    let argo = argo(json!({ "stableRS": "abc", "currentPodHash": "abc" }), json!({}));
    assert_eq!(shown(&argo, &templates([], "shop"), None), None);
}

#[test]
fn act_is_refused_while_argos_controller_lives_and_only_then() {
    let status = json!({ "stableRS": "abc", "currentPodHash": "def", "phase": "Progressing", "observedGeneration": "2" });
    let argo = argo(status, json!({ "auspex.dev/mode": "act" }));
    let object = show(&argo, Some("its lease is held by x"));
    let refused = object["metadata"]["annotations"]["auspex.dev/refused"]
        .as_str()
        .unwrap();
    assert!(refused.contains("its lease is held by x"), "{refused}");
    assert!(matches!(step(&object, None), Next::Write(_)), "it is not begun");
    let object = show(&argo, None);
    assert_eq!(object["spec"]["mode"], "act", "{object}");
    assert!(matches!(step(&object, None), Next::Start(_)));
    // A controller that is alive and has not looked at it yet.
    let mut fresh = argo.clone();
    fresh.as_object_mut().unwrap().remove("status");
    assert!(
        show(&fresh, Some("its lease is held by x"))["metadata"]["annotations"]["auspex.dev/refused"]
            .is_string()
    );
}

#[test]
fn what_cannot_be_taken_over_is_refused_by_name() {
    let mut argo = argo(json!({}), json!({}));
    argo["spec"]["strategy"]["canary"]["steps"][0] = json!({ "plugin": { "name": "x" } });
    let object = show(&argo, None);
    let refused = object["metadata"]["annotations"]["auspex.dev/refused"]
        .as_str()
        .unwrap();
    assert!(refused.contains("plugin"), "{refused}");
}

#[test]
fn the_object_that_is_there_is_changed_only_where_it_differs() {
    let argo = argo(json!({}), json!({}));
    let wanted = show(&argo, None);
    assert_eq!(settle(None, &wanted), Show::Create(wanted.clone()));
    let mut there = wanted.clone();
    there["metadata"]["resourceVersion"] = json!("7");
    assert_eq!(settle(Some(&there), &wanted), Show::Rest);
    there["metadata"]["annotations"]["auspex.dev/ask"] = json!("pause");
    assert_eq!(
        settle(Some(&there), &wanted),
        Show::Rest,
        "what a person asks stays"
    );
    there["spec"]["mode"] = json!("gate");
    there["metadata"]["annotations"]["auspex.dev/refused"] = json!("old");
    let Show::Change(patch) = settle(Some(&there), &wanted) else {
        panic!("it is not changed")
    };
    assert_eq!(patch.0.len(), 3, "{patch:?}");
    there["metadata"]["annotations"]["auspex.dev/from"] = json!("another");
    assert_eq!(settle(Some(&there), &wanted), Show::Foreign);
}
