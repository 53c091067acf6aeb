//! Answers about routers, from what is kept. No decisions are made here.

use auspex_chassis::House;
use auspex_chassis::claim::Kept;
use auspex_proto::wire::router_service_server::RouterService;
use auspex_proto::{stage, wire};
use tonic::{Request, Response, Status};

use crate::config::{Config, Route};
use crate::record::Record;

/// Answers `RouterService`.
#[derive(Debug)]
pub(crate) struct Answers {
    house: House,
    config: Config,
}

impl Answers {
    pub(crate) fn new(house: House, config: Config) -> Self {
        Self { house, config }
    }

    /// Every route that is kept, and those of this process that nobody has held yet.
    async fn all(&self) -> Result<Vec<wire::RouteView>, Status> {
        let kept = self.house.claimed::<Record>(stage::ROUTER).await;
        let kept = kept.map_err(|fault| Status::unavailable(format!("{fault:#}")))?;
        let mut views: Vec<wire::RouteView> = kept
            .iter()
            .map(|(name, kept, holder)| view(name, kept, holder.as_deref()))
            .collect();
        for route in &self.config.routes {
            let name = route.name();
            if !views.iter().any(|view| view.name == name) {
                views.push(unheld(&name, route));
            }
        }
        views.sort_by(|a, b| (&a.project, &a.service, &a.name).cmp(&(&b.project, &b.service, &b.name)));
        Ok(views)
    }
}

#[tonic::async_trait]
impl RouterService for Answers {
    async fn list(
        &self,
        request: Request<wire::ListRoutersRequest>,
    ) -> Result<Response<wire::ListRoutersResponse>, Status> {
        let asked = request.into_inner();
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let mut routers = self.all().await?;
        routers.retain(|view| is(&asked.project, &view.project) && is(&asked.service, &view.service));
        Ok(Response::new(wire::ListRoutersResponse { routers }))
    }

    async fn get(
        &self,
        request: Request<wire::GetRouterRequest>,
    ) -> Result<Response<wire::RouteView>, Status> {
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("name: is empty"));
        }
        let found = self.all().await?.into_iter().find(|view| view.name == name);
        found
            .map(Response::new)
            .ok_or_else(|| Status::not_found(format!("there is no router {name:?}")))
    }
}

fn view(name: &str, kept: &Kept<Record>, holder: Option<&str>) -> wire::RouteView {
    let record = &kept.record;
    let (face, settled) = (&record.face, record.settled.as_ref());
    let verified = match settled {
        None => "unknown",
        _ if record.drift.is_some() => "no",
        Some(s) if s.verified.is_verified() => "yes",
        Some(s) if !s.held => "no",
        Some(_) => "unknown",
    };
    wire::RouteView {
        name: name.to_owned(),
        project: face.project.clone(),
        service: face.service.clone(),
        kind: face.kind.clone(),
        region: face.region.clone(),
        holder: holder.unwrap_or_default().to_owned(),
        epoch: kept.epoch,
        rollout: settled.map(|s| s.intent.rollout.to_string()).unwrap_or_default(),
        decision_id: settled.map(|s| s.intent.decision.to_string()).unwrap_or_default(),
        asked: record.asked.is_some(),
        weight: record.asked.as_ref().map_or(0, |a| a.intent.weight).into(),
        observed: record.observed.is_some(),
        observed_weight: record.observed.unwrap_or(0).into(),
        verified: verified.to_owned(),
        verified_by: face.verified_by.clone(),
        unverified_reason: settled
            .map(|s| s.verified.reason().to_owned())
            .unwrap_or_default(),
        drift: record.drift.as_ref().map(|drift| wire::Drift {
            weight: drift.weight.into(),
            wanted: drift.wanted.into(),
            since_ms: drift.since.0,
            by: drift.by.clone(),
        }),
        suspended: settled.is_some_and(|s| s.intent.suspended),
        swapped: settled.is_some_and(|s| s.intent.swapped),
        fault: record.fault(),
        note: record.note.clone(),
        can: face.can.clone(),
        watchdog_ms: face.watchdog_ms,
        without_control: without_control(face.watchdog_ms, face.scaler),
        scaler: face.scaler,
        flips: record.flips,
        settled_ms: settled.map_or(0, |s| s.at.0),
    }
}

fn unheld(name: &str, route: &Route) -> wire::RouteView {
    wire::RouteView {
        name: name.to_owned(),
        project: route.project.clone(),
        service: route.service.clone(),
        kind: route.via().map_or("", crate::config::Via::kind).to_owned(),
        region: route.region.clone(),
        verified: "unknown".to_owned(),
        without_control: "nobody has held this route yet".to_owned(),
        ..wire::RouteView::default()
    }
}

/// What becomes of the weight when control is gone: no data plane outside has a lease of its own.
fn without_control(watchdog_ms: u64, scaler: bool) -> String {
    match watchdog_ms {
        _ if scaler => "sizes stay as they are when control is gone".to_owned(),
        0 => "no lease: the weight stays as it is when control is gone".to_owned(),
        ms => format!("no lease; the watchdog returns traffic to stable after {ms} ms without control"),
    }
}
