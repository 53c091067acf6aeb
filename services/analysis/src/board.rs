//! The plans there are, and a worker for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use auspex_argo::plan::Document;
use auspex_chassis::ledger::{Ledger, SaveError};
use auspex_chassis::{Followed, From, Group, House};
use auspex_proto::decision::{Action, Decision};
use auspex_proto::subject::{FactKind, PLANS};
use auspex_proto::{Fact, Project, RolloutName, stage};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::record::Record;
use crate::worker::{Shown, Word, Worker};

/// Most plans that are kept.
const MOST: usize = 1_000;
/// Most decisions of one rollout that are kept for a plan that comes later.
const MOST_HEARD: usize = 400;
/// A plan that somebody else writes at the same moment is written again so often.
const TRIES: usize = 5;
/// New plans of other replicas are looked for this often, in seconds.
const LOOK: u64 = 2;

/// A plan as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// How often it has been written.
    pub version: u64,
    /// It.
    pub document: Document,
    /// By whom.
    pub actor: String,
}

type Key = (Project, String);

struct Line {
    version: u64,
    words: mpsc::UnboundedSender<Word>,
    shown: Shown,
    plan: Document,
    stop: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Inner {
    lines: BTreeMap<Key, Line>,
    /// Decisions of rollouts since they began, so that a plan that comes later knows where its rollout stands.
    heard: BTreeMap<Key, Vec<(Decision, u64)>>,
    /// The log has been read to its end.
    live: bool,
}

impl Inner {
    /// Keeps a decision as far as it says something new of the steps.
    fn keep(&mut self, key: &Key, decision: &Decision, seq: u64) {
        let heard = self.heard.entry(key.clone()).or_default();
        if decision.action == Action::Start {
            heard.clear();
        }
        let same = |(last, _): &(Decision, u64)| {
            (last.action, last.phase, last.reason, last.weight, last.step)
                == (
                    decision.action,
                    decision.phase,
                    decision.reason,
                    decision.weight,
                    decision.step,
                )
        };
        if !heard.last().is_some_and(same) {
            if heard.len() >= MOST_HEARD {
                // How it began and where it stands now count.
                heard.remove(1);
            }
            heard.push((decision.clone(), seq));
        }
        if self.heard.len() > MOST
            && let Some(first) = self.heard.keys().find(|other| *other != key).cloned()
        {
            self.heard.remove(&first);
        }
    }
}

/// The board; cheap to clone.
#[derive(Clone)]
pub struct Board {
    house: House,
    config: Arc<Config>,
    ledger: Ledger,
    inner: Arc<Mutex<Inner>>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

/// What can be seen of a plan.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its project.
    pub project: String,
    /// It.
    pub plan: Document,
    /// The rollout's step.
    pub step: usize,
    /// Its runs.
    pub record: Record,
    /// Who measures.
    pub holder: String,
}

impl Board {
    /// Opens the board.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn open(house: &House, config: Config) -> anyhow::Result<Self> {
        Ok(Self {
            house: house.clone(),
            config: Arc::new(config),
            ledger: Ledger::open(house.bus(), PLANS).await?,
            inner: Arc::default(),
        })
    }

    /// Starts the workers and follows decisions.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.refresh().await?;
        let mut decisions = self.house.follow(&[FactKind::Decision], From::All).await?;
        let board = self.clone();
        self.house
            .spawn("analysis decisions", Group::Work, move |stop| async move {
                // A log without decisions is read to its end at once.
                let mut quiet = tokio::time::interval(std::time::Duration::from_secs(LOOK));
                quiet.tick().await;
                loop {
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        followed = decisions.next() => board.absorb(&followed?),
                        _ = quiet.tick() => {
                            board.caught_up();
                            if let Err(fault) = board.refresh().await {
                                tracing::warn!(%fault, "plans cannot be read");
                            }
                        }
                    }
                }
            });
        Ok(())
    }

    fn absorb(&self, followed: &Followed) {
        let Fact::Decision(decision) = &followed.fact else {
            return;
        };
        let key = (decision.meta.project.clone(), decision.rollout.to_string());
        if let Ok(mut inner) = self.inner.lock() {
            inner.keep(&key, decision, followed.seq);
            if let Some(line) = inner.lines.get(&key) {
                // A worker that is gone needs no word.
                line.words
                    .send(Word::Decided(Box::new(decision.clone()), followed.seq))
                    .ok();
            }
        }
        if followed.behind == 0 {
            self.caught_up();
        }
    }

    fn caught_up(&self) {
        if let Ok(mut inner) = self.inner.lock()
            && !inner.live
        {
            inner.live = true;
            for line in inner.lines.values() {
                line.words.send(Word::CaughtUp).ok();
            }
        }
    }

    /// Starts workers for plans that are new here.
    async fn refresh(&self) -> anyhow::Result<()> {
        for found in self.ledger.list::<Kept>(&[]).await? {
            let [project, name] = found.key.as_slice() else {
                continue;
            };
            let key = (Project::new(project.as_str())?, name.clone());
            self.work(key, found.document).await?;
        }
        Ok(())
    }

    async fn work(&self, key: Key, kept: Kept) -> anyhow::Result<()> {
        let known = {
            let inner = self.inner.lock().ok().context("the board is broken")?;
            inner.lines.get(&key).map(|line| line.version)
        };
        if known == Some(kept.version) {
            return Ok(());
        }
        let (project, name) = key.clone();
        let claim = self
            .house
            .claim::<Record>(stage::ANALYSIS, &project, &format!("{project}/{name}"))
            .await?;
        let (own, words) = mpsc::unbounded_channel();
        let shown = Shown::default();
        let worker = Worker {
            house: self.house.clone(),
            config: Arc::clone(&self.config),
            project,
            name: RolloutName::new(name)?,
            plan: kept.document.spec.clone(),
            claim,
            shown: Arc::clone(&shown),
            words,
            own: own.clone(),
        };
        let (halt, halted) = auspex_chassis::Stop::pair();
        let line = Line {
            version: kept.version,
            words: own.clone(),
            shown,
            plan: kept.document,
            stop: Box::new(halt),
        };
        {
            let mut inner = self.inner.lock().ok().context("the board is broken")?;
            for (decision, seq) in inner.heard.get(&key).into_iter().flatten() {
                own.send(Word::Decided(Box::new(decision.clone()), *seq)).ok();
            }
            if let Some(old) = inner.lines.insert(key, line) {
                (old.stop)();
            }
            if inner.live {
                own.send(Word::CaughtUp).ok();
            }
        }
        self.employ(worker, halted);
        Ok(())
    }

    /// Sets a worker to work, until it is halted or the process stops.
    fn employ(&self, worker: Worker, halted: auspex_chassis::Stop) {
        let held = worker.claim.clone();
        self.house
            .spawn("analysis", Group::Output, move |stop| async move {
                let both = async {
                    tokio::select! {
                        () = stop.requested() => {}
                        () = halted.requested() => {}
                    }
                };
                tokio::select! {
                    () = both => {}
                    ended = worker.run() => ended?,
                }
                held.release().await;
                Ok(())
            });
    }

    /// Keeps a plan, in place of an older one of the same rollout.
    ///
    /// # Errors
    /// A sentence: there are too many, or the bus is away.
    pub async fn put(&self, project: &Project, document: Document, actor: &str) -> Result<(), String> {
        let name = document.metadata.name.clone();
        let key = [project.as_str(), name.as_str()];
        let away = |fault: anyhow::Error| format!("{fault:#}");
        let full = self.inner.lock().map_or(0, |inner| inner.lines.len()) >= MOST;
        for _ in 0..TRIES {
            let known = self.ledger.get::<Kept>(&key).await.map_err(away)?;
            if known.is_none() && full {
                return Err(format!("there are {MOST} plans already"));
            }
            let kept = Kept {
                version: known.as_ref().map_or(1, |known| known.document.version + 1),
                document: document.clone(),
                actor: actor.to_owned(),
            };
            let saved = match &known {
                None => self.ledger.create(&key, &kept).await,
                Some(known) => self.ledger.update(&key, &kept, known.revision).await,
            };
            match saved {
                Ok(_) => return self.work((project.clone(), name), kept).await.map_err(away),
                Err(SaveError::Conflict) => {}
                Err(fault) => return Err(fault.to_string()),
            }
        }
        Err("somebody else writes the same plan over and over".to_owned())
    }

    /// Everything that can be seen of plans; of a project, when one is named.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn seen(&self, project: &str) -> anyhow::Result<Vec<Seen>> {
        let claimed = self.house.claimed::<Record>(stage::ANALYSIS).await?;
        let inner = self.inner.lock().ok().context("the board is broken")?;
        let lines = inner.lines.iter();
        let lines = lines.filter(|((of, _), _)| project.is_empty() || of.as_str() == project);
        Ok(lines
            .map(|((project, name), line)| {
                let wanted = format!("{project}/{name}");
                let kept = claimed.iter().find(|(key, ..)| *key == wanted);
                let holder = kept.and_then(|(_, _, holder)| holder.clone()).unwrap_or_default();
                let (step, own) = line.shown.lock().map(|shown| shown.clone()).unwrap_or_default();
                let elsewhere = holder != self.house.instance();
                let record = kept.filter(|_| elsewhere).map(|(_, kept, _)| kept.record.clone());
                Seen {
                    project: project.to_string(),
                    plan: line.plan.clone(),
                    step,
                    record: record.unwrap_or(own),
                    holder,
                }
            })
            .collect())
    }
}
