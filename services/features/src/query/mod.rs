//! `FeatureStore`: vectors as known now and as known then, what is pushed, definitions, drift, consistency.

pub mod change_risk;
mod definitions;
pub(crate) mod online;
pub mod parcel;
mod past;
mod push;

use std::sync::Arc;

use auspex_chassis::{House, View};
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::{
    CompactRequest, CompactResponse, ConsistencyRequest, ConsistencyResponse, DefinitionsRequest,
    DefinitionsResponse, DriftRequest, DriftResponse, FreshnessRequest, FreshnessResponse,
    GetHistoricalFeaturesRequest, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse, ListViewsRequest,
    ListViewsResponse, MaterializeRequest, MaterializeResponse, PushRequest, PushResponse, TableChunk,
};
use auspex_proto::{Invalid, Project};
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::barrier::Barrier;
use crate::definitions::Recipe;
use crate::extract::Extract;
use crate::offline::{Log, Offline};
use crate::online::Online;
use crate::shelf::{Known, Shelf};
use crate::state::State;

/// Answers questions about features.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Where it stands.
    pub house: House,
    /// What is known of each project's changes.
    pub view: View<State>,
    /// Makes the vectors of change-risk.
    pub extract: Arc<Extract>,
    /// What every entity has come to.
    pub online: Arc<Online>,
    /// Tells how much of what was told is in it.
    pub barrier: Barrier,
    /// Definitions.
    pub shelf: Arc<Shelf>,
    /// Every row for good; none when it is switched off.
    pub offline: Option<Offline>,
    /// Served vectors, by sample.
    pub log: Arc<Log>,
    /// How long rows are kept offline, milliseconds.
    pub retention: i64,
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl FeatureStore for Answers {
    type GetHistoricalFeaturesStream = BoxStream<'static, Result<TableChunk, Status>>;

    async fn get_online_features(
        &self,
        request: Request<GetOnlineFeaturesRequest>,
    ) -> Answered<GetOnlineFeaturesResponse> {
        let asked = request.into_inner();
        let response = if asked.entities.is_empty() {
            self.change_risk(asked).await?
        } else {
            self.online_features(asked).await?
        };
        Ok(Response::new(response))
    }

    async fn get_historical_features(
        &self,
        request: Request<GetHistoricalFeaturesRequest>,
    ) -> Answered<Self::GetHistoricalFeaturesStream> {
        self.historical(request.into_inner()).await.map(Response::new)
    }

    async fn push(&self, request: Request<PushRequest>) -> Answered<PushResponse> {
        let (pushed, rows) = parcel::opened(request.into_inner());
        self.push_rows(pushed, rows).await.map(Response::new)
    }

    async fn list_views(&self, _: Request<ListViewsRequest>) -> Answered<ListViewsResponse> {
        Ok(Response::new(self.list()))
    }

    async fn freshness(&self, request: Request<FreshnessRequest>) -> Answered<FreshnessResponse> {
        Ok(Response::new(self.standings(&request.into_inner().project)))
    }

    async fn plan(&self, request: Request<DefinitionsRequest>) -> Answered<DefinitionsResponse> {
        self.define(request.into_inner(), false).await.map(Response::new)
    }

    async fn apply(&self, request: Request<DefinitionsRequest>) -> Answered<DefinitionsResponse> {
        self.define(request.into_inner(), true).await.map(Response::new)
    }

    async fn materialize(&self, request: Request<MaterializeRequest>) -> Answered<MaterializeResponse> {
        self.put_in_again(request.into_inner()).await.map(Response::new)
    }

    async fn drift(&self, request: Request<DriftRequest>) -> Answered<DriftResponse> {
        self.look_for_drift(request.into_inner()).await.map(Response::new)
    }

    async fn consistency(&self, request: Request<ConsistencyRequest>) -> Answered<ConsistencyResponse> {
        self.compare(request.into_inner()).await.map(Response::new)
    }

    async fn compact(&self, request: Request<CompactRequest>) -> Answered<CompactResponse> {
        let oldest = request
            .into_inner()
            .retention
            .then(|| self.house.now().0 - self.retention);
        let done = self.offline()?.compact(oldest).await.map_err(away)?;
        Ok(Response::new(CompactResponse {
            files_before: done.before,
            files_after: done.after,
            files_expired: done.expired,
        }))
    }
}

impl Answers {
    fn offline(&self) -> Result<&Offline, Status> {
        let none = || Status::failed_precondition("there is no offline store: features.offline is empty");
        self.offline.as_ref().ok_or_else(none)
    }

    /// How to answer for a service by its name (with or without `@version`), or for features.
    fn recipe(&self, known: &Known, service: &str, features: &[String]) -> Result<Arc<Recipe>, Status> {
        if service.is_empty() {
            if let Some(missing) = known.catalogue.missing(features) {
                return Err(Status::not_found(format!("features: {missing}")));
            }
            return known
                .catalogue
                .recipe(features)
                .map(Arc::new)
                .map_err(Status::invalid_argument);
        }
        if !features.is_empty() {
            return Err(Status::invalid_argument(
                "features: cannot be asked for beside a feature_service",
            ));
        }
        let name = service.split('@').next().unwrap_or_default();
        let found = known.catalogue.services.get(name);
        let recipe =
            found.ok_or_else(|| Status::not_found(format!("feature_service: there is no {name}")))?;
        if service.contains('@') && recipe.service != service {
            let told = format!("feature_service: {service} is served as {}", recipe.service);
            return Err(Status::failed_precondition(told));
        }
        Ok(Arc::clone(recipe))
    }
}

fn project(name: String) -> Result<Project, Status> {
    Project::new(name).map_err(invalid)
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn invalid(fault: Invalid) -> Status {
    Status::invalid_argument(fault.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn away(fault: anyhow::Error) -> Status {
    Status::unavailable(format!("{fault:#}"))
}
