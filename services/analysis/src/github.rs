//! GitHub's deployment protection rule: a signed webhook asks, the answer is given by a call back.
//!
//! A deployment waits until the score of its commit is there; then it is approved or rejected, with the reason. Without a
//! score within the time that is configured it is rejected: not knowing is no pass.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auspex_chassis::{Group, House};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use tokio::time::Instant;

use crate::config::Github;
use crate::mesh::Mesh;
use crate::provider::http;

/// Largest payload of GitHub's, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Most deployments that wait at a time.
const MOST: usize = 1_000;
/// A call back is tried so often.
const TRIES: u32 = 5;

/// What the door needs; cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    house: House,
    mesh: Mesh,
    config: Github,
    waiting: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    action: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    deployment_callback_url: String,
    #[serde(default)]
    deployment: Deployment,
    #[serde(default)]
    repository: Repository,
}

#[derive(Debug, Default, Deserialize)]
struct Deployment {
    #[serde(default)]
    sha: String,
}

#[derive(Debug, Default, Deserialize)]
struct Repository {
    #[serde(default)]
    full_name: String,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    approved: bool,
    comment: String,
}

/// The door.
pub fn router(house: House, mesh: Mesh, config: Github) -> Router {
    let door = Door {
        house,
        mesh,
        config,
        waiting: Arc::default(),
    };
    Router::new()
        .route("/webhooks/github/protection", post(asked))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(door)
}

/// Whether the sender knows the secret.
fn is_signed(secret: &str, signature: &str, body: &[u8]) -> bool {
    let given = signature
        .strip_prefix("sha256=")
        .and_then(|text| hex::decode(text).ok());
    let (Some(given), Ok(mut mac)) = (given, Hmac::<Sha256>::new_from_slice(secret.as_bytes())) else {
        return false;
    };
    mac.update(body);
    // In constant time.
    mac.verify_slice(&given).is_ok()
}

async fn asked(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if door.config.secret.is_empty() {
        return (StatusCode::NOT_FOUND, "analysis.github.secret is not configured").into_response();
    }
    if !is_signed(door.config.secret.expose(), text("x-hub-signature-256"), &body) {
        return (StatusCode::UNAUTHORIZED, "the signature is missing or wrong").into_response();
    }
    match text("x-github-event") {
        "ping" => return (StatusCode::OK, "pong").into_response(),
        "deployment_protection_rule" => {}
        other => {
            let told = format!("`{other}` is not deployment_protection_rule");
            return (StatusCode::BAD_REQUEST, told).into_response();
        }
    }
    let payload: Payload = match serde_json::from_slice(&body) {
        Ok(payload) => payload,
        Err(fault) => return (StatusCode::BAD_REQUEST, fault.to_string()).into_response(),
    };
    match door.take(payload) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err((code, told)) => (code, told).into_response(),
    }
}

impl Door {
    fn take(&self, payload: Payload) -> Result<(), (StatusCode, String)> {
        let bad = |told: &str| Err((StatusCode::BAD_REQUEST, told.to_owned()));
        if payload.action != "requested" {
            return bad("action: is not `requested`");
        }
        if payload.deployment.sha.is_empty() || payload.repository.full_name.is_empty() {
            return bad("deployment.sha or repository.full_name: is empty");
        }
        // The answer carries a token: it goes to GitHub's API alone.
        if !payload.deployment_callback_url.starts_with(&self.config.api) {
            return bad("deployment_callback_url: does not begin with analysis.github.api");
        }
        let key = format!("{} {}", payload.deployment_callback_url, payload.environment);
        {
            let Ok(mut waiting) = self.waiting.lock() else {
                return Err((StatusCode::SERVICE_UNAVAILABLE, "try again".to_owned()));
            };
            if waiting.contains(&key) {
                return Ok(());
            }
            if waiting.len() >= MOST {
                return Err((
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{MOST} deployments wait already"),
                ));
            }
            waiting.insert(key.clone());
        }
        let door = self.clone();
        self.house
            .spawn("github protection", Group::Output, move |stop| async move {
                tokio::select! {
                    () = stop.requested() => {}
                    () = door.settle(&payload) => {}
                }
                if let Ok(mut waiting) = door.waiting.lock() {
                    waiting.remove(&key);
                }
                Ok(())
            });
        Ok(())
    }

    async fn settle(&self, payload: &Payload) {
        let verdict = self.verdict(payload).await;
        for attempt in 1..=TRIES {
            match self.call_back(payload, &verdict).await {
                Ok(()) => return,
                Err(fault) => {
                    tracing::warn!(
                        repository = payload.repository.full_name,
                        attempt,
                        fault,
                        "GitHub was not answered"
                    );
                }
            }
            tokio::time::sleep(Duration::from_secs(1) * 2_u32.pow(attempt)).await;
        }
    }

    async fn verdict(&self, payload: &Payload) -> Verdict {
        let (project, revision) = (&payload.repository.full_name, &payload.deployment.sha);
        let deadline = Instant::now() + Duration::from_secs(self.config.wait);
        let mut last = "there is no score of this commit".to_owned();
        loop {
            match self.mesh.score(project, revision).await {
                Ok(Some(score)) => return of(score.p_failure, &score.model, self.config.p_failure),
                Ok(None) => {}
                Err(status) => last = format!("scoring does not answer: {}", status.message()),
            }
            if Instant::now() >= deadline {
                return Verdict {
                    approved: false,
                    comment: format!(
                        "Auspex: {last} after {} s; not knowing is no pass",
                        self.config.wait
                    ),
                };
            }
            tokio::time::sleep(Duration::from_secs(self.config.every)).await;
        }
    }

    async fn call_back(&self, payload: &Payload, verdict: &Verdict) -> Result<(), String> {
        let client = http::client(Duration::from_secs(30), false)?;
        let answer = client
            .post(&payload.deployment_callback_url)
            .bearer_auth(self.config.token.expose())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", "auspex")
            .json(&json!({
                "environment_name": payload.environment,
                "state": if verdict.approved { "approved" } else { "rejected" },
                "comment": verdict.comment,
            }))
            .send()
            .await
            .map_err(http::told)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(format!("GitHub answered {status}"))
    }
}

fn of(p_failure: f64, model: &str, most: f64) -> Verdict {
    let approved = p_failure <= most;
    let relation = if approved { "at most" } else { "above" };
    Verdict {
        approved,
        comment: format!("Auspex: P(failure) {p_failure:.2} is {relation} {most:.2} ({model})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_githubs() {
        // The example of GitHub's documentation.
        let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_signed(secret, right, body));
        assert!(!is_signed(secret, right, b"Hello, World?"));
        assert!(!is_signed("another", right, body));
        assert!(!is_signed(secret, "sha256=zz", body));
        assert!(!is_signed(secret, "", body));
    }

    #[test]
    fn the_threshold_itself_is_let_through() {
        assert!(of(0.5, "m@1", 0.5).approved);
        assert!(!of(0.51, "m@1", 0.5).approved);
        assert_eq!(
            of(0.9, "m@1", 0.5).comment,
            "Auspex: P(failure) 0.90 is above 0.50 (m@1)"
        );
    }
}
