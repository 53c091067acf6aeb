//! What CDEvents become.

use auspex_proto::event::{Body, DeploymentState, Outcome, RunPhase};
use auspex_proto::{Event, FactId};
use serde_json::{Value, json};

use super::super::{Normalized, Projects, cloudevent, structured};
use super::NOW;

fn cd(kind: &str, subject: Value, custom: Value) -> Vec<Event> {
    let envelope = structured(
        json!({"specversion": "1.0", "id": "1", "source": "/ci", "type": kind, "data": {
            "context": {"type": kind, "timestamp": "2024-01-01T00:00:00Z"}, "subject": subject, "customData": custom,
        }})
        .to_string()
        .as_bytes(),
    );
    match cloudevent(&envelope.unwrap(), &Projects::default(), NOW).unwrap() {
        Normalized::Event(events) => events,
        Normalized::Ignored { kind } => panic!("{kind}"),
    }
}

#[test]
fn a_merged_change_is_on_its_way_and_its_review_is_over() {
    let subject = json!({"id": "abc", "content": {"repository": {"id": "acme/shop"}}});
    let events = cd(
        "dev.cdevents.change.merged.0.3.0",
        subject,
        json!({"author": "ann"}),
    );
    assert_eq!(events[0].meta.id, FactId::outside("/ci", "1"));
    assert_ne!(events[0].meta.id, events[1].meta.id);
    assert_eq!(events[0].meta.project.as_str(), "acme/shop");
    let Body::Change(change) = &events[0].body else {
        panic!()
    };
    assert_eq!((change.revision.as_str(), change.author.as_str()), ("abc", "ann"));
    let Body::Review(review) = &events[1].body else {
        panic!()
    };
    assert_eq!(review.state, "merged");
}

#[test]
fn a_deployed_service_takes_its_revision_from_its_artifact() {
    let artifact = "pkg:oci/app@sha256%3A0b31?repository_url=x";
    let subject = json!({"id": "till", "content": {"environment": {"id": "prod"}, "artifactId": artifact}});
    let events = cd("dev.cdevents.service.rolledback.0.3.0", subject, Value::Null);
    assert_eq!(events[0].meta.project.as_str(), "till");
    let Body::DeploymentStatus(status) = &events[0].body else {
        panic!()
    };
    assert_eq!(status.state, DeploymentState::RolledBack);
    assert_eq!(status.revision.as_ref().unwrap().as_str(), "sha256:0b31");
}

#[test]
fn a_finished_run_without_an_outcome_is_kept_but_counted_neither_way() {
    let kind = "dev.cdevents.pipelinerun.finished.0.3.0";
    let silent = cd(kind, json!({"id": "7", "content": {}}), Value::Null);
    assert!(matches!(&silent[0].body, Body::Other { kind: k, .. } if k == kind));
    let said = cd(
        kind,
        json!({"id": "7", "content": {"outcome": "failure"}}),
        json!({"revision": "abc"}),
    );
    let Body::Run(run) = &said[0].body else { panic!() };
    assert_eq!(run.phase, RunPhase::Finished(Outcome::Failure));
    assert_eq!(run.revision.as_ref().unwrap().as_str(), "abc");
}
