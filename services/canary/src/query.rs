//! `RolloutService`: answers from the saved states. What is asked for becomes a `Command` on the log; nothing is decided here.

mod gate;
mod history;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auspex_chassis::serve::Caller;
use auspex_chassis::{House, Kept, PublishError, View};
use auspex_proto::command::Ask;
use auspex_proto::wire::rollout_service_server::RolloutService;
use auspex_proto::wire::{
    CommandRolloutRequest, CommandRolloutResponse, GetRolloutRequest, ListRolloutsRequest,
    ListRolloutsResponse, RolloutView, StartRolloutRequest,
};
use auspex_proto::{Command, Fact, FactId, FactKind, Invalid, Meta, Project, RolloutName, wire};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::decide::undone;
use crate::document::Document;
use crate::state::State;
use crate::view;

/// How long an answer waits for its command to be absorbed.
const ABSORBED_WITHIN: Duration = Duration::from_secs(5);
/// Longest name that a caller gives himself beside the one that his token proves, in characters.
const LONGEST_CLAIM: usize = 64;
/// How often a watched rollout is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Answers questions about rollouts.
#[derive(Debug, Clone)]
pub struct Answers {
    house: House,
    view: View<State>,
    asked: Arc<AtomicU64>,
    closing: watch::Receiver<bool>,
}

impl Answers {
    /// Answers from this view; watches end when `closing` says so.
    #[must_use]
    pub fn new(house: House, view: View<State>, closing: watch::Receiver<bool>) -> Self {
        Self {
            house,
            view,
            asked: Arc::new(AtomicU64::new(0)),
            closing,
        }
    }

    /// A head of our own for what came without one.
    fn meta(&self, project: Project) -> Meta {
        let source = format!("canary/{}", self.house.instance());
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let now = self.house.now();
        Meta {
            id: FactId::outside(&source, &format!("{now}/{number}")),
            project,
            time: now,
            cause: 0,
            source,
        }
    }

    /// The project in which the one rollout of this name is, when the asker does not say.
    async fn project_of(&self, project: &str, name: &RolloutName) -> Result<Project, Status> {
        if !project.is_empty() {
            return Project::new(project).map_err(|fault| invalid(fault.at("project")));
        }
        let mut found = Vec::new();
        for (key, kept) in self.view.list().await.map_err(away)? {
            let project = Project::new(key).map_err(invalid)?;
            if view::named(&kept.state, &project, name, kept.seq).is_some() {
                found.push(project);
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(project), true) => Ok(project),
            (Some(last), false) => {
                let names: Vec<&str> = found.iter().chain([&last]).map(Project::as_str).collect();
                let names = names.join(", ");
                Err(Status::failed_precondition(format!(
                    "rollout {name} is in several projects, name one with --project: {names}"
                )))
            }
            (None, _) => Err(Status::not_found(format!("no rollout is called {name}"))),
        }
    }

    async fn look(&self, project: &Project, name: &RolloutName) -> Result<RolloutView, Status> {
        let kept = self.view.get(project, project.as_str()).await.map_err(away)?;
        kept.and_then(|kept| view::named(&kept.state, project, name, kept.seq))
            .ok_or_else(|| Status::not_found(format!("no rollout of {project} is called {name}")))
    }

    /// Publishes a command, waits until it is absorbed, and answers what became of it.
    async fn carry_out(&self, command: Command) -> Result<Response<CommandRolloutResponse>, Status> {
        let (id, project) = (command.meta.id.clone(), command.meta.project.clone());
        let name = match command.ask {
            Ask::Undo => undone(&command.rollout).map_err(invalid)?,
            _ => command.rollout.clone(),
        };
        let receipt = self
            .house
            .bus()
            .publish(&Fact::Command(command))
            .await
            .map_err(unpublished)?;
        let kept: Option<Kept<State>> = self
            .view
            .at_least(&project, project.as_str(), receipt.sequence, ABSORBED_WITHIN)
            .await
            .map_err(away)?;
        let Some(kept) = kept else {
            let sequence = receipt.sequence;
            let text = format!(
                "the command is on the log as {sequence}, and was not absorbed within 5 s; it will be"
            );
            return Err(Status::deadline_exceeded(text));
        };
        let answer = kept
            .state
            .answers
            .iter()
            .rev()
            .find(|answer| answer.command == id);
        Ok(Response::new(CommandRolloutResponse {
            sequence: receipt.sequence,
            rollout: view::named(&kept.state, &project, &name, kept.seq),
            refused: answer.map(|answer| answer.refused.clone()).unwrap_or_default(),
        }))
    }
}

#[tonic::async_trait]
impl RolloutService for Answers {
    type WatchStream = ReceiverStream<Result<RolloutView, Status>>;

    async fn start(
        &self,
        request: Request<StartRolloutRequest>,
    ) -> Result<Response<CommandRolloutResponse>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let asked = request.into_inner();
        let document =
            Document::parse(&asked.document).map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let project = match (asked.project.as_str(), document.metadata.project.as_deref()) {
            ("", None) => {
                return Err(Status::invalid_argument(
                    "metadata.project: neither document nor request names a project: write it there, or give --project",
                ));
            }
            ("", Some(project)) | (project, None) => project,
            (asked, Some(wanted)) if asked != wanted => {
                let text = format!("the document is of project {wanted}, the request of {asked}");
                return Err(Status::invalid_argument(text));
            }
            (project, Some(_)) => project,
        };
        let project = Project::new(project).map_err(|fault| invalid(fault.at("project")))?;
        let command = Command {
            rollout: RolloutName::new(document.metadata.name)
                .map_err(|fault| invalid(fault.at("document.metadata.name")))?,
            meta: self.meta(project),
            actor: actor(asked.actor, caller.as_ref()),
            note: String::new(),
            ask: Ask::Start {
                document: asked.document,
            },
        };
        self.carry_out(command).await
    }

    async fn command(
        &self,
        request: Request<CommandRolloutRequest>,
    ) -> Result<Response<CommandRolloutResponse>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let mut asked = request.into_inner().command.unwrap_or_default();
        asked.actor = actor(asked.actor, caller.as_ref());
        let given = asked.meta.take().unwrap_or_default();
        let name =
            RolloutName::new(asked.rollout.as_str()).map_err(|fault| invalid(fault.at("command.rollout")))?;
        let project = self.project_of(&given.project, &name).await?;
        let mut meta = self.meta(project);
        // An id of the asker's own makes a repeated request the same command.
        if !given.id.is_empty() {
            meta.id = FactId::new(given.id).map_err(|fault| invalid(fault.at("command.meta.id")))?;
        }
        asked.meta = meta.to_wire();
        if let Some(wire::command::Ask::Start(start)) = &asked.ask {
            Document::parse(&start.document).map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        }
        if let Some(wire::command::Ask::Report(_)) = &asked.ask {
            return Err(Status::permission_denied(
                "command.report: what became of a check is for control alone to say",
            ));
        }
        let bytes = prost::Message::encode_to_vec(&asked);
        match Fact::decode(FactKind::Command, &bytes).map_err(invalid)? {
            Fact::Command(command) => self.carry_out(command).await,
            _ => Err(Status::internal("a command is no command")),
        }
    }

    async fn list(
        &self,
        request: Request<ListRolloutsRequest>,
    ) -> Result<Response<ListRolloutsResponse>, Status> {
        let wanted = request.into_inner().project;
        let mut rollouts = Vec::new();
        for (key, kept) in self.view.list().await.map_err(away)? {
            if wanted.is_empty() || wanted == key {
                let project = Project::new(key).map_err(invalid)?;
                rollouts.extend(view::all(&kept.state, &project, kept.seq));
            }
        }
        Ok(Response::new(ListRolloutsResponse { rollouts }))
    }

    async fn get(&self, request: Request<GetRolloutRequest>) -> Result<Response<RolloutView>, Status> {
        let asked = request.into_inner();
        let name = RolloutName::new(asked.name).map_err(|fault| invalid(fault.at("name")))?;
        let project = self.project_of(&asked.project, &name).await?;
        self.look(&project, &name).await.map(Response::new)
    }

    async fn history(
        &self,
        request: Request<wire::HistoryRequest>,
    ) -> Result<Response<wire::HistoryResponse>, Status> {
        let asked = request.into_inner();
        let name = RolloutName::new(asked.name).map_err(|fault| invalid(fault.at("name")))?;
        let project = self.project_of(&asked.project, &name).await?;
        let entries = history::of(&self.house, &project, &name, asked.limit)
            .await
            .map_err(away)?;
        Ok(Response::new(wire::HistoryResponse { entries }))
    }

    async fn gate(&self, request: Request<wire::GateRequest>) -> Result<Response<wire::GateAnswer>, Status> {
        let asked = request.into_inner();
        let found = if asked.name.is_empty() {
            self.of_service(&asked).await?
        } else {
            let name = RolloutName::new(asked.name.as_str()).map_err(|fault| invalid(fault.at("name")))?;
            let project = self.project_of(&asked.project, &name).await?;
            self.look(&project, &name).await?
        };
        Ok(Response::new(gate::answer(&asked, found)))
    }

    async fn watch(
        &self,
        request: Request<GetRolloutRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked = request.into_inner();
        let name = RolloutName::new(asked.name).map_err(|fault| invalid(fault.at("name")))?;
        let project = self.project_of(&asked.project, &name).await?;
        let first = self.look(&project, &name).await?;
        let (sender, receiver) = mpsc::channel(8);
        tokio::spawn(self.clone().show(project, name, first, sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Answers {
    /// The newest rollout of a service, one under way before those that are over.
    async fn of_service(&self, asked: &wire::GateRequest) -> Result<RolloutView, Status> {
        if asked.service.is_empty() {
            return Err(Status::invalid_argument(
                "name: is empty, and so is service: one of them says which rollout",
            ));
        }
        let mut found = Vec::new();
        for (key, kept) in self.view.list().await.map_err(away)? {
            if asked.project.is_empty() || asked.project == key {
                let project = Project::new(key).map_err(invalid)?;
                let views = view::all(&kept.state, &project, kept.seq);
                found.extend(views.into_iter().filter(|view| view.service == asked.service));
            }
        }
        found.sort_by_key(|view| (view.ended_ms != 0, std::cmp::Reverse(view.started_ms)));
        let fits =
            |view: &RolloutView| asked.revision.is_empty() || view.candidate_revision == asked.revision;
        found.into_iter().find(fits).ok_or_else(|| {
            let (service, revision) = (&asked.service, &asked.revision);
            Status::not_found(format!("no rollout of service {service} {revision}"))
        })
    }

    /// Shows a rollout until nobody looks any more, or the house closes. A bus that is away for a moment ends nothing.
    async fn show(
        mut self,
        project: Project,
        name: RolloutName,
        first: RolloutView,
        sender: mpsc::Sender<Result<RolloutView, Status>>,
    ) {
        let mut shown = first.clone();
        let mut next = Some(first);
        loop {
            if let Some(view) = next.take()
                && sender.send(Ok(view)).await.is_err()
            {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                _ = self.closing.wait_for(|closing| *closing) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Ok(view) = self.look(&project, &name).await
                && differs(&shown, &view)
            {
                shown.clone_from(&view);
                next = Some(view);
            }
        }
    }
}

/// Whether there is something new to see; a sequence alone is not.
fn differs(shown: &RolloutView, view: &RolloutView) -> bool {
    let absorbed_seq = view.absorbed_seq;
    RolloutView {
        absorbed_seq,
        ..shown.clone()
    } != *view
}

/// Who asks, as it is kept: what the caller says, and where tokens are configured the name of the token that proves it.
fn actor(said: String, caller: Option<&Caller>) -> String {
    match caller {
        None => said,
        Some(Caller(name)) if said.is_empty() || said == *name => name.clone(),
        Some(Caller(name)) => format!(
            "{} via {name}",
            said.chars().take(LONGEST_CLAIM).collect::<String>()
        ),
    }
}

fn invalid(fault: Invalid) -> Status {
    Status::invalid_argument(fault.to_string())
}

fn away(fault: anyhow::Error) -> Status {
    Status::unavailable(format!("{fault:#}"))
}

fn unpublished(fault: PublishError) -> Status {
    match fault {
        PublishError::Full(_) => Status::resource_exhausted(fault.to_string()),
        PublishError::TooLarge { .. } => Status::invalid_argument(fault.to_string()),
        _ => Status::unavailable(fault.to_string()),
    }
}
