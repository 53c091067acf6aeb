//! Jobs of a workflow.

use auspex_proto::event::{Body, Outcome, RunPhase};
use serde_json::{Value, json};

use super::{deliver, one, repository};

fn job(action: &str, conclusion: Value) -> Value {
    json!({"action": action, "repository": repository(), "workflow_job": {
        "id": 31, "run_id": 7, "run_attempt": 2, "workflow_name": "ci", "name": "test (3.12)", "head_sha": "abc",
        "head_branch": "main", "status": action, "conclusion": conclusion, "labels": ["self-hosted", "linux"],
        "runner_name": "machine-17", "created_at": "2024-01-01T00:00:00Z", "started_at": "2024-01-01T00:00:09Z",
        "completed_at": "2024-01-01T00:01:09Z",
    }})
}

#[test]
fn a_job_tells_where_it_ran_and_counts_for_no_revision() {
    let event = one(deliver("workflow_job", &job("completed", json!("failure"))));
    assert_eq!(event.meta.time.0, 1_704_067_269_000, "when it ended");
    let Body::Run(run) = event.body else { panic!() };
    assert_eq!(
        (run.run_id.as_str(), run.name.as_str()),
        ("31", "ci / test (3.12)")
    );
    assert_eq!((run.revision, run.attempt), (None, 2));
    assert_eq!(run.phase, RunPhase::Finished(Outcome::Failure));
    assert_eq!(run.queued.unwrap().as_secs(), 9);
    assert_eq!(run.duration.unwrap().as_secs(), 60);
    assert_eq!(run.runner, "self-hosted+linux");
}

#[test]
fn a_job_under_way_says_nothing_yet_and_a_skipped_one_ran_nowhere() {
    for action in ["queued", "waiting", "in_progress"] {
        let answer = deliver("workflow_job", &job(action, Value::Null)).unwrap();
        assert_eq!(
            answer,
            super::super::Normalized::ignored("workflow_job.unfinished")
        );
    }
    let mut skipped = job("completed", json!("skipped"));
    skipped["workflow_job"]["labels"] = json!([]);
    skipped["workflow_job"]["started_at"] = Value::Null;
    let Body::Run(run) = one(deliver("workflow_job", &skipped)).body else {
        panic!()
    };
    assert_eq!((run.runner.as_str(), run.queued, run.duration), ("", None, None));
    assert_eq!(run.phase, RunPhase::Finished(Outcome::Skip));
    let mut wrong = job("completed", json!("odd"));
    wrong["workflow_job"]["name"] = json!(3);
    let fault = deliver("workflow_job", &wrong).unwrap_err().to_string();
    assert_eq!(fault, "workflow_job.name: is not a text");
}
