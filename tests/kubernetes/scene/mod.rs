//! The cluster, the mesh, Prometheus, and what plays pods and traffic.

#![allow(dead_code, reason = "each test uses its own part")]

mod metrics;
mod settings;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auspex_analysis::local::Prometheus;
use auspex_chassis::{Mesh, Options};
use auspex_cluster::testing::{ApiServer, assets};
use serde::Deserialize as _;
use serde_json::{Value, json};

pub(crate) use self::metrics::{Metrics, Version};

const OPERATOR: &str = "system:serviceaccount:auspex:auspex-operator";
const ROUTER: &str = "system:serviceaccount:auspex:auspex-router";
const ROLLOUT: &str = "/apis/auspex.dev/v1/namespaces/default/rollouts";
const ARGO: &str = "/apis/argoproj.io/v1alpha1/namespaces/default";
const ROUTES: &str = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// Requests per second.
const TRAFFIC: u64 = 200;
/// How long anything may take on a machine that is busy, beside its pauses.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything.
pub(crate) struct Scene {
    _server: ApiServer,
    admin: kube::Client,
    pub(crate) metrics: Metrics,
    /// Every weight of the candidate, and whether staff had a route of their own then.
    seen: Arc<Mutex<Vec<(u64, bool)>>>,
    _mesh: Mesh,
    _prometheus: Prometheus,
    _folder: tempfile::TempDir,
}

/// Argo's templates, and its rollout last, with this image and these pauses.
fn documents(image: &str, pause: u64) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(include_str!("../argo.yaml"));
    let mut documents: Vec<Value> = documents.map(|one| Value::deserialize(one).unwrap()).collect();
    let rollout = documents.last_mut().unwrap();
    rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    let steps = &mut rollout["spec"]["strategy"]["canary"]["steps"];
    for step in steps.as_array_mut().unwrap() {
        if step["pause"].is_object() {
            step["pause"]["duration"] = json!(format!("{pause}s"));
        }
    }
    documents
}

impl Scene {
    pub(crate) async fn start() -> Option<Self> {
        let server = ApiServer::start(&assets()?, &[OPERATOR, ROUTER]).await.unwrap();
        for text in [
            include_str!("../../../deploy/kubernetes/crds/rollouts.auspex.dev.yaml"),
            include_str!("../crds.yaml"),
            include_str!("../../../deploy/kubernetes/rbac.yaml"),
            "{ apiVersion: v1, kind: Namespace, metadata: { name: argo-rollouts } }",
            include_str!("../../../deploy/kubernetes/rbac-argo.yaml"),
            include_str!("../shop.yaml"),
        ] {
            server.create_all(text).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::default();
        let targets = [metrics.open().await];
        let Some(prometheus) = Prometheus::start(folder.path(), &targets).await.unwrap() else {
            auspex_chassis::testing::not_run("prometheus is not on PATH: there is nothing to measure with");
            return None;
        };
        let mesh = mesh(&server, (folder.path(), &prometheus.url())).await;
        let scene = Self {
            admin: server.admin().unwrap(),
            _server: server,
            metrics,
            seen: Arc::default(),
            _mesh: mesh,
            _prometheus: prometheus,
            _folder: folder,
        };
        let (admin, metrics) = (&scene.admin, &scene.metrics);
        tokio::spawn(pods(admin.clone(), metrics.clone()));
        tokio::spawn(watch(admin.clone(), Arc::clone(&scene.seen)));
        tokio::spawn(traffic(admin.clone(), metrics.clone()));
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

    /// Applies Argo's documents with an image; answers the revision that Auspex gives it.
    pub(crate) async fn create(&self, image: &str, pause: u64) -> String {
        for document in documents(image, pause) {
            let resource = format!("{}s", document["kind"].as_str().unwrap().to_ascii_lowercase());
            self.ask("POST", &format!("{ARGO}/{resource}"), &document).await;
        }
        self.revision(image).await
    }

    /// Gives Argo's rollout another image; answers its revision.
    pub(crate) async fn change(&self, image: &str, pause: u64) -> String {
        let spec = json!({ "spec": documents(image, pause).last().unwrap()["spec"] });
        self.ask("PATCH", &format!("{ARGO}/rollouts/frontend"), &spec)
            .await;
        self.revision(image).await
    }

    /// Waits until the rollout is shown as Auspex's.
    async fn revision(&self, image: &str) -> String {
        let tag = image.rsplit(':').next().unwrap();
        let begin = Instant::now();
        loop {
            let shown = ask(
                &self.admin,
                "GET",
                &format!("{ROLLOUT}/frontend"),
                "",
                &Value::Null,
            )
            .await;
            let shown = shown.unwrap_or_default();
            let revision = shown["spec"]["tracks"]["candidate"]["revision"].as_str();
            if let Some(revision) = revision.filter(|revision| revision.starts_with(tag)) {
                let refused = &shown["metadata"]["annotations"]["auspex.dev/refused"];
                assert!(refused.is_null(), "{refused}");
                return revision.to_owned();
            }
            assert!(begin.elapsed() < PATIENCE, "{image} is not shown: {shown:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Applies a route as somebody who owns what it says.
    pub(crate) async fn apply(&self, route: &Value, manager: &str) {
        let name = route["metadata"]["name"].as_str().unwrap();
        let path = format!("{ROUTES}/{name}?fieldManager={manager}&force=true");
        ask(&self.admin, "PATCH", &path, "application/apply-patch+yaml", route)
            .await
            .unwrap();
    }

    /// Writes a note to Auspex's rollout.
    pub(crate) async fn annotate(&self, key: &str, value: &str) {
        let note = json!({ "metadata": { "annotations": { key: value } } });
        self.ask("PATCH", &format!("{ROLLOUT}/frontend"), &note).await;
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
            .map(|(weight, _)| *weight)
            .filter(|weight| known.insert(*weight))
            .collect()
    }

    /// At which weights staff were seen with a route of their own, and at which without.
    pub(crate) fn staff(&self, own: bool) -> BTreeSet<u64> {
        let seen = self.seen.lock().unwrap();
        let seen = seen.iter().filter(|(_, has)| *has == own);
        seen.map(|(weight, _)| *weight).collect()
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

async fn mesh(server: &ApiServer, (folder, prometheus): (&Path, &str)) -> Mesh {
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
    let config = settings::of(port, (&operator, &router), prometheus);
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
        auspex_analysis::SERVICE,
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
    shares(&http(admin).await?)
}

async fn http(admin: &kube::Client) -> Option<Vec<Value>> {
    let object = ask(admin, "GET", &format!("{ROUTES}/frontend"), "", &Value::Null).await;
    Some(object.ok()?["spec"]["http"].as_array()?.clone())
}

fn shares(http: &[Value]) -> Option<(u64, u64)> {
    let route = &http.iter().find(|route| route["name"] == "primary")?["route"];
    Some((route[0]["weight"].as_u64()?, route[1]["weight"].as_u64()?))
}

/// Remembers every weight of the canary subset, and whether staff have a route to it.
async fn watch(admin: kube::Client, seen: Arc<Mutex<Vec<(u64, bool)>>>) {
    loop {
        let http = http(&admin).await.unwrap_or_default();
        if let Some((_, canary)) = shares(&http) {
            let staff = http.iter().any(|route| {
                route["match"][0]["headers"]["x-staff"]["exact"] == "yes"
                    && route["route"][0]["destination"]["subset"] == "canary"
            });
            seen.lock().unwrap().push((canary, staff));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Plays the controller of Deployments: what is asked for is ready half a second later.
async fn pods(admin: kube::Client, metrics: Metrics) {
    loop {
        let list = ask(&admin, "GET", DEPLOYMENTS, "", &Value::Null)
            .await
            .unwrap_or_default();
        for object in list["items"].as_array().into_iter().flatten() {
            let (count, generation) = (&object["spec"]["replicas"], &object["metadata"]["generation"]);
            let seen = &object["status"]["observedGeneration"] == generation;
            let place = usize::from(object["metadata"]["name"] == "frontend-canary");
            let ready = object["status"]["availableReplicas"].as_u64();
            metrics.pods(place, count.as_u64().unwrap_or(0), ready.unwrap_or(0));
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

/// Plays users: each second, what the weights of the route give to each place.
async fn traffic(admin: kube::Client, metrics: Metrics) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some((stable, canary)) = split(&admin).await {
            metrics.serve(0, TRAFFIC * stable / 100);
            metrics.serve(1, TRAFFIC * canary / 100);
        }
    }
}
