//! The client against a small HTTP server that gives the answers which the Kubernetes API documents (409, 410, 422, 403,
//! slowness, broken watches). It imitates those answers and nothing else; `api_server.rs` asks a real one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use auspex_cluster::testing::{Answer, Imitation};
use auspex_cluster::{Cluster, Fault, Grant, Kind, Leadership, Patch, Seen, lead, watch};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const THINGS: Kind = Kind {
    group: "test.dev",
    version: "v1",
    resource: "things",
    name: "Thing",
};
const GRANTS: &[Grant] = &[Grant {
    group: "test.dev",
    resource: "things",
    verbs: &["get", "list", "watch", "patch", "update"],
    why: "a test",
}];
const ALL: &str = "/apis/test.dev/v1/namespaces/shop/things";

async fn start() -> (Imitation, Cluster) {
    let server = Imitation::start().await.unwrap();
    let config = kube::Config::new(server.url().parse().unwrap());
    let cluster = Cluster::with(config, Duration::from_secs(5), GRANTS).unwrap();
    (server, cluster)
}

fn thing(name: &str, version: u32) -> Value {
    json!({ "metadata": { "name": name, "uid": name, "resourceVersion": version.to_string() } })
}

fn list(version: u32, things: &[Value]) -> Answer {
    Answer::object(&json!({ "metadata": { "resourceVersion": version.to_string() }, "items": things }))
}

fn event(kind: &str, object: &Value) -> Value {
    json!({ "type": kind, "object": object })
}

async fn next(seen: &mut mpsc::Receiver<Seen>) -> Seen {
    tokio::time::timeout(Duration::from_secs(60), seen.recv())
        .await
        .unwrap()
        .unwrap()
}

fn name(seen: &Seen) -> String {
    let of = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    match seen {
        Seen::Now(object) => format!("now {}", of(object)),
        Seen::Gone(object) => format!("gone {}", of(object)),
        Seen::Complete => "complete".to_owned(),
        Seen::Blind(fault) => format!("blind {fault}"),
    }
}

#[tokio::test]
async fn answers_are_told_apart() {
    let (server, cluster) = start().await;
    let place = THINGS.named("shop", "a");
    let mut patch = Patch::default();
    patch.replace("/spec/x", 1);
    let tested = "the server rejected our request due to an error in our request";
    for answer in [
        Answer::status(409, "Conflict", "the object has been modified"),
        Answer::status(422, "Invalid", tested),
        Answer::status(403, "Forbidden", "User \"x\" cannot patch resource \"things\""),
        Answer::status(422, "Invalid", "spec.x: Invalid value: must be 2"),
        Answer::status(500, "InternalError", "etcd is away"),
    ] {
        server.on("PATCH", ALL, answer);
    }
    let mut found = Vec::new();
    for _ in 0..5 {
        found.push(cluster.patch(&place, &patch).await.unwrap_err());
    }
    assert!(matches!(found[0], Fault::Conflict(_)), "{found:?}");
    assert!(matches!(found[1], Fault::Conflict(_)), "{found:?}");
    assert!(matches!(found[2], Fault::Denied(_)), "{found:?}");
    assert!(matches!(found[3], Fault::Refused(_)), "{found:?}");
    assert!(matches!(found[4], Fault::Away(_)), "{found:?}");
    server.on(
        "GET",
        ALL,
        Answer::status(404, "NotFound", "things.test.dev \"a\" not found"),
    );
    assert_eq!(cluster.get(&place).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_not_declared_is_not_sent() {
    let (server, cluster) = start().await;
    let fault = cluster.delete(&THINGS.named("shop", "a")).await.unwrap_err();
    assert_eq!(fault, Fault::Undeclared(format!("DELETE {ALL}/a")));
    assert!(server.seen().is_empty());
    cluster.get(&THINGS.named("shop", "a")).await.ok();
    let asked: Vec<String> = cluster.asked().iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["get things.test.dev"]);
}

#[tokio::test]
async fn a_slow_server_counts_as_away() {
    let server = Imitation::start().await.unwrap();
    let config = kube::Config::new(server.url().parse().unwrap());
    let cluster = Cluster::with(config, Duration::from_millis(200), GRANTS).unwrap();
    server.on(
        "GET",
        ALL,
        Answer::object(&thing("a", 1)).after(Duration::from_secs(120)),
    );
    let fault = cluster.get(&THINGS.named("shop", "a")).await.unwrap_err();
    assert_eq!(fault, Fault::Away("no answer within 200ms".to_owned()));
}

#[tokio::test]
async fn who_leads_gives_up_while_a_renewal_hangs() {
    const LEADS: &[Grant] = &[Grant {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        why: "a test",
    }];
    let server = Imitation::start().await.unwrap();
    let config = kube::Config::new(server.url().parse().unwrap());
    // The client itself would wait for much longer than the lease lasts.
    let cluster = Cluster::with(config, Duration::from_secs(600), LEADS).unwrap();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
    let lease =
        json!({ "metadata": { "name": "l", "resourceVersion": "1" }, "spec": { "holderIdentity": "me" } });
    let missing = "leases.coordination.k8s.io \"l\" not found";
    server.on("GET", leases, Answer::status(404, "NotFound", missing));
    server.on("POST", leases, Answer::object(&lease));
    server.on(
        "GET",
        leases,
        Answer::object(&lease).after(Duration::from_secs(600)),
    );
    let (told, mut leads) = tokio::sync::watch::channel(false);
    let of = Leadership {
        namespace: "shop".to_owned(),
        lease: "l".to_owned(),
        name: "me".to_owned(),
        duration: Duration::from_secs(3),
    };
    tokio::spawn(lead(cluster, of, told, std::future::pending()));
    for wanted in [true, false] {
        let changed = leads.wait_for(|leads| *leads == wanted);
        tokio::time::timeout(Duration::from_secs(60), changed)
            .await
            .unwrap_or_else(|_| panic!("never {wanted}: {:?}", server.seen()))
            .unwrap();
    }
}

#[tokio::test]
async fn a_watch_goes_on_whatever_happens_to_it() {
    let (server, cluster) = start().await;
    let (a, b, c) = (thing("a", 1), thing("b", 2), thing("c", 6));
    server.on("GET", &format!("{ALL}?limit"), list(3, &[a.clone(), b.clone()]));
    server.on("GET", &format!("{ALL}?limit"), Answer::status(503, "", "later"));
    server.on(
        "GET",
        &format!("{ALL}?limit"),
        list(9, &[thing("a", 5), c.clone()]),
    );
    let watching = format!("{ALL}?watch=true");
    // The server ends the watch in its time; the next one breaks within a line; the one after has been forgotten (410).
    server.on(
        "GET",
        &watching,
        Answer::watch(&[event("MODIFIED", &thing("b", 4))]).ends(),
    );
    server.on(
        "GET",
        &watching,
        Answer::watch(&[event("MODIFIED", &thing("a", 5))]).breaks(40),
    );
    server.on(
        "GET",
        &watching,
        Answer::status(410, "Expired", "too old resource version: 4 (8)"),
    );
    let expired = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old" });
    server.on("GET", &watching, Answer::watch(&[event("ERROR", &expired)]));
    server.on(
        "GET",
        &watching,
        Answer::watch(&[event("DELETED", &thing("c", 10))]),
    );
    let (tell, mut seen) = mpsc::channel(16);
    tokio::spawn(watch(cluster, THINGS.all("shop"), tell));
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "gone c") {
        told.push(name(&next(&mut seen).await));
    }
    // b went away while nobody looked: the list tells.
    let expected = [
        "now a", "now b", "complete", "now b", "blind", "gone b", "now a", "now c", "complete", "complete",
        "gone c",
    ];
    let of = |told: &[String]| {
        told.iter()
            .map(|t| t.split(" the API").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&told), expected, "{told:?}");
    let asked = server.seen();
    let from: Vec<&str> = asked
        .iter()
        .filter_map(|r| r.path.split_once("resourceVersion=").map(|(_, v)| v))
        .collect();
    assert_eq!(
        from,
        ["3", "4", "4", "9", "9"],
        "each watch goes on where the last one ended"
    );
}
