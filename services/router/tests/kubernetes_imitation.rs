//! The adapters against a small HTTP server that gives the answers which the Kubernetes API documents (403, 404, 409, 422).
//! It imitates those answers and nothing else; `kubernetes_api_server.rs` asks a real one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use auspex_cluster::Cluster;
use auspex_cluster::testing::{Answer, Imitation};
use auspex_proto::intent::Scale;
use auspex_router::kubernetes::split::Destination;
use auspex_router::kubernetes::{GatewayApi, Istio, Route, Scaler, Workloads, access};
use auspex_router::router::{Fault, Intent, Router, Shares, Verified};
use auspex_router::testing::{ClosesAfter, Open, intent};
use serde_json::{Value, json};

const ROUTE: &str = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/web";
const RULE: &str = "/apis/networking.istio.io/v1/namespaces/shop/destinationrules/web";
const HTTP_ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/web";
const STABLE: &str = "/apis/apps/v1/namespaces/shop/deployments/web-stable";
const CANARY: &str = "/apis/apps/v1/namespaces/shop/deployments/web-canary";

fn to(host: &str, subset: &str) -> Destination {
    Destination {
        host: host.to_owned(),
        subset: subset.to_owned(),
    }
}

async fn cluster() -> (Imitation, Cluster) {
    let server = Imitation::start().await.unwrap();
    let config = kube::Config::new(server.url().parse().unwrap());
    let cluster = Cluster::with(config, Duration::from_secs(10), access::GRANTS).unwrap();
    (server, cluster)
}

fn istio(cluster: Cluster) -> Route {
    let settings = Istio {
        namespace: "shop".to_owned(),
        virtual_service: "web".to_owned(),
        destination_rule: "web".to_owned(),
        stable: to("web", "stable"),
        candidate: to("web", "canary"),
        ..Istio::default()
    };
    Route::istio_at(cluster, &settings)
}

fn virtual_service(stable: u32, candidate: u32) -> Value {
    json!({ "metadata": { "resourceVersion": "1", "managedFields": [
            { "manager": "argocd-controller", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": { "f:http": {} } } }] },
        "spec": { "http": [{ "route": [
            { "destination": { "host": "web", "subset": "stable" }, "weight": stable },
            { "destination": { "host": "web", "subset": "canary" }, "weight": candidate }] }] } })
}

fn rule(subsets: &[&str]) -> Value {
    json!({ "spec": { "subsets": subsets.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() } })
}

fn wish(weight: u8) -> Intent {
    intent(1, weight).unwrap()
}

#[tokio::test]
async fn a_weight_is_read_tested_written_and_read_back() {
    let (server, cluster) = cluster().await;
    server.on("GET", ROUTE, Answer::object(&virtual_service(100, 0)));
    server.on("GET", RULE, Answer::object(&rule(&["stable", "canary"])));
    server.on("PATCH", ROUTE, Answer::object(&virtual_service(75, 25)));
    let applied = istio(cluster).apply(&wish(25), &Open).await.unwrap();
    assert_eq!(
        applied.observed.unwrap().shares,
        Some(Shares {
            stable: 75,
            candidate: 25
        })
    );
    assert!(matches!(applied.verified, Verified::Unverified(why) if why.contains("Istio does not say")));
    let seen = server.seen();
    let sent = seen.iter().find(|request| request.method == "PATCH").unwrap();
    assert!(sent.path.contains("fieldManager=auspex"));
    let operations: Vec<&str> = sent
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op["op"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["test", "replace", "replace"]);
}

#[tokio::test]
async fn what_holds_is_not_written() {
    let (server, cluster) = cluster().await;
    server.on("GET", ROUTE, Answer::object(&virtual_service(75, 25)));
    let applied = istio(cluster)
        .apply(&wish(25), &ClosesAfter::new(0))
        .await
        .unwrap();
    assert_eq!(
        applied.observed.unwrap().by,
        "argocd-controller, 2026-01-01T00:00:00Z"
    );
    assert_eq!(server.count("PATCH", "/"), 0);
}

#[tokio::test]
async fn a_closed_fence_changes_nothing() {
    let (server, cluster) = cluster().await;
    server.on("GET", ROUTE, Answer::object(&virtual_service(100, 0)));
    server.on("GET", RULE, Answer::object(&rule(&["stable", "canary"])));
    let fault = istio(cluster)
        .apply(&wish(25), &ClosesAfter::new(0))
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Fenced(_)));
    assert_eq!(server.count("PATCH", "/"), 0);
}

#[tokio::test]
async fn traffic_does_not_go_to_a_subset_that_no_rule_defines() {
    let (server, cluster) = cluster().await;
    server.on("GET", ROUTE, Answer::object(&virtual_service(100, 0)));
    server.on("GET", RULE, Answer::object(&rule(&["stable"])));
    let route = istio(cluster);
    let fault = route.apply(&wish(25), &Open).await.unwrap_err();
    assert_eq!(
        fault,
        Fault::Refused("DestinationRule shop/web does not define the subset canary".to_owned())
    );
    assert_eq!(server.count("PATCH", "/"), 0);
}

#[tokio::test]
async fn each_answer_of_the_server_means_what_it_says() {
    let (server, cluster) = cluster().await;
    server.on("GET", ROUTE, Answer::object(&virtual_service(100, 0)));
    server.on("GET", RULE, Answer::object(&rule(&["stable", "canary"])));
    for answer in [
        Answer::status(409, "Conflict", "the object has been modified"),
        Answer::status(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        ),
        Answer::status(
            403,
            "Forbidden",
            "User \"x\" cannot patch resource \"virtualservices\"",
        ),
        Answer::status(
            400,
            "BadRequest",
            "admission webhook \"validation.istio.io\" denied the request: weights",
        ),
        Answer::status(503, "ServiceUnavailable", "later"),
    ] {
        server.on("PATCH", ROUTE, answer);
    }
    let route = istio(cluster);
    let mut found = Vec::new();
    for _ in 0..5 {
        found.push(route.apply(&wish(25), &Open).await.unwrap_err());
    }
    assert!(
        matches!(found[0], Fault::Conflict(_)) && matches!(found[1], Fault::Conflict(_)),
        "{found:?}"
    );
    assert!(
        matches!(&found[2], Fault::Refused(text) if text.starts_with("not allowed:")),
        "{found:?}"
    );
    assert!(
        matches!(&found[3], Fault::Refused(text) if text.contains("validation.istio.io")),
        "{found:?}"
    );
    assert!(matches!(found[4], Fault::Away(_)), "{found:?}");
    let (server, cluster) = self::cluster().await;
    server.on(
        "GET",
        ROUTE,
        Answer::status(404, "NotFound", "virtualservices \"web\" not found"),
    );
    let gone = istio(cluster).read(&wish(25)).await.unwrap_err();
    assert_eq!(
        gone,
        Fault::Refused("VirtualService shop/web is not there".to_owned())
    );
}

#[tokio::test]
async fn a_gateway_verifies_what_it_has_taken() {
    let (server, cluster) = cluster().await;
    let route = |seen: i64, weight: u32| {
        let said = |kind: &str| json!({ "type": kind, "status": "True", "observedGeneration": seen });
        json!({ "metadata": { "generation": 2 }, "spec": { "parentRefs": [{ "name": "outer" }], "rules": [{ "backendRefs": [
                { "name": "web-stable", "weight": 100 - weight }, { "name": "web-canary", "weight": weight }] }] },
            "status": { "parents": [{ "parentRef": { "name": "outer" }, "conditions": [said("Accepted"), said("ResolvedRefs")] }] } })
    };
    server.on("GET", HTTP_ROUTE, Answer::object(&route(1, 0)));
    server.on("GET", HTTP_ROUTE, Answer::object(&route(1, 25)));
    server.on("GET", HTTP_ROUTE, Answer::object(&route(2, 25)));
    server.on("PATCH", HTTP_ROUTE, Answer::object(&route(1, 25)));
    let settings = GatewayApi {
        namespace: "shop".to_owned(),
        http_route: "web".to_owned(),
        stable: "web-stable".to_owned(),
        candidate: "web-canary".to_owned(),
        ..GatewayApi::default()
    };
    let adapter = Route::gateway_at(cluster, &settings);
    let applied = adapter.apply(&wish(25), &Open).await.unwrap();
    assert_eq!(
        applied.verified,
        Verified::Unverified("gateway outer has not seen this version yet".to_owned())
    );
    assert_eq!(adapter.read(&wish(25)).await.unwrap().shares, None);
    assert!(
        adapter.read(&wish(25)).await.unwrap().shares.unwrap().is(25),
        "now it has taken it"
    );
}

fn deployment(replicas: u32, ready: u32) -> Value {
    json!({ "metadata": { "generation": 1 }, "spec": { "replicas": replicas },
        "status": { "observedGeneration": 1, "availableReplicas": ready, "updatedReplicas": ready } })
}

fn scale(replicas: u32) -> Value {
    json!({ "kind": "Scale", "metadata": { "name": "x", "resourceVersion": "8" }, "spec": { "replicas": replicas } })
}

#[tokio::test]
async fn sizes_are_raised_first_and_never_below_what_traffic_needs() {
    let (server, cluster) = cluster().await;
    server.on("GET", STABLE, Answer::object(&deployment(10, 10)));
    server.on("GET", CANARY, Answer::object(&deployment(1, 1)));
    server.on("GET", &format!("{STABLE}/scale"), Answer::object(&scale(10)));
    server.on("GET", &format!("{CANARY}/scale"), Answer::object(&scale(1)));
    server.on("PUT", &format!("{STABLE}/scale"), Answer::object(&scale(8)));
    server.on("PUT", &format!("{CANARY}/scale"), Answer::object(&scale(5)));
    server.on("GET", ROUTE, Answer::object(&virtual_service(75, 25)));
    let settings = Workloads {
        namespace: "shop".to_owned(),
        stable: "web-stable".to_owned(),
        candidate: "web-canary".to_owned(),
        virtual_service: "web".to_owned(),
        stable_host: to("web", "stable"),
        candidate_host: to("web", "canary"),
        ..Workloads::default()
    };
    let scaler = Scaler::at(cluster, &settings);
    let of = |percent, replicas| Some(Scale { percent, replicas });
    let asked = Intent {
        stable: of(20, 2),
        candidate: of(50, 0),
        ..wish(25)
    };
    let applied = scaler.apply(&asked, &Open).await.unwrap();
    let Verified::Unverified(why) = applied.verified else {
        panic!("it is said that not all was done")
    };
    assert_eq!(why, "stable is kept at 8 copies, not 2: it has 75 % of traffic");
    let puts: Vec<(String, Value)> = server
        .seen()
        .into_iter()
        .filter(|request| request.method == "PUT")
        .map(|request| (request.path.split('?').next().unwrap().to_owned(), request.body))
        .collect();
    let size = |at: usize| puts[at].1["spec"]["replicas"].clone();
    assert_eq!(
        (puts[0].0.as_str(), size(0)),
        (&*format!("{CANARY}/scale"), json!(5)),
        "what grows comes first"
    );
    assert_eq!(
        (puts[1].0.as_str(), size(1)),
        (&*format!("{STABLE}/scale"), json!(8))
    );
    assert_eq!(puts[1].1["metadata"]["resourceVersion"], "8");
    let observed = scaler.read(&asked).await.unwrap();
    let candidate = observed.candidate.unwrap();
    assert_eq!(
        (candidate.percent, candidate.ready, observed.beside),
        (10, 1, Some(false))
    );
}

#[tokio::test]
async fn a_size_that_somebody_has_set_meanwhile_is_a_conflict() {
    let (server, cluster) = cluster().await;
    server.on("GET", STABLE, Answer::object(&deployment(3, 3)));
    server.on("GET", CANARY, Answer::object(&deployment(1, 1)));
    server.on("GET", &format!("{CANARY}/scale"), Answer::object(&scale(7)));
    let settings = Workloads {
        namespace: "shop".to_owned(),
        stable: "web-stable".to_owned(),
        candidate: "web-canary".to_owned(),
        ..Workloads::default()
    };
    let asked = Intent {
        candidate: Some(Scale {
            percent: 100,
            replicas: 3,
        }),
        ..wish(0)
    };
    let fault = Scaler::at(cluster, &settings)
        .apply(&asked, &Open)
        .await
        .unwrap_err();
    assert_eq!(
        fault,
        Fault::Conflict("Deployment shop/web-canary was set to 7 copies meanwhile".to_owned())
    );
    assert_eq!(server.count("PUT", "/"), 0);
}
