//! One plan at work: whoever holds its claim measures, keeps what was measured, and asks for what follows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auspex_argo::plan::{Plan, Run as Planned, When};
use auspex_argo::run::Run;
use auspex_chassis::{Claim, House};
use auspex_proto::command::{Ask, Command};
use auspex_proto::decision::Decision;
use auspex_proto::{Fact, FactId, Meta, Project, RolloutName};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::drive;
use crate::provider::Site;
use crate::record::{Attempt, Follows, Heard, Record, follows, is_open};

/// The claim is renewed this often: well within a lease.
const RENEW: Duration = Duration::from_secs(3);
/// Who asks, as the history shows it.
const ACTOR: &str = "analysis";

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Word {
    /// A decision about its rollout, and whether the log has been read to its end.
    Decided(Box<Decision>, u64),
    /// The log has been read to its end.
    CaughtUp,
    /// A run has got on.
    GotOn(String, Box<Run>),
}

/// Where it stands, as others may see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stand {
    /// The rollout's step.
    pub step: usize,
    /// There is nothing left to measure, until its rollout begins anew.
    pub over: bool,
    /// Sequence of the last decision; 0: none is known.
    pub seq: u64,
    /// Its runs.
    pub record: Record,
}

/// What others may see of it.
pub(crate) type Shown = Arc<Mutex<Stand>>;

pub(crate) struct Worker {
    pub house: House,
    pub config: Arc<Config>,
    pub project: Project,
    pub name: RolloutName,
    pub plan: Plan,
    pub claim: Claim<Record>,
    pub shown: Shown,
    pub words: mpsc::UnboundedReceiver<Word>,
    pub own: mpsc::UnboundedSender<Word>,
}

/// Runs under way.
#[derive(Default)]
struct Hands(BTreeMap<String, JoinHandle<()>>);

impl Drop for Hands {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

impl Worker {
    /// Works until it is dropped.
    ///
    /// # Errors
    /// None today.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut heard = Heard::default();
        let mut live = false;
        loop {
            self.hear(&mut heard, &mut live).await;
            self.tell_end(&heard);
            if !live || (heard.start.is_empty() && !self.has_own()) {
                continue;
            }
            match self.claim.take().await {
                Ok(Some(kept)) => {
                    let held = self.hold((&mut heard, &mut live), kept.record).await;
                    if let Err(fault) = held {
                        tracing::warn!(rollout = %self.name, %fault, "the analysis goes on elsewhere");
                    }
                    self.claim.release().await;
                }
                Ok(None) => {}
                Err(fault) => tracing::warn!(rollout = %self.name, %fault, "the claim cannot be taken"),
            }
            if !heard.course.is_over(&self.plan) {
                // Somebody else has it, or nobody can tell: another look soon.
                tokio::time::sleep(RENEW).await;
                self.own.send(Word::CaughtUp).ok();
            }
        }
    }

    fn has_own(&self) -> bool {
        self.plan.runs.iter().any(|run| run.when == When::Now)
    }

    /// Waits for a word, and takes in all that are there.
    async fn hear(&mut self, heard: &mut Heard, live: &mut bool) {
        let Some(first) = self.words.recv().await else {
            return std::future::pending().await;
        };
        self.note(first, (heard, live), None);
        while let Ok(word) = self.words.try_recv() {
            self.note(word, (heard, live), None);
        }
    }

    fn note(&self, word: Word, (heard, live): (&mut Heard, &mut bool), record: Option<&mut Record>) {
        match word {
            Word::Decided(decision, seq) => heard.absorb(&self.plan, &decision, seq),
            Word::CaughtUp => *live = true,
            Word::GotOn(name, run) => {
                if let Some(attempt) = record.and_then(|record| record.attempts.get_mut(&name)) {
                    attempt.run = *run;
                }
            }
        }
    }

    /// Measures as long as the claim is held.
    async fn hold(
        &mut self,
        (heard, live): (&mut Heard, &mut bool),
        mut record: Record,
    ) -> anyhow::Result<()> {
        let mut hands = Hands::default();
        record.take_up();
        let mut renew = tokio::time::interval(RENEW);
        loop {
            record.renew(heard);
            self.look(heard, &mut record, &mut hands);
            self.tell(heard, &mut record).await?;
            self.show(heard, &record);
            self.claim.save(record.clone()).await?;
            if heard.course.is_over(&self.plan) && hands.0.is_empty() {
                // Nothing is to be done until it begins anew.
                return Ok(());
            }
            tokio::select! {
                _ = renew.tick() => self.claim.confirm().await?,
                word = self.words.recv() => {
                    let Some(word) = word else { return Ok(()) };
                    self.note(word, (heard, live), Some(&mut record));
                    while let Ok(word) = self.words.try_recv() {
                        self.note(word, (heard, live), Some(&mut record));
                    }
                }
            }
        }
    }

    /// Says whether it is over, whoever measures.
    fn tell_end(&self, heard: &Heard) {
        if let Ok(mut shown) = self.shown.lock() {
            (shown.over, shown.seq) = (heard.course.is_over(&self.plan), heard.seq);
        }
    }

    fn show(&self, heard: &Heard, record: &Record) {
        let done = |run: &Planned| {
            let attempt = record.attempts.get(&run.name);
            attempt.is_some_and(|attempt| attempt.run.phase.is_completed())
        };
        let own = self.has_own() && self.plan.runs.iter().all(done);
        if let Ok(mut shown) = self.shown.lock() {
            *shown = Stand {
                step: heard.course.at,
                over: own || heard.course.is_over(&self.plan),
                seq: heard.seq,
                record: record.clone(),
            };
        }
    }

    /// Begins and ends runs by where the rollout stands.
    fn look(&self, heard: &Heard, record: &mut Record, hands: &mut Hands) {
        for planned in &self.plan.runs {
            let wanted = heard.course.wants(planned);
            let known = record.attempts.get(&planned.name);
            let over = known.is_some_and(|attempt| attempt.run.phase.is_completed());
            // What was inconclusive is measured anew when somebody has let the rollout go on.
            let again =
                known.is_some_and(|attempt| attempt.resumed < heard.course.resumed && is_open(&attempt.run));
            if wanted && (known.is_none() || again) {
                let number = known.map_or(1, |attempt| attempt.number + 1);
                let attempt = self.begin(planned, heard, number);
                record.attempts.insert(planned.name.clone(), attempt);
            } else if !wanted && known.is_some() && !over {
                if let Some(attempt) = record.attempts.get_mut(&planned.name) {
                    attempt.run.end();
                    // Nobody asked what it would have said.
                    attempt.told = true;
                }
                if let Some(hand) = hands.0.remove(&planned.name) {
                    hand.abort();
                }
            }
            let Some(attempt) = record.attempts.get(&planned.name) else {
                continue;
            };
            if attempt.run.phase.is_completed() {
                hands.0.remove(&planned.name);
            } else if !hands.0.contains_key(&planned.name) {
                hands
                    .0
                    .insert(planned.name.clone(), self.drive(planned, attempt, heard));
            }
        }
    }

    fn begin(&self, planned: &Planned, heard: &Heard, number: u32) -> Attempt {
        let now = self.house.now().0;
        let run = match self.values(planned, heard) {
            Ok((whole, _)) if whole.metrics.is_empty() => Run {
                started_ms: now,
                ..Run::default()
            },
            Ok((whole, _)) => Run::begin(whole, now),
            Err(fault) => Run::failed(fault, now),
        };
        Attempt {
            number,
            run,
            told: false,
            resumed: heard.course.resumed,
        }
    }

    /// What is measured, with values; and its secrets.
    fn values(
        &self,
        planned: &Planned,
        heard: &Heard,
    ) -> Result<(auspex_argo::template::Together, auspex_argo::arguments::Values), String> {
        let secret = |name: &str, key: &str| {
            let found = self.config.secrets.get(&format!("{name}/{key}"));
            found.map(|secret| secret.expose().to_owned())
        };
        let revision = |which: &str| match which {
            "Stable" => Some(heard.stable.clone()),
            _ => Some(heard.candidate.clone()),
        };
        let (values, secrets) = drive::values(&planned.analysis.args, secret, revision)?;
        let whole = drive::with_values(planned.analysis.clone(), &values)?;
        Ok((whole, secrets))
    }

    fn drive(&self, planned: &Planned, attempt: &Attempt, heard: &Heard) -> JoinHandle<()> {
        let secrets = self.values(planned, heard).map(|(_, secrets)| secrets);
        let site = Site {
            secrets: secrets.unwrap_or_default(),
            score: heard.score,
            ..Site::of(&self.config)
        };
        let (mode, own, name) = (self.plan.mode, self.own.clone(), planned.name.clone());
        let mut run = attempt.run.clone();
        let lasts = planned.experiment.clone();
        tokio::spawn(async move {
            let told = |run: &Run| {
                // A worker that is gone needs no word.
                own.send(Word::GotOn(name.clone(), Box::new(run.clone()))).ok();
            };
            drive::experiment(&mut run, (mode, lasts.as_ref()), &site, &told).await;
            told(&run);
        })
    }

    /// Asks for what follows from runs that are over, once.
    async fn tell(&self, heard: &Heard, record: &mut Record) -> anyhow::Result<()> {
        for planned in &self.plan.runs {
            let Some(attempt) = record.attempts.get_mut(&planned.name) else {
                continue;
            };
            if attempt.told || !attempt.run.phase.is_completed() {
                continue;
            }
            let ask = match follows(&planned.when, &attempt.run) {
                Follows::Nothing => None,
                Follows::Abort => Some(Ask::Abort),
                Follows::Pause => Some(Ask::Pause),
                Follows::Resume => Some(Ask::Resume),
                // The gate is called as the run is.
                Follows::Approve => Some(Ask::Approve {
                    gate: planned.name.clone(),
                    ticket: String::new(),
                }),
            };
            if let Some(ask) = ask {
                let command = self.command(planned, attempt, (heard, ask));
                self.house.bus().publish(&Fact::Command(command)).await?;
            }
            attempt.told = true;
        }
        Ok(())
    }

    fn command(&self, planned: &Planned, attempt: &Attempt, (heard, ask): (&Heard, Ask)) -> Command {
        let run = &attempt.run;
        // The same run asks the same thing only once, whoever asks.
        let once = format!("{}:{}:{}", heard.start, planned.name, attempt.number);
        let why = if run.message.is_empty() {
            String::new()
        } else {
            format!(": {}", run.message)
        };
        Command {
            meta: Meta {
                id: FactId::outside(ACTOR, &once),
                project: self.project.clone(),
                time: self.house.now(),
                cause: heard.seq,
                source: ACTOR.to_owned(),
            },
            rollout: self.name.clone(),
            actor: ACTOR.to_owned(),
            note: format!("analysis {} is {}{why}", planned.name, run.phase),
            ask,
        }
    }
}
