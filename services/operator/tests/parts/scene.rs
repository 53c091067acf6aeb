//! Two replicas of the operator beside a real API server, and one who may do everything.

use std::time::Duration;

use auspex_cluster::testing::{ApiServer, Line, assets};
use auspex_cluster::{Cluster, Grant, Leadership, lead};
use auspex_operator::kinds::{ARGO_ROLLOUTS, ROLLOUTS};
use auspex_operator::{Config, access, run::Operator};
use auspex_proto::wire;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Control;

const OPERATOR: &str = "system:serviceaccount:auspex:auspex-operator";
const ADMIN: &[Grant] = &[
    Grant {
        group: "auspex.dev",
        resource: "rollouts",
        verbs: &["get", "create", "patch", "delete"],
        why: "a test",
    },
    Grant {
        group: "argoproj.io",
        resource: "rollouts",
        verbs: &["get", "create", "patch"],
        why: "a test",
    },
    Grant {
        group: "argoproj.io",
        resource: "rollouts/status",
        verbs: &["patch"],
        why: "a test",
    },
    Grant {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        why: "a test",
    },
];
const BINDINGS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: { name: argo-rollouts }
"#;

pub(crate) struct Replica {
    pub(crate) line: Line,
    pub(crate) cluster: Cluster,
    pub(crate) leads: watch::Receiver<bool>,
}

pub(crate) struct Scene {
    pub(crate) server: ApiServer,
    pub(crate) admin: Cluster,
    pub(crate) control: Control,
    pub(crate) replicas: Vec<Replica>,
}

impl Scene {
    pub(crate) async fn start() -> Option<Self> {
        let server = ApiServer::start(&assets()?, &[OPERATOR]).await.unwrap();
        for text in [
            include_str!("../../../../deploy/kubernetes/crds/rollouts.auspex.dev.yaml"),
            include_str!("../../../../tests/kubernetes/crds.yaml"),
            include_str!("../../../../deploy/kubernetes/rbac.yaml"),
            BINDINGS,
            include_str!("../../../../deploy/kubernetes/rbac-argo.yaml"),
        ] {
            server.create_all(text).await.unwrap();
        }
        let control = Control::default();
        let config = Config {
            enabled: true,
            namespace: "default".to_owned(),
            argo: true,
            project: "shop".to_owned(),
            control: control.serve().await,
            look_ms: 200,
            ..Config::default()
        };
        let mut replicas = Vec::new();
        for name in ["one", "two"] {
            let line = Line::to(server.address()).await.unwrap();
            let within = Duration::from_secs(5);
            let cluster = server
                .client(OPERATOR, line.address(), within, access::GRANTS)
                .unwrap();
            let (told, leads) = watch::channel(false);
            let of = Leadership {
                namespace: "auspex".to_owned(),
                lease: "auspex-operator".to_owned(),
                name: name.to_owned(),
                duration: Duration::from_secs(4),
            };
            tokio::spawn(lead(cluster.clone(), of, told, std::future::pending()));
            let mut operator = Operator::new(config.clone(), cluster.clone(), leads.clone()).unwrap();
            tokio::spawn(async move { operator.run().await });
            replicas.push(Replica { line, cluster, leads });
        }
        let admin = server
            .client("admin", server.address(), Duration::from_secs(30), ADMIN)
            .unwrap();
        Some(Self {
            server,
            admin,
            control,
            replicas,
        })
    }

    pub(crate) async fn create(&self, object: &Value) -> Value {
        let kind = if object["apiVersion"] == "auspex.dev/v1" {
            ROLLOUTS
        } else {
            ARGO_ROLLOUTS
        };
        self.admin.create(&kind.all("default"), object).await.unwrap()
    }

    pub(crate) async fn get(&self, name: &str) -> Option<Value> {
        self.admin.get(&ROLLOUTS.named("default", name)).await.unwrap()
    }

    /// Waits until the object is as wanted.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        for _ in 0..600 {
            last = self.get(name).await;
            if let Some(object) = last.as_ref().filter(|object| wanted(object)) {
                return object.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} does not become as wanted: {last:#?}");
    }

    pub(crate) fn starts(&self, rollout: &str) -> usize {
        let known = self.control.0.lock().unwrap();
        known
            .commands
            .iter()
            .filter(|c| c.rollout == rollout && matches!(c.ask, Some(wire::command::Ask::Start(_))))
            .count()
    }

    pub(crate) async fn annotate(&self, name: &str, key: &str, value: &str) {
        let place = ROLLOUTS.named("default", name);
        self.admin
            .merge(&place, &json!({ "metadata": { "annotations": { key: value } } }))
            .await
            .unwrap();
    }
}
