//! The answer for Argo Rollouts' web metric: `GET /gate/argo/NAME`.

use std::collections::BTreeMap;

use auspex_proto::wire;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tonic::{Code, Status};

use crate::mesh::Mesh;

/// The door.
pub fn router(mesh: Mesh) -> Router {
    Router::new()
        .route("/gate/argo/{name}", get(answer))
        .with_state(mesh)
}

/// What is asked: `project`, `service`, `revision`, `weight`.
async fn answer(
    State(mesh): State<Mesh>,
    Path(name): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let text = |key: &str| asked.get(key).cloned().unwrap_or_default();
    let weight = match asked.get("weight").map(|weight| weight.parse::<u32>()) {
        None => 0,
        Some(Ok(weight)) if weight <= 100 => weight,
        Some(_) => return refused(&Status::invalid_argument("weight: is not within 0..=100")),
    };
    let ask = wire::GateRequest {
        project: text("project"),
        name,
        service: text("service"),
        revision: text("revision"),
        weight,
    };
    match mesh.gate(ask).await {
        Ok(answer) => Json(shown(&answer)).into_response(),
        Err(status) => refused(&status),
    }
}

/// A word that Argo Rollouts' conditions can compare: never a pass without a verdict.
fn shown(answer: &wire::GateAnswer) -> serde_json::Value {
    let (phase, verdict) = match answer.verdict() {
        wire::GateVerdict::Pass => ("Successful", "pass"),
        wire::GateVerdict::Fail => ("Failed", "fail"),
        wire::GateVerdict::Wait | wire::GateVerdict::Unspecified => ("Inconclusive", "wait"),
    };
    let rollout = answer.rollout.as_ref();
    json!({
        "phase": phase,
        "verdict": verdict,
        "weight": answer.weight,
        "pFailure": answer.prior,
        "posterior": answer.posterior,
        "reason": answer.reason().as_str_name().trim_start_matches("REASON_CODE_").to_ascii_lowercase(),
        "text": answer.text,
        "rollout": rollout.map(|rollout| rollout.name.clone()),
        "project": rollout.map(|rollout| rollout.project.clone()),
        "revision": rollout.map(|rollout| rollout.candidate_revision.clone()),
    })
}

fn refused(status: &Status) -> Response {
    let code = match status.code() {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::Unauthenticated | Code::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(json!({"error": status.message()}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_no_pass() {
        let phase = |verdict: wire::GateVerdict| {
            let answer = wire::GateAnswer {
                verdict: verdict.into(),
                ..wire::GateAnswer::default()
            };
            shown(&answer)["phase"].as_str().unwrap().to_owned()
        };
        assert_eq!(phase(wire::GateVerdict::Pass), "Successful");
        assert_eq!(phase(wire::GateVerdict::Fail), "Failed");
        assert_eq!(phase(wire::GateVerdict::Wait), "Inconclusive");
        assert_eq!(phase(wire::GateVerdict::Unspecified), "Inconclusive");
    }
}
