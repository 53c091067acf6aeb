//! Control, analysis, the proxy and an imitation of Prometheus in one process, and Argo's documents brought to them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses its own part"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use auspex_argo::convert::convert;
use auspex_argo::document::{Kind, read};
use auspex_argo::expr::Mode;
use auspex_argo::template::Templates;
use auspex_chassis::{Mesh, Options};
use auspex_proto::command::{Ask, Command};
use auspex_proto::wire::analysis_service_client::AnalysisServiceClient;
use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use auspex_proto::wire::{self, GetRolloutRequest, PutAnalysisRequest, StartRolloutRequest};
use auspex_proto::{Fact, Meta, RolloutName, sample};
use tonic::transport::Channel;

const TEMPLATE: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: errors}
spec:
  metrics:
  - name: errors
    interval: 200ms
    count: 2
    successCondition: result[0] < 0.05
    failureCondition: result[0] > 0.5
    provider: {prometheus: {query: errors}}
---
"#;
const ROLLOUT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: shop, image: "shop:2"}]}}
  strategy:"#;

/// Control, analysis and an imitation of Prometheus that answers with a number of percent.
pub struct House {
    mesh: Mesh,
    channel: Channel,
    pub percent: Arc<AtomicU8>,
    asked: AtomicU8,
    _folder: tempfile::TempDir,
}

impl House {
    pub async fn start(percent: u8) -> Self {
        Self::with(percent, "").await
    }

    /// With settings of one's own besides.
    pub async fn with(percent: u8, more: &str) -> Self {
        let percent = Arc::new(AtomicU8::new(percent));
        let says = Arc::clone(&percent);
        let router = axum::Router::new().fallback(move || {
            let value = f64::from(says.load(Ordering::Relaxed)) / 100.0;
            std::future::ready(axum::Json(serde_json::json!({"status": "success", "data": {
                "resultType": "vector", "result": [{"metric": {}, "value": [1, value.to_string()]}]}})))
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let prometheus = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auspex.toml");
        let config = format!(
            "[server]\nlisten = \"{listen}\"\n[nats]\nsync_interval = \"1s\"\n[canary]\nscore_wait = \"1s\"\n\
             [analysis]\nprometheus = \"http://{prometheus}\"\nmesh = \"http://{listen}\"\n{more}"
        );
        std::fs::write(&file, config).unwrap();
        let options = Options {
            config: Some(file),
            alone: true,
            broker: Some(folder.path().join("nats")),
            ..Options::default()
        };
        let services = [
            auspex_canary::SERVICE,
            auspex_analysis::SERVICE,
            auspex_proxy::SERVICE,
        ];
        let mesh = Mesh::start(&services, &options).await;
        let mesh = mesh.unwrap();
        let channel = Channel::from_shared(format!("http://{}", mesh.address())).unwrap();
        Self {
            channel: channel.connect().await.unwrap(),
            mesh,
            percent,
            asked: AtomicU8::new(0),
            _folder: folder,
        }
    }

    /// Converts and begins, as `auspex rollout start -f` does.
    pub async fn begin(&self, strategy: &str) {
        self.begin_noted("{}", strategy).await;
    }

    /// With annotations.
    pub async fn begin_noted(&self, annotations: &str, strategy: &str) {
        let rollout = ROLLOUT.replace(
            "{name: shop}",
            &format!("{{name: shop, annotations: {annotations}}}"),
        );
        let documents = read(&format!("{TEMPLATE}{rollout}{strategy}")).unwrap();
        let kinds: Vec<Kind> = documents.iter().map(|one| Kind::of(one).unwrap()).collect();
        let mut templates = Templates::default();
        templates.add_all(&kinds);
        let converted = convert(&kinds, &templates, Mode::Strict);
        assert!(converted.refused.is_empty(), "{:?}", converted.refused);
        let of = |kind: &str| {
            let found = converted
                .documents
                .iter()
                .find(|document| document["kind"] == kind);
            found.map(|found| serde_yaml_ng::to_string(found).unwrap())
        };
        let (project, actor) = ("default".to_owned(), "test".to_owned());
        if let Some(document) = of("Analysis") {
            let request = PutAnalysisRequest {
                project: project.clone(),
                document,
                actor: actor.clone(),
            };
            let mut analysis = AnalysisServiceClient::new(self.channel.clone());
            analysis.put(request).await.unwrap();
        }
        let request = StartRolloutRequest {
            project,
            document: of("Rollout").unwrap(),
            actor,
        };
        let answer = RolloutServiceClient::new(self.channel.clone())
            .start(request)
            .await
            .unwrap();
        assert_eq!(answer.into_inner().refused, "");
    }

    /// What Argo's web metric is answered (`jsonPath: "{$.phase}"`).
    pub async fn gate(&self) -> String {
        let address = self.mesh.address();
        let ask = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let request =
                "GET /gate/argo/shop?project=default HTTP/1.1\r\nhost: auspex\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["phase"].as_str().unwrap().to_owned()
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    pub async fn ask(&self, ask: Ask) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let command = Command {
            meta: Meta {
                time: self.mesh.house().now(),
                ..sample::meta(&format!("a-person-asks-{number}"), "default", 0).unwrap()
            },
            rollout: RolloutName::new("shop").unwrap(),
            actor: "somebody".to_owned(),
            note: String::new(),
            ask,
        };
        self.mesh
            .house()
            .bus()
            .publish(&Fact::Command(command))
            .await
            .unwrap();
    }

    pub async fn until(&self, what: &str, is: impl Fn(&wire::RolloutView) -> bool) -> wire::RolloutView {
        let begun = Instant::now();
        loop {
            let request = GetRolloutRequest {
                project: "default".to_owned(),
                name: "shop".to_owned(),
            };
            let found = RolloutServiceClient::new(self.channel.clone()).get(request).await;
            let found = found.unwrap().into_inner();
            if is(&found) {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {found:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the last decision says.
pub fn text(view: &wire::RolloutView) -> &str {
    view.last.as_ref().map_or("", |last| &last.reason_text)
}
