//! A frontend at 10/25/50/75 beside a backend with static routes, in a real `kube-apiserver` with a real Prometheus: an Argo
//! Rollout and its AnalysisTemplates (pod-ready, error-rate, p95) as a team has them; control, analysis, routers and operator
//! as they run, each with its own service account. A good version goes to the end, a bad one is rolled back by its analysis;
//! somebody else's change in between is told and left; what is nobody's business stays byte for byte.
//!
//! Run by `tests/kubernetes/run`. There is no kubelet and no Envoy here: the test plays the controller of Deployments (it
//! says that pods are ready) and the traffic (it counts what the weights of the route would give), and Prometheus scrapes it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod scene;

use std::time::{Duration, Instant};

use scene::{Scene, Version};
use serde_json::{Value, json};

/// Seconds of each pause between weights; `AUSPEX_PAUSE` says otherwise.
const PAUSE: u64 = 30;

fn pause() -> u64 {
    std::env::var("AUSPEX_PAUSE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(PAUSE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_beside_a_backend_with_static_routes() {
    let Some(scene) = Scene::start().await else { return };
    let backends = [scene.route("backend").await, scene.route("backend-admin").await];
    let frontend = scene.route("frontend").await;

    // A router that has just begun may take somebody else's change for a write of its own that was cut short.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let second = good(&scene).await;
    bad(&scene, &second).await;

    // Nothing else has been touched.
    assert_eq!(
        [scene.route("backend").await, scene.route("backend-admin").await],
        backends,
        "with their versions"
    );
    assert_eq!(
        without_weights(&scene.route("frontend").await),
        without_weights(&frontend)
    );
}

/// Every weight, one after the other, and somebody else's change on the way.
async fn good(scene: &Scene) -> String {
    let begin = Instant::now();
    let second = scene.create("frontend:v2", pause()).await;
    scene.metrics.set(("v1", Version::Good), (&second, Version::Good));
    drifted(scene).await;
    let done = scene
        .status("the end of the good version", |status| {
            status["phase"] == "Promoted"
        })
        .await;
    assert_eq!(done["conditions"][0]["status"], "True", "{done}");
    scene.weights("everything is the candidate's", (0, 100)).await;
    let seen = scene.seen();
    let steps: Vec<u64> = seen
        .iter()
        .copied()
        .filter(|weight| [10, 25, 50, 75, 100].contains(weight))
        .collect();
    assert!(
        steps.windows(2).all(|pair| pair[0] < pair[1]) && steps.len() == 5,
        "{seen:?}"
    );
    // The header route acts at its step, while 50 % still wait for their instances, and ends at its other one.
    let (with, without) = (scene.staff(true), scene.staff(false));
    assert!(
        with.contains(&50) && with.is_subset(&[25, 50].into()),
        "with {with:?}, without {without:?}"
    );
    for weight in [10, 25, 75, 100] {
        assert!(without.contains(&weight), "{weight}: without {without:?}");
    }
    println!(
        "good version: promoted after {} s, weights {seen:?}",
        begin.elapsed().as_secs()
    );
    second
}

/// The bad version takes the other place, since the places have changed roles.
async fn bad(scene: &Scene, second: &str) {
    let begin = Instant::now();
    let third = scene.change("frontend:v3", pause()).await;
    scene.metrics.set((&third, Version::Bad), (second, Version::Good));
    scene
        .weights("the bad version gets its first users", (10, 90))
        .await;
    let exposed = Instant::now();
    let over = scene
        .status("the rollback", |status| status["phase"] == "RolledBack")
        .await;
    scene.weights("nobody gets the bad version", (0, 100)).await;
    let (whole, gone) = (begin.elapsed(), exposed.elapsed());
    assert!(whole < Duration::from_secs(120), "rolled back after {whole:?}");
    println!(
        "bad version: rolled back {:.1} s after its first users, {:.1} s after it was asked for: {}",
        gone.as_secs_f64(),
        whole.as_secs_f64(),
        over["message"]
    );
    assert_eq!(over["reason"], "Commanded", "{over}");
    let message = over["message"].as_str().unwrap();
    assert!(
        message.contains("analysis background is Failed")
            && (message.contains("error-rate") || message.contains("p95")),
        "{message}"
    );
}

/// Somebody resets the route in the middle, as a GitOps controller does: it is told, not fought, and ends by itself.
async fn drifted(scene: &Scene) {
    let left = scene.reset_when(&[10, 25, 50], (100, 0)).await;
    let told = scene
        .status("the drift is told", |status| status["drift"].is_string())
        .await;
    assert!(
        told["drift"].as_str().unwrap().contains("argocd-controller"),
        "{told}"
    );
    assert_eq!(told["conditions"][3]["status"], "True", "{told}");
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(scene.split().await, (100, 0), "it is not fought");
    }
    assert!(scene.reset((100, 0), left).await);
    scene
        .status("the drift is over", |status| status["drift"].is_null())
        .await;
}

fn without_weights(object: &str) -> Value {
    let mut object: Value = serde_json::from_str(object).unwrap();
    for entry in object["spec"]["http"][1]["route"].as_array_mut().unwrap() {
        entry["weight"] = json!(null);
    }
    let meta = &object["metadata"];
    json!({ "spec": object["spec"], "labels": meta["labels"], "annotations": meta["annotations"] })
}
