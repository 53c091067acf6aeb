//! GitHub's webhooks.

mod change;
mod deployment;
mod job;

use auspex_proto::{Invalid, Timestamp};
use serde_json::Value;

use super::cloudevents::percent_decode;
use super::field::{Node, latest};
use super::{GITHUB, Head, Normalized, Projects};

/// One delivery of a webhook, its signature verified.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Header `X-GitHub-Event`.
    pub event: &'a str,
    /// Header `X-GitHub-Delivery`: the same when GitHub delivers it again.
    pub id: &'a str,
    /// The JSON document.
    pub body: &'a [u8],
}

/// What a delivery means.
///
/// # Errors
/// [`Invalid`] naming the field of an event that bears on us and cannot be read.
pub fn github(
    delivery: &Delivery<'_>,
    projects: &Projects,
    received: Timestamp,
) -> Result<Normalized, Invalid> {
    if delivery.id.is_empty() || delivery.id.len() > 256 {
        return Err(Invalid::new("X-GitHub-Delivery", "is not 1 to 256 bytes long"));
    }
    let map = match delivery.event {
        "push" => change::push,
        "pull_request" => change::review,
        "workflow_run" => change::run,
        "workflow_job" => job::job,
        "deployment" => deployment::deployment,
        "deployment_status" => deployment::status,
        other => return Ok(Normalized::ignored(word(other))),
    };
    let document: Value = serde_json::from_slice(delivery.body)
        .map_err(|fault| Invalid::new("body", format!("is not JSON: {fault}")))?;
    if !document.is_object() {
        return Err(Invalid::new("body", "is not a JSON object"));
    }
    map(&Payload {
        root: Node::root(&document),
        delivery: delivery.id,
        projects,
        received,
    })
}

/// The JSON document in the field `payload` of a form: what GitHub sends when a hook is set up so.
///
/// # Errors
/// [`Invalid`] when there is no such field.
pub fn form_payload(form: &[u8]) -> Result<Vec<u8>, Invalid> {
    let mut fields = form.split(|byte| *byte == b'&');
    let value = fields.find_map(|field| field.strip_prefix(b"payload="));
    value
        .map(|text| percent_decode(text, true))
        .ok_or_else(|| Invalid::new("body", "is a form without the field payload"))
}

struct Payload<'a> {
    root: Node<'a>,
    delivery: &'a str,
    projects: &'a Projects,
    received: Timestamp,
}

impl Payload<'_> {
    /// What the payload's events have in common. `time`: the sender's, when it tells.
    fn head(&self, service: Option<&str>, time: Option<Timestamp>) -> Result<Head, Invalid> {
        let repository = self.root.at("repository").at("full_name");
        let name = repository.text()?;
        let mut names = vec![name];
        names.extend(service);
        Ok(Head {
            source: GITHUB.to_owned(),
            id: self.delivery.to_owned(),
            project: self
                .projects
                .of(&names, name)
                .map_err(|fault| repository.fault(fault.reason))?,
            time: time
                .or_else(|| latest(self.root.value(), self.received))
                .unwrap_or(self.received),
        })
    }
}

/// The event's name as a label: GitHub's names have letters and underscores only, and so the number of labels is bounded
/// by GitHub, not by whoever sends.
fn word(event: &str) -> String {
    let fine = !event.is_empty()
        && event.len() <= 48
        && event
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fine { event } else { "unnamed" }.to_owned()
}
