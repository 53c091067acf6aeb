//! The adapter of routes: reads the object, passes the fence, sends a patch that tests what it builds on.

use auspex_cluster::{Cluster, Patch, Place};
use futures::future::BoxFuture;
use serde_json::Value;

use super::settings::{GatewayApi, Istio};
use super::split::{Destination, Held, Split, Unfit, Wish};
use super::{DESTINATION_RULES, HTTP_ROUTES, VIRTUAL_SERVICES, access, gateway, istio, writer};
use crate::router::{Applied, Capabilities, Fault, Fence, Intent, Mark, Observed, Router, Verified};

/// Why an Istio weight is never called verified.
const ISTIO_IS_SILENT: &str = "Istio does not say when its proxies have taken a route";

/// One `VirtualService` or `HTTPRoute`.
#[derive(Debug)]
pub struct Route {
    cluster: Cluster,
    place: Place,
    split: Split,
    table: Table,
}

/// Which kind of route.
#[derive(Debug)]
enum Table {
    Istio { rule: Option<Place> },
    Gateway,
}

impl Route {
    /// An Istio route.
    ///
    /// # Errors
    /// When there is no way to the cluster, as it is configured.
    pub async fn istio(settings: &Istio) -> anyhow::Result<Self> {
        let cluster = Cluster::reach(&settings.server.reach(), access::GRANTS).await?;
        Ok(Self::istio_at(cluster, settings))
    }

    /// An Istio route in this cluster.
    #[must_use]
    pub fn istio_at(cluster: Cluster, settings: &Istio) -> Self {
        let rule = Some(&settings.destination_rule).filter(|name| !name.is_empty());
        Self {
            cluster,
            place: VIRTUAL_SERVICES.named(&settings.namespace, &settings.virtual_service),
            split: settings.split(),
            table: Table::Istio {
                rule: rule.map(|name| DESTINATION_RULES.named(&settings.namespace, name)),
            },
        }
    }

    /// A Gateway API route.
    ///
    /// # Errors
    /// When there is no way to the cluster, as it is configured.
    pub async fn gateway(settings: &GatewayApi) -> anyhow::Result<Self> {
        let cluster = Cluster::reach(&settings.server.reach(), access::GRANTS).await?;
        Ok(Self::gateway_at(cluster, settings))
    }

    /// A Gateway API route in this cluster.
    #[must_use]
    pub fn gateway_at(cluster: Cluster, settings: &GatewayApi) -> Self {
        Self {
            cluster,
            place: HTTP_ROUTES.named(&settings.namespace, &settings.http_route),
            split: settings.split(),
            table: Table::Gateway,
        }
    }

    async fn object(&self) -> Result<Value, Fault> {
        let found = self.cluster.get(&self.place).await.map_err(fault)?;
        found.ok_or_else(|| Fault::Refused(format!("{} is not there", self.place)))
    }

    fn patch(&self, object: &Value, intent: &Intent) -> Result<Patch, Unfit> {
        let split = self.split.turned(intent.swapped);
        match self.table {
            Table::Istio { .. } => istio::patch(object, &split, &Wish::of(intent)),
            Table::Gateway => gateway::patch(object, &split, intent.weight),
        }
    }

    fn held(&self, object: &Value, intent: &Intent) -> Result<Held, Unfit> {
        let split = self.split.turned(intent.swapped);
        match self.table {
            Table::Istio { .. } => istio::read(object, &split, &Wish::of(intent)),
            Table::Gateway => gateway::read(object, &split),
        }
    }

    /// What the object says, and whether the data plane says that it has it.
    fn observed(&self, object: &Value, intent: &Intent) -> Result<(Observed, Verified), Fault> {
        let held = self.held(object, intent).map_err(|unfit| self.unfit(&unfit))?;
        let (list, taken) = match self.table {
            Table::Istio { .. } => ("http", Err(ISTIO_IS_SILENT.to_owned())),
            Table::Gateway => ("rules", gateway::accepted(object)),
        };
        let by = writer::of(object, &["spec", list]);
        let mut observed = Observed {
            shares: held.shares,
            beside: held.beside,
            // Whoever wrote last wrote on what we had left: that is no write of ours that was cut short.
            mark: if by.is_empty() {
                Mark::Unkept
            } else {
                Mark::Write(intent.mark)
            },
            by,
            note: held.note,
            ..Observed::default()
        };
        let verified = match taken {
            Ok(()) => Verified::Verified,
            Err(why) => {
                if matches!(self.table, Table::Gateway) {
                    // What no gateway has taken yet splits nothing yet.
                    observed.shares = None;
                    observed.note.clone_from(&why);
                }
                Verified::Unverified(why)
            }
        };
        Ok((observed, verified))
    }

    /// Traffic to a subset that no rule defines ends in 503s: it has to be there first.
    async fn subsets(&self, intent: &Intent) -> Result<(), Fault> {
        let Table::Istio { rule: Some(rule) } = &self.table else {
            return Ok(());
        };
        let found = self.cluster.get(rule).await.map_err(fault)?;
        let object = found.ok_or_else(|| Fault::Refused(format!("{rule} is not there")))?;
        let split = self.split.turned(intent.swapped);
        let needs =
            |side: &Destination, share: u8| share > 0 && !side.subset.is_empty() && !defines(&object, side);
        for (side, share) in [
            (&split.stable, 100 - intent.weight.min(100)),
            (&split.candidate, intent.weight),
        ] {
            if needs(side, share) {
                return Err(Fault::Refused(format!(
                    "{rule} does not define the subset {}",
                    side.subset
                )));
            }
        }
        Ok(())
    }

    fn unfit(&self, unfit: &Unfit) -> Fault {
        Fault::Refused(format!("{}: {unfit}", self.place))
    }

    async fn carry_out(&self, intent: &Intent, fence: &dyn Fence) -> Result<Applied, Fault> {
        let mut object = self.object().await?;
        let patch = self.patch(&object, intent).map_err(|unfit| self.unfit(&unfit))?;
        if !patch.is_empty() {
            self.subsets(intent).await?;
            fence.pass().await?;
            object = self.cluster.patch(&self.place, &patch).await.map_err(fault)?;
        }
        let (observed, verified) = self.observed(&object, intent)?;
        Ok(Applied {
            verified,
            observed: Some(observed),
        })
    }
}

impl Router for Route {
    fn kind(&self) -> &'static str {
        match self.table {
            Table::Istio { .. } => "istio",
            Table::Gateway => "gateway_api",
        }
    }

    fn capabilities(&self) -> Capabilities {
        let istio = matches!(self.table, Table::Istio { .. });
        Capabilities {
            weights: true,
            header: istio,
            cookie: istio,
            user: false,
            mirror: istio,
            scale: false,
            atomic: true,
            verified_by: (!istio).then_some("conditions of the gateways"),
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
        Box::pin(async move {
            let object = self.object().await?;
            self.observed(&object, intent).map(|(observed, _)| observed)
        })
    }
}

fn defines(rule: &Value, side: &Destination) -> bool {
    let subsets = rule.pointer("/spec/subsets").and_then(Value::as_array);
    let mut subsets = subsets.into_iter().flatten();
    subsets.any(|subset| {
        subset
            .get("name")
            .is_some_and(|name| name == side.subset.as_str())
    })
}

/// What a fault of the cluster means to whoever carries an intent out.
pub(super) fn fault(fault: auspex_cluster::Fault) -> Fault {
    use auspex_cluster::Fault as Cluster;
    let text = fault.to_string();
    match fault {
        Cluster::Away(_) | Cluster::Expired(_) => Fault::Away(text),
        Cluster::Conflict(_) => Fault::Conflict(text),
        Cluster::Denied(_) | Cluster::Refused(_) | Cluster::Missing(_) | Cluster::Undeclared(_) => {
            Fault::Refused(text)
        }
    }
}
