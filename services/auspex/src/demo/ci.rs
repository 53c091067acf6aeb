//! Plays CI and the deployer, through the doors that real ones use: signed webhooks in GitHub's shape, and for what only a
//! checkout can tell the gRPC door, as `auspex event publish --from-git` does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use auspex_proto::event::Body;
use auspex_proto::wire::event_service_client::EventServiceClient;
use auspex_proto::wire::{PublishRequest, publish_request};
use auspex_proto::{Event, FactId, Meta, Project, Revision, Timestamp};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tonic::transport::Channel;

use super::story::Change;

/// The repository, which is also the project.
pub const REPOSITORY: &str = "acme/shop";
/// The service that is deployed.
pub const SERVICE: &str = "shop";

/// CI, with what it needs to get in.
#[derive(Debug, Clone)]
pub struct Ci {
    http: reqwest::Client,
    events: EventServiceClient<Channel>,
    server: String,
    secret: String,
}

/// A deployment that CI asks for.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// What users are on.
    pub stable: &'a str,
    /// What shall come.
    pub revision: &'a str,
    /// The Rollout document.
    pub document: &'a str,
}

impl Ci {
    /// CI that delivers to this mesh.
    ///
    /// # Errors
    /// When the mesh is out of reach.
    pub async fn at(server: &str, secret: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(server.to_owned())?.connect().await?;
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()?,
            events: EventServiceClient::new(channel),
            server: server.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// A push, as the webhook tells it: paths, and no numbers.
    ///
    /// # Errors
    /// When the door refuses.
    pub async fn push(&self, revision: &str, change: &Change) -> anyhow::Result<()> {
        self.deliver("push", revision, push(revision, change)).await
    }

    /// What a CI step reads from the checkout. Answers its place in the log.
    ///
    /// # Errors
    /// When the door refuses.
    pub async fn checkout(&mut self, revision: &str, change: &Change) -> anyhow::Result<u64> {
        let event = checkout(revision, change)?;
        let fact = publish_request::Fact::Event(event.to_wire());
        let request = PublishRequest {
            number: 1,
            fact: Some(fact),
        };
        let answer = self.events.publish(request).await?.into_inner();
        if !answer.refused.is_empty() {
            bail!("the change was refused: {}", answer.refused);
        }
        Ok(answer.sequence)
    }

    /// A build that went well.
    ///
    /// # Errors
    /// When the door refuses.
    pub async fn build(&self, revision: &str) -> anyhow::Result<()> {
        self.deliver("workflow_run", revision, build(revision)).await
    }

    /// Asks for a deployment.
    ///
    /// # Errors
    /// When the door refuses.
    pub async fn deploy(&self, wanted: &Wanted<'_>) -> anyhow::Result<()> {
        self.deliver("deployment", wanted.revision, deployment(wanted))
            .await
    }

    async fn deliver(&self, event: &str, revision: &str, payload: Value) -> anyhow::Result<()> {
        let body = payload.to_string();
        let request = self
            .http
            .post(format!("{}/webhooks/github", self.server))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", format!("{event}-{revision}"))
            .header("x-hub-signature-256", signature(&self.secret, body.as_bytes())?)
            .body(body);
        let answer = request
            .send()
            .await
            .with_context(|| format!("delivering {event}"))?;
        if !answer.status().is_success() {
            let status = answer.status();
            bail!(
                "{event} was answered {status}: {}",
                answer.text().await.unwrap_or_default().trim()
            );
        }
        Ok(())
    }
}

/// GitHub's signature over the raw body.
fn signature(secret: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

fn repository() -> Value {
    let name = REPOSITORY.rsplit('/').next().unwrap_or(REPOSITORY);
    json!({"full_name": REPOSITORY, "name": name, "default_branch": "main"})
}

fn push(revision: &str, change: &Change) -> Value {
    let author = json!({"username": change.author, "name": change.author});
    let commit = json!({
        "id": revision, "message": change.title, "timestamp": now(), "author": author,
        "added": [], "removed": [], "modified": change.paths,
    });
    json!({
        "ref": "refs/heads/main", "before": "0".repeat(40), "after": revision, "deleted": false,
        "head_commit": commit, "commits": [commit], "repository": repository(),
        "sender": {"login": change.author},
    })
}

fn build(revision: &str) -> Value {
    json!({
        "action": "completed",
        "workflow_run": {
            "id": run_number(revision), "name": "build", "head_sha": revision, "head_branch": "main", "run_attempt": 1,
            "status": "completed", "conclusion": "success",
            "created_at": now(), "run_started_at": now(), "updated_at": now(),
        },
        "repository": repository(),
    })
}

fn deployment(wanted: &Wanted<'_>) -> Value {
    let payload = json!({"service": SERVICE, "stable_revision": wanted.stable, "rollout": wanted.document});
    json!({
        "action": "created",
        "deployment": {
            "id": run_number(wanted.revision), "sha": wanted.revision, "ref": "main", "task": "deploy",
            "environment": "production", "payload": payload, "creator": {"login": "deployer"}, "created_at": now(),
        },
        "repository": repository(),
    })
}

/// A number as GitHub gives them, the same for the same revision.
fn run_number(revision: &str) -> u64 {
    let digits = revision.get(..12).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(1)
}

/// What `auspex event publish --from-git` would tell of the change.
pub(super) fn checkout(revision: &str, change: &Change) -> anyhow::Result<Event> {
    let time = Timestamp(unix_ms());
    Ok(Event {
        meta: Meta {
            id: FactId::outside("git", revision),
            project: Project::new(REPOSITORY)?,
            time,
            cause: 0,
            source: "git".to_owned(),
        },
        body: Body::Change(auspex_proto::event::Change {
            revision: Revision::new(revision)?,
            branch: "main".to_owned(),
            author: change.author.clone(),
            title: change.title.clone(),
            paths: change.paths.clone(),
            stats: Some(change.stats),
            authored: Some(time),
            complexity: None,
        }),
    })
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn now() -> String {
    jiff::Timestamp::from_millisecond(unix_ms())
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use auspex_ingest::normalize::{Delivery, Normalized, Projects, github};

    use super::*;
    use crate::demo::story;

    const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(event: &str, payload: &Value) -> Body {
        let body = payload.to_string();
        let delivery = Delivery {
            event,
            id: "1",
            body: body.as_bytes(),
        };
        let projects = Projects::new(&BTreeMap::new()).unwrap();
        match github(&delivery, &projects, Timestamp(1)).unwrap() {
            Normalized::Event(mut events) => events.remove(0).body,
            other @ Normalized::Ignored { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_payloads_say_to_ingest_what_they_mean() {
        let change = story::risky();
        let Body::Change(pushed) = read("push", &push(REVISION, &change)) else {
            panic!()
        };
        assert_eq!(
            (pushed.revision.as_str(), pushed.paths.len()),
            (REVISION, change.paths.len())
        );
        let Body::Run(run) = read("workflow_run", &build(REVISION)) else {
            panic!()
        };
        assert_eq!(run.revision.unwrap().as_str(), REVISION);
        let wanted = Wanted {
            stable: "aaa",
            revision: REVISION,
            document: "kind: Rollout",
        };
        let Body::Deployment(deployed) = read("deployment", &deployment(&wanted)) else {
            panic!()
        };
        assert_eq!(deployed.service.as_str(), SERVICE);
        assert_eq!(deployed.stable_revision.unwrap().as_str(), "aaa");
        assert_eq!(deployed.document, "kind: Rollout");
    }

    #[test]
    fn the_signature_is_githubs() {
        // The example in GitHub's documentation.
        let signed = signature("It's a Secret to Everybody", b"Hello, World!").unwrap();
        assert_eq!(
            signed,
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
