use std::time::Duration;

use auspex_proto::wire;
use serde_json::json;

use super::*;

const TERMS: Terms<'_> = Terms {
    project: "",
    quiet: Duration::from_secs(10),
    stamp: "2026-01-01T00:00:00Z",
};

fn rollout(generation: i64) -> Value {
    json!({
        "apiVersion": "auspex.dev/v1", "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "shop", "uid": "u-1", "generation": generation, "resourceVersion": "5" },
        "spec": { "service": "web", "policy": { "steps": [{ "setWeight": 10 }] } }
    })
}

fn view(phase: wire::Phase, weight: u32) -> wire::RolloutView {
    wire::RolloutView {
        project: "shop".to_owned(),
        name: "web-1".to_owned(),
        phase: phase.into(),
        mode: wire::Mode::Act.into(),
        weight,
        verified: true,
        posterior: 0.123_456,
        last: Some(wire::Decision {
            reason: wire::ReasonCode::StepWait.into(),
            reason_text: "the step waits 5 s".to_owned(),
            ..wire::Decision::default()
        }),
        started_ms: 1_767_225_600_000,
        ..wire::RolloutView::default()
    }
}

fn step(object: &Value, view: Option<&wire::RolloutView>) -> Next {
    let written = None;
    next(
        &Known {
            object,
            view,
            written,
        },
        &TERMS,
    )
}

fn written(next: Next) -> Value {
    match next {
        Next::Write(status) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_object_is_begun_once_per_generation() {
    let object = rollout(1);
    let Next::Start(command) = step(&object, None) else {
        panic!("it is not begun")
    };
    assert_eq!(command.rollout, "web-1");
    assert_eq!(command.actor, "kubernetes: shop/web");
    let Next::Start(again) = step(&object, None) else {
        panic!("it is not begun")
    };
    assert_eq!(again, command, "asked twice, it is the same command");
    let Some(wire::command::Ask::Start(start)) = command.ask else {
        panic!("no start")
    };
    let document: Value = serde_json::from_str(&start.document).unwrap();
    assert_eq!(
        document["metadata"],
        json!({ "name": "web-1", "project": "shop" })
    );
    assert_eq!(document["spec"], object["spec"]);
    let Next::Start(next) = step(&rollout(2), None) else {
        panic!("it is not begun")
    };
    assert_ne!(next.meta.unwrap().id, command.meta.unwrap().id);
    // Begun, but the status was never written: the view says so.
    assert!(matches!(
        step(&object, Some(&view(wire::Phase::Waiting, 0))),
        Next::Write(_)
    ));
}

#[test]
fn an_object_of_an_old_name_is_begun_again() {
    let over = view(wire::Phase::Promoted, 100);
    assert!(
        matches!(step(&rollout(1), Some(&over)), Next::Start(_)),
        "the one that is over was another object's"
    );
    let mut begun = rollout(1);
    begun["status"] = json!({ "observedGeneration": 1 });
    assert!(matches!(step(&begun, Some(&over)), Next::Write(_)));
}

#[test]
fn what_waits_for_control_is_not_begun() {
    let mut object = rollout(1);
    let status = status::pending(&object, "control: connection refused", TERMS.stamp);
    assert_eq!(
        (&status["phase"], &status["observedGeneration"]),
        (&json!("Pending"), &Value::Null)
    );
    assert_eq!(status["conditions"][1]["status"], "True", "it is on its way");
    object["status"] = status;
    assert!(matches!(step(&object, None), Next::Start(_)), "it is tried again");
}

#[test]
fn a_status_is_written_when_a_word_changes_and_seldom_when_a_number_does() {
    let mut object = rollout(1);
    let mut seen = view(wire::Phase::Progressing, 10);
    object["status"] = written(step(&object, Some(&seen)));
    assert_eq!(object["status"]["probability"], 0.123);
    assert_eq!(object["status"]["startedAt"], "2026-01-01T00:00:00Z");
    assert_eq!(step(&object, Some(&seen)), Next::Rest);
    seen.posterior = 0.2;
    fn known<'a>(object: &'a Value, view: &'a wire::RolloutView, ago: u64) -> Known<'a> {
        Known {
            object,
            view: Some(view),
            written: Some(Duration::from_secs(ago)),
        }
    }
    assert_eq!(next(&known(&object, &seen, 9), &TERMS), Next::Rest);
    assert!(matches!(next(&known(&object, &seen, 10), &TERMS), Next::Write(_)));
    seen.weight = 25;
    let status = written(next(&known(&object, &seen, 0), &TERMS));
    assert_eq!(
        (&status["weight"], &status["phase"]),
        (&json!(25), &json!("Progressing"))
    );
}

#[test]
fn conditions_say_what_tools_understand() {
    let of = |phase| {
        let mut object = rollout(1);
        object["status"] = json!({ "observedGeneration": 1 });
        let status = written(step(&object, Some(&view(phase, 0))));
        let conditions = status["conditions"].as_array().unwrap();
        conditions
            .iter()
            .take(3)
            .map(|c| c["status"] == "True")
            .collect::<Vec<_>>()
    };
    assert_eq!(of(wire::Phase::Promoted), [true, false, false]);
    assert_eq!(of(wire::Phase::RolledBack), [false, false, true]);
    assert_eq!(of(wire::Phase::Progressing), [false, true, false]);
    assert_eq!(of(wire::Phase::Paused), [false, false, false]);
    // The time of a condition is that of its last change.
    let mut object = rollout(1);
    object["status"] = json!({ "observedGeneration": 1 });
    object["status"] = written(step(&object, Some(&view(wire::Phase::Progressing, 0))));
    let later = Terms {
        stamp: "2026-01-02T00:00:00Z",
        ..TERMS
    };
    let seen = view(wire::Phase::Promoted, 100);
    let known = Known {
        object: &object,
        view: Some(&seen),
        written: None,
    };
    let status = written(next(&known, &later));
    let times: Vec<&str> = status["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["lastTransitionTime"].as_str().unwrap())
        .collect();
    assert_eq!(
        times,
        [
            "2026-01-02T00:00:00Z",
            "2026-01-02T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z"
        ]
    );
}

#[test]
fn what_others_do_and_what_is_waited_for_is_told() {
    let mut seen = view(wire::Phase::Progressing, 25);
    seen.routers.push(wire::RouterView {
        router: "istio".to_owned(),
        drift: "found 0 %, not 25 %, by argocd-controller".to_owned(),
        fault: "not allowed: patch".to_owned(),
        ..wire::RouterView::default()
    });
    seen.gates.push(wire::GateView {
        name: "release".to_owned(),
        state: "waiting".to_owned(),
        ..wire::GateView::default()
    });
    seen.sla = Some(wire::Sla {
        kept: false,
        harmed: 3,
        broken: vec!["impact".to_owned()],
        ..wire::Sla::default()
    });
    let status = written(step(&rollout(1), Some(&seen)));
    assert_eq!(
        status["drift"],
        "istio: found 0 %, not 25 %, by argocd-controller"
    );
    assert_eq!(status["fault"], "istio: not allowed: patch");
    assert_eq!(status["waitingFor"], json!(["release"]));
    assert_eq!(status["sla"]["state"], "Broken");
    assert_eq!(status["conditions"][3]["status"], "True");
}

#[test]
fn a_bake_that_is_paused_is_shown_as_paused() {
    let mut object = rollout(1);
    object["status"] = json!({ "observedGeneration": 1 });
    let mut seen = view(wire::Phase::Baking, 100);
    assert_eq!(written(step(&object, Some(&seen)))["phase"], "Baking");
    if let Some(last) = &mut seen.last {
        last.action = wire::Action::Pause.into();
    }
    let status = written(step(&object, Some(&seen)));
    assert_eq!(
        (&status["phase"], &status["weight"]),
        (&json!("Paused"), &json!(100))
    );
}

#[test]
fn an_annotation_asks_once_per_text() {
    let mut object = rollout(1);
    let seen = view(wire::Phase::Paused, 10);
    object["metadata"]["annotations"] = json!({ "auspex.dev/ask": "promote looks good" });
    let Next::Ask(command) = step(&object, Some(&seen)) else {
        panic!("it is not asked")
    };
    assert_eq!(
        command.ask,
        Some(wire::command::Ask::Promote(wire::Promote { full: false }))
    );
    assert_eq!(command.note, "looks good");
    let mut status = status::of(
        &object,
        &intake::read(&object, "").unwrap(),
        Some(&seen),
        TERMS.stamp,
    );
    status::note_ask(&mut status, "promote looks good", "");
    object["status"] = status;
    assert_eq!(step(&object, Some(&seen)), Next::Rest);
    object["metadata"]["annotations"] = json!({ "auspex.dev/ask": "destroy" });
    let status = written(step(&object, Some(&seen)));
    assert!(
        status["askRefused"]
            .as_str()
            .unwrap()
            .contains("is none of pause, resume")
    );
    object["status"] = status;
    assert_eq!(
        step(&object, Some(&seen)),
        Next::Rest,
        "a word that is none is told once"
    );
}

#[test]
fn what_cannot_be_begun_is_said_in_the_status() {
    let mut object = rollout(1);
    object["metadata"]["annotations"] = json!({ "auspex.dev/refused": "spec.strategy: is missing" });
    let status = written(step(&object, None));
    assert_eq!(
        (&status["phase"], &status["message"]),
        (&json!("Refused"), &json!("spec.strategy: is missing"))
    );
    assert_eq!(status["conditions"][2]["status"], "True");
    object["status"] = status;
    assert_eq!(step(&object, None), Next::Rest);
}

mod adopting;
