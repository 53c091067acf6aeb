//! How deliveries stand: what waits, since when and why; what was delivered, given up, squashed or passed over.

use auspex_chassis::View;
use auspex_proto::wire::alert_service_server::{AlertService, AlertServiceServer};
use auspex_proto::wire::{Delivery, DeliveryState, ListDeliveriesRequest, ListDeliveriesResponse};
use auspex_proto::{Project, Timestamp};
use tonic::{Request, Response, Status};

use crate::outbox::{Done, End, Outbox};

/// The gRPC service over the saved outboxes.
#[derive(Debug, Clone)]
pub struct Deliveries {
    view: View<Outbox>,
}

impl Deliveries {
    /// The service over this view.
    #[must_use]
    pub fn server(view: View<Outbox>) -> AlertServiceServer<Self> {
        AlertServiceServer::new(Self { view })
    }
}

/// All deliveries of an outbox, oldest first.
#[must_use]
pub fn deliveries(outbox: &Outbox) -> Vec<Delivery> {
    let mut all: Vec<Delivery> = outbox.done().map(ended).collect();
    all.extend(outbox.waiting().map(|(receiver, waiting, alert)| Delivery {
        receiver: receiver.to_owned(),
        state: DeliveryState::Queued.into(),
        attempts: waiting.attempts,
        note: waiting.note.clone(),
        queued_ms: waiting.queued.0,
        delivered_ms: 0,
        alert: Some(alert.to_wire()),
    }));
    all.sort_by_key(|delivery| delivery.queued_ms);
    all
}

fn ended(done: &Done) -> Delivery {
    let (state, at) = match done.end {
        End::Delivered => (DeliveryState::Delivered, done.at),
        End::Dead => (DeliveryState::Dead, Timestamp(0)),
        End::Squashed => (DeliveryState::Squashed, Timestamp(0)),
        End::PassedOver => (DeliveryState::PassedOver, Timestamp(0)),
    };
    Delivery {
        receiver: done.receiver.clone(),
        state: state.into(),
        attempts: done.was.attempts,
        note: done.was.note.clone(),
        queued_ms: done.was.queued.0,
        delivered_ms: at.0,
        alert: Some(done.alert.to_wire()),
    }
}

#[tonic::async_trait]
impl AlertService for Deliveries {
    /// Of one project, or of all when none is named.
    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let unavailable = |fault: anyhow::Error| Status::unavailable(format!("{fault:#}"));
        let asked = request.into_inner().project;
        let outboxes = if asked.is_empty() {
            let all = self.view.list().await.map_err(unavailable)?;
            all.into_iter().map(|(_, kept)| kept.state).collect()
        } else {
            let project = Project::new(asked).map_err(|fault| Status::invalid_argument(fault.to_string()))?;
            let kept = self
                .view
                .get(&project, project.as_str())
                .await
                .map_err(unavailable)?;
            kept.into_iter().map(|kept| kept.state).collect::<Vec<_>>()
        };
        let deliveries = outboxes.iter().flat_map(deliveries).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries }))
    }
}
