//! `deployment` and `deployment_status`: somebody wants a revision in front of users, and how that goes.

use std::borrow::Cow;

use auspex_proto::event::{Body, Deployment, DeploymentState, DeploymentStatus};
use auspex_proto::{Invalid, ServiceName};
use serde_json::Value;

use super::super::field::Node;
use super::super::{Normalized, short};
use super::Payload;
use super::change::{optional_revision, revision};

/// A Rollout document longer than this, in bytes, is none.
const MAX_DOCUMENT: usize = 256 * 1024;

/// A request to deploy. Its `payload` may name the `service`, the `stable_revision` that users are on, and bring a
/// `rollout` document.
pub(super) fn deployment(payload: &Payload<'_>) -> Result<Normalized, Invalid> {
    let deployment = asked(payload)?;
    if let Some(ignored) = other_task(&deployment, "deployment.task") {
        return Ok(ignored);
    }
    let own = own(&deployment)?;
    let own = Own::of(payload, &own)?;
    let document = own.node.at("rollout");
    if document.any_text().len() > MAX_DOCUMENT {
        return Err(document.fault(format!("is longer than {MAX_DOCUMENT} bytes")));
    }
    let body = Deployment {
        deployment_id: deployment.at("id").id()?,
        service: own.service.clone(),
        environment: short(deployment.at("environment").any_text()),
        revision: revision(&deployment.at("sha"))?,
        stable_revision: optional_revision(&own.node.at("stable_revision"))?,
        document: document.any_text().to_owned(),
        actor: short(deployment.at("creator").at("login").any_text()),
    };
    let moment = deployment.at("created_at").time()?;
    let head = payload.head(Some(own.service.as_str()), moment)?;
    Ok(Normalized::Event(vec![head.event(0, Body::Deployment(body))?]))
}

/// How a deployment goes.
pub(super) fn status(payload: &Payload<'_>) -> Result<Normalized, Invalid> {
    let deployment = asked(payload)?;
    if let Some(ignored) = other_task(&deployment, "deployment_status.task") {
        return Ok(ignored);
    }
    let status = payload.root.at("deployment_status");
    let own = own(&deployment)?;
    let own = Own::of(payload, &own)?;
    let environment = status.at("environment").some_text();
    let body = DeploymentStatus {
        deployment_id: deployment.at("id").id()?,
        environment: short(environment.unwrap_or(deployment.at("environment").any_text())),
        revision: optional_revision(&deployment.at("sha"))?,
        state: state(&status.at("state"))?,
        reason: short(status.at("description").any_text()),
        service: Some(own.service.clone()),
    };
    let moment = match status.at("updated_at").time()? {
        Some(time) => Some(time),
        None => status.at("created_at").time()?,
    };
    let head = payload.head(Some(own.service.as_str()), moment)?;
    Ok(Normalized::Event(vec![
        head.event(0, Body::DeploymentStatus(body))?,
    ]))
}

fn asked<'a>(payload: &Payload<'a>) -> Result<Node<'a>, Invalid> {
    let deployment = payload.root.at("deployment");
    if deployment.is_object() {
        Ok(deployment)
    } else {
        Err(deployment.fault("is missing"))
    }
}

/// GitHub calls other things deployments too (`deploy:migrations`, a tool's own word): they bring no revision to users.
fn other_task(deployment: &Node<'_>, kind: &str) -> Option<Normalized> {
    match deployment.at("task").some_text() {
        None | Some("deploy") => None,
        Some(_) => Some(Normalized::ignored(kind)),
    }
}

/// The deployer's own words: GitHub hands them on as an object, or as a text when they were sent as one.
fn own<'a>(deployment: &Node<'a>) -> Result<Cow<'a, Value>, Invalid> {
    let node = deployment.at("payload");
    match node.value() {
        Value::Null | Value::Object(_) => Ok(Cow::Borrowed(node.value())),
        Value::String(text) if text.trim_start().starts_with('{') => serde_json::from_str(text)
            .map(Cow::Owned)
            .map_err(|fault| node.fault(format!("is not JSON: {fault}"))),
        // Somebody's free text.
        _ => Ok(Cow::Owned(Value::Null)),
    }
}

struct Own<'a> {
    node: Node<'a>,
    service: ServiceName,
}

impl<'a> Own<'a> {
    /// The service is what the deployer says it is, else the repository's own name: the environment says nothing about it.
    fn of(payload: &Payload<'_>, value: &'a Value) -> Result<Self, Invalid> {
        let node = Node::root(value).within("deployment.payload");
        let named = node.at("service");
        let repository = payload.root.at("repository").at("name");
        let service = match named.some_text() {
            Some(service) => ServiceName::new(service).map_err(|fault| named.fault(fault.reason))?,
            None => ServiceName::new(repository.text()?).map_err(|fault| repository.fault(fault.reason))?,
        };
        Ok(Self { node, service })
    }
}

fn state(node: &Node<'_>) -> Result<DeploymentState, Invalid> {
    match node.text()? {
        "pending" | "queued" | "waiting" => Ok(DeploymentState::Pending),
        "in_progress" => Ok(DeploymentState::InProgress),
        "success" => Ok(DeploymentState::Success),
        "failure" => Ok(DeploymentState::Failure),
        "error" => Ok(DeploymentState::Error),
        "inactive" => Ok(DeploymentState::Inactive),
        other => Err(node.fault(format!("{} is not a state", short(other)))),
    }
}
