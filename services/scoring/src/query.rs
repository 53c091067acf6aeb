//! `Scoring`: a score for a vector one has, or the last score of a revision.

use std::sync::{Arc, PoisonError, RwLock};

use auspex_proto::wire::scoring_server::Scoring;
use auspex_proto::wire::{self, GetScoreRequest, ScoreRequest};
use auspex_proto::{FeatureVector, Invalid, Project, Revision};
use tonic::{Request, Response, Status};

use crate::latest::Latest;
use crate::pool::Pool;
use crate::runtime::{Reasons, ScoreFault};
use crate::transform::fact;

/// Answers questions about scores.
#[derive(Debug, Clone)]
pub struct Answers {
    pool: Pool,
    model: String,
    latest: Arc<RwLock<Latest>>,
}

impl Answers {
    /// Scores with these threads, under this model's name; the last scores are followed elsewhere.
    #[must_use]
    pub fn new(pool: Pool, model: String, latest: Arc<RwLock<Latest>>) -> Self {
        Self { pool, model, latest }
    }
}

#[tonic::async_trait]
impl Scoring for Answers {
    async fn score(&self, request: Request<ScoreRequest>) -> Result<Response<wire::Score>, Status> {
        let asked = request.into_inner();
        let vector = asked
            .vector
            .ok_or_else(|| Status::invalid_argument("vector: is missing"))?;
        let vector = FeatureVector::from_wire(vector).map_err(|f| invalid(f.within("vector")))?;
        let when = if asked.with_reasons {
            Reasons::Always
        } else {
            Reasons::WhenNotable
        };
        let done = self.pool.score(vec![vector], when).await.map_err(refused)?;
        let Some((vector, scored)) = done.into_iter().next() else {
            return Err(Status::internal("no score"));
        };
        let scored = scored.map_err(refused)?;
        // It follows from no fact of the log, so no score of the log is older than it.
        Ok(Response::new(fact(0, vector, scored, &self.model).to_wire()))
    }

    async fn explain(
        &self,
        _request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::Explanation>, Status> {
        Err(Status::unimplemented("explain"))
    }

    async fn list_served(
        &self,
        _request: Request<wire::ListServedRequest>,
    ) -> Result<Response<wire::ListServedResponse>, Status> {
        Err(Status::unimplemented("list served"))
    }

    async fn get_score(&self, request: Request<GetScoreRequest>) -> Result<Response<wire::Score>, Status> {
        let asked = request.into_inner();
        let project = Project::new(asked.project).map_err(invalid)?;
        let revision = Revision::new(asked.revision).map_err(invalid)?;
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        match latest.get(&project, &revision) {
            Some(score) => Ok(Response::new(score.to_wire())),
            None => Err(Status::not_found(format!("{project} has no score of {revision}"))),
        }
    }
}

fn invalid(fault: Invalid) -> Status {
    Status::invalid_argument(fault.to_string())
}

fn refused(fault: ScoreFault) -> Status {
    match fault {
        ScoreFault::Schema { .. } => Status::failed_precondition(fault.to_string()),
        ScoreFault::Features(_) => Status::invalid_argument(fault.to_string()),
        ScoreFault::NoNumber | ScoreFault::Runtime(_) => Status::internal(fault.to_string()),
    }
}
