//! Experiments: begun and ended by people at the door, decided by outcomes in between.
//!
//! A round sums what every project has counted and asks whether the experiment is over; that may be asked as often as one likes.
//! What is decided is done as a person would do it, with the experiment as the one who did.

mod door;

use std::time::Duration;

use auspex_chassis::{Document, Group, House, View};
use auspex_proto::alert::{Kind, Severity, Status as AlertStatus};
use auspex_proto::wire::StartExperimentRequest;
use auspex_proto::wire::experiments_server::ExperimentsServer;
use auspex_proto::{Alert, Fact, FactId, Meta, Project, Timestamp, stage};
use serde::{Deserialize, Serialize};

use crate::catalog::trial::{Counted, Ruling, Standing, Why, rule};
use crate::catalog::{Cause, Gift, Head, Refusal};
use crate::config::ExperimentConfig;
use crate::feedback::state::State;
use crate::gate::Gate;
use crate::query::share;
use crate::shelf::Fault;

/// How often outcomes are summed.
const ROUND: Duration = Duration::from_secs(2);
/// How long an experiment may be between its two documents, in milliseconds.
const GRACE_MS: i64 = 30_000;

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
            if stands(&head, &experiment) {
                let ruling = rule(&counted, &self.config);
                if ruling.standing != Standing::Running {
                    self.end(&experiment, ruling, counted, "").await?;
                }
                continue;
            }
            // Whoever began or ended it may be on the way from the one document to the other.
            if self.gate.now().0 - experiment.started.0 < GRACE_MS {
                continue;
            }
            let (standing, why, text) = match promoted(&head, &experiment) {
                Some(text) => (Standing::Promote, Why::Better, text),
                None => (
                    Standing::Return,
                    Why::Superseded,
                    "another version became champion or challenger meanwhile".to_owned(),
                ),
            };
            if standing == Standing::Return {
                self.give_back(&experiment, &text, &title(&experiment)).await?;
            }
            self.note(&experiment, Ruling { standing, why, text }, counted)
                .await?;
        }
        Ok(())
    }

    /// Carries a ruling out, then notes it: a crash between the two is mended by the next round.
    async fn end(
        &self,
        experiment: &Experiment,
        mut ruling: Ruling,
        counted: Counted,
        by: &str,
    ) -> Result<Experiment, Fault> {
        let own = title(experiment);
        let actor = if by.is_empty() { own.as_str() } else { by };
        if ruling.standing == Standing::Promote {
            ruling = self.promote(experiment, ruling, actor).await?;
        }
        if ruling.standing == Standing::Return {
            self.give_back(experiment, &ruling.text, actor).await?;
        }
        self.note(experiment, ruling, counted).await
    }

    /// Takes the alias away that the experiment gave.
    async fn give_back(&self, experiment: &Experiment, why: &str, actor: &str) -> Result<(), Fault> {
        let now = self.gate.now();
        let take = |head: &mut Head| {
            let alias = head.aliases.get("challenger");
            if alias.is_some_and(|alias| alias.experiment == experiment.name) {
                head.take("challenger", (actor, why), Cause::ExperimentReturned, now);
            }
            Ok(())
        };
        self.gate
            .shelf()
            .change(&experiment.model, now, take)
            .await
            .map(drop)
    }

    /// Notes how it ended, and tells people.
    async fn note(
        &self,
        experiment: &Experiment,
        ruling: Ruling,
        counted: Counted,
    ) -> Result<Experiment, Fault> {
        let ended = Ended {
            promoted: ruling.standing == Standing::Promote,
            why: ruling.why,
            text: ruling.text,
            at: self.gate.now(),
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

    /// Makes the challenger champion; one that is refused is returned instead.
    async fn promote(&self, experiment: &Experiment, ruling: Ruling, actor: &str) -> Result<Ruling, Fault> {
        let gift = Gift {
            alias: "champion".to_owned(),
            version: experiment.challenger,
            percent: 0,
            experiment: String::new(),
            actor: actor.to_owned(),
            note: ruling.text.clone(),
            cause: Cause::ExperimentPromoted,
        };
        match self.gate.give(&experiment.model, &gift).await {
            Ok(_) => Ok(ruling),
            Err(Fault::Refused(refusal)) => Ok(Ruling {
                standing: Standing::Return,
                why: Why::Refused,
                text: refusal.to_string(),
            }),
            Err(fault) => Err(fault),
        }
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
        let percent = share(asked.percent)?;
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
            percent,
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
        // First its document, then the alias: what is dealt is always decided about.
        let key = ["experiment", experiment.name.as_str()];
        self.gate.shelf().ledger().create(&key, &experiment).await?;
        if let Err(fault) = self.gate.give(&asked.model, &gift).await {
            let ruling = Ruling {
                standing: Standing::Return,
                why: Why::Refused,
                text: fault.to_string(),
            };
            self.note(&experiment, ruling, Counted::default()).await?;
            return Err(fault);
        }
        Ok(experiment)
    }
}

/// As the one who did something.
fn title(experiment: &Experiment) -> String {
    format!("experiment {}", experiment.name)
}

/// Whether it has made its challenger champion already; in which words.
fn promoted(head: &Head, experiment: &Experiment) -> Option<String> {
    let own = title(experiment);
    let changes = head.history.iter().rev();
    let found = changes
        .into_iter()
        .find(|c| c.cause == Cause::ExperimentPromoted && c.actor == own && c.alias == "champion");
    found.map(|change| change.note.clone())
}

/// Whether champion and challenger are still the two that are compared.
fn stands(head: &Head, experiment: &Experiment) -> bool {
    let champion = head.aliases.get("champion").map(|alias| alias.version);
    let challenger = head.aliases.get("challenger");
    champion == Some(experiment.champion)
        && challenger.is_some_and(|a| a.version == experiment.challenger && a.experiment == experiment.name)
}
