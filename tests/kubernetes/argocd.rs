//! Argo CD beside Auspex, as far as both write the same VirtualService of a real `kube-apiserver`: what `deploy/kubernetes/argocd-cm.yaml`
//! says to it is taken from there, by `jq`, in the way Argo CD takes it. Run by `tests/kubernetes/run`.
//!
//! Argo CD itself is played: it compares Git with the cluster without what it is to ignore (`del(EXPRESSION)` of both), and
//! syncs by a server-side apply of Git's object with a field manager of its own, forced. With `RespectIgnoreDifferences` it
//! first puts into Git's object what the cluster has of the ignored: a JSON merge patch, which replaces lists as a whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod scene;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use auspex_chassis::testing::not_run;
use scene::{Scene, Version};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

/// As Argo CD calls itself.
const MANAGER: &str = "argocd-controller";
const SETTINGS: &str = include_str!("../../deploy/kubernetes/argocd-cm.yaml");
const KIND: &str = "resource.customizations.ignoreDifferences.networking.istio.io_VirtualService";

/// Argo CD with one object of Git.
struct ArgoCd {
    git: Value,
    ignored: Vec<String>,
}

impl ArgoCd {
    /// With the frontend's route in Git, and the settings of the documentation.
    fn new() -> Self {
        let documents = serde_yaml_ng::Deserializer::from_str(include_str!("shop.yaml"));
        let git = documents
            .map(|one| Value::deserialize(one).unwrap())
            .next()
            .unwrap();
        let settings: Value = serde_yaml_ng::from_str(SETTINGS).unwrap();
        let of_kind: Value = serde_yaml_ng::from_str(settings["data"][KIND].as_str().unwrap()).unwrap();
        let ignored = of_kind["jqPathExpressions"].as_array().unwrap();
        Self {
            git,
            ignored: ignored
                .iter()
                .map(|one| one.as_str().unwrap().to_owned())
                .collect(),
        }
    }

    /// An object without what is ignored.
    fn normalized(&self, object: &Value) -> Value {
        self.ignored.iter().fold(object.clone(), |object, expression| {
            // What cannot be evaluated ignores nothing.
            jq(&format!("del({expression})"), &object).unwrap_or(object)
        })
    }

    /// Whether Git and the cluster differ in what Git says.
    fn is_out_of_sync(&self, live: &Value, ignores: bool) -> bool {
        if !ignores {
            return self.git["spec"] != live["spec"];
        }
        self.normalized(&self.git)["spec"] != self.normalized(live)["spec"]
    }

    /// Applies what Git says.
    async fn sync(&self, scene: &Scene, respects: bool) {
        let mut target = self.git.clone();
        if respects {
            let live = live(scene).await;
            let kept = difference(&self.normalized(&live), &live);
            target = self.normalized(&self.git);
            merge(&mut target["spec"], &kept["spec"]);
        }
        scene.apply(&target, MANAGER).await;
    }
}

fn jq(program: &str, input: &Value) -> Option<Value> {
    let mut child = Command::new("jq")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(input.to_string().as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    serde_json::from_slice(&output.stdout)
        .ok()
        .filter(|_| output.status.success())
}

/// The JSON merge patch (RFC 7386) that makes one of the other.
fn difference(from: &Value, to: &Value) -> Value {
    let (Some(from), Some(into)) = (from.as_object(), to.as_object()) else {
        return to.clone();
    };
    let changed = into.iter().filter(|(key, value)| from.get(*key) != Some(*value));
    let changed = changed.map(|(key, value)| {
        let known = from.get(key).unwrap_or(&Value::Null);
        (key.clone(), difference(known, value))
    });
    Value::Object(changed.collect::<Map<_, _>>())
}

fn merge(into: &mut Value, patch: &Value) {
    match (into.as_object_mut(), patch) {
        (_, Value::Null) => {}
        (Some(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        _ => *into = patch.clone(),
    }
}

async fn live(scene: &Scene) -> Value {
    serde_json::from_str(&scene.route("frontend").await).unwrap()
}

/// Waits until the candidate has users; answers the split.
async fn exposed(scene: &Scene) -> (u64, u64) {
    let begun = Instant::now();
    loop {
        let split = scene.split().await;
        if split.1 > 0 {
            return split;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "nobody gets the candidate"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until it is told that Argo CD has put the weights back.
async fn told(scene: &Scene, what: &str) {
    let status = scene.status(what, |status| status["drift"].is_string()).await;
    assert!(status["drift"].as_str().unwrap().contains(MANAGER), "{status}");
    assert_eq!(status["conditions"][3]["status"], "True", "{status}");
}

async fn resumed(scene: &Scene, ask: &str) {
    scene.annotate("auspex.dev/ask", ask).await;
    let over = |status: &Value| status["drift"].is_null();
    scene.status("the weight is set again", over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_moves_weights_until_it_is_told_to_leave_them() {
    let Some(scene) = Scene::start().await else { return };
    if jq(".", &json!({})).is_none() {
        return not_run("jq is not on PATH: Argo CD's settings are not tried");
    }
    let argo_cd = ArgoCd::new();
    argo_cd.sync(&scene, false).await;
    assert!(!argo_cd.is_out_of_sync(&live(&scene).await, false));
    // A router that has just begun may take somebody else's change for a write of its own that was cut short.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let second = scene.create("frontend:v2", 5).await;
    scene.metrics.set(("v1", Version::Good), (&second, Version::Good));
    fights(&scene, &argo_cd).await;
    ignores(&scene, &argo_cd).await;
    respects(&scene, &argo_cd).await;
}

/// Without settings: it heals what Auspex has set. That is told, and nobody writes any more.
async fn fights(scene: &Scene, argo_cd: &ArgoCd) {
    let mut heals = 0;
    exposed(scene).await;
    let mut last = String::new();
    let begun = Instant::now();
    // Every two seconds, as self-heal does, until nothing moves for ten.
    while begun.elapsed() < Duration::from_secs(120) {
        if argo_cd.is_out_of_sync(&live(scene).await, false) {
            argo_cd.sync(scene, false).await;
            heals += 1;
        }
        let mut quiet = 0;
        let now = scene.route("frontend").await;
        while now == scene.route("frontend").await && quiet < 5 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            quiet += 1;
        }
        if quiet == 5 {
            last = now;
            break;
        }
    }
    told(scene, "what Argo CD does is told").await;
    assert_eq!(scene.split().await, (100, 0), "it is not fought");
    assert_eq!(scene.route("frontend").await, last, "nobody writes");
    assert!((1..=3).contains(&heals), "{heals} heals are a fight");
    println!("without settings: {heals} heal, then nobody wrote for 10 s");
}

/// With `ignoreDifferences` alone it heals nothing, but a sync for another reason puts the weights back.
async fn ignores(scene: &Scene, argo_cd: &ArgoCd) {
    resumed(scene, "resume first").await;
    exposed(scene).await;
    for _ in 0..4 {
        assert!(
            !argo_cd.is_out_of_sync(&live(scene).await, true),
            "nothing is healed"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    argo_cd.sync(scene, false).await;
    told(scene, "a sync is told").await;
    assert_eq!(scene.split().await, (100, 0));
}

/// With both, it may sync as often as it likes.
async fn respects(scene: &Scene, argo_cd: &ArgoCd) {
    resumed(scene, "resume second").await;
    let (mut synced, mut staff) = (Vec::new(), false);
    loop {
        let status = scene.status("any", |_| true).await;
        assert!(status["drift"].is_null(), "{status}");
        let split = scene.split().await;
        // Just after a move: the next one is a pause away.
        if synced.last() != Some(&split) {
            let before = live(scene).await;
            assert!(!argo_cd.is_out_of_sync(&before, true), "{before}");
            staff |= before["spec"]["http"].as_array().unwrap().len() > 2;
            argo_cd.sync(scene, true).await;
            assert_eq!(live(scene).await["spec"], before["spec"], "a sync moves nothing");
            synced.push(split);
        }
        if status["phase"] == "Promoted" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(staff, "the header route was there, and left alone");
    assert_eq!(synced.last(), Some(&(0, 100)), "{synced:?}");
    println!("with both settings: synced at {synced:?}, nothing moved");
    // What it costs: Argo CD takes the whole list from the cluster, so what Git changes in it does not come.
    let mut changed = ArgoCd::new();
    changed.git["spec"]["http"][1]["timeout"] = json!("9s");
    changed.git["spec"]["gateways"] = json!(["mesh"]);
    assert!(changed.is_out_of_sync(&live(scene).await, true));
    changed.sync(scene, true).await;
    let after = live(scene).await;
    assert_eq!(
        after["spec"]["gateways"],
        json!(["mesh"]),
        "beside the list it does"
    );
    assert_eq!(after["spec"]["http"][1]["timeout"], "2.5s");
    assert!(changed.is_out_of_sync(&after, true), "and it says so");
    assert_eq!(scene.split().await, (0, 100));
}
