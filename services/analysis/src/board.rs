//! The plans there are, and a worker for each.

mod lines;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use auspex_argo::plan::Document;
use auspex_chassis::ledger::{Ledger, SaveError};
use auspex_chassis::{Followed, From, Group, House};
use auspex_proto::subject::{FactKind, PLANS};
use auspex_proto::{Fact, Project, RolloutName, stage};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use self::lines::{Inner, Key, Line};
use crate::config::Config;
use crate::record::Record;
use crate::worker::{Shown, Word, Worker};

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
    /// When, milliseconds since 1970; 0: long ago.
    pub put_ms: i64,
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

    /// Starts workers for plans that are new here, and ends those of plans that are gone.
    async fn refresh(&self) -> anyhow::Result<()> {
        let mut gone: BTreeSet<Key> = {
            let inner = self.inner.lock().ok().context("the board is broken")?;
            inner.lines.keys().cloned().collect()
        };
        for found in self.ledger.list::<Kept>(&[]).await? {
            let [project, name] = found.key.as_slice() else {
                continue;
            };
            let key = (Project::new(project.as_str())?, name.clone());
            gone.remove(&key);
            self.work(key, found.document).await?;
        }
        gone.iter().for_each(|key| self.dismiss(key));
        Ok(())
    }

    fn dismiss(&self, key: &Key) {
        let line = self
            .inner
            .lock()
            .ok()
            .and_then(|mut inner| inner.lines.remove(key));
        if let Some(line) = line {
            (line.stop)();
        }
    }

    /// Removes a plan that is over, with what was measured; whether there was one.
    async fn make_room(&self) -> anyhow::Result<bool> {
        let now = self.house.now().0;
        let found = {
            let inner = self.inner.lock().ok().context("the board is broken")?;
            let key = inner.dispensable(now);
            key.and_then(|key| {
                inner
                    .lines
                    .get(&key)
                    .map(|line| (key.clone(), line.claim.clone()))
            })
        };
        let Some((key, claim)) = found else {
            return Ok(false);
        };
        let parts = [key.0.as_str(), key.1.as_str()];
        if let Some(kept) = self.ledger.get::<Kept>(&parts).await? {
            self.ledger.remove(&parts, kept.revision).await?;
        }
        // What was measured goes too, unless somebody holds it still.
        if claim.take().await?.is_some() {
            claim.save(Record::default()).await.ok();
            claim.release().await;
        }
        self.dismiss(&key);
        tracing::info!(project = %key.0, rollout = key.1, "the plan is over: it has made room");
        Ok(true)
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
            claim: claim.clone(),
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
            put_ms: kept.put_ms,
            claim: claim.clone(),
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
        let most = self.config.plans;
        for _ in 0..TRIES {
            let known = self.ledger.get::<Kept>(&key).await.map_err(away)?;
            let full = self.inner.lock().map_or(0, |inner| inner.lines.len()) >= most;
            if known.is_none() && full && !self.make_room().await.map_err(away)? {
                return Err(format!(
                    "there are {most} plans already, and none of them is over"
                ));
            }
            let kept = Kept {
                version: known.as_ref().map_or(1, |known| known.document.version + 1),
                document: document.clone(),
                actor: actor.to_owned(),
                put_ms: self.house.now().0,
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
                let stand = line.shown.lock().map(|shown| shown.clone()).unwrap_or_default();
                let elsewhere = holder != self.house.instance();
                let record = kept.filter(|_| elsewhere).map(|(_, kept, _)| kept.record.clone());
                Seen {
                    project: project.to_string(),
                    plan: line.plan.clone(),
                    step: stand.step,
                    record: record.unwrap_or(stand.record),
                    holder,
                }
            })
            .collect())
    }
}
