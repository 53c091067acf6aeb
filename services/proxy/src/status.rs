//! What the proxy does at this moment, for an operator: `GET /proxy/status`.

use std::net::SocketAddr;
use std::sync::Arc;

use auspex_proto::decision::Phase;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::plan::Readiness;
use crate::plane::{Plane, Standing};
use crate::tally::Counts;

/// The route. `listen`: where users' traffic arrives; `None`: there are no routes, so nothing listens.
pub(crate) fn router(plane: Arc<Plane>, listen: Option<SocketAddr>) -> Router {
    let answer = move || {
        let standings: Vec<Value> = plane.standings().iter().map(service).collect();
        let status = json!({ "listen": listen.map(|l| l.to_string()), "services": standings });
        std::future::ready(Json(status))
    };
    Router::new().route("/proxy/status", get(answer))
}

fn service(standing: &Standing) -> Value {
    let course = &standing.course;
    let order = course.order.as_ref();
    json!({
        "project": course.listed.project.as_str(),
        "service": course.listed.service.as_str(),
        "rollout": order.map(|order| order.rollout.as_str()),
        "phase": order.map(|order| phase(order.phase)),
        "decision": order.map(|order| order.id.as_str()),
        "decision_number": order.map(|order| order.number),
        "decision_sequence": order.map(|order| order.seq),
        "asked_weight": course.weight(),
        "weight": standing.effective.weight,
        "suspended": standing.effective.suspended,
        "control_silent_ms": standing.silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
        "fault": course.fault,
        "cohorts": order.map(|order| order.cohorts.iter().map(|cohort| cohort.name.as_str()).collect::<Vec<_>>()),
        "mirror": order.map(|order| order.mirror),
        "sampling": order.and_then(|order| order.sampling),
        "stable": track(Some(course.stable.to_string()), standing.stable, &standing.totals.stable),
        "candidate": track(
            course.candidate.as_ref().map(ToString::to_string),
            standing.candidate,
            &standing.totals.candidate,
        ),
    })
}

/// In the words of every other answer.
fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Progressing => "progressing",
        Phase::Paused => "paused",
        Phase::Promoted => "promoted",
        Phase::RolledBack => "rolled_back",
        Phase::Baking => "baking",
        Phase::Returning => "returning",
    }
}

fn track(url: Option<String>, ready: Readiness, counts: &Counts) -> Value {
    let ready = match ready {
        Readiness::Unknown => Value::Null,
        Readiness::Up => Value::Bool(true),
        Readiness::Down => Value::Bool(false),
    };
    json!({
        "url": url,
        "ready": ready,
        "requests": counts.total(),
        "bad": counts.bad,
        "slow": counts.slow,
        "aborted": counts.aborted,
    })
}
