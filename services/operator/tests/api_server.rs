//! Two replicas of the operator against a real `kube-apiserver`, as the service account that `deploy/kubernetes/` describes.
//! Run by `tests/kubernetes/run`, which names its binaries. Control is played by the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::collections::BTreeSet;

use auspex_cluster::lease::LEASES;
use auspex_operator::access;
use auspex_operator::kinds::{ARGO_ROLLOUTS, ROLLOUTS};
use auspex_proto::wire;
use parts::scene::Scene;
use serde_json::{Value, json};

fn rollout(name: &str) -> Value {
    json!({ "apiVersion": "auspex.dev/v1", "kind": "Rollout", "metadata": { "name": name },
        "spec": { "service": name, "mode": "act", "policy": { "steps": [{ "setWeight": 10 }] } } })
}

fn phase(wanted: &'static str) -> impl Fn(&Value) -> bool {
    move |object| object["status"]["phase"] == wanted
}

#[tokio::test]
async fn rollouts_of_a_real_api_server() {
    let Some(scene) = Scene::start().await else { return };
    begun_steered_and_shown(&scene).await;
    refused_and_denied(&scene).await;
    argo(&scene).await;
    handed_over(&scene).await;
    let asked: BTreeSet<String> = scene
        .replicas
        .iter()
        .flat_map(|replica| replica.cluster.asked())
        .map(|asked| asked.to_string())
        .collect();
    let granted: BTreeSet<String> = access::GRANTS
        .iter()
        .flat_map(|grant| {
            grant
                .verbs
                .iter()
                .map(move |verb| format!("{verb} {}.{}", grant.resource, grant.group))
        })
        .collect();
    assert_eq!(asked, granted, "nothing is granted that is not used");
}

async fn begun_steered_and_shown(scene: &Scene) {
    scene.create(&rollout("web")).await;
    scene.until("web", phase("Waiting")).await;
    assert_eq!(scene.starts("web-1"), 1);
    scene.control.set("web-1", |view| {
        view.phase = wire::Phase::Progressing.into();
        view.weight = 25;
        view.sla = Some(wire::Sla {
            kept: true,
            ..wire::Sla::default()
        });
        view.last = Some(wire::Decision {
            reason: wire::ReasonCode::StepWait.into(),
            reason_text: "waits".to_owned(),
            ..Default::default()
        });
        view.routers = vec![wire::RouterView {
            router: "istio".to_owned(),
            drift: "0 %, not 25 %".to_owned(),
            ..Default::default()
        }];
    });
    // Somebody edits the object at the same time, again and again: a stale status is refused and written anew.
    for n in 0..20 {
        scene.annotate("web", "note", &n.to_string()).await;
    }
    let object = scene.until("web", |o| o["status"]["weight"] == 25).await;
    assert_eq!(object["metadata"]["annotations"]["note"], "19");
    assert_eq!(object["status"]["conditions"][3]["status"], "True", "{object}");
    printed(scene).await;
    steered(scene).await;
}

/// What `kubectl get` prints.
async fn printed(scene: &Scene) {
    let request = http::Request::get(ROLLOUTS.all("default").path())
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = scene.server.admin().unwrap().request(request).await.unwrap();
    let names: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "Name", "Service", "Mode", "Phase", "Weight", "Verified", "SLA", "Reason", "Drift", "Message",
            "Age"
        ]
    );
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        cells[..8],
        [
            json!("web"),
            json!("web"),
            json!("act"),
            json!("Progressing"),
            json!(25),
            json!(false),
            json!("Kept"),
            json!("StepWait")
        ]
    );
}

async fn steered(scene: &Scene) {
    // Asked by an annotation, once.
    scene.annotate("web", "auspex.dev/ask", "promote now").await;
    scene
        .until("web", |o| o["status"]["asked"] == "promote now")
        .await;
    // A change of the spec is a rollout of its own.
    let spec = json!({ "spec": { "policy": { "steps": [{ "setWeight": 20 }] } } });
    scene
        .admin
        .merge(&ROLLOUTS.named("default", "web"), &spec)
        .await
        .unwrap();
    scene
        .until("web", |o| {
            o["status"]["observedGeneration"] == 2 && o["status"]["rollout"] == "web-2"
        })
        .await;
    assert_eq!((scene.starts("web-1"), scene.starts("web-2")), (1, 1));
    let promotes = |c: &&wire::Command| matches!(c.ask, Some(wire::command::Ask::Promote(_)));
    assert_eq!(
        scene
            .control
            .0
            .lock()
            .unwrap()
            .commands
            .iter()
            .filter(promotes)
            .filter(|c| c.rollout == "web-1")
            .count(),
        1
    );
}

async fn refused_and_denied(scene: &Scene) {
    scene
        .control
        .0
        .lock()
        .unwrap()
        .refuses
        .insert("bad-1".to_owned(), "spec.polcy: is not known".to_owned());
    scene.create(&rollout("bad")).await;
    let object = scene.until("bad", phase("Refused")).await;
    assert_eq!(object["status"]["message"], "spec.polcy: is not known");
    // The schema refuses what is no rollout at all.
    let mut wrong = rollout("wrong");
    wrong["spec"]["mode"] = json!("maybe");
    let fault = scene
        .admin
        .create(&ROLLOUTS.all("default"), &wrong)
        .await
        .unwrap_err();
    assert!(
        matches!(&fault, auspex_cluster::Fault::Refused(text) if text.contains("spec.mode")),
        "{fault}"
    );
    // What no role grants is denied by the server, too.
    let mut theirs = rollout("theirs");
    theirs["metadata"]["namespace"] = json!("argo-rollouts");
    let fault = scene.replicas[0]
        .cluster
        .create(&ROLLOUTS.all("argo-rollouts"), &theirs)
        .await
        .unwrap_err();
    assert!(matches!(fault, auspex_cluster::Fault::Denied(_)), "{fault}");
}

fn lease_of_argo(renewed: &str) -> Value {
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "argo-rollouts-controller-lock" },
        "spec": { "holderIdentity": "argo-0", "leaseDurationSeconds": 15, "renewTime": renewed } })
}

async fn argo(scene: &Scene) {
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        .to_string();
    let lease = scene
        .admin
        .create(&LEASES.all("argo-rollouts"), &lease_of_argo(&now))
        .await
        .unwrap();
    let argo = |name: &str, mode: &str| {
        json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": name, "annotations": { "auspex.dev/mode": mode } },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": name } },
                "template": { "metadata": { "labels": { "app": name } }, "spec": { "containers": [{ "name": "c", "image": "web:2" }] } },
                "strategy": { "canary": { "canaryService": "c", "stableService": "s",
                    "trafficRouting": { "istio": { "virtualService": { "name": "web" } } }, "steps": [{ "setWeight": 10 }, { "pause": {} }] } } } })
    };
    let watched = scene.create(&argo("cart", "observe")).await;
    let object = scene.until("cart", phase("Waiting")).await;
    assert_eq!(object["spec"]["mode"], "observe");
    assert_eq!(
        object["metadata"]["ownerReferences"][0]["uid"],
        watched["metadata"]["uid"]
    );
    assert_eq!(scene.starts("cart-1"), 1);
    // Argo's own object is as it was.
    let after = scene
        .admin
        .get(&ARGO_ROLLOUTS.named("default", "cart"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(after.to_string(), watched.to_string());
    // In act it is refused while Argo's controller lives, and begun when it does not any more.
    scene.create(&argo("till", "act")).await;
    let object = scene.until("till", phase("Refused")).await;
    assert!(
        object["status"]["message"]
            .as_str()
            .unwrap()
            .contains("its lease is held by argo-0"),
        "{object}"
    );
    assert_eq!(scene.starts("till-1"), 0);
    let mut lapsed = lease;
    lapsed["spec"] = lease_of_argo("2020-01-01T00:00:00.000000Z")["spec"].clone();
    scene
        .admin
        .replace(
            &LEASES.named("argo-rollouts", "argo-rollouts-controller-lock"),
            &lapsed,
        )
        .await
        .unwrap();
    let object = scene.until("till", phase("Waiting")).await;
    assert_eq!(object["spec"]["mode"], "act");
}

async fn handed_over(scene: &Scene) {
    let leader = scene
        .replicas
        .iter()
        .position(|replica| *replica.leads.borrow())
        .unwrap();
    scene.replicas[leader].line.cut();
    scene.create(&rollout("late")).await;
    scene.until("late", phase("Waiting")).await;
    assert!(!*scene.replicas[leader].leads.borrow());
    // The first one comes back while the second one works: nothing is doubled.
    scene.replicas[leader].line.mend();
    scene
        .control
        .set("late-1", |view| view.phase = wire::Phase::Promoted.into());
    scene.until("late", phase("Promoted")).await;
    let known = scene.control.0.lock().unwrap();
    let ids: BTreeSet<String> = known
        .commands
        .iter()
        .map(|c| c.meta.clone().unwrap().id)
        .collect();
    assert_eq!(ids.len(), known.commands.len());
    assert_eq!(known.commands.iter().filter(|c| c.rollout == "late-1").count(), 1);
}
