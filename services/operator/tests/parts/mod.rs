//! Control, played by the test: it remembers commands by their ids and answers views that the test sets.

pub(crate) mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use auspex_proto::wire;
use auspex_proto::wire::rollout_service_server::{RolloutService, RolloutServiceServer};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

/// What control knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Rollouts by name.
    pub(crate) views: BTreeMap<String, wire::RolloutView>,
    /// Commands in the order of their coming, each id once.
    pub(crate) commands: Vec<wire::Command>,
    /// How often a command came, repeats among them.
    pub(crate) calls: usize,
    /// Why commands to these rollouts are refused.
    pub(crate) refuses: BTreeMap<String, String>,
    ids: BTreeSet<String>,
}

/// Control.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control(pub(crate) Arc<Mutex<Known>>);

type Answer<T> = Result<Response<T>, Status>;

impl Control {
    /// Serves on loopback; answers the address.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(RolloutServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }

    /// Changes a view.
    pub(crate) fn set(&self, name: &str, change: impl FnOnce(&mut wire::RolloutView)) {
        change(self.0.lock().unwrap().views.get_mut(name).unwrap());
    }
}

#[tonic::async_trait]
impl RolloutService for Control {
    type WatchStream = ReceiverStream<Result<wire::RolloutView, Status>>;

    async fn command(
        &self,
        request: Request<wire::CommandRolloutRequest>,
    ) -> Answer<wire::CommandRolloutResponse> {
        let command = request.into_inner().command.unwrap();
        let mut known = self.0.lock().unwrap();
        known.calls += 1;
        if let Some(why) = known.refuses.get(&command.rollout).cloned() {
            return Ok(Response::new(wire::CommandRolloutResponse {
                refused: why,
                ..Default::default()
            }));
        }
        let meta = command.meta.clone().unwrap();
        if known.ids.insert(meta.id) {
            known.commands.push(command.clone());
        }
        if let Some(wire::command::Ask::Start(_)) = command.ask {
            let view = wire::RolloutView {
                project: meta.project,
                name: command.rollout.clone(),
                phase: wire::Phase::Waiting.into(),
                mode: wire::Mode::Act.into(),
                started_ms: 1_767_225_600_000,
                ..wire::RolloutView::default()
            };
            known.views.entry(command.rollout.clone()).or_insert(view);
        }
        let rollout = known.views.get(&command.rollout).cloned();
        Ok(Response::new(wire::CommandRolloutResponse {
            rollout,
            ..Default::default()
        }))
    }

    async fn list(&self, _: Request<wire::ListRolloutsRequest>) -> Answer<wire::ListRolloutsResponse> {
        let rollouts = self.0.lock().unwrap().views.values().cloned().collect();
        Ok(Response::new(wire::ListRolloutsResponse { rollouts }))
    }

    async fn start(&self, _: Request<wire::StartRolloutRequest>) -> Answer<wire::CommandRolloutResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get(&self, _: Request<wire::GetRolloutRequest>) -> Answer<wire::RolloutView> {
        Err(Status::unimplemented("not asked"))
    }

    async fn watch(&self, _: Request<wire::GetRolloutRequest>) -> Answer<Self::WatchStream> {
        Err(Status::unimplemented("not asked"))
    }

    async fn history(&self, _: Request<wire::HistoryRequest>) -> Answer<wire::HistoryResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn gate(&self, _: Request<wire::GateRequest>) -> Answer<wire::GateAnswer> {
        Err(Status::unimplemented("not asked"))
    }
}
