//! `FeatureStore`: vectors of revisions as known now, by the same [`Extract`] that makes those on the log.

use auspex_chassis::{House, View};
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::{GetOnlineFeaturesRequest, GetOnlineFeaturesResponse};
use auspex_proto::{Entity, EntityKind, FactId, FeatureVector, Invalid, Meta, Project, Revision, Timestamp};
use tonic::{Request, Response, Status};

use crate::context::Question;
use crate::extract::{Extract, STAGE};
use crate::state::State;

/// The most revisions one may ask for at once: each answer takes about 2 kB, and gRPC's own limit is 4 MB.
const AT_ONCE: usize = 1_000;

/// Answers questions about features.
#[derive(Debug, Clone)]
pub struct Answers {
    house: House,
    view: View<State>,
    extract: Extract,
}

impl Answers {
    /// Answers from this view.
    #[must_use]
    pub fn new(house: House, view: View<State>, extract: Extract) -> Self {
        Self { house, view, extract }
    }
}

/// The vector of a revision as known at a time, from the state after this sequence.
#[must_use]
pub fn vector(
    extract: &Extract,
    (state, seq): (&State, u64),
    project: &Project,
    revision: Revision,
    at: Timestamp,
) -> FeatureVector {
    let meta = Meta {
        id: FactId::outside("features/asked", &format!("{project}\n{revision}\n{seq}\n{at}")),
        project: project.clone(),
        time: at,
        cause: seq,
        source: STAGE.to_owned(),
    };
    let entity = Entity {
        kind: EntityKind::Change,
        id: revision.to_string(),
        revision,
        service: None,
    };
    let question = Question {
        at,
        service: None,
        deployment: None,
    };
    extract.vector(state, meta, entity, question)
}

#[tonic::async_trait]
impl FeatureStore for Answers {
    async fn get_online_features(
        &self,
        request: Request<GetOnlineFeaturesRequest>,
    ) -> Result<Response<GetOnlineFeaturesResponse>, Status> {
        let asked = request.into_inner();
        if asked.revisions.is_empty() || asked.revisions.len() > AT_ONCE {
            let told = format!(
                "revisions: are {}, from 1 to {AT_ONCE} may be asked",
                asked.revisions.len()
            );
            return Err(Status::invalid_argument(told));
        }
        let project = Project::new(asked.project).map_err(invalid)?;
        let revisions = asked.revisions.into_iter().map(Revision::new);
        let revisions: Vec<Revision> = revisions.collect::<Result<_, _>>().map_err(invalid)?;
        let kept = self.view.get(&project, project.as_str()).await.map_err(away)?;
        let (state, seq) = kept.map(|kept| (kept.state, kept.seq)).unwrap_or_default();
        let at = self.house.now();
        let vectors = revisions.into_iter();
        let vectors = vectors.map(|r| vector(&self.extract, (&state, seq), &project, r, at).to_wire());
        Ok(Response::new(GetOnlineFeaturesResponse {
            vectors: vectors.collect(),
        }))
    }
}

fn invalid(fault: Invalid) -> Status {
    Status::invalid_argument(fault.to_string())
}

fn away(fault: anyhow::Error) -> Status {
    Status::unavailable(format!("{fault:#}"))
}
