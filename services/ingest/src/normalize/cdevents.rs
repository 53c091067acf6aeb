//! CDEvents: what CI/CD systems have agreed to call things. We map those that bear on a rollout.
//!
//! Their documents are thin: neither a run nor a change says its revision. Where a sender puts `revision`, `project`,
//! `author`, `title`, `branch`, `deployment_id` into `customData`, they are taken from there.

use auspex_proto::event::{
    Body, Change, DeploymentState, DeploymentStatus, Incident, Outcome, Review, Run, RunPhase,
};
use auspex_proto::{Invalid, Revision, ServiceName};

use super::field::Node;
use super::{short, title};

/// By which names a document says whose it is.
#[derive(Debug, Default)]
pub(super) struct Whose<'a> {
    pub(super) project: Option<&'a str>,
    pub(super) repository: Option<&'a str>,
    pub(super) service: Option<&'a str>,
}

/// Whose a document is; nothing when it is no CDEvent.
pub(super) fn whose<'a>(root: &Node<'a>) -> Whose<'a> {
    let subject = root.at("subject");
    let content = subject.at("content");
    let kind = root.at("context").at("type").any_text();
    let own = kind.starts_with("dev.cdevents.service.");
    Whose {
        project: root.at("customData").at("project").some_text(),
        repository: content.at("repository").at("id").some_text(),
        service: if own {
            subject.at("id")
        } else {
            content.at("service").at("id")
        }
        .some_text(),
    }
}

/// What a CDEvent of this type says; empty when it says nothing that bears on us.
pub(super) fn bodies(kind: &str, root: &Node<'_>, id: &str) -> Result<Vec<Body>, Invalid> {
    let Some(name) = kind.strip_prefix("dev.cdevents.") else {
        return Ok(Vec::new());
    };
    let mut words = name.split('.');
    let (subject, predicate) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match subject {
        "change" => change(predicate, root),
        "pipelinerun" => run(
            predicate,
            root,
            root.at("subject").at("content").at("pipelineName").any_text(),
        ),
        "taskrun" => run(
            predicate,
            root,
            root.at("subject").at("content").at("taskName").any_text(),
        ),
        "testsuiterun" => {
            let suite = root.at("subject").at("content").at("testSuite");
            run(
                predicate,
                root,
                suite.at("name").some_text().unwrap_or(suite.at("id").any_text()),
            )
        }
        "build" => run(predicate, root, "build"),
        "service" => service(predicate, root, id),
        "incident" => incident(predicate, root),
        _ => Ok(Vec::new()),
    }
}

fn change(predicate: &str, root: &Node<'_>) -> Result<Vec<Body>, Invalid> {
    let state = match predicate {
        "created" => "opened",
        "updated" | "reviewed" => "updated",
        "merged" => "merged",
        "abandoned" => "closed",
        _ => return Ok(Vec::new()),
    };
    let (subject, custom) = (root.at("subject"), root.at("customData"));
    let number = subject.at("id");
    let author = short(custom.at("author").any_text());
    let name = custom.at("title").some_text();
    let name = title(name.unwrap_or(subject.at("content").at("description").any_text()));
    let told = optional(&custom.at("revision"), Revision::new)?;
    // What is merged is on its way to users. The subject of a merged change is its commit, unless the sender says better.
    let merged = match (state, told.clone()) {
        ("merged", Some(revision)) => Some(revision),
        ("merged", None) => Some(named(&number, Revision::new)?),
        _ => None,
    };
    let mut bodies = Vec::new();
    if let Some(revision) = merged.clone() {
        bodies.push(Body::Change(Change {
            revision,
            branch: short(custom.at("branch").any_text()),
            author: author.clone(),
            title: name.clone(),
            paths: Vec::new(),
            stats: None,
            authored: None,
            complexity: None,
        }));
    }
    bodies.push(Body::Review(Review {
        number: number.text()?.to_owned(),
        revision: told,
        author,
        state: state.to_owned(),
        lines_added: None,
        lines_deleted: None,
        files: None,
        commits: None,
        comments: None,
        draft: false,
        merged_revision: merged,
        title: name,
    }));
    Ok(bodies)
}

fn run(predicate: &str, root: &Node<'_>, name: &str) -> Result<Vec<Body>, Invalid> {
    let (subject, custom) = (root.at("subject"), root.at("customData"));
    let content = subject.at("content");
    let phase = match predicate {
        "queued" => RunPhase::Queued,
        "started" => RunPhase::Started,
        "finished" => match outcome(&content)? {
            Some(outcome) => RunPhase::Finished(outcome),
            // Finished, and nobody says how: it stays what its source said, and is counted neither way.
            None => return Ok(Vec::new()),
        },
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Body::Run(Run {
        run_id: subject.at("id").text()?.to_owned(),
        name: short(name),
        revision: optional(&custom.at("revision"), Revision::new)?,
        branch: short(custom.at("branch").any_text()),
        attempt: 1,
        phase,
        queued: None,
        duration: None,
        runner: short(custom.at("runner").any_text()),
    })])
}

/// A build that says which artifact it made has succeeded: its events have no outcome of their own.
fn outcome(content: &Node<'_>) -> Result<Option<Outcome>, Invalid> {
    let outcome = content.at("outcome");
    match outcome.some_text() {
        Some("success" | "pass") => Ok(Some(Outcome::Success)),
        Some("failure" | "fail") => Ok(Some(Outcome::Failure)),
        Some("error") => Ok(Some(Outcome::Error)),
        Some("cancel" | "canceled" | "cancelled") => Ok(Some(Outcome::Cancellation)),
        Some("timeout") => Ok(Some(Outcome::Timeout)),
        Some("skip" | "skipped") => Ok(Some(Outcome::Skip)),
        Some(other) => Err(outcome.fault(format!("{} is not an outcome", short(other)))),
        None => Ok(content.at("artifactId").some_text().map(|_| Outcome::Success)),
    }
}

/// A service that was deployed is a deployment that has succeeded, not one that is asked for: nothing starts by it.
fn service(predicate: &str, root: &Node<'_>, id: &str) -> Result<Vec<Body>, Invalid> {
    let state = match predicate {
        "deployed" | "upgraded" => DeploymentState::Success,
        "rolledback" => DeploymentState::RolledBack,
        _ => return Ok(Vec::new()),
    };
    let (subject, custom) = (root.at("subject"), root.at("customData"));
    let content = subject.at("content");
    let revision = match optional(&custom.at("revision"), Revision::new)? {
        Some(revision) => Some(revision),
        None => artifact_revision(&content.at("artifactId"))?,
    };
    Ok(vec![Body::DeploymentStatus(DeploymentStatus {
        deployment_id: custom.at("deployment_id").some_text().unwrap_or(id).to_owned(),
        service: Some(named(&subject.at("id"), ServiceName::new)?),
        environment: short(content.at("environment").at("id").any_text()),
        revision,
        state,
        reason: String::new(),
    })])
}

/// The version in a package URL: `pkg:oci/app@sha256%3A0b…` is at `sha256:0b…`.
fn artifact_revision(artifact: &Node<'_>) -> Result<Option<Revision>, Invalid> {
    let text = artifact.any_text();
    let version = text
        .split(['?', '#'])
        .next()
        .and_then(|purl| purl.rsplit_once('@'))
        .map(|(_, version)| version);
    let Some(version) = version.filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let decoded = super::cloudevents::percent_decode(version.as_bytes(), false);
    let version = String::from_utf8(decoded).map_err(|_| artifact.fault("is not UTF-8"))?;
    Revision::new(version)
        .map(Some)
        .map_err(|fault| artifact.fault(fault.reason))
}

fn incident(predicate: &str, root: &Node<'_>) -> Result<Vec<Body>, Invalid> {
    let resolved = match predicate {
        "detected" | "reported" => false,
        "resolved" => true,
        _ => return Ok(Vec::new()),
    };
    let subject = root.at("subject");
    let content = subject.at("content");
    Ok(vec![Body::Incident(Incident {
        incident_id: subject.at("id").text()?.to_owned(),
        service: optional(&content.at("service").at("id"), ServiceName::new)?,
        title: title(content.at("description").any_text()),
        resolved,
    })])
}

fn named<T>(node: &Node<'_>, new: impl Fn(String) -> Result<T, Invalid>) -> Result<T, Invalid> {
    new(node.text()?.to_owned()).map_err(|fault| node.fault(fault.reason))
}

fn optional<T>(node: &Node<'_>, new: impl Fn(String) -> Result<T, Invalid>) -> Result<Option<T>, Invalid> {
    match node.some_text() {
        Some(_) => named(node, new).map(Some),
        None => Ok(None),
    }
}
