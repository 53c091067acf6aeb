//! The client against a real `kube-apiserver`: run by `tests/kubernetes/run`, which names its binaries.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use auspex_cluster::testing::{ApiServer, Line, assets};
use auspex_cluster::{Cluster, Fault, Grant, Kind, Leadership, Patch, Seen, lead, watch};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

const THINGS: Kind = Kind {
    group: "test.dev",
    version: "v1",
    resource: "things",
    name: "Thing",
};
const GRANTS: &[Grant] = &[
    Grant {
        group: "test.dev",
        resource: "things",
        verbs: &["get", "list", "watch", "create", "patch", "update", "delete"],
        why: "a test",
    },
    Grant {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        why: "a test",
    },
];
const ABLE: &str = "able";
const UNABLE: &str = "unable";

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.test.dev }
spec:
  group: test.dev
  names: { kind: Thing, plural: things, singular: thing }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: { type: object, x-kubernetes-preserve-unknown-fields: true, properties: { weight: { type: integer, maximum: 100 } } }
            status: { type: object, x-kubernetes-preserve-unknown-fields: true }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: things }
rules:
  - { apiGroups: [test.dev], resources: [things], verbs: ["*"] }
  - { apiGroups: [coordination.k8s.io], resources: [leases], verbs: ["*"] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: things }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: things }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: able }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: no-thirteen }
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{ apiGroups: [test.dev], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [things] }]
  validations: [{ expression: "!has(object.spec.weight) || object.spec.weight != 13", message: "thirteen brings bad luck" }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: no-thirteen }
spec: { policyName: no-thirteen, validationActions: [Deny] }
"#;

async fn start() -> Option<(ApiServer, Cluster)> {
    let server = ApiServer::start(&assets()?, &[ABLE, UNABLE]).await.unwrap();
    server.create_all(OBJECTS).await.unwrap();
    let cluster = server
        .client(ABLE, server.address(), Duration::from_secs(30), GRANTS)
        .unwrap();
    Some((server, cluster))
}

fn thing(name: &str, weight: u32) -> Value {
    json!({ "apiVersion": "test.dev/v1", "kind": "Thing", "metadata": { "name": name }, "spec": { "weight": weight, "other": [1.5, "x"] } })
}

fn weigh(from: u32, to: u32) -> Patch {
    let mut patch = Patch::default();
    patch.test("/spec/weight", from);
    patch.replace("/spec/weight", to);
    patch
}

async fn next(seen: &mut mpsc::Receiver<Seen>) -> Seen {
    tokio::time::timeout(Duration::from_secs(120), seen.recv())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn writes_are_refused_as_they_should_be() {
    let Some((server, cluster)) = start().await else {
        return;
    };
    let all = THINGS.all("shop");
    let place = THINGS.named("shop", "a");
    assert_eq!(cluster.get(&place).await.unwrap(), None);
    let first = cluster.create(&all, &thing("a", 1)).await.unwrap();
    let again = cluster.create(&all, &thing("a", 1)).await.unwrap_err();
    assert!(matches!(again, Fault::Conflict(_)), "{again}");
    // A stale write: it builds on a version that is not the last one.
    cluster.patch(&place, &weigh(1, 2)).await.unwrap();
    let stale = cluster.replace(&place, &first).await.unwrap_err();
    assert!(matches!(stale, Fault::Conflict(_)), "{stale}");
    // A patch whose test does not hold any more; one whose path is gone.
    let tested = cluster.patch(&place, &weigh(1, 3)).await.unwrap_err();
    assert!(matches!(tested, Fault::Conflict(_)), "{tested}");
    let mut gone = Patch::default();
    gone.test("/spec/list/0/name", "x");
    gone.replace("/spec/list/0/weight", 1);
    let gone = cluster.patch(&place, &gone).await.unwrap_err();
    assert!(matches!(gone, Fault::Conflict(_)), "{gone}");
    // The schema, and an admission policy.
    let schema = cluster.patch(&place, &weigh(2, 101)).await.unwrap_err();
    assert!(matches!(schema, Fault::Refused(_)), "{schema}");
    let mut refused = cluster.patch(&place, &weigh(2, 13)).await;
    for _ in 0..300 {
        // The policy takes a moment to hold.
        if refused.is_err() {
            break;
        }
        cluster.patch(&place, &weigh(13, 2)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        refused = cluster.patch(&place, &weigh(2, 13)).await;
    }
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, Fault::Refused(text) if text.contains("thirteen brings bad luck")),
        "{refused}"
    );
    // A right that is missing.
    let unable = server
        .client(UNABLE, server.address(), Duration::from_secs(30), GRANTS)
        .unwrap();
    let denied = unable.patch(&place, &weigh(2, 3)).await.unwrap_err();
    assert!(
        matches!(&denied, Fault::Denied(text) if text.contains("cannot patch resource \"things\"")),
        "{denied}"
    );
    let denied = unable.get(&place).await.unwrap_err();
    assert!(matches!(denied, Fault::Denied(_)), "{denied}");
    // What is left is what the only patch that passed has made of it.
    let last = cluster.get(&place).await.unwrap().unwrap();
    assert_eq!(last["spec"], json!({ "weight": 2, "other": [1.5, "x"] }));
}

#[tokio::test]
async fn a_watch_survives_cuts_and_forgotten_versions() {
    let Some((mut server, cluster)) = start().await else {
        return;
    };
    let line = Line::to(server.address()).await.unwrap();
    let far = server
        .client(ABLE, line.address(), Duration::from_secs(5), GRANTS)
        .unwrap();
    let all = THINGS.all("shop");
    for name in ["a", "b"] {
        cluster.create(&all, &thing(name, 1)).await.unwrap();
    }
    let (tell, mut seen) = mpsc::channel(64);
    tokio::spawn(watch(far, all.clone(), tell));
    let mut told = Vec::new();
    while told.last() != Some(&Seen::Complete) {
        told.push(next(&mut seen).await);
    }
    assert_eq!(told.len(), 3);
    // Cut: what changes meanwhile is told after it.
    line.cut();
    cluster
        .patch(&THINGS.named("shop", "a"), &weigh(1, 7))
        .await
        .unwrap();
    line.mend();
    let found = until(&mut seen, |object| object["metadata"]["name"] == "a").await;
    assert_eq!(found["spec"]["weight"], 7);
    // Cut, and the server forgets its versions: it answers 410, and the list tells what is and what is not any more.
    line.cut();
    cluster
        .patch(&THINGS.named("shop", "a"), &weigh(7, 8))
        .await
        .unwrap();
    cluster.delete(&THINGS.named("shop", "b")).await.unwrap();
    server.restart().await.unwrap();
    let cluster = server
        .client(ABLE, server.address(), Duration::from_secs(30), GRANTS)
        .unwrap();
    for n in 0..20 {
        cluster.create(&all, &thing(&format!("c{n}"), 1)).await.unwrap();
    }
    line.mend();
    let (mut gone, mut eight, mut new) = (false, false, 0);
    while !(gone && eight && new == 20) {
        match next(&mut seen).await {
            Seen::Gone(object) => gone |= object["metadata"]["name"] == "b",
            Seen::Now(object) => {
                eight |= object["spec"]["weight"] == 8;
                new += u32::from(object["metadata"]["name"].as_str().unwrap().starts_with('c'));
            }
            Seen::Complete | Seen::Blind(_) => {}
        }
    }
}

async fn until(seen: &mut mpsc::Receiver<Seen>, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        if let Seen::Now(object) = next(seen).await
            && wanted(&object)
        {
            return object;
        }
    }
}

#[tokio::test]
async fn an_old_version_is_answered_with_gone() {
    let Some((_server, cluster)) = start().await else {
        return;
    };
    let all = THINGS.all("shop");
    cluster.create(&all, &thing("a", 1)).await.unwrap();
    let fault = cluster.watch_from(&all, "1").await.unwrap_err();
    assert!(matches!(fault, Fault::Expired(_)), "{fault}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_counts_as_away() {
    let Some((server, cluster)) = start().await else {
        return;
    };
    cluster.create(&THINGS.all("shop"), &thing("a", 1)).await.unwrap();
    let line = Line::to(server.address()).await.unwrap();
    line.stall();
    let slow = server
        .client(ABLE, line.address(), Duration::from_millis(500), GRANTS)
        .unwrap();
    let fault = slow.get(&THINGS.named("shop", "a")).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Away(text) if text.contains("no answer within")),
        "{fault}"
    );
    line.mend();
    assert!(slow.get(&THINGS.named("shop", "a")).await.unwrap().is_some());
}

#[tokio::test]
async fn leadership_is_handed_over() {
    let Some((server, _)) = start().await else { return };
    let duration = Duration::from_secs(3);
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        let line = Line::to(server.address()).await.unwrap();
        let cluster = server
            .client(ABLE, line.address(), Duration::from_secs(2), GRANTS)
            .unwrap();
        let (leads, led) = tokio::sync::watch::channel(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let of = Leadership {
            namespace: "shop".to_owned(),
            lease: "auspex-operator".to_owned(),
            name: name.to_owned(),
            duration,
        };
        let task = tokio::spawn(lead(cluster, of, leads, async move {
            stopped.await.ok();
        }));
        let mut first = led.clone();
        if name == "one" {
            tokio::time::timeout(Duration::from_secs(60), first.wait_for(|led| *led))
                .await
                .unwrap()
                .unwrap();
        }
        replicas.push((line, led, Some(stop), Some(task)));
    }
    assert!(!*replicas[1].1.borrow(), "one leads at a time");
    // The leader is cut off: it says itself that it does not lead any more, and the other takes over.
    replicas[0].0.cut();
    let mut second = replicas[1].1.clone();
    tokio::time::timeout(Duration::from_secs(60), second.wait_for(|led| *led))
        .await
        .unwrap()
        .unwrap();
    assert!(
        !*replicas[0].1.borrow(),
        "who cannot renew stops before others may begin"
    );
    // It comes back, and waits; the leader stops in order, and frees the lease.
    replicas[0].0.mend();
    replicas[1].2.take().unwrap().send(()).unwrap();
    replicas[1].3.take().unwrap().await.unwrap();
    let mut first = replicas[0].1.clone();
    tokio::time::timeout(Duration::from_secs(60), first.wait_for(|led| *led))
        .await
        .unwrap()
        .unwrap();
}
