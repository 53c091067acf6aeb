//! `auspex event publish`: tell what happened, as a CI step or a deployer does.

mod compose;

use std::path::{Path, PathBuf};

use auspex_ingest::git;
use auspex_proto::wire::event_service_client::EventServiceClient;
use auspex_proto::wire::{PublishRequest, publish_request};
use auspex_proto::{Event, Project};
use clap::{Args, Subcommand};

use self::compose::Compose;
use super::print;
use super::reach::Reach;
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Publish one event; done when the log has it on disk
    Publish(Box<Publish>),
}

/// One event, from one of three places.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// A JSON file: a CloudEvent (structured), or an Event as `auspex demo --serve` writes them; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_git", "kind", "project"])]
    file: Option<PathBuf>,
    /// Read a change from a git checkout, with everything that only a checkout can tell
    #[arg(long, conflicts_with = "kind")]
    from_git: bool,
    /// The checkout
    #[arg(long, value_name = "DIR", default_value = ".", requires = "from_git")]
    repo: PathBuf,
    /// What the change is against, when it is more than one commit
    #[arg(long, value_name = "REVISION", requires = "from_git")]
    base: Option<String>,
    /// Whose it is; with --from-git the default is owner/name of the remote `origin`
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    compose: Compose,
}

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let Self::Publish(publish) = self;
        if let Some(file) = &publish.file {
            return publish_file(file, reach).await;
        }
        if !publish.from_git && publish.compose.kind.is_none() {
            return Err(Fault::invalid("one of --file, --from-git and --kind is needed"));
        }
        let event = if publish.from_git {
            publish.checkout()?
        } else {
            publish.compose.event(publish.project.as_deref())?
        };
        send(&event, reach).await
    }
}

impl Publish {
    fn checkout(&self) -> Result<Event, Fault> {
        let ask = git::Ask {
            folder: &self.repo,
            revision: self.compose.revision.as_deref().unwrap_or("HEAD"),
            base: self.base.as_deref(),
            limits: git::Limits::default(),
        };
        let found = git::read(&ask).map_err(Fault::failed)?;
        for note in &found.notes {
            eprintln!("auspex: {note}");
        }
        let Some(project) = self.project.clone().or_else(|| found.repository.clone()) else {
            return Err(Fault::invalid(
                "--project: is needed, the checkout has no remote `origin` that names one",
            ));
        };
        Ok(found.event(Project::new(project)?))
    }
}

async fn publish_file(file: &Path, reach: &Reach) -> Result<(), Fault> {
    let text = super::read(file)?;
    let invalid = |fault: serde_json::Error| Fault::invalid(format!("{}: {fault}", file.display()));
    let document: serde_json::Value = serde_json::from_str(&text).map_err(invalid)?;
    if document.get("specversion").is_some() {
        return post(text, reach).await;
    }
    let event: Event = serde_json::from_value(document).map_err(invalid)?;
    send(&event, reach).await
}

/// A CloudEvent goes in by the door for CloudEvents: the server knows which project its source belongs to.
async fn post(body: String, reach: &Reach) -> Result<(), Fault> {
    let (client, address) = reach.http()?;
    let mut request = client
        .post(format!("{address}/events"))
        .header("content-type", "application/cloudevents+json")
        .body(body);
    if let Some(token) = reach.token.as_ref().filter(|token| !token.is_empty()) {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(|fault| reach.away(&fault))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    match status.as_u16() {
        200..=299 => print::line(&format!("accepted: {}", text.trim())),
        400 | 413 | 415 | 422 => Err(Fault::invalid(said(&text))),
        _ => Err(Fault::failed(format!("{status}: {}", said(&text)))),
    }
}

/// What a door says is wrong: the sentence in its JSON, or all of it.
fn said(text: &str) -> String {
    let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let sentence = document
        .as_ref()
        .and_then(|document| document.get("error"))
        .and_then(|error| error.as_str());
    sentence.unwrap_or(text.trim()).to_owned()
}

async fn send(event: &Event, reach: &Reach) -> Result<(), Fault> {
    let mut client = EventServiceClient::new(reach.open().await?);
    let fact = publish_request::Fact::Event(event.to_wire());
    let answer = client
        .publish(PublishRequest {
            number: 1,
            fact: Some(fact),
        })
        .await?
        .into_inner();
    if !answer.refused.is_empty() {
        return Err(Fault::invalid(answer.refused));
    }
    let known = if answer.duplicate {
        ", where it was already"
    } else {
        ""
    };
    let (kind, project) = (event.body.kind(), &event.meta.project);
    print::line(&format!(
        "{kind} of {project}: in the log at {}{known}, as {}",
        answer.sequence, answer.id
    ))
}
