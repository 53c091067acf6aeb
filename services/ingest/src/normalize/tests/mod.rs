//! What each kind of payload becomes, and that none of them can bring us down.

mod cdevents;
mod job;

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::event::{Body, DeploymentState, Outcome, RunPhase};
use auspex_proto::{Event, FactId, Invalid, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn deliver(event: &str, body: &Value) -> Result<Normalized, Invalid> {
    let body = body.to_string();
    let delivery = Delivery {
        event,
        id: "d-1",
        body: body.as_bytes(),
    };
    github(&delivery, &Projects::default(), NOW)
}

fn one(result: Result<Normalized, Invalid>) -> Event {
    match result.unwrap() {
        Normalized::Event(mut events) if events.len() == 1 => events.remove(0),
        other => panic!("not one event: {other:?}"),
    }
}

fn repository() -> Value {
    json!({"name": "shop", "full_name": "acme/shop", "pushed_at": 1_700_000_000})
}

fn push() -> Value {
    json!({
        "ref": "refs/heads/main", "after": "abc", "deleted": false, "repository": repository(),
        "head_commit": {
            "timestamp": "2023-11-14T21:00:00+01:00", "message": "Fix the till\n\nLong story.",
            "author": {"name": "Ann", "username": "ann"},
        },
        "commits": [
            {"added": ["b"], "removed": [], "modified": ["a"]},
            {"added": [], "removed": ["c"], "modified": ["a"]},
        ],
    })
}

#[test]
fn a_push_is_a_change_of_its_head() {
    let event = one(deliver("push", &push()));
    assert_eq!(event.meta.id, FactId::outside("github", "d-1"));
    assert_eq!(event.meta.project.as_str(), "acme/shop");
    assert_eq!(
        event.meta.time,
        Timestamp(1_700_000_000_000),
        "the push, not the commit"
    );
    let Body::Change(change) = event.body else {
        panic!()
    };
    assert_eq!(
        (change.revision.as_str(), change.branch.as_str()),
        ("abc", "main")
    );
    assert_eq!(
        (change.author.as_str(), change.title.as_str()),
        ("ann", "Fix the till")
    );
    assert_eq!(change.paths, ["a", "b", "c"]);
    assert_eq!(change.authored, Some(Timestamp(1_699_992_000_000)));
    assert_eq!(change.stats, None, "a webhook has no line counts");
}

#[test]
fn paths_are_bounded_in_number_and_in_bytes() {
    let many = |length: usize| {
        let mut push = push();
        let paths: Vec<_> = (0..5_000).map(|n| format!("{n:0length$}")).collect();
        push["commits"] = json!([{"added": paths}]);
        let Body::Change(change) = one(deliver("push", &push)).body else {
            panic!()
        };
        change.paths
    };
    assert_eq!(many(20).len(), 3_000);
    assert!(many(1_000).iter().map(String::len).sum::<usize>() <= MAX_PATH_BYTES);
}

#[test]
fn what_does_not_bear_on_us_is_ignored_by_name() {
    let ignored = |event: &str, body: Value| match deliver(event, &body).unwrap() {
        Normalized::Ignored { kind } => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(ignored("star", json!({})), "star");
    assert_eq!(ignored("Not A Name\n", json!({})), "unnamed");
    assert_eq!(
        ignored("push", json!({"ref": "refs/heads/x", "deleted": true})),
        "push.deleted"
    );
    assert_eq!(ignored("push", json!({"ref": "refs/tags/v1"})), "push.tag");
    let migration = json!({"deployment": {"task": "deploy:migrations"}});
    assert_eq!(ignored("deployment", migration), "deployment.task");
}

#[test]
fn a_fault_names_the_field_and_the_reason() {
    let fault = |event: &str, body: Value| deliver(event, &body).unwrap_err().to_string();
    assert_eq!(fault("push", json!({})), "ref: is missing");
    let mut wrong = push();
    wrong["after"] = json!(7);
    assert_eq!(fault("push", wrong), "after: is not a text");
    let mut wrong = push();
    wrong["repository"]["full_name"] = json!("");
    assert_eq!(fault("push", wrong), "repository.full_name: is empty");
    let mut wrong = run("completed", json!("odd"));
    assert_eq!(
        fault("workflow_run", wrong.clone()),
        "workflow_run.conclusion: odd is not a conclusion"
    );
    wrong["workflow_run"]["created_at"] = json!("yesterday");
    assert_eq!(
        fault("workflow_run", wrong),
        "workflow_run.conclusion: odd is not a conclusion"
    );
    let body = Delivery {
        event: "push",
        id: "d",
        body: b"{",
    };
    assert_eq!(
        github(&body, &Projects::default(), NOW).unwrap_err().field,
        "body"
    );
}

fn run(action: &str, conclusion: Value) -> Value {
    json!({"action": action, "repository": repository(), "workflow_run": {
        "id": 7, "name": "ci", "head_sha": "abc", "head_branch": "main", "status": action, "conclusion": conclusion,
        "run_attempt": 1, "created_at": "2024-01-01T00:00:00Z", "run_started_at": "2024-01-01T00:00:05Z",
        "updated_at": "2024-01-01T00:01:05Z",
    }})
}

#[test]
fn a_run_ends_with_an_outcome() {
    for (conclusion, outcome) in [
        ("success", Outcome::Success),
        ("neutral", Outcome::Success),
        ("failure", Outcome::Failure),
        ("startup_failure", Outcome::Error),
        ("timed_out", Outcome::Timeout),
        ("cancelled", Outcome::Cancellation),
        ("skipped", Outcome::Skip),
    ] {
        let event = one(deliver("workflow_run", &run("completed", json!(conclusion))));
        let Body::Run(run) = event.body else { panic!() };
        assert_eq!(run.phase, RunPhase::Finished(outcome));
        assert_eq!((run.run_id.as_str(), run.attempt), ("7", 1));
        assert_eq!(run.queued, Some(Duration::from_secs(5)));
        assert_eq!(run.duration, Some(Duration::from_secs(60)));
    }
    let Body::Run(queued) = one(deliver("workflow_run", &run("requested", Value::Null))).body else {
        panic!()
    };
    assert_eq!((queued.phase, queued.duration), (RunPhase::Queued, None));
}

#[test]
fn a_pull_request_says_how_it_stands() {
    let pull = |action: &str, merged: bool| {
        let body = json!({"action": action, "repository": repository(), "pull_request": {
            "number": 2, "head": {"sha": "abc"}, "user": {"login": "ann"}, "merged": merged, "merge_commit_sha": "def",
            "additions": 3, "deletions": 1, "changed_files": 2, "commits": 1, "comments": 1, "review_comments": 2,
            "title": "Till", "draft": true, "updated_at": "2024-01-01T00:00:00Z",
        }});
        let Body::Review(review) = one(deliver("pull_request", &body)).body else {
            panic!()
        };
        review
    };
    let opened = pull("opened", false);
    assert_eq!((opened.state.as_str(), opened.comments), ("opened", Some(3.0)));
    assert_eq!((opened.lines_added, opened.merged_revision), (Some(3.0), None));
    let merged = pull("closed", true);
    assert_eq!(
        (merged.state.as_str(), merged.merged_revision.unwrap().as_str()),
        ("merged", "def")
    );
    assert_eq!(pull("closed", false).state, "closed");
    assert_eq!(pull("labeled", false).state, "updated");
}

fn deployment(payload: Value) -> Value {
    json!({"action": "created", "repository": repository(), "deployment": {
        "id": 9, "sha": "abc", "task": "deploy", "environment": "production", "creator": {"login": "ann"},
        "payload": payload, "created_at": "2024-01-01T00:00:00Z",
    }})
}

#[test]
fn a_deployment_brings_its_service_and_its_document() {
    let rollout = "apiVersion: auspex.dev/v1\nkind: Rollout\n";
    let own = json!({"service": "till", "stable_revision": "old", "rollout": rollout});
    for payload in [own.clone(), json!(own.to_string())] {
        let Body::Deployment(asked) = one(deliver("deployment", &deployment(payload))).body else {
            panic!()
        };
        assert_eq!(
            (asked.service.as_str(), asked.document.as_str()),
            ("till", rollout)
        );
        assert_eq!(asked.stable_revision.unwrap().as_str(), "old");
    }
    for payload in [json!({}), json!(""), json!("by hand"), Value::Null] {
        let Body::Deployment(asked) = one(deliver("deployment", &deployment(payload))).body else {
            panic!()
        };
        assert_eq!(
            (asked.service.as_str(), asked.environment.as_str()),
            ("shop", "production")
        );
    }
    let long = json!({"rollout": "x".repeat(300_000)});
    let fault = deliver("deployment", &deployment(long)).unwrap_err();
    assert_eq!(fault.field, "deployment.payload.rollout");
}

#[test]
fn a_deployment_status_follows_its_deployment() {
    let mut body = deployment(json!({"service": "till"}));
    body["deployment_status"] = json!({"state": "in_progress", "updated_at": "2024-01-01T00:02:00Z"});
    let event = one(deliver("deployment_status", &body));
    assert_eq!(event.meta.time, Timestamp(1_704_067_320_000));
    let Body::DeploymentStatus(status) = event.body else {
        panic!()
    };
    assert_eq!(status.state, DeploymentState::InProgress);
    assert_eq!(
        (status.deployment_id.as_str(), status.environment.as_str()),
        ("9", "production")
    );
    assert_eq!(status.service.unwrap().as_str(), "till");
}

#[test]
fn configuration_decides_the_project_by_repository_then_by_service() {
    let map = |pattern: &str| {
        let map = BTreeMap::from([(pattern.to_owned(), "till".to_owned())]);
        let projects = Projects::new(&map).unwrap();
        let body = deployment(json!({"service": "checkout"})).to_string();
        let delivery = Delivery {
            event: "deployment",
            id: "d",
            body: body.as_bytes(),
        };
        one(github(&delivery, &projects, NOW))
            .meta
            .project
            .as_str()
            .to_owned()
    };
    assert_eq!(map("acme/*"), "till");
    assert_eq!(map("checkout"), "till");
    assert_eq!(map("other"), "acme/shop");
}

#[test]
fn a_payload_without_a_time_takes_its_latest_and_arrival_last() {
    let mut push = push();
    push["head_commit"] = Value::Null;
    push["repository"] = json!({"full_name": "a/b", "created_at": "2020-01-01T00:00:00Z", "updated_at": "2021-01-01T00:00:00Z"});
    assert_eq!(
        one(deliver("push", &push)).meta.time,
        Timestamp(1_609_459_200_000)
    );
    push["repository"] = json!({"full_name": "a/b", "expires_at": "2199-01-01T00:00:00Z"});
    assert_eq!(
        one(deliver("push", &push)).meta.time,
        NOW,
        "what lies ahead is no time of an event"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "ref",
        "after",
        "action",
        "repository",
        "full_name",
        "name",
        "head_commit",
        "commits",
        "pull_request",
        "head",
        "sha",
        "workflow_run",
        "workflow_job",
        "labels",
        "deployment",
        "payload",
        "service",
        "subject",
        "content",
        "id",
        "context",
        "timestamp",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("refs/heads/main")),
        Just(json!("completed")),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_brings_us_down(body in any_json(), which in 0_usize..6) {
        let event = ["push", "pull_request", "workflow_run", "workflow_job", "deployment", "deployment_status"][which];
        let _either = deliver(event, &body);
        for kind in ["change.merged", "pipelinerun.finished", "service.deployed", "incident.resolved"] {
            let envelope = Envelope {
                id: "1".into(), source: "/s".into(), kind: format!("dev.cdevents.{kind}.0.3.0"), time: None,
                project: None, payload: body.clone(),
            };
            let _either = cloudevent(&envelope, &Projects::default(), NOW);
        }
    }

    #[test]
    fn no_bytes_bring_us_down(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let delivery = Delivery { event: "push", id: "d", body: &body };
        let _either = github(&delivery, &Projects::default(), NOW);
        let _either = structured(&body);
        let _either = binary([("specversion", body.as_slice())].into_iter(), "", &body);
    }
}
