//! GitHub's deployment protection rule: a signed webhook asks, the answer is given by a call back.
//!
//! A deployment waits until the score of its commit is there; then it is approved or rejected, with the reason. Without a
//! score within the time that is configured it is rejected: not knowing is no pass.
//!
//! What waits is kept on the bus before the webhook is acknowledged, for GitHub does not ask twice: it outlives the process
//! that took it, and whichever process comes first answers. Who writes down that it is about to answer does; who dies at
//! that is followed by another after `AT_WORK`, so that GitHub may be told twice and never not at all.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::ledger::{Document, Ledger, SaveError};
use auspex_chassis::{Group, House};
use auspex_proto::Timestamp;
use auspex_proto::subject::PROTECTIONS;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures::StreamExt as _;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::waiting::{Payload, Verdict, Waiting};
use crate::config::Github;
use crate::mesh::Mesh;
use crate::provider::http;

const PATH: &str = "/webhooks/github/protection";
/// Largest payload of GitHub's, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Most deployments that wait at a time: some 8 MB.
const MOST: usize = 1_000;
/// So many are looked at at once.
const AT_ONCE: usize = 16;
/// A call back takes at most this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who is about to answer has this long, in milliseconds, before another does.
const AT_WORK: i64 = 40_000;
/// Scoring that does not answer counts as no score only this long after the start: it may be starting too.
const START: Duration = Duration::from_secs(60);

/// What the door needs; cheap to clone.
#[derive(Clone)]
struct Door {
    house: House,
    mesh: Mesh,
    config: Github,
    ledger: Ledger,
    /// Something waits that did not before.
    came: Arc<Notify>,
    begun: Instant,
}

/// The door, and whoever answers what waits.
///
/// # Errors
/// When the bus is away.
pub async fn router(house: House, mesh: Mesh, config: Github) -> anyhow::Result<Router> {
    if config.secret.is_empty() {
        let told = (StatusCode::NOT_FOUND, "analysis.github.secret is not configured");
        return Ok(Router::new().route(PATH, post(async move || told)));
    }
    let door = Door {
        ledger: Ledger::open(house.bus(), PROTECTIONS).await?,
        house,
        mesh,
        config,
        came: Arc::default(),
        begun: Instant::now(),
    };
    let answers = door.clone();
    door.house
        .spawn("github protection", Group::Output, move |stop| async move {
            tokio::select! {
                () = stop.requested() => {}
                () = answers.answer() => {}
            }
            Ok(())
        });
    Ok(Router::new()
        .route(PATH, post(asked))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(door))
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
    let waiting = match Waiting::of(payload, &door.config.api, door.house.now().0) {
        Ok(waiting) => waiting,
        Err(told) => return (StatusCode::BAD_REQUEST, told).into_response(),
    };
    match door.keep(&waiting).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("{fault:#}")).into_response(),
    }
}

impl Door {
    /// Keeps what waits; asked again, it is there already.
    async fn keep(&self, waiting: &Waiting) -> anyhow::Result<()> {
        let key = waiting.key();
        let known = self.ledger.list::<Waiting>(&[]).await?;
        let full = known.len() >= MOST && !known.iter().any(|one| one.key.first() == Some(&key));
        anyhow::ensure!(!full, "{MOST} deployments wait already");
        match self.ledger.create(&[&key], waiting).await {
            Ok(_) | Err(SaveError::Conflict) => {}
            Err(fault) => return Err(fault).context("the deployment is not taken"),
        }
        self.came.notify_one();
        Ok(())
    }

    /// Answers what waits, until it is dropped.
    async fn answer(&self) {
        let mut look = tokio::time::interval(Duration::from_secs(self.config.every));
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = self.came.notified() => {}
            }
            if let Err(fault) = self.look().await {
                tracing::warn!(
                    fault = format!("{fault:#}"),
                    "deployments that wait cannot be read"
                );
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let found = self.ledger.list::<Waiting>(&[]).await?;
        let now = self.house.now().0;
        let due = found.into_iter().filter(|one| one.document.not_before_ms <= now);
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |one| self.settle(one))
            .await;
        Ok(())
    }

    async fn settle(&self, found: Document<Waiting>) {
        let Some(verdict) = self.verdict(&found.document).await else {
            return;
        };
        let (key, waiting) = (found.key.join(""), found.document);
        let at_work = waiting.at_work(self.house.now().0, AT_WORK);
        // Another process has it, or the bus is away: then the next look finds it.
        let Ok(revision) = self.ledger.update(&[&key], &at_work, found.revision).await else {
            return;
        };
        let again = match self.call_back(&waiting, &verdict).await {
            Ok(()) => None,
            Err((fault, may_help)) => {
                let again = at_work.again(self.house.now().0).filter(|_| may_help);
                let (repository, tries) = (&waiting.repository, at_work.tries);
                let gives_up = again.is_none();
                tracing::warn!(repository, tries, gives_up, fault, "GitHub was not answered");
                again
            }
        };
        let saved = match again {
            None => self.ledger.remove(&[&key], revision).await,
            Some(again) => self.ledger.update(&[&key], &again, revision).await.map(drop),
        };
        if let Err(fault) = saved {
            tracing::warn!(repository = waiting.repository, %fault, "GitHub may be answered twice");
        }
    }

    /// What is answered now; `None`: it waits on.
    async fn verdict(&self, waiting: &Waiting) -> Option<Verdict> {
        let (why, certain) = match self.mesh.score(&waiting.repository, &waiting.sha).await {
            Ok(Some(score)) => {
                return Some(Verdict::by(score.p_failure, &score.model, self.config.p_failure));
            }
            Ok(None) => ("there is no score of this commit".to_owned(), true),
            Err(status) => {
                let why = format!("scoring does not answer: {}", status.message());
                let wait = Duration::from_secs(self.config.wait);
                (why, self.begun.elapsed() >= wait.min(START))
            }
        };
        let waited = self.house.now().since(Timestamp(waiting.asked_ms));
        let over = waited >= Duration::from_secs(self.config.wait);
        (over && certain).then(|| Verdict::unknown(&why, self.config.wait))
    }

    /// Tells GitHub.
    ///
    /// # Errors
    /// Why it does not take it, and whether another try may help.
    async fn call_back(&self, waiting: &Waiting, verdict: &Verdict) -> Result<(), (String, bool)> {
        let client = http::client(PATIENCE, false).map_err(|fault| (fault, true))?;
        let answer = client
            .post(&waiting.callback)
            .bearer_auth(self.config.token.expose())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", "auspex")
            .json(&json!({
                "environment_name": waiting.environment,
                "state": if verdict.approved { "approved" } else { "rejected" },
                "comment": verdict.comment,
            }))
            .send()
            .await
            .map_err(|fault| (http::told(fault), true))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // The run is gone, or was answered by somebody else.
        let may_help = !matches!(status.as_u16(), 400 | 404 | 410 | 422);
        Err((format!("GitHub answered {status}"), may_help))
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
}
