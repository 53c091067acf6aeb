//! Experiments: begun and ended by people at the door, decided by outcomes in between.
//!
//! A round sums what every project has counted and asks whether the experiment is over; that may be asked as often as one likes.
//! What is decided is done as a person would do it, with the experiment as the one who did.

use std::time::Duration;

use auspex_chassis::{Document, Group, House, View};
use auspex_proto::alert::{Kind, Severity, Status as AlertStatus};
use auspex_proto::wire::experiments_server::{Experiments, ExperimentsServer};
use auspex_proto::wire::{
    self, ExperimentReason, ExperimentState, ListExperimentsRequest, ListExperimentsResponse,
    StartExperimentRequest, StopExperimentRequest,
};
use auspex_proto::{Alert, Fact, FactId, Meta, Project, Timestamp, stage};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use crate::catalog::trial::{Counted, Ruling, Standing, Why, rule};
use crate::catalog::{Cause, Gift, Head, Refusal};
use crate::config::ExperimentConfig;
use crate::feedback::state::State;
use crate::gate::Gate;
use crate::query::status;
use crate::shelf::Fault;

/// How often outcomes are summed.
const ROUND: Duration = Duration::from_secs(2);

/// An experiment, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Experiment {
    pub name: String,
    pub model: String,
    pub champion: u64,
    pub challenger: u64,
    pub percent: u8,
    /// `None`: it runs.
    pub ended: Option<Ended>,
    pub started: Timestamp,
    pub actor: String,
    pub note: String,
}

/// How an experiment ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Whether the challenger became champion.
    pub promoted: bool,
    /// Why.
    pub why: Why,
    /// The same with its numbers.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// What was counted.
    pub counted: Counted,
}

/// Begins, decides and ends experiments; cheap to clone.
#[derive(Debug, Clone)]
pub struct Trials {
    gate: Gate,
    house: House,
    view: View<State>,
    config: ExperimentConfig,
}

impl Trials {
    /// Over this registry and these outcomes.
    #[must_use]
    pub fn new(gate: Gate, house: &House, view: View<State>, config: ExperimentConfig) -> Self {
        Self {
            gate,
            house: house.clone(),
            view,
            config,
        }
    }

    /// The door.
    #[must_use]
    pub fn server(&self) -> ExperimentsServer<Self> {
        ExperimentsServer::new(self.clone())
    }

    /// Decides, round by round.
    pub fn start(&self) {
        let trials = self.clone();
        self.house
            .spawn("experiments", Group::Work, move |stop| async move {
                let mut rounds = tokio::time::interval(ROUND);
                loop {
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        _ = rounds.tick() => {}
                    }
                    if let Err(fault) = trials.round().await {
                        tracing::debug!(%fault, "experiments could not be looked at");
                    }
                }
            });
    }

    async fn all(&self) -> Result<Vec<Experiment>, Fault> {
        let found: Vec<Document<Experiment>> = self.gate.shelf().ledger().list(&["experiment"]).await?;
        let mut all: Vec<Experiment> = found.into_iter().map(|entry| entry.document).collect();
        all.sort_by_key(|e| std::cmp::Reverse((e.started, e.name.clone())));
        Ok(all)
    }

    /// What all projects have counted of an experiment.
    async fn counted(&self, experiment: &Experiment) -> Result<Counted, Fault> {
        if let Some(ended) = &experiment.ended {
            return Ok(ended.counted.clone());
        }
        let mut sum = Counted {
            pair: (
                format!("{}@{}", experiment.model, experiment.champion),
                format!("{}@{}", experiment.model, experiment.challenger),
            ),
            ..Counted::default()
        };
        for (_, kept) in self.view.list().await? {
            if let Some(own) = kept.state.experiments.get(&experiment.name) {
                sum.merge(own);
            }
        }
        Ok(sum)
    }

    async fn round(&self) -> Result<(), Fault> {
        for experiment in self.all().await?.into_iter().filter(|e| e.ended.is_none()) {
            let head = self.gate.shelf().head(&experiment.model).await?;
            let counted = self.counted(&experiment).await?;
            let ruling = if stands(&head, &experiment) {
                rule(&counted, &self.config)
            } else {
                Ruling {
                    standing: Standing::Return,
                    why: Why::Superseded,
                    text: "another version became champion or challenger meanwhile".to_owned(),
                }
            };
            if ruling.standing != Standing::Running {
                self.end(&experiment, ruling, counted, "").await?;
            }
        }
        Ok(())
    }

    /// Carries a ruling out, then notes it: a crash between the two finds the experiment superseded, or ends it again alike.
    async fn end(
        &self,
        experiment: &Experiment,
        mut ruling: Ruling,
        counted: Counted,
        by: &str,
    ) -> Result<Experiment, Fault> {
        let actor = if by.is_empty() {
            format!("experiment {}", experiment.name)
        } else {
            by.to_owned()
        };
        if ruling.standing == Standing::Promote {
            let gift = Gift {
                alias: "champion".to_owned(),
                version: experiment.challenger,
                percent: 0,
                experiment: String::new(),
                actor: actor.clone(),
                note: ruling.text.clone(),
                cause: Cause::ExperimentPromoted,
            };
            match self.gate.give(&experiment.model, &gift).await {
                Ok(_) => {}
                Err(Fault::Refused(refusal)) => {
                    ruling = Ruling {
                        standing: Standing::Return,
                        why: Why::Refused,
                        text: refusal.to_string(),
                    };
                }
                Err(fault) => return Err(fault),
            }
        }
        let now = self.gate.now();
        if ruling.standing == Standing::Return {
            let (name, own) = (&experiment.model, &experiment.name);
            self.gate
                .shelf()
                .change(name, now, |head| {
                    if head
                        .aliases
                        .get("challenger")
                        .is_some_and(|alias| alias.experiment == *own)
                    {
                        head.take(
                            "challenger",
                            (&actor, &ruling.text),
                            Cause::ExperimentReturned,
                            now,
                        );
                    }
                    Ok(())
                })
                .await?;
        }
        let ended = Ended {
            promoted: ruling.standing == Standing::Promote,
            why: ruling.why,
            text: ruling.text,
            at: now,
            counted,
        };
        let key = ["experiment", &experiment.name];
        let change = |kept: &mut Experiment| {
            kept.ended.get_or_insert_with(|| ended.clone());
            Ok(())
        };
        let kept = self.gate.shelf().alter(&key, change).await?;
        self.tell(&kept).await;
        Ok(kept)
    }

    /// A notice for people.
    async fn tell(&self, experiment: &Experiment) {
        let Some(ended) = &experiment.ended else { return };
        let (name, challenger, champion) = (&experiment.model, experiment.challenger, experiment.champion);
        let title = if ended.promoted {
            format!("Model {name}@{challenger} is champion: it predicts better than {name}@{champion}")
        } else {
            format!("Model {name}@{challenger} is returned: {name}@{champion} stays champion")
        };
        let project = Project::new("auspex").and_then(|project| {
            Ok(Meta {
                id: FactId::new(format!("experiment:{}", experiment.name))?,
                project,
                time: ended.at,
                cause: 0,
                source: stage::REGISTRY.name.to_owned(),
            })
        });
        let Ok(meta) = project else { return };
        let alert = Alert {
            meta,
            kind: Kind::Model,
            severity: Severity::Info,
            status: AlertStatus::Notice,
            dedup_key: format!("auspex-experiment-{name}").chars().take(255).collect(),
            title,
            text: ended.text.clone(),
            service: None,
            rollout: String::new(),
            causes: Vec::new(),
            facts: vec![("experiment".to_owned(), experiment.name.clone())],
            receivers: Vec::new(),
        };
        if let Err(fault) = self.house.bus().publish(&Fact::Alert(alert)).await {
            tracing::warn!(%fault, "the notice about an experiment is not on the log");
        }
    }

    async fn begin(&self, asked: StartExperimentRequest) -> Result<Experiment, Fault> {
        let head = self.gate.shelf().head(&asked.model).await?;
        if let Some(running) = self
            .all()
            .await?
            .iter()
            .find(|e| e.ended.is_none() && e.model == asked.model)
        {
            let text = format!(
                "{} is being tried in {}; stop that first",
                asked.model, running.name
            );
            return Err(Refusal::Unmet(text).into());
        }
        let champion = head.aliases.get("champion").map(|alias| alias.version);
        let champion = champion.ok_or_else(|| Refusal::Unmet(format!("{} has no champion", asked.model)))?;
        let challenger = head.resolve(&asked.challenger)?;
        if challenger == champion {
            return Err(Refusal::Invalid(format!("challenger: {challenger} is champion already")).into());
        }
        let now = self.gate.now();
        let experiment = Experiment {
            name: format!("{}-{challenger}-against-{champion}-{}", asked.model, now.0),
            model: asked.model.clone(),
            champion,
            challenger,
            percent: u8::try_from(asked.percent).unwrap_or(u8::MAX),
            ended: None,
            started: now,
            actor: asked.actor.clone(),
            note: asked.note.clone(),
        };
        let gift = Gift {
            alias: "challenger".to_owned(),
            version: challenger,
            percent: experiment.percent,
            experiment: experiment.name.clone(),
            actor: asked.actor,
            note: asked.note,
            cause: Cause::ExperimentStarted,
        };
        self.gate.give(&asked.model, &gift).await?;
        self.gate
            .shelf()
            .ledger()
            .create(&["experiment", &experiment.name], &experiment)
            .await?;
        Ok(experiment)
    }

    async fn shown(&self, experiment: Experiment) -> Result<wire::Experiment, Fault> {
        let counted = self.counted(&experiment).await?;
        let now = rule(&counted, &self.config);
        let (loss, cost) = (counted.log_loss.evidence(), counted.cost.evidence());
        let (state, why, text) = match &experiment.ended {
            None => (ExperimentState::Running, now.why, now.text),
            Some(ended) if ended.promoted => (ExperimentState::Promoted, ended.why, ended.text.clone()),
            Some(ended) => (ExperimentState::Returned, ended.why, ended.text.clone()),
        };
        Ok(wire::Experiment {
            state: state.into(),
            reason: reason(why).into(),
            text,
            started_ms: experiment.started.0,
            ended_ms: experiment.ended.as_ref().map_or(0, |ended| ended.at.0),
            outcomes: loss.samples,
            log_e_better: loss.log_e_better,
            log_e_worse: loss.log_e_worse,
            log_e_cost_worse: cost.log_e_worse,
            log_e_cost_no_worse: counted.cost_within.evidence().log_e_better,
            log_loss_gain: loss.gain,
            cost_gain: cost.gain,
            alpha: self.config.alpha,
            beta: self.config.beta,
            name: experiment.name,
            model: experiment.model,
            champion: experiment.champion,
            challenger: experiment.challenger,
            percent: u32::from(experiment.percent),
            actor: experiment.actor,
            note: experiment.note,
        })
    }
}

/// Whether champion and challenger are still the two that are compared.
fn stands(head: &Head, experiment: &Experiment) -> bool {
    let champion = head.aliases.get("champion").map(|alias| alias.version);
    let challenger = head.aliases.get("challenger");
    champion == Some(experiment.champion)
        && challenger.is_some_and(|a| a.version == experiment.challenger && a.experiment == experiment.name)
}

fn reason(why: Why) -> ExperimentReason {
    match why {
        Why::StillWatching => ExperimentReason::StillWatching,
        Why::TooFewOutcomes => ExperimentReason::TooFewOutcomes,
        Why::Better => ExperimentReason::Better,
        Why::WorseLogLoss => ExperimentReason::WorseLogLoss,
        Why::WorseCost => ExperimentReason::WorseCost,
        Why::NoDifference => ExperimentReason::NoDifference,
        Why::Stopped => ExperimentReason::Stopped,
        Why::Superseded => ExperimentReason::Superseded,
        Why::Refused => ExperimentReason::Refused,
    }
}

#[tonic::async_trait]
impl Experiments for Trials {
    async fn start(
        &self,
        request: Request<StartExperimentRequest>,
    ) -> Result<Response<wire::Experiment>, Status> {
        let begun = self.begin(request.into_inner()).await.map_err(status)?;
        self.shown(begun).await.map(Response::new).map_err(status)
    }

    async fn stop(
        &self,
        request: Request<StopExperimentRequest>,
    ) -> Result<Response<wire::Experiment>, Status> {
        let asked = request.into_inner();
        let all = self.all().await.map_err(status)?;
        let found = all
            .into_iter()
            .find(|e| e.name == asked.name || (e.model == asked.name && e.ended.is_none()));
        let found =
            found.ok_or_else(|| Status::not_found(format!("there is no experiment {}", asked.name)))?;
        if found.ended.is_some() {
            return Err(Status::failed_precondition(format!(
                "{} has ended already",
                found.name
            )));
        }
        let counted = self.counted(&found).await.map_err(status)?;
        let ruling = Ruling {
            standing: Standing::Return,
            why: Why::Stopped,
            text: if asked.note.is_empty() {
                "stopped".to_owned()
            } else {
                asked.note
            },
        };
        let ended = self
            .end(&found, ruling, counted, &asked.actor)
            .await
            .map_err(status)?;
        self.shown(ended).await.map(Response::new).map_err(status)
    }

    async fn list(
        &self,
        request: Request<ListExperimentsRequest>,
    ) -> Result<Response<ListExperimentsResponse>, Status> {
        let model = request.into_inner().model;
        let all = self.all().await.map_err(status)?;
        let mut experiments = Vec::new();
        for one in all.into_iter().filter(|e| model.is_empty() || e.model == model) {
            experiments.push(self.shown(one).await.map_err(status)?);
        }
        Ok(Response::new(ListExperimentsResponse { experiments }))
    }
}
