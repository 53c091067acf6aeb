//! `auspex rollout`: start, watch and steer.

use std::path::PathBuf;

use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use auspex_proto::wire::{
    Abort, Approve, Command, CommandRolloutRequest, CommandRolloutResponse, GateRequest, GateVerdict,
    GetRolloutRequest, HistoryRequest, ListRolloutsRequest, Meta, Pause, Promote, Resume, Retry,
    StartRolloutRequest, Undo, command,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::reach::{Line, Reach};
use super::{Output, audit, id, print, view};
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Start one from a Rollout document
    Start {
        /// The document (YAML), or Argo Rollouts' documents: several in a file, several files; - is standard input
        #[arg(short, long = "file", value_name = "FILE", num_args = 1.., required = true)]
        files: Vec<PathBuf>,
        /// Whether Argo's quirks are kept, for its documents
        #[arg(long, value_enum, default_value_t)]
        analysis: super::analysis::Kept,
        /// Its project, when the document does not say
        #[arg(long)]
        project: Option<String>,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// All of them, or those of a project
    List {
        /// Whose; default: all
        #[arg(long)]
        project: Option<String>,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// One of them, with its evidence
    Get {
        #[command(flatten)]
        one: One,
        /// Go on until it is over
        #[arg(long)]
        watch: bool,
    },
    /// Who and what decided, with which evidence: from the log, oldest first
    History {
        #[command(flatten)]
        one: One,
        /// The newest so many; 0: 200
        #[arg(long, default_value_t = 0)]
        limit: u32,
    },
    /// May another controller go on? Exit code 0: yes; 2: not yet; 1: no
    Gate {
        #[command(flatten)]
        one: One,
        /// The weight that the other controller wants to set, 0 to 100
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
        weight: u32,
    },
    /// Hold it where it is
    Pause(Order),
    /// Let it go on
    Resume(Order),
    /// Go past the current hold, or at once to 100 %
    Promote {
        #[command(flatten)]
        order: Order,
        /// To 100 %, whatever the policy still wants
        #[arg(long)]
        full: bool,
    },
    /// Back to stable
    Abort(Order),
    /// Begin again what was rolled back, by the same document
    Retry(Order),
    /// Let a gate pass
    Approve {
        #[command(flatten)]
        order: Order,
        /// Which; default: the one that waits
        #[arg(long, default_value = "")]
        gate: String,
        /// The change ticket
        #[arg(long, default_value = "")]
        ticket: String,
    },
    /// Back to what served before a promotion, as a rollout of its own
    Undo(Order),
}

/// Which rollout, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its name
    name: String,
    /// Its project, when several have one of that name
    #[arg(long)]
    project: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What is asked of a rollout.
#[derive(Debug, Args)]
pub(crate) struct Order {
    #[command(flatten)]
    one: One,
    /// Why, for those who read the history
    #[arg(long, default_value = "")]
    note: String,
}

type Client = RolloutServiceClient<Line>;

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        match self {
            Self::Start {
                files,
                analysis,
                project,
                output,
            } => {
                let documents = super::start::documents(&files, analysis)?;
                let project = project.unwrap_or(documents.project);
                let line = reach.open().await?;
                for plan in documents.plans {
                    super::start::put(&line, &project, plan).await?;
                }
                let mut client = Client::new(line);
                for document in documents.rollouts {
                    let request = StartRolloutRequest {
                        project: project.clone(),
                        document,
                        actor: id::person(),
                    };
                    answered(client.start(request).await?.into_inner(), output)?;
                }
                Ok(())
            }
            Self::List { project, output } => {
                let mut client = Client::new(reach.open().await?);
                let project = project.unwrap_or_default();
                let request = ListRolloutsRequest {
                    project: project.clone(),
                };
                let views = client.list(request).await?.into_inner().rollouts;
                match output {
                    Output::Text if views.is_empty() && !project.is_empty() => {
                        print::line(&format!("there are no rollouts of {project}"))
                    }
                    Output::Text => print::text(&view::list(&views)),
                    Output::Json => {
                        print::json(&Value::from(views.iter().map(view::document).collect::<Vec<_>>()))
                    }
                }
            }
            Self::Get { one, watch } => one.get(Client::new(reach.open().await?), watch).await,
            Self::Pause(order) => order.give(reach, command::Ask::Pause(Pause {})).await,
            Self::Resume(order) => order.give(reach, command::Ask::Resume(Resume {})).await,
            Self::Promote { order, full } => order.give(reach, command::Ask::Promote(Promote { full })).await,
            Self::Abort(order) => order.give(reach, command::Ask::Abort(Abort {})).await,
            Self::Retry(order) => order.give(reach, command::Ask::Retry(Retry {})).await,
            Self::Approve { order, gate, ticket } => {
                let ask = command::Ask::Approve(Approve { gate, ticket });
                order.give(reach, ask).await
            }
            Self::Undo(order) => order.give(reach, command::Ask::Undo(Undo {})).await,
            Self::History { one, limit } => one.history(Client::new(reach.open().await?), limit).await,
            Self::Gate { one, weight } => one.gate(Client::new(reach.open().await?), weight).await,
        }
    }
}

impl One {
    fn request(&self) -> GetRolloutRequest {
        GetRolloutRequest {
            project: self.project.clone().unwrap_or_default(),
            name: self.name.clone(),
        }
    }

    async fn get(&self, mut client: Client, watch: bool) -> Result<(), Fault> {
        if !watch {
            let found = client.get(self.request()).await?.into_inner();
            return match self.output {
                Output::Text => print::text(&view::text(&found)),
                Output::Json => print::json(&view::document(&found)),
            };
        }
        let mut views = client.watch(self.request()).await?.into_inner();
        while let Some(found) = views.message().await? {
            match self.output {
                Output::Text => print::line(&view::line(&found))?,
                Output::Json => print::line(&view::document(&found).to_string())?,
            }
            if view::is_over(found.phase) {
                return Ok(());
            }
        }
        Err(Fault::failed(
            "the server stopped telling before the rollout was over",
        ))
    }
}

impl One {
    async fn history(&self, mut client: Client, limit: u32) -> Result<(), Fault> {
        let request = HistoryRequest {
            project: self.project.clone().unwrap_or_default(),
            name: self.name.clone(),
            limit,
        };
        let entries = client.history(request).await?.into_inner().entries;
        match self.output {
            Output::Text => print::text(&audit::text(&entries)),
            Output::Json => print::json(&Value::from(
                entries.iter().map(audit::document).collect::<Vec<_>>(),
            )),
        }
    }

    async fn gate(&self, mut client: Client, weight: u32) -> Result<(), Fault> {
        let request = GateRequest {
            project: self.project.clone().unwrap_or_default(),
            name: self.name.clone(),
            weight,
            ..GateRequest::default()
        };
        let answer = client.gate(request).await?.into_inner();
        let verdict = match answer.verdict() {
            GateVerdict::Pass => "pass",
            GateVerdict::Fail => "fail",
            GateVerdict::Wait | GateVerdict::Unspecified => "wait",
        };
        match self.output {
            Output::Text => print::line(&format!("{verdict}: {}", answer.text))?,
            Output::Json => print::json(&json!({
                "verdict": verdict, "reason": view::reason(answer.reason), "text": answer.text, "weight": answer.weight,
                "prior": answer.prior, "posterior": answer.posterior,
            }))?,
        }
        match verdict {
            "pass" => Ok(()),
            "wait" => Err(Fault::invalid("not yet")),
            _ => Err(Fault::failed("no")),
        }
    }
}

impl Order {
    async fn give(&self, reach: &Reach, ask: command::Ask) -> Result<(), Fault> {
        let mut client = Client::new(reach.open().await?);
        let one = &self.one;
        let command = Command {
            meta: Some(Meta {
                id: format!("cli-{}", id::random_hex(16)?),
                // Empty: the server finds the one rollout of that name.
                project: one.project.clone().unwrap_or_default(),
                time_ms: id::now_ms(),
                cause_seq: 0,
                source: "cli".to_owned(),
            }),
            rollout: one.name.clone(),
            actor: id::person(),
            note: self.note.clone(),
            ask: Some(ask),
        };
        let request = CommandRolloutRequest {
            command: Some(command),
        };
        answered(client.command(request).await?.into_inner(), one.output)
    }
}

fn answered(answer: CommandRolloutResponse, output: Output) -> Result<(), Fault> {
    if !answer.refused.is_empty() {
        return Err(Fault::failed(answer.refused));
    }
    match (answer.rollout, output) {
        (Some(rollout), Output::Text) => print::text(&view::text(&rollout)),
        (Some(rollout), Output::Json) => print::json(&view::document(&rollout)),
        // It is in the log; whoever owns the rollout has not absorbed it yet.
        (None, Output::Text) => print::line(&format!("accepted at {}, not absorbed yet", answer.sequence)),
        (None, Output::Json) => print::json(&json!({"accepted": answer.sequence, "absorbed": false})),
    }
}
