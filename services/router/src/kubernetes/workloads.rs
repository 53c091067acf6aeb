//! The adapter of sizes: two Deployments by their `scale` part. What is ready is reported; what traffic needs is kept.

use auspex_cluster::{Cluster, Place};
use auspex_proto::report::Capacity;
use futures::future::BoxFuture;
use serde_json::Value;

use super::route::fault;
use super::scale::{self, Workload};
use super::settings::Workloads;
use super::split::{Split, Wish};
use super::{DEPLOYMENTS, HTTP_ROUTES, VIRTUAL_SERVICES, access, gateway, istio};
use crate::router::{Applied, Capabilities, Fault, Fence, Intent, Observed, Router, Shares, Verified};

/// Two Deployments.
#[derive(Debug)]
pub struct Scaler {
    cluster: Cluster,
    stable: Place,
    candidate: Place,
    full: u32,
    /// Where it is told who has traffic.
    route: Option<Place>,
    split: Split,
}

/// Both as they are.
struct Sizes {
    stable: Workload,
    candidate: Workload,
    /// Copies that can take everything.
    full: u32,
    /// Somebody says so; else it is the larger of the two sizes there are.
    told: bool,
    /// The candidate's share; `None`: nobody can tell, `Some(None)`: no route is configured.
    share: Share,
}

/// What is known of the candidate's share of traffic.
#[derive(Clone, Copy)]
enum Share {
    /// No route is configured: control's word is all there is.
    NotAsked,
    /// A route is configured, and does not tell.
    Unknown,
    /// Percent.
    Known(u8),
}

/// A size to set.
struct Step {
    place: Place,
    now: u32,
    to: u32,
}

impl Scaler {
    /// Two Deployments of the cluster that is configured.
    ///
    /// # Errors
    /// When there is no way to the cluster, as it is configured.
    pub async fn new(settings: &Workloads) -> anyhow::Result<Self> {
        let cluster = Cluster::reach(&settings.server.reach(), access::GRANTS).await?;
        Ok(Self::at(cluster, settings))
    }

    /// Two Deployments of this cluster.
    #[must_use]
    pub fn at(cluster: Cluster, settings: &Workloads) -> Self {
        let named = |name: &str| DEPLOYMENTS.named(&settings.namespace, name);
        let route = match (settings.virtual_service.as_str(), settings.http_route.as_str()) {
            ("", "") => None,
            ("", name) => Some(HTTP_ROUTES.named(&settings.namespace, name)),
            (name, _) => Some(VIRTUAL_SERVICES.named(&settings.namespace, name)),
        };
        Self {
            cluster,
            stable: named(&settings.stable),
            candidate: named(&settings.candidate),
            full: settings.replicas,
            route,
            split: settings.split(),
        }
    }

    fn places(&self, intent: &Intent) -> (&Place, &Place) {
        if intent.swapped {
            (&self.candidate, &self.stable)
        } else {
            (&self.stable, &self.candidate)
        }
    }

    async fn share(&self, intent: &Intent) -> Result<Share, Fault> {
        let Some(place) = &self.route else {
            return Ok(Share::NotAsked);
        };
        let Some(object) = self.cluster.get(place).await.map_err(fault)? else {
            return Ok(Share::Unknown);
        };
        let split = self.split.turned(intent.swapped);
        let held = if place.kind == HTTP_ROUTES {
            gateway::read(&object, &split)
        } else {
            istio::read(&object, &split, &Wish::default())
        };
        let weight = held.ok().and_then(|held| held.shares).and_then(Shares::weight);
        Ok(weight.map_or(Share::Unknown, Share::Known))
    }

    async fn workload(&self, place: &Place) -> Result<Workload, Fault> {
        let found = self.cluster.get(place).await.map_err(fault)?;
        let object = found.ok_or_else(|| Fault::Refused(format!("{place} is not there")))?;
        Ok(Workload::of(&object))
    }

    async fn sizes(&self, intent: &Intent) -> Result<Sizes, Fault> {
        let (stable, candidate) = self.places(intent);
        let (stable, candidate) = (self.workload(stable).await?, self.workload(candidate).await?);
        let told = scale::told(self.full, [intent.stable, intent.candidate]);
        Ok(Sizes {
            told: told.is_some(),
            full: told.unwrap_or_else(|| stable.wanted.max(candidate.wanted)),
            share: self.share(intent).await?,
            stable,
            candidate,
        })
    }

    /// What has to be set, what is raised first; and what was asked and is not done, since traffic needs more.
    fn steps(&self, intent: &Intent, sizes: &Sizes) -> (Vec<Step>, Vec<String>) {
        let (stable, candidate) = self.places(intent);
        let (mut steps, mut kept) = (Vec::new(), Vec::new());
        let of = |known: fn(u8) -> u8| match sizes.share {
            Share::NotAsked => Some(0),
            Share::Unknown => None,
            Share::Known(weight) => Some(known(weight)),
        };
        let sides = [
            (
                "stable",
                stable,
                &sizes.stable,
                intent.stable,
                of(|weight| 100 - weight.min(100)),
            ),
            (
                "the candidate",
                candidate,
                &sizes.candidate,
                intent.candidate,
                of(|weight| weight),
            ),
        ];
        for (name, place, now, asked, share) in sides {
            let Some(asked) = asked else {
                continue;
            };
            let asked = match scale::copies(asked, now, (sizes.full, sizes.told)) {
                Ok(asked) => asked,
                Err(fewer) => {
                    let wanted = now.wanted;
                    kept.push(format!(
                        "{name} is kept at {wanted} copies, not {fewer}: neither the route nor spec.scale says how many \
                         replicas take everything"
                    ));
                    continue;
                }
            };
            let size = scale::size(asked, now, share, sizes.full);
            if size.kept {
                let replicas = size.replicas;
                let has = share.map_or("nobody knows its share".to_owned(), |share| {
                    format!("it has {share} % of traffic")
                });
                kept.push(format!("{name} is kept at {replicas} copies, not {asked}: {has}"));
            }
            if size.replicas != now.wanted {
                steps.push(Step {
                    place: place.clone(),
                    now: now.wanted,
                    to: size.replicas,
                });
            }
        }
        steps.sort_by_key(|step| step.to < step.now);
        (steps, kept)
    }

    async fn set(&self, step: &Step, fence: &dyn Fence) -> Result<(), Fault> {
        let place = step.place.clone().part("scale");
        let found = self.cluster.get(&place).await.map_err(fault)?;
        let last = found.ok_or_else(|| Fault::Refused(format!("{place} is not there")))?;
        let now = last
            .pointer("/spec/replicas")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        if now != u64::from(step.now) {
            return Err(Fault::Conflict(format!(
                "{place} was set to {now} copies meanwhile"
            )));
        }
        fence.pass().await?;
        let sized = scale::sized(&last, step.to);
        self.cluster
            .replace(&place, &sized)
            .await
            .map(drop)
            .map_err(fault)
    }

    async fn carry_out(&self, intent: &Intent, fence: &dyn Fence) -> Result<Applied, Fault> {
        let sizes = self.sizes(intent).await?;
        let (steps, kept) = self.steps(intent, &sizes);
        for step in &steps {
            self.set(step, fence).await?;
        }
        let observed = self.observed(intent).await?;
        let verified = if kept.is_empty() {
            Verified::Verified
        } else {
            Verified::Unverified(kept.join("; "))
        };
        Ok(Applied {
            verified,
            observed: Some(observed),
        })
    }

    async fn observed(&self, intent: &Intent) -> Result<Observed, Fault> {
        let sizes = self.sizes(intent).await?;
        let (steps, kept) = self.steps(intent, &sizes);
        let capacity = |workload: &Workload| {
            // While its controller has not seen the last change, the numbers are of something else.
            workload.current.then(|| Capacity {
                percent: workload.capacity(sizes.full),
                ready: workload.ready,
                wanted: workload.wanted,
            })
        };
        Ok(Observed {
            beside: Some(steps.is_empty() && kept.is_empty()),
            stable: capacity(&sizes.stable),
            candidate: capacity(&sizes.candidate),
            note: kept.join("; "),
            ..Observed::default()
        })
    }
}

impl Router for Scaler {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: false,
            header: false,
            cookie: false,
            user: false,
            mirror: false,
            scale: true,
            atomic: false,
            verified_by: Some("sizes of the Deployments"),
        }
    }

    fn apply<'a>(
        &'a self,
        intent: &'a Intent,
        fence: &'a dyn Fence,
    ) -> BoxFuture<'a, Result<Applied, Fault>> {
        Box::pin(self.carry_out(intent, fence))
    }

    fn read<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<Observed, Fault>> {
        Box::pin(self.observed(intent))
    }
}
