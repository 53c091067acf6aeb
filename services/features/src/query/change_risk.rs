//! Vectors of revisions as known now, by the same [`Extract`] that makes those on the log.

use auspex_proto::wire::{GetOnlineFeaturesRequest, GetOnlineFeaturesResponse};
use auspex_proto::{Entity, EntityKind, FactId, FeatureVector, Meta, Project, Revision, Timestamp};
use tonic::Status;

use super::{Answers, away, invalid, project};
use crate::context::Question;
use crate::extract::{Extract, STAGE};
use crate::state::State;

/// The most revisions one may ask for at once: each answer takes about 2 kB, and gRPC's own limit is 4 MB.
const AT_ONCE: usize = 1_000;

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
        environment: None,
        deployment: None,
    };
    extract.vector(state, meta, entity, question)
}

impl Answers {
    /// Vectors of revisions as known now.
    pub(super) async fn change_risk(
        &self,
        asked: GetOnlineFeaturesRequest,
    ) -> Result<GetOnlineFeaturesResponse, Status> {
        if asked.revisions.is_empty() || asked.revisions.len() > AT_ONCE {
            let told = format!(
                "revisions: are {}, from 1 to {AT_ONCE} may be asked; or entities of a feature_service",
                asked.revisions.len()
            );
            return Err(Status::invalid_argument(told));
        }
        let project = project(asked.project)?;
        let revisions = asked.revisions.into_iter().map(Revision::new);
        let revisions: Vec<Revision> = revisions.collect::<Result<_, _>>().map_err(invalid)?;
        let known = self.view.now(&self.extract, &project).await.map_err(away)?;
        let (state, seq) = (known.state, known.seq);
        let at = self.house.now();
        let vectors = revisions.into_iter();
        let vectors = vectors.map(|r| vector(&self.extract, (&state, seq), &project, r, at).to_wire());
        Ok(GetOnlineFeaturesResponse {
            vectors: vectors.collect(),
            as_of_ms: at.0,
            ..GetOnlineFeaturesResponse::default()
        })
    }
}
