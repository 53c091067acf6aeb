//! Following the facts about models: what should score is fetched, checked, opened, and only then takes its place.
//!
//! Whatever goes wrong on the way leaves the last good version where it is, and is told: in an alert, in `ListServed`, and in
//! the figures. What is missing may yet come, so it is tried again.

use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::{Bus, Counter, From, Gauge, Group, House, Stop};
use auspex_proto::alert::{Kind, Severity, Status};
use auspex_proto::{Alert, Fact, FactId, FactKind, Meta, Model as ModelFact, Project, stage};

use crate::config::Config;
use crate::fetch;
use crate::model::{Model, ModelFault};
use crate::pool::Pool;
use crate::readings::Recalibrate;
use crate::runtime::Runtime;
use crate::schemas::Schemas;
use crate::serving::{Served, Serving};
use crate::wanted::{Arm, Wanted};

/// The project under which the mesh speaks of itself.
const OWN: &str = "auspex";
/// When what was refused is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Makes a served version of files.
#[derive(Debug, Clone)]
pub struct Opener {
    /// The loaded library.
    pub runtime: Runtime,
    /// Scoring threads a version.
    pub threads: usize,
    /// Reasons a score.
    pub reasons: usize,
}

impl Opener {
    /// Opens a checked model with sessions of its own; every one passes the golden rows first. Blocks.
    ///
    /// # Errors
    /// [`ModelFault`].
    pub fn open(&self, model: Model, since: u64) -> Result<Served, ModelFault> {
        let model = Arc::new(model);
        Ok(Served {
            pool: Pool::start(&self.runtime, &model, self.threads, self.reasons)?,
            model,
            since,
            percent: 0,
            experiment: String::new(),
        })
    }
}

/// What follows the facts.
struct Swap {
    bus: Bus,
    house: House,
    serving: Serving,
    schemas: Schemas,
    opener: Opener,
    wanted: Wanted,
    /// Whether versions take their place.
    swapping: bool,
    swaps: Counter,
    refused: Gauge,
}

/// Starts following.
pub fn start(house: &House, config: &Config, serving: &Serving, schemas: &Schemas, opener: Opener) {
    let metrics = house.metrics();
    let swap = Swap {
        bus: house.bus().clone(),
        house: house.clone(),
        serving: serving.clone(),
        schemas: schemas.clone(),
        opener,
        wanted: Wanted::default(),
        swapping: config.follow_registry,
        swaps: metrics.counter("auspex_scoring_swaps_total", "Versions that took their place."),
        refused: metrics.gauge(
            "auspex_scoring_refused_models",
            "Versions asked for that cannot be served.",
        ),
    };
    if config.follow_registry || config.recalibrate != Recalibrate::None {
        house.spawn("model facts", Group::Work, move |stop| swap.run(stop));
    }
}

impl Swap {
    async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        let mut follow = self.house.follow(&[FactKind::Model], From::All).await?;
        let mut again = tokio::time::interval(AGAIN);
        let mut caught_up = false;
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = again.tick(), if caught_up => self.reconcile(false).await,
                next = follow.next() => {
                    let next = next?;
                    let was_caught_up = caught_up;
                    caught_up = next.behind == 0;
                    let mut news = false;
                    if let Fact::Model(model) = next.fact {
                        news = model.recalibration.is_none();
                        self.serving.note(next.seq, &model);
                        if self.swapping {
                            self.wanted.note(next.seq, model);
                        }
                    }
                    // Of a year of facts only the last of each name counts.
                    if caught_up && (news || !was_caught_up) {
                        self.reconcile(true).await;
                    }
                }
            }
        }
    }

    /// Brings what is served to what is wanted.
    async fn reconcile(&mut self, news: bool) {
        let wanted: Vec<(String, Arm, u64, ModelFact)> = self
            .wanted
            .all()
            .map(|(name, arm, seq, model)| (name.to_owned(), arm, seq, model.clone()))
            .collect();
        for (name, arm, seq, model) in wanted {
            let table = self.serving.table();
            let lineup = table.lineups.get(&name);
            let since = lineup.and_then(|l| l.arms.get(&arm)).map(|served| served.since);
            let refused = lineup.and_then(|l| l.refused.get(&arm)).map(|(seq, _)| *seq);
            if since == Some(seq) || (refused == Some(seq) && news) {
                continue;
            }
            if model.removed {
                self.remove(&name, arm);
                continue;
            }
            match self.load(&name, arm, seq, &model).await {
                Ok(served) => self.put(&name, arm, served),
                Err(reason) => {
                    self.refuse((&name, arm, seq), &model, &reason, refused == Some(seq))
                        .await
                }
            }
        }
        let table = self.serving.table();
        let refused: usize = table.lineups.values().map(|lineup| lineup.refused.len()).sum();
        self.refused.set(refused as f64);
    }

    async fn load(&self, name: &str, arm: Arm, seq: u64, fact: &ModelFact) -> Result<Served, String> {
        let table = self.serving.table();
        let lineup = table.lineups.get(name);
        let label = format!("{name}@{}", fact.version);
        // The same version in another part, or with another share: nothing need be loaded.
        let there = lineup.and_then(|l| l.arms.values().find(|s| s.model.label == label));
        let same = there.filter(|served| served.model.manifest.artifact.sha256 == fact.sha256);
        let mut served = if let Some(same) = same {
            Served {
                model: Arc::clone(&same.model),
                pool: same.pool.clone(),
                since: seq,
                percent: 0,
                experiment: String::new(),
            }
        } else {
            self.open(label, seq, fact).await?
        };
        let hash = &served.model.manifest.feature_schema_sha256;
        if let Some(reason) = self
            .schemas
            .mismatch(&served.model.manifest.feature_service, hash)
        {
            return Err(reason);
        }
        let champion = lineup.and_then(|l| l.champion());
        if let Some(champion) = champion.filter(|_| arm != Arm::Champion) {
            let reads = &champion.model.manifest.feature_schema_sha256;
            if reads != hash {
                return Err(format!(
                    "schema_hash: is {hash}, the champion's {reads}: the two cannot be asked about the same vectors"
                ));
            }
        }
        served.percent = fact.percent;
        served.experiment.clone_from(&fact.experiment);
        Ok(served)
    }

    async fn open(&self, label: String, seq: u64, fact: &ModelFact) -> Result<Served, String> {
        let files = fetch::files(&self.bus, &fact.location)
            .await
            .map_err(|f| f.to_string())?;
        let (opener, expected) = (self.opener.clone(), fact.sha256.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let model = Model::check(files)?;
            if model.manifest.artifact.sha256 != expected {
                return Err(ModelFault::Digest {
                    file: model.manifest.artifact.file.clone(),
                    expected,
                    found: model.manifest.artifact.sha256,
                });
            }
            opener.open(model.labelled(label), seq)
        });
        opened
            .await
            .map_err(|f| f.to_string())?
            .map_err(|f| f.to_string())
    }

    fn put(&self, name: &str, arm: Arm, served: Served) {
        tracing::info!(
            model = served.model.label,
            arm = arm.name(),
            since = served.since,
            "a version scores"
        );
        let served = Arc::new(served);
        self.serving.change(|table| {
            let lineup = table.lineups.entry(name.to_owned()).or_default();
            // Who becomes champion is no longer on trial.
            lineup.arms.retain(|other, there| {
                arm != Arm::Champion || *other == Arm::Champion || there.model.label != served.model.label
            });
            lineup.arms.insert(arm, served);
            lineup.refused.remove(&arm);
        });
        self.swaps.inc();
    }

    fn remove(&self, name: &str, arm: Arm) {
        self.serving.change(|table| {
            let lineup = table.lineups.entry(name.to_owned()).or_default();
            // Without a champion nothing would score: the last good one stays.
            if arm != Arm::Champion {
                lineup.arms.remove(&arm);
            }
            lineup.refused.remove(&arm);
        });
    }

    /// Leaves what is, and says why.
    async fn refuse(&self, which: (&str, Arm, u64), fact: &ModelFact, reason: &str, told: bool) {
        let (name, arm, seq) = which;
        self.serving.change(|table| {
            let lineup = table.lineups.entry(name.to_owned()).or_default();
            lineup.refused.insert(arm, (seq, reason.to_owned()));
        });
        if told {
            return;
        }
        let table = self.serving.table();
        let stays = table
            .lineups
            .get(name)
            .and_then(|l| l.arms.get(&arm))
            .map(|s| s.model.label.clone());
        tracing::error!(
            model = name,
            version = fact.version,
            arm = arm.name(),
            reason,
            "a version is refused"
        );
        match refusal(which, fact, reason, stays.as_deref(), self.house.now()) {
            Ok(alert) => {
                if let Err(fault) = self.bus.publish(&Fact::Alert(alert)).await {
                    tracing::warn!(%fault, "the alert about it is not on the log");
                }
            }
            Err(fault) => tracing::warn!(%fault, "the alert about it cannot be said"),
        }
    }
}

/// What a person should know about a version that is refused.
fn refusal(
    (name, arm, seq): (&str, Arm, u64),
    fact: &ModelFact,
    reason: &str,
    stays: Option<&str>,
    now: auspex_proto::Timestamp,
) -> Result<Alert, auspex_proto::Invalid> {
    let label = format!("{name}@{}", fact.version);
    let goes_on = stays.map_or_else(
        || "nothing scores in its place".to_owned(),
        |stays| format!("{stays} goes on scoring"),
    );
    Ok(Alert {
        meta: Meta {
            id: FactId::derived(stage::SCORING.name, seq, &format!("{label}:{}", arm.name()), 0),
            project: Project::new(OWN)?,
            time: now,
            cause: seq,
            source: stage::SCORING.name.to_owned(),
        },
        kind: Kind::Model,
        severity: Severity::Error,
        status: Status::Notice,
        dedup_key: format!("auspex-model-{name}-{}", arm.name())
            .chars()
            .take(255)
            .collect(),
        title: format!("Model {label} is refused as {}", arm.name()),
        text: format!("{reason}. {goes_on}."),
        service: None,
        rollout: String::new(),
        causes: Vec::new(),
        facts: vec![
            ("model".to_owned(), label),
            ("location".to_owned(), fact.location.clone()),
            ("by".to_owned(), fact.actor.clone()),
        ],
        receivers: Vec::new(),
    })
}
