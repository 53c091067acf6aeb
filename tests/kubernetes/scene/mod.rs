//! The cluster, the mesh, and what plays pods and traffic.

mod settings;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auspex_chassis::{Mesh, Options};
use auspex_cluster::testing::{ApiServer, assets};
use auspex_proto::observation::{Observation, ObservationBatch, Track, Value as Measure};
use auspex_proto::{Fact, FactId, Meta, Project, ServiceName, Timestamp};
use serde_json::{Value, json};

const OPERATOR: &str = "system:serviceaccount:auspex:auspex-operator";
const ROUTER: &str = "system:serviceaccount:auspex:auspex-router";
const ROLLOUT: &str = "/apis/auspex.dev/v1/namespaces/default/rollouts";
const ROUTES: &str = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// Requests per second.
const TRAFFIC: u64 = 200;
/// How long anything may take on a machine that is busy, beside its pauses.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a version serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Good,
    Bad,
}

/// What runs behind the two subsets.
#[derive(Debug, Default)]
pub(crate) struct Versions([AtomicU8; 2]);

impl Versions {
    /// Behind `stable`, and behind `canary`.
    pub(crate) fn set(&self, stable: Version, canary: Version) {
        for (place, version) in self.0.iter().zip([stable, canary]) {
            place.store(u8::from(version == Version::Bad), Ordering::Relaxed);
        }
    }

    /// Share of failed and of slow requests.
    fn rates(&self, place: usize) -> (u64, u64) {
        if self.0[place].load(Ordering::Relaxed) == 1 {
            (20, 30)
        } else {
            (0, 1)
        }
    }
}

/// Everything.
pub(crate) struct Scene {
    _server: ApiServer,
    admin: kube::Client,
    pub(crate) versions: Arc<Versions>,
    seen: Arc<Mutex<Vec<u64>>>,
    _mesh: Arc<Mesh>,
    _folder: tempfile::TempDir,
}

/// The rollout: the example of `deploy/kubernetes/`, with these versions and pauses.
pub(crate) fn document(stable: &str, candidate: &str, pause: u64) -> Value {
    let text = include_str!("../../../deploy/kubernetes/example.yaml");
    let mut object: Value = serde_yaml_ng::from_str(text).unwrap();
    let spec = object["spec"].as_object_mut().unwrap();
    spec["tracks"] = json!({ "stable": { "revision": stable }, "candidate": { "revision": candidate } });
    for step in spec["policy"]["steps"].as_array_mut().unwrap() {
        if step["pause"].is_object() {
            step["pause"]["duration"] = json!(format!("{pause}s"));
        }
    }
    spec.insert("score_wait".to_owned(), json!("1s"));
    spec.insert("margin_abs".to_owned(), json!(0.02));
    spec.insert("min_dwell".to_owned(), json!("1s"));
    spec.insert("scale".to_owned(), json!({ "replicas": 4 }));
    object
}

impl Scene {
    pub(crate) async fn start() -> Option<Self> {
        let server = ApiServer::start(&assets()?, &[OPERATOR, ROUTER]).await.unwrap();
        for text in [
            include_str!("../../../deploy/kubernetes/crds/rollouts.auspex.dev.yaml"),
            include_str!("../crds.yaml"),
            include_str!("../../../deploy/kubernetes/rbac.yaml"),
            include_str!("../shop.yaml"),
        ] {
            server.create_all(text).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let mesh = Arc::new(mesh(&server, folder.path()).await);
        let scene = Self {
            admin: server.admin().unwrap(),
            _server: server,
            versions: Arc::default(),
            seen: Arc::default(),
            _mesh: Arc::clone(&mesh),
            _folder: folder,
        };
        let (admin, seen, versions) = (
            scene.admin.clone(),
            Arc::clone(&scene.seen),
            Arc::clone(&scene.versions),
        );
        tokio::spawn(pods(admin.clone()));
        tokio::spawn(watch(admin.clone(), seen));
        tokio::spawn(traffic(admin, mesh, versions));
        Some(scene)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        ask(&self.admin, method, path, kind, body).await.unwrap()
    }

    pub(crate) async fn create(&self, object: &Value) {
        self.ask("POST", ROLLOUT, object).await;
    }

    pub(crate) async fn change(&self, object: &Value) {
        let spec = json!({ "spec": object["spec"] });
        self.ask("PATCH", &format!("{ROLLOUT}/frontend"), &spec).await;
    }

    /// A route as it stands, to the last byte.
    pub(crate) async fn route(&self, name: &str) -> String {
        let request = http::Request::get(format!("{ROUTES}/{name}"))
            .body(Vec::new())
            .unwrap();
        self.admin.request_text(request).await.unwrap()
    }

    /// What the frontend's subsets get: stable, canary.
    pub(crate) async fn split(&self) -> (u64, u64) {
        split(&self.admin).await.unwrap()
    }

    /// Sets weights as a GitOps controller does, if they are still so; whether they were.
    pub(crate) async fn reset(&self, from: (u64, u64), to: (u64, u64)) -> bool {
        let place = |at: u8| format!("/spec/http/1/route/{at}/weight");
        let patch = json!([
            { "op": "test", "path": place(0), "value": from.0 },
            { "op": "test", "path": place(1), "value": from.1 },
            { "op": "replace", "path": place(0), "value": to.0 },
            { "op": "replace", "path": place(1), "value": to.1 }
        ]);
        let path = format!("{ROUTES}/frontend?fieldManager=argocd-controller");
        ask(&self.admin, "PATCH", &path, "application/json-patch+json", &patch)
            .await
            .is_ok()
    }

    /// Sets weights as soon as the candidate has one of these; answers what there was.
    pub(crate) async fn reset_when(&self, candidate: &[u64], to: (u64, u64)) -> (u64, u64) {
        let begin = Instant::now();
        loop {
            let now = self.split().await;
            if candidate.contains(&now.1) && self.reset(now, to).await {
                return now;
            }
            assert!(begin.elapsed() < PATIENCE, "the candidate gets nothing: {now:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Distinct candidate weights in the order in which they were seen, since the start.
    pub(crate) fn seen(&self) -> Vec<u64> {
        let mut known = BTreeSet::new();
        self.seen
            .lock()
            .unwrap()
            .iter()
            .copied()
            .filter(|weight| known.insert(*weight))
            .collect()
    }

    pub(crate) async fn weights(&self, what: &str, wanted: (u64, u64)) {
        let begin = Instant::now();
        let mut last = self.split().await;
        while last != wanted {
            assert!(begin.elapsed() < PATIENCE, "{what}: {wanted:?}, not {last:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            last = self.split().await;
        }
    }

    pub(crate) async fn status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let object = self
                .ask("GET", &format!("{ROLLOUT}/frontend"), &Value::Null)
                .await;
            let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            if current && wanted(&object["status"]) {
                return object["status"].clone();
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {object:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn mesh(server: &ApiServer, folder: &Path) -> Mesh {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let kubeconfig = |user| {
        server
            .kubeconfig(user, server.address())
            .unwrap()
            .display()
            .to_string()
    };
    let (operator, router) = (kubeconfig(OPERATOR), kubeconfig(ROUTER));
    let config = settings::of(port, &operator, &router);
    let file = folder.join("auspex.toml");
    std::fs::write(&file, config).unwrap();
    let options = Options {
        config: Some(file),
        alone: true,
        broker: Some(folder.join("nats")),
        ..Options::default()
    };
    let services = [
        auspex_canary::SERVICE,
        auspex_router::SERVICE,
        auspex_operator::SERVICE,
    ];
    Mesh::start(&services, &options).await.unwrap()
}

async fn ask(
    admin: &kube::Client,
    method: &str,
    path: &str,
    kind: &str,
    body: &Value,
) -> Result<Value, kube::Error> {
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(body).unwrap()
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(bytes)
        .unwrap();
    admin.request(request).await
}

async fn split(admin: &kube::Client) -> Option<(u64, u64)> {
    let object = ask(admin, "GET", &format!("{ROUTES}/frontend"), "", &Value::Null)
        .await
        .ok()?;
    let http = object["spec"]["http"].as_array()?;
    let route = &http.iter().find(|route| route["name"] == "primary")?["route"];
    Some((route[0]["weight"].as_u64()?, route[1]["weight"].as_u64()?))
}

/// Remembers every weight of the canary subset.
async fn watch(admin: kube::Client, seen: Arc<Mutex<Vec<u64>>>) {
    loop {
        if let Some((_, canary)) = split(&admin).await {
            seen.lock().unwrap().push(canary);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Plays the controller of Deployments: what is asked for is ready half a second later.
async fn pods(admin: kube::Client) {
    loop {
        let list = ask(&admin, "GET", DEPLOYMENTS, "", &Value::Null)
            .await
            .unwrap_or_default();
        for object in list["items"].as_array().into_iter().flatten() {
            let (count, generation) = (&object["spec"]["replicas"], &object["metadata"]["generation"]);
            let seen = &object["status"]["observedGeneration"] == generation;
            if !seen {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let status = json!({ "status": { "observedGeneration": generation, "replicas": count, "readyReplicas": count,
                    "availableReplicas": count, "updatedReplicas": count } });
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{DEPLOYMENTS}/{name}/status");
                ask(&admin, "PATCH", &path, "application/merge-patch+json", &status)
                    .await
                    .ok();
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Plays users: each second, what the weights of the route give to each version, as the versions serve it. Which subset is on
/// trial is what the rollout says.
async fn traffic(admin: kube::Client, mesh: Arc<Mesh>, versions: Arc<Versions>) {
    let mut number = 0_u64;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some((stable, canary)) = split(&admin).await else {
            continue;
        };
        let object = ask(&admin, "GET", &format!("{ROLLOUT}/frontend"), "", &Value::Null)
            .await
            .unwrap_or_default();
        // After the first promotion the places have changed roles.
        let turned = object["spec"]["tracks"]["stable"]["revision"] == "v2";
        let tracks = if turned {
            [Track::Candidate, Track::Stable]
        } else {
            [Track::Stable, Track::Candidate]
        };
        number += 1;
        let now = mesh.house().now();
        let mut observations = Vec::new();
        for (place, weight) in [stable, canary].into_iter().enumerate() {
            let total = TRAFFIC * weight / 100;
            let (errors, slow) = versions.rates(place);
            for (metric, percent) in [("requests", errors), ("slow", slow)] {
                // What is left of a percent comes every few seconds.
                let bad = (total * percent + number % 100 * (percent % 2)) / 100;
                observations.push(measured(metric, tracks[place], bad.min(total), total, now));
            }
        }
        let batch = ObservationBatch {
            meta: Meta {
                id: FactId::new(format!("traffic-{number}")).unwrap(),
                project: Project::new("shop").unwrap(),
                time: now,
                cause: 0,
                source: "mesh".to_owned(),
            },
            observations,
            applied: Vec::new(),
            environment: String::new(),
        };
        mesh.house().bus().publish(&Fact::Observations(batch)).await.ok();
    }
}

fn measured(metric: &str, track: Track, bad: u64, total: u64, now: Timestamp) -> Observation {
    Observation {
        service: ServiceName::new("frontend").unwrap(),
        track: Some(track),
        region: String::new(),
        metric: metric.to_owned(),
        instance: "mesh".to_owned(),
        start: Timestamp(now.0 / 1_000 * 1_000 - 1_000),
        length: Duration::from_secs(1),
        value: Measure::Counts { bad, total },
    }
}
