//! What a service is given to stand in: the bus, its settings, tasks, figures, and the ways to run a stage.

use std::sync::Arc;

use auspex_proto::stage::Stage;
use auspex_proto::subject::FactKind;
use auspex_proto::{Partitions, Project, Timestamp};

use crate::bus::Bus;
use crate::claim::{self, Claim};
use crate::follow::{Follow, From, Pulses};
use crate::metrics::Metrics;
use crate::settings::{Settings, Tree};
use crate::shutdown::{Group, Shutdown, Stop};
use crate::stage::{Errands, Runner, View};
use crate::transform::{self, Transform};
use crate::verb::Verb;

/// The shell around a service; cheap to clone.
#[derive(Debug, Clone)]
pub struct House {
    bus: Bus,
    tree: Arc<Tree>,
    shutdown: Shutdown,
    metrics: Metrics,
    instance: Arc<str>,
}

impl House {
    pub(crate) fn new(bus: Bus, tree: Tree, shutdown: Shutdown, metrics: Metrics) -> Self {
        let instance = format!("{}-{}", std::process::id(), nuid::next());
        Self {
            bus,
            tree: Arc::new(tree),
            shutdown,
            metrics,
            instance: instance.into(),
        }
    }

    /// The same on another connection.
    pub(crate) fn on(&self, bus: Bus) -> Self {
        Self { bus, ..self.clone() }
    }

    /// The typed settings of a section.
    ///
    /// # Errors
    /// When the section has another type.
    pub fn settings<T: Settings>(&self, section: &str) -> anyhow::Result<T> {
        self.tree.get(section)
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The figures of the process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How the projects are spread.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        self.bus.partitions()
    }

    /// A name for this run of this process.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The clock. Only shells read it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        crate::clock::now()
    }

    /// Starts a task that stops with its group.
    pub fn spawn<F, T>(&self, name: &'static str, group: Group, task: F)
    where
        F: FnOnce(Stop) -> T,
        T: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.shutdown.spawn(name, group, task);
    }

    /// Runs a stateful stage through the one consumer loop; answers a view of what it saves.
    ///
    /// # Errors
    /// When its bucket cannot be laid out.
    pub async fn run_verb<V: Verb>(&self, stage: Stage, verb: V) -> anyhow::Result<View<V::State>> {
        self.run_stage(stage, verb, None).await
    }

    /// The same, with errands outside.
    ///
    /// # Errors
    /// When its bucket cannot be laid out.
    pub async fn run_errands<V: Verb>(
        &self,
        stage: Stage,
        verb: V,
        errands: impl Errands<V::State>,
    ) -> anyhow::Result<View<V::State>> {
        self.run_stage(stage, verb, Some(Arc::new(errands))).await
    }

    async fn run_stage<V: Verb>(
        &self,
        stage: Stage,
        verb: V,
        errands: Option<Arc<dyn Errands<V::State>>>,
    ) -> anyhow::Result<View<V::State>> {
        self.bus.lay_out_state(stage.name).await?;
        let runner = Runner {
            bus: self.bus.clone(),
            stage,
            instance: self.instance.to_string(),
            lease: self.bus.lease(),
            verb: Arc::new(verb),
            errands,
        };
        self.spawn(stage.name, Group::Work, move |stop| runner.run(stop));
        self.tell_lag(stage);
        Ok(View::new(&self.bus, stage))
    }

    /// A view of another stage's saved states.
    ///
    /// # Errors
    /// When its bucket cannot be laid out.
    pub async fn view<S: serde::de::DeserializeOwned>(&self, stage: Stage) -> anyhow::Result<View<S>> {
        self.bus.lay_out_state(stage.name).await?;
        Ok(View::new(&self.bus, stage))
    }

    /// A claim on a thing of a stage, not held yet; the stage's name and the thing's are its key.
    ///
    /// # Errors
    /// When the stage's bucket cannot be laid out.
    pub async fn claim<R>(&self, stage: Stage, project: &Project, name: &str) -> anyhow::Result<Claim<R>>
    where
        R: serde::Serialize + serde::de::DeserializeOwned + Default + Clone,
    {
        self.bus.lay_out_state(stage.name).await?;
        Ok(Claim::new(&self.bus, stage.name, &self.instance, (project, name)))
    }

    /// What is kept of all things of a stage that are claimed: by name, with whoever holds it at this moment.
    ///
    /// # Errors
    /// When the bus is away, or something there cannot be read.
    pub async fn claimed<R>(
        &self,
        stage: Stage,
    ) -> anyhow::Result<Vec<(String, claim::Kept<R>, Option<String>)>>
    where
        R: serde::de::DeserializeOwned,
    {
        self.bus.lay_out_state(stage.name).await?;
        claim::all(&self.bus, stage.name).await
    }

    /// Runs a stateless stage through its shared durable.
    ///
    /// # Errors
    /// None today; the signature leaves room for a durable of another shape.
    pub async fn run_transform<T: Transform>(&self, stage: Stage, stateless: T) -> anyhow::Result<()> {
        let bus = self.bus.clone();
        self.spawn(stage.name, Group::Work, move |stop| {
            transform::run(bus, stage, stateless, stop)
        });
        self.tell_lag(stage);
        Ok(())
    }

    /// Says at `/metrics` how far a stage is behind the log.
    pub(crate) fn tell_lag(&self, stage: Stage) {
        let (bus, metrics) = (self.bus.clone(), self.metrics.clone());
        self.spawn("lag", Group::Intake, move |stop| {
            crate::lag::watch(bus, stage, metrics, stop)
        });
    }

    /// Follows facts of some kinds.
    ///
    /// # Errors
    /// None today; the signature leaves room.
    pub async fn follow(&self, kinds: &[FactKind], from: From) -> anyhow::Result<Follow> {
        Ok(Follow::new(&self.bus, kinds, from))
    }

    /// The heartbeats of control.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn pulses(&self) -> anyhow::Result<Pulses> {
        Pulses::new(&self.bus).await
    }
}
