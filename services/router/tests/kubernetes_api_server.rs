//! The adapters against a real `kube-apiserver`, as the service account that `deploy/kubernetes/rbac.yaml` describes. Run by
//! `tests/kubernetes/run`, which names its binaries. Gateways and the controller of Deployments are played by the test: it
//! writes their status.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use auspex_cluster::testing::{ApiServer, Line, assets};
use auspex_cluster::{Cluster, Grant, Kind};
use auspex_proto::intent::{By, Cohort, Match, Scale};
use auspex_router::kubernetes::split::Destination;
use auspex_router::kubernetes::{
    DEPLOYMENTS, GatewayApi, HTTP_ROUTES, Istio, Route, Scaler, VIRTUAL_SERVICES, Workloads, access,
};
use auspex_router::router::{Fault, Fence, Fenced, Intent, Router, Shares, Verified};
use auspex_router::testing::{Open, intent};
use futures::future::BoxFuture;
use serde_json::{Value, json};

const ROUTER: &str = "system:serviceaccount:auspex:auspex-router";
const ADMIN: &[Grant] = &[
    Grant {
        group: "networking.istio.io",
        resource: "virtualservices",
        verbs: &["get", "patch"],
        why: "a test",
    },
    Grant {
        group: "gateway.networking.k8s.io",
        resource: "httproutes",
        verbs: &["get"],
        why: "a test",
    },
    Grant {
        group: "gateway.networking.k8s.io",
        resource: "httproutes/status",
        verbs: &["patch"],
        why: "a test",
    },
    Grant {
        group: "apps",
        resource: "deployments",
        verbs: &["get", "patch"],
        why: "a test",
    },
    Grant {
        group: "apps",
        resource: "deployments/status",
        verbs: &["patch"],
        why: "a test",
    },
];

const OBJECTS: &str = include_str!("kubernetes/objects.yaml");

struct Scene {
    server: ApiServer,
    admin: Cluster,
    router: Cluster,
}

/// A fence at which somebody else edits the object first.
struct Meanwhile<'a> {
    scene: &'a Scene,
    edits: Mutex<Vec<Value>>,
}

impl Fence for Meanwhile<'_> {
    fn pass(&self) -> BoxFuture<'_, Result<(), Fenced>> {
        Box::pin(async move {
            let edit = self.edits.lock().unwrap().pop();
            if let Some(edit) = edit {
                self.scene.edit(VIRTUAL_SERVICES, "frontend", &edit).await;
            }
            Ok(())
        })
    }
}

impl Scene {
    async fn edit(&self, kind: Kind, name: &str, operations: &Value) {
        let patch = serde_json::from_value(operations.clone()).unwrap();
        self.admin
            .patch(&kind.named("default", name), &patch)
            .await
            .unwrap();
    }

    async fn get(&self, kind: Kind, name: &str) -> Value {
        self.admin
            .get(&kind.named("default", name))
            .await
            .unwrap()
            .unwrap()
    }

    async fn tell(&self, kind: Kind, name: &str, status: &Value) {
        let place = kind.named("default", name).part("status");
        self.admin
            .merge(&place, &json!({ "status": status }))
            .await
            .unwrap();
    }
}

fn to(host: &str, subset: &str) -> Destination {
    Destination {
        host: host.to_owned(),
        subset: subset.to_owned(),
    }
}

fn istio(cluster: &Cluster) -> Route {
    let settings = Istio {
        namespace: "default".to_owned(),
        virtual_service: "frontend".to_owned(),
        routes: vec!["primary".to_owned()],
        destination_rule: "frontend".to_owned(),
        stable: to("frontend", "stable"),
        candidate: to("frontend", "canary"),
        ..Istio::default()
    };
    Route::istio_at(cluster.clone(), &settings)
}

fn wish(weight: u8) -> Intent {
    intent(1, weight).unwrap()
}

fn bare(object: &Value) -> Value {
    json!({ "spec": object["spec"], "labels": object["metadata"]["labels"] })
}

#[tokio::test]
async fn routes_and_sizes_of_a_real_api_server() {
    let Some(assets) = assets() else { return };
    let server = ApiServer::start(&assets, &[ROUTER]).await.unwrap();
    for text in [
        include_str!("../../../tests/kubernetes/crds.yaml"),
        include_str!("../../../deploy/kubernetes/rbac.yaml"),
        OBJECTS,
    ] {
        server.create_all(text).await.unwrap();
    }
    let patient = Duration::from_secs(30);
    let scene = Scene {
        admin: server.client("admin", server.address(), patient, ADMIN).unwrap(),
        router: server
            .client(ROUTER, server.address(), patient, access::GRANTS)
            .unwrap(),
        server,
    };
    let backend = scene.get(VIRTUAL_SERVICES, "backend").await.to_string();
    weights(&scene).await;
    edited_in_the_middle(&scene).await;
    refused(&scene).await;
    gateway(&scene).await;
    sizes(&scene).await;
    assert_eq!(
        scene.get(VIRTUAL_SERVICES, "backend").await.to_string(),
        backend,
        "byte for byte, its version too"
    );
    let asked: BTreeSet<String> = scene.router.asked().iter().map(ToString::to_string).collect();
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

async fn weights(scene: &Scene) {
    let route = istio(&scene.router);
    let before = scene.get(VIRTUAL_SERVICES, "frontend").await;
    for weight in [10, 25, 50, 0] {
        let applied = route.apply(&wish(weight), &Open).await.unwrap();
        assert!(applied.observed.unwrap().shares.unwrap().is(weight));
        let mut now = bare(&scene.get(VIRTUAL_SERVICES, "frontend").await);
        let list = &mut now["spec"]["http"][1]["route"];
        assert_eq!(
            (&list[0]["weight"], &list[1]["weight"]),
            (&json!(100 - weight), &json!(weight))
        );
        (list[0]["weight"], list[1]["weight"]) = (json!(100), json!(0));
        assert_eq!(now.to_string(), bare(&before).to_string());
    }
    // Cohorts and copies come, and go without a trace.
    let beta = Cohort {
        name: "beta".to_owned(),
        by: By::Header(Match {
            name: "x-beta".to_owned(),
            value: String::new(),
        }),
        stable: false,
    };
    let with = Intent {
        cohorts: vec![beta],
        mirror: 5,
        ..wish(0)
    };
    let applied = route.apply(&with, &Open).await.unwrap();
    assert_eq!(applied.observed.unwrap().beside, Some(true));
    assert_eq!(
        scene.get(VIRTUAL_SERVICES, "frontend").await["spec"]["http"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    route.apply(&wish(0), &Open).await.unwrap();
    assert_eq!(
        bare(&scene.get(VIRTUAL_SERVICES, "frontend").await),
        bare(&before)
    );
}

async fn edited_in_the_middle(scene: &Scene) {
    let route = istio(&scene.router);
    // Somebody puts a route above ours between our reading and our writing: refused as a whole, then done on what is.
    let above = json!([{ "op": "add", "path": "/spec/http/0", "value": { "name": "new", "route": [{ "destination": { "host": "x" } }] } }]);
    let fence = Meanwhile {
        scene,
        edits: Mutex::new(vec![above]),
    };
    let fault = route.apply(&wish(10), &fence).await.unwrap_err();
    assert!(matches!(fault, Fault::Conflict(_)), "{fault}");
    assert!(route.read(&wish(10)).await.unwrap().shares.unwrap().is(0));
    route.apply(&wish(10), &fence).await.unwrap();
    let now = scene.get(VIRTUAL_SERVICES, "frontend").await;
    assert_eq!(now["spec"]["http"][0]["name"], "new");
    assert_eq!(now["spec"]["http"][2]["route"][1]["weight"], 10);
    // Somebody edits another part: both edits hold.
    let label = json!([{ "op": "add", "path": "/metadata/labels", "value": { "team": "blue" } },
        { "op": "add", "path": "/spec/http/-", "value": { "name": "last", "route": [{ "destination": { "host": "y" } }] } }]);
    let fence = Meanwhile {
        scene,
        edits: Mutex::new(vec![label]),
    };
    route.apply(&wish(25), &fence).await.unwrap();
    let now = scene.get(VIRTUAL_SERVICES, "frontend").await;
    assert_eq!(
        (
            &now["metadata"]["labels"]["team"],
            &now["spec"]["http"][3]["name"]
        ),
        (&json!("blue"), &json!("last"))
    );
    // Somebody moves our weight: it is seen, with who did it.
    let moved = json!([{ "op": "replace", "path": "/spec/http/2/route/1/weight", "value": 3 }, { "op": "replace", "path": "/spec/http/2/route/0/weight", "value": 97 }]);
    let patch: auspex_cluster::Patch = serde_json::from_value(moved).unwrap();
    let request = http::Request::patch(format!(
        "{}?fieldManager=argocd-controller",
        VIRTUAL_SERVICES.named("default", "frontend").path()
    ))
    .header("content-type", "application/json-patch+json")
    .body(serde_json::to_vec(&patch).unwrap())
    .unwrap();
    scene
        .server
        .admin()
        .unwrap()
        .request::<Value>(request)
        .await
        .unwrap();
    let seen = route.read(&wish(25)).await.unwrap();
    assert_eq!(
        seen.shares,
        Some(Shares {
            stable: 97,
            candidate: 3
        })
    );
    assert!(seen.by.starts_with("argocd-controller, 20"), "{}", seen.by);
}

async fn refused(scene: &Scene) {
    let route = istio(&scene.router);
    // An admission rule of the cluster; it takes a moment to hold.
    let mut answer = route.apply(&wish(70), &Open).await;
    for _ in 0..300 {
        if answer.is_err() {
            break;
        }
        route.apply(&wish(50), &Open).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = route.apply(&wish(70), &Open).await;
    }
    let fault = answer.unwrap_err();
    assert!(
        matches!(&fault, Fault::Refused(text) if text.contains("no more than 60 %")),
        "{fault}"
    );
    // A namespace in which nothing is granted.
    let settings = Istio {
        namespace: "other".to_owned(),
        virtual_service: "frontend".to_owned(),
        stable: to("a", ""),
        candidate: to("b", ""),
        ..Istio::default()
    };
    let other = Route::istio_at(scene.router.clone(), &settings);
    let fault = other.apply(&wish(10), &Open).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Refused(text) if text.contains("cannot get resource \"virtualservices\"")),
        "{fault}"
    );
    // A server that takes requests and does not answer, and one that is cut off.
    let line = Line::to(scene.server.address()).await.unwrap();
    let slow = scene
        .server
        .client(ROUTER, line.address(), Duration::from_millis(500), access::GRANTS)
        .unwrap();
    line.stall();
    let fault = istio(&slow).apply(&wish(10), &Open).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Away(text) if text.contains("no answer within")),
        "{fault}"
    );
    line.cut();
    let fault = istio(&slow).apply(&wish(10), &Open).await.unwrap_err();
    assert!(matches!(fault, Fault::Away(_)), "{fault}");
    line.mend();
}

async fn gateway(scene: &Scene) {
    let settings = GatewayApi {
        namespace: "default".to_owned(),
        http_route: "frontend".to_owned(),
        stable: "web-stable".to_owned(),
        candidate: "web-canary".to_owned(),
        ..GatewayApi::default()
    };
    let route = Route::gateway_at(scene.router.clone(), &settings);
    let applied = route.apply(&wish(25), &Open).await.unwrap();
    assert!(matches!(applied.verified, Verified::Unverified(_)));
    let object = scene.get(HTTP_ROUTES, "frontend").await;
    let said = |kind: &str| json!({ "type": kind, "status": "True", "observedGeneration": object["metadata"]["generation"] });
    let parents = json!({ "parents": [{ "parentRef": { "name": "outer" }, "conditions": [said("Accepted"), said("ResolvedRefs")] }] });
    scene.tell(HTTP_ROUTES, "frontend", &parents).await;
    assert!(route.read(&wish(25)).await.unwrap().shares.unwrap().is(25));
    assert_eq!(
        route.apply(&wish(25), &Open).await.unwrap().verified,
        Verified::Verified
    );
}

async fn sizes(scene: &Scene) {
    let settings = Workloads {
        namespace: "default".to_owned(),
        stable: "web-stable".to_owned(),
        candidate: "web-canary".to_owned(),
        virtual_service: "frontend".to_owned(),
        routes: vec!["primary".to_owned()],
        stable_host: to("frontend", "stable"),
        candidate_host: to("frontend", "canary"),
        ..Workloads::default()
    };
    let ready = |count: u32, seen: u32| json!({ "observedGeneration": seen, "replicas": count, "readyReplicas": count, "availableReplicas": count, "updatedReplicas": count });
    scene.tell(DEPLOYMENTS, "web-stable", &ready(4, 1)).await;
    istio(&scene.router).apply(&wish(50), &Open).await.unwrap();
    let scaler = Scaler::at(scene.router.clone(), &settings);
    // A document that says how many take everything: four. Nobody else does, and both are smaller soon.
    let of = |percent, replicas| Some(Scale { percent, replicas });
    let asked = Intent {
        stable: of(25, 1),
        candidate: of(50, 2),
        ..wish(50)
    };
    let applied = scaler.apply(&asked, &Open).await.unwrap();
    assert!(
        matches!(&applied.verified, Verified::Unverified(why) if why.contains("stable is kept at 2 copies, not 1")),
        "{:?}",
        applied.verified
    );
    assert_eq!(scene.get(DEPLOYMENTS, "web-canary").await["spec"]["replicas"], 2);
    assert_eq!(scene.get(DEPLOYMENTS, "web-stable").await["spec"]["replicas"], 2);
    // Nothing is ready before its controller says so; then what is ready counts.
    assert_eq!(scaler.read(&asked).await.unwrap().candidate, None);
    scene.tell(DEPLOYMENTS, "web-canary", &ready(1, 2)).await;
    let candidate = scaler.read(&asked).await.unwrap().candidate.unwrap();
    assert_eq!((candidate.ready, candidate.wanted, candidate.percent), (1, 2, 25));
}
