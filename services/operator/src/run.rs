//! The loop: who leads looks at every object, and does what the plan says.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_chassis::{Group, House};
use auspex_cluster::{Cluster, Fault, Kind, Leadership, Reach, lead, lease};
use auspex_proto::wire;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access;
use crate::config::Config;
use crate::control::{Answer, Control};
use crate::kinds::{ARGO_CLUSTER_TEMPLATES, ARGO_ROLLOUTS, ARGO_TEMPLATES, ASK, ROLLOUTS, annotation};
use crate::plan::adopt::{self, Show};
use crate::plan::{self, Known, Next, Terms, alive, intake, status};
use crate::world::{Key, World};

/// What is watched besides Auspex's own.
const ARGO: [Kind; 3] = [ARGO_ROLLOUTS, ARGO_TEMPLATES, ARGO_CLUSTER_TEMPLATES];

/// One replica.
pub struct Operator {
    config: Config,
    cluster: Cluster,
    control: Control,
    world: World,
    leads: watch::Receiver<bool>,
    /// When each status was written last.
    written: BTreeMap<Key, Instant>,
    /// What has been said already of each object, so that it is said once.
    said: BTreeMap<Key, String>,
    /// The same of all of them.
    trouble: String,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}

/// Starts the operator in a house.
///
/// # Errors
/// When there is no way to the cluster or to control, as they are configured.
pub async fn start(house: &House, config: Config) -> anyhow::Result<()> {
    let reach = Reach {
        kubeconfig: config.kubeconfig.clone(),
        context: config.context.clone(),
        timeout: Duration::from_secs(config.timeout_seconds),
    };
    let cluster = Cluster::reach(&reach, access::GRANTS).await?;
    let (leads, led) = watch::channel(false);
    let of = Leadership {
        namespace: config.lease_namespace.clone(),
        lease: config.lease.clone(),
        name: house.instance().to_owned(),
        duration: Duration::from_secs(config.lease_seconds),
    };
    let striving = cluster.clone();
    house.spawn("operator lease", Group::Work, move |stop| async move {
        lead(striving, of, leads, stop.requested()).await;
        Ok(())
    });
    let mut operator = Operator::new(config, cluster, led)?;
    house.spawn("operator", Group::Work, move |stop| async move {
        tokio::select! {
            () = stop.requested() => {}
            () = operator.run() => {}
        }
        Ok(())
    });
    Ok(())
}

impl Operator {
    /// One that acts while `leads` says so.
    ///
    /// # Errors
    /// When control's address cannot be used.
    pub fn new(config: Config, cluster: Cluster, leads: watch::Receiver<bool>) -> anyhow::Result<Self> {
        let mut wanted = vec![ROLLOUTS];
        if config.argo {
            wanted.extend(ARGO);
        }
        Ok(Self {
            control: Control::new(&config)?,
            world: World::watch(&cluster, &config.namespace, &wanted),
            config,
            cluster,
            leads,
            written: BTreeMap::new(),
            said: BTreeMap::new(),
            trouble: String::new(),
        })
    }

    /// Looks and acts, again and again.
    pub async fn run(&mut self) {
        let pause = Duration::from_millis(self.config.look_ms);
        loop {
            let next = Instant::now() + pause;
            // What comes meanwhile is taken in, so that no watch has to wait.
            while tokio::time::timeout_at(next, self.world.wait()).await.is_ok() {}
            if *self.leads.borrow() {
                self.look().await;
            }
        }
    }

    /// One look at everything.
    pub async fn look(&mut self) {
        self.world.absorb();
        if self.config.argo && self.world.is_complete(&ARGO) && self.world.is_complete(&[ROLLOUTS]) {
            self.adopt().await;
        }
        if !self.world.is_complete(&[ROLLOUTS]) {
            return;
        }
        // Without control nothing is known of rollouts: what is to be begun says so, the rest stays as it was written.
        let views = match self.control.list().await {
            Ok(views) => Some(views),
            Err(fault) => {
                self.trouble(format!("{fault:#}"));
                None
            }
        };
        for (key, object) in self.objects(ROLLOUTS) {
            if !*self.leads.borrow() {
                return;
            }
            match &views {
                Some(views) => self.step(&key, &object, views).await,
                None if !begun(&object) => self.step(&key, &object, &[]).await,
                None => {}
            }
        }
        let there: Vec<Key> = self.objects(ROLLOUTS).into_iter().map(|(key, _)| key).collect();
        self.written.retain(|key, _| there.contains(key));
        self.said.retain(|key, _| there.contains(key));
    }

    fn objects(&self, kind: Kind) -> Vec<(Key, Value)> {
        let all = self.world.of(kind).map(|objects| &objects.all);
        all.into_iter()
            .flatten()
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    }

    /// Shows Argo's rollouts as Auspex's.
    async fn adopt(&mut self) {
        let lease = match self.config.lease_of_argo() {
            Some((namespace, name)) => self.cluster.get(&lease::LEASES.named(namespace, name)).await,
            None => Ok(None),
        };
        let lease = match lease {
            Ok(lease) => lease,
            Err(fault) => {
                // Whether Argo's controller lives cannot be told: nothing is taken over by guess.
                self.trouble(format!("the lease of Argo's controller cannot be read: {fault}"));
                return;
            }
        };
        let templates: Vec<Value> = [ARGO_TEMPLATES, ARGO_CLUSTER_TEMPLATES]
            .into_iter()
            .flat_map(|kind| self.objects(kind))
            .map(|(_, o)| o)
            .collect();
        for (key, argo) in self.objects(ARGO_ROLLOUTS) {
            let templates = adopt::templates(&templates, &key.0);
            let lives = alive::alive(&argo, lease.as_ref(), Timestamp::now());
            let Some(wanted) = adopt::shown(&argo, &templates, lives.as_deref()) else {
                continue;
            };
            let there = self.world.of(ROLLOUTS).and_then(|objects| objects.all.get(&key));
            let done = match adopt::settle(there, &wanted) {
                Show::Rest => continue,
                Show::Create(object) => self.cluster.create(&ROLLOUTS.all(&key.0), &object).await,
                Show::Change(patch) => self.cluster.patch(&ROLLOUTS.named(&key.0, &key.1), &patch).await,
                Show::Foreign => {
                    self.say(
                        &key,
                        "a Rollout of this name is there that was not made from Argo's",
                    );
                    continue;
                }
            };
            self.keep(&key, done);
        }
    }

    /// Does what the plan says for one object.
    async fn step(&mut self, key: &Key, object: &Value, views: &[wire::RolloutView]) {
        let stamp = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let project = self.config.project.clone();
        let terms = Terms {
            project: &project,
            quiet: Duration::from_secs(self.config.quiet_seconds),
            stamp: &stamp,
        };
        let wanted = intake::read(object, &project).ok();
        let of = |wanted: &plan::Wanted| {
            views
                .iter()
                .find(|view| view.project == wanted.project && view.name == wanted.rollout)
        };
        let known = Known {
            object,
            view: wanted.as_ref().and_then(of),
            written: self.written.get(key).map(Instant::elapsed),
        };
        let next = plan::next(&known, &terms);
        let Some(status) = self.carry_out(key, next, (&known, wanted.as_ref()), &stamp).await else {
            return;
        };
        let last = object.get("status").unwrap_or(&Value::Null);
        let told = self.written.contains_key(key) && status::words(last) == status::words(&status);
        // What could not be begun is tried again and again, and said once.
        if told && known.view.is_none() {
            return;
        }
        let mut whole = object.clone();
        if let Some(fields) = whole.as_object_mut() {
            fields.insert("status".to_owned(), status);
        }
        // The version of the object goes with it: a stale write is refused, and the next look sees what is.
        let place = ROLLOUTS.named(&key.0, &key.1).part("status");
        let done = self.cluster.replace(&place, &whole).await;
        self.written.insert(key.clone(), Instant::now());
        self.keep(key, done);
    }

    /// Asks control what the plan wants asked; answers the status to write, if any.
    async fn carry_out(
        &mut self,
        key: &Key,
        next: Next,
        (known, wanted): (&Known<'_>, Option<&plan::Wanted>),
        stamp: &str,
    ) -> Option<Value> {
        let object = known.object;
        match (next, wanted) {
            (Next::Rest, _) => None,
            (Next::Write(status), _) => Some(status),
            (Next::Start(_) | Next::Ask(_), None) => None,
            (Next::Start(command), Some(wanted)) => match self.begin(wanted, command).await {
                Ok(Answer::Done(Some(view))) => Some(status::of(object, wanted, Some(&view), stamp)),
                // It is on the log, and is told with the next look.
                Ok(Answer::Done(None)) => None,
                Ok(Answer::Refused(why)) => Some(status::refused(object, &why, stamp)),
                Err(fault) => {
                    let why = format!("{fault:#}");
                    self.say(key, &why);
                    Some(status::pending(object, &why, stamp))
                }
            },
            (Next::Ask(command), Some(wanted)) => {
                let (view, refused) = match self.control.command(command).await {
                    Ok(Answer::Done(view)) => (view, String::new()),
                    Ok(Answer::Refused(why)) => (None, why),
                    Err(fault) => {
                        self.say(key, &format!("{fault:#}"));
                        return None;
                    }
                };
                let mut status = status::of(object, wanted, view.as_deref().or(known.view), stamp);
                status::note_ask(&mut status, annotation(object, ASK).unwrap_or_default(), &refused);
                Some(status)
            }
        }
    }

    /// What is measured is kept first: a rollout must not be under way without it.
    async fn begin(&self, wanted: &plan::Wanted, command: wire::Command) -> anyhow::Result<Answer> {
        if let Some(document) = &wanted.analysis
            && let refused @ Answer::Refused(_) = self.control.analysis(&wanted.project, document).await?
        {
            return Ok(refused);
        }
        self.control.command(command).await
    }

    /// Takes in what was written, or says why it was not.
    fn keep(&mut self, key: &Key, done: Result<Value, Fault>) {
        match done {
            Ok(object) => {
                self.said.remove(key);
                self.world.written(ROLLOUTS, object);
            }
            Err(fault @ Fault::Conflict(_)) => {
                tracing::debug!(?key, %fault, "somebody wrote first: the next look sees it")
            }
            Err(fault) => self.say(key, &fault.to_string()),
        }
    }

    /// Says what stands in the way of everything, once.
    fn trouble(&mut self, text: String) {
        if self.trouble != text {
            tracing::warn!(text, "the operator cannot work");
            self.trouble = text;
        }
    }

    fn say(&mut self, key: &Key, text: &str) {
        if self.said.get(key).map(String::as_str) != Some(text) {
            let (namespace, name) = key;
            tracing::warn!(namespace, name, text, "a rollout of the cluster");
            self.said.insert(key.clone(), text.to_owned());
        }
    }
}

/// Whether this generation has been begun.
fn begun(object: &Value) -> bool {
    let seen = object.pointer("/status/observedGeneration");
    seen.is_some() && seen == object.pointer("/metadata/generation")
}
