//! The job: when it is time, one process of all takes the lease, learns from what all projects have shown, and registers what
//! passes its gates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use auspex_chassis::stage::{Kept, View};
use auspex_chassis::{Claim, House, Stop, tools};
use auspex_proto::{Project, stage};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::collect::{self, State};
use crate::config::Config;
use crate::gather::{self, Gathered};
use crate::plugin::Plugin;
use crate::publish::{self, Registry};
use crate::report::Report;
use crate::request::{Bench, Recalibrate, Request};
use crate::schedule::{self, Past, Run, Stock};
use crate::store::{Away, Store};
use crate::table::choice::Wanted;

/// Who asks for a training now: by whom, and the way back.
pub struct Demand {
    /// Who, and why.
    pub note: String,
    /// The answer.
    pub reply: oneshot::Sender<Result<Run, String>>,
}

/// What the job works with.
#[derive(Clone)]
pub struct Job {
    pub(crate) house: House,
    pub(crate) config: Config,
    pub(crate) view: View<State>,
    pub(crate) registry: Registry,
    /// The feature store, when one is asked.
    pub(crate) store: Option<Store>,
    /// What the model is of.
    pub(crate) learns: Learns,
    /// Held while a model is fitted: two at once would take twice as long.
    pub(crate) bench: Arc<Mutex<()>>,
}

/// What a model is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learns {
    /// Changes and deployments.
    Changes,
    /// Builds.
    Builds,
}

impl Job {
    /// Looks whether it is time, again and again; trains when it is, or when somebody asks.
    ///
    /// # Errors
    /// None: what goes wrong is told and tried again.
    pub async fn run(self, mut demands: mpsc::Receiver<Demand>, stop: Stop) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(Duration::from_secs(self.config.look_seconds));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let demand = tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = looks.tick() => None,
                demand = demands.recv() => demand,
            };
            let asked = demand.as_ref().map(|demand| demand.note.clone());
            let done = tokio::select! {
                () = stop.requested() => return Ok(()),
                done = self.look(asked) => done,
            };
            match (demand, done) {
                (Some(demand), done) => {
                    let answer = done
                        .map_err(|fault| format!("{fault:#}"))
                        .and_then(|run| run.ok_or_else(|| "nothing was trained".to_owned()));
                    // Whoever asked may have gone.
                    demand.reply.send(answer).ok();
                }
                (None, Err(fault)) => {
                    tracing::warn!(fault = format!("{fault:#}"), "the training is tried again")
                }
                (None, Ok(_)) => {}
            }
        }
    }

    /// What was collected of what it learns, by project.
    pub(crate) async fn states(&self) -> anyhow::Result<Vec<(String, State)>> {
        let all = self.view.list().await?.into_iter();
        let mine = |(key, kept): (String, Kept<State>)| match (collect::project_of(&key), self.learns) {
            (Some(project), Learns::Builds) => Some((project.to_owned(), kept.state)),
            (None, Learns::Changes) => Some((key, kept.state)),
            _ => None,
        };
        Ok(all.filter_map(mine).collect())
    }

    /// Trains when it is time, or when asked.
    async fn look(&self, asked: Option<String>) -> anyhow::Result<Option<Run>> {
        let states = self.states().await?;
        let all = Project::all();
        let claim = self
            .house
            .claim::<Past>(stage::TRAINING, &all, &self.config.model)
            .await?;
        let Some(kept) = claim.take().await? else {
            return asked.map_or(Ok(None), |_| Err(anyhow!("another process is training")));
        };
        let past = kept.record;
        let stock = stock(&states, past.last_ms);
        let cause = match &asked {
            Some(_) => Some("demand"),
            None => schedule::due(&self.config, &past, stock),
        };
        let Some(cause) = cause else {
            claim.release().await;
            return Ok(None);
        };
        let run = held(&claim, async {
            let _alone = self.bench.lock().await;
            Box::pin(self.train(&states, stock, cause)).await
        });
        let run = match run.await {
            Ok(run) => run,
            // Nobody has trained: at the next look it is time still.
            Err(fault) if asked.is_some() || fault.is::<Away>() => {
                claim.release().await;
                return Err(fault);
            }
            // Noted, so that it is tried again when there is more to learn from, not at every look.
            Err(fault) => Run {
                as_of_ms: stock.clock,
                cause: cause.to_owned(),
                text: format!("{fault:#}"),
                examples: stock.examples,
                failures: stock.failures,
                ..Run::default()
            },
        };
        tracing::info!(
            cause,
            published = run.published,
            version = run.version,
            text = run.text,
            "a training has ended"
        );
        let mut past = past;
        past.note(run.clone());
        let saved = claim.save(past).await;
        claim.release().await;
        saved.map_err(|fault| anyhow!("{fault}"))?;
        Ok(Some(run))
    }

    async fn train(
        &self,
        states: &[(String, State)],
        stock: Stock,
        cause: &'static str,
    ) -> anyhow::Result<Run> {
        let gathered = match &self.store {
            Some(store) => gather::stored(states, store, &self.config.feature_service).await,
            None => gather::served(states),
        };
        let gathered = gathered.context("gathering examples")?;
        tracing::info!(
            rows = gathered.sample.rows(),
            schema = gathered.schema,
            from = gathered.origin.from,
            "examples are gathered"
        );
        let folder = tempfile::Builder::new().prefix("auspex-train-").tempdir()?;
        let delay = match self.learns {
            // What was released less than this before a stretch begins had no outcome yet.
            Learns::Changes => self.config.maturity_minutes as f64 * 60.0,
            Learns::Builds => collect::most(states),
        };
        let request = self.request(&gathered, (stock, delay), folder.path().join("model"));
        let runtime = tools::onnxruntime().await.map_err(|fault| format!("{fault:#}"));
        let snapshot = gathered.origin.snapshot();
        let report = tokio::task::spawn_blocking(move || {
            let plugin = request
                .candidates
                .iter()
                .any(|candidate| candidate.needs_plugin());
            let say = |text: &str| tracing::info!(text, "training");
            let bench = Bench {
                plugin: plugin.then(|| Plugin::prepare(&Plugin::folder(), false, &say)),
                runtime: Some(runtime),
            };
            let prepared = gather::prepared(gathered, request.split, request.delay)?;
            crate::train::finish(&request, &bench, prepared, &say)
        });
        let report = report.await??;
        let mut run = told(&report, stock, cause);
        run.snapshot = snapshot.unwrap_or(run.snapshot);
        if report.publishable {
            let files = publish::files(&folder.path().join("model"))?;
            let alias = self.alias().await.context("asking the registry")?;
            let version = self.registry.register(files, &alias, &run.text).await;
            run.version = version.context("registering")?;
            run.published = true;
        } else {
            run.text = format!("not published: {} did not pass", run.gates_failed.join(", "));
        }
        Ok(run)
    }

    /// What a version becomes that passes its gates. The first that is learned of one's own builds scores at once: before it there
    /// is nothing, or a cold start that has never seen a build.
    async fn alias(&self) -> anyhow::Result<String> {
        let alias = self.config.alias.as_str();
        let first = self.learns == Learns::Builds
            && alias == "challenger"
            && !self.registry.has_own_champion(&self.config.model).await?;
        Ok(if first { "champion" } else { alias }.to_owned())
    }

    fn request(&self, gathered: &Gathered, (stock, delay): (Stock, f64), out: PathBuf) -> Request {
        let failures = self.config.failures.iter();
        let failures = failures.map(|rule| format!("{rule:?}").to_lowercase());
        Request {
            table: PathBuf::from("the mesh"),
            join: None,
            wanted: Wanted {
                label: match self.learns {
                    Learns::Changes => failures.collect::<Vec<_>>().join(" or "),
                    Learns::Builds => "the build failed".to_owned(),
                },
                time: Some("time of the vector".to_owned()),
                ..Wanted::default()
            },
            split: 0.8,
            test: None,
            candidates: self.config.entrants(),
            recalibrate: Recalibrate::None,
            delay,
            history: false,
            context: false,
            ratios: Vec::new(),
            out,
            name: self.config.model.clone(),
            version: stock.clock.to_string(),
            feature_service: gathered.service.clone(),
            seed: 1,
        }
    }
}

/// Does the work while the lease is renewed.
async fn held(claim: &Claim<Past>, work: impl Future<Output = anyhow::Result<Run>>) -> anyhow::Result<Run> {
    tokio::pin!(work);
    let mut renewals = tokio::time::interval(Duration::from_secs(3));
    loop {
        tokio::select! {
            run = &mut work => return run,
            _ = renewals.tick() => if let Err(fault) = claim.confirm().await {
                tracing::warn!(%fault, "the lease on the training");
            },
        }
    }
}

fn stock(states: &[(String, State)], since: i64) -> Stock {
    let mut stock = Stock::default();
    for (_, state) in states {
        stock.clock = stock.clock.max(state.clock);
        for example in &state.examples {
            stock.examples += 1;
            stock.failures += u64::from(example.failed);
            if example.known > since {
                stock.new += 1;
                stock.new_failures += u64::from(example.failed);
            }
        }
    }
    stock
}

fn told(report: &Report, stock: Stock, cause: &str) -> Run {
    let failed = report
        .gates
        .iter()
        .filter(|gate| !gate.passed)
        .map(|gate| gate.name.clone());
    Run {
        as_of_ms: stock.clock,
        cause: cause.to_owned(),
        text: format!(
            "{} on {} examples ({cause}): log-loss {:.4}, Brier {:.4} against {:.4} of the rate",
            report.champion, stock.examples, report.test.log_loss, report.test.brier, report.test.brier_base
        ),
        examples: stock.examples,
        failures: stock.failures,
        snapshot: report.table.snapshot.clone(),
        champion: report.champion.clone(),
        roc_auc: report.test.roc_auc,
        log_loss: report.test.log_loss,
        brier: report.test.brier,
        brier_base: report.test.brier_base,
        ece: report.test.ece,
        published: false,
        version: String::new(),
        gates_failed: failed.collect(),
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job({})", self.config.model)
    }
}

impl std::fmt::Debug for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Demand({})", self.note)
    }
}

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;
