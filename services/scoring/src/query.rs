//! `Scoring`: a score for a vector one has, with its reasons; the last score of a revision; what scores at this moment.

use std::sync::{Arc, PoisonError, RwLock};

use auspex_proto::score::Contribution;
use auspex_proto::vector::Feature;
use auspex_proto::wire::scoring_server::Scoring;
use auspex_proto::wire::{
    self, ExplainRequest, Explanation, GetScoreRequest, ListServedRequest, ListServedResponse, ScoreRequest,
    ServedModel,
};
use auspex_proto::{FeatureVector, Invalid, Project, Revision};
use tonic::{Request, Response, Status};

use crate::latest::{About, Latest};
use crate::runtime::{Reasons, ScoreFault};
use crate::serving::{Given, Lineup, Serving, fact};

/// Answers questions about scores.
#[derive(Debug, Clone)]
pub struct Answers {
    serving: Serving,
    latest: Arc<RwLock<Latest>>,
}

impl Answers {
    /// Scores with what is served; the last scores are followed elsewhere.
    #[must_use]
    pub fn new(serving: Serving, latest: Arc<RwLock<Latest>>) -> Self {
        Self { serving, latest }
    }
}

fn vector(asked: Option<wire::FeatureVector>) -> Result<FeatureVector, Status> {
    let vector = asked.ok_or_else(|| Status::invalid_argument("vector: is missing"))?;
    FeatureVector::from_wire(vector).map_err(|f| invalid(f.within("vector")))
}

#[tonic::async_trait]
impl Scoring for Answers {
    async fn score(&self, request: Request<ScoreRequest>) -> Result<Response<wire::Score>, Status> {
        let asked = request.into_inner();
        let vector = vector(asked.vector)?;
        let when = if asked.with_reasons {
            Reasons::Always
        } else {
            Reasons::WhenNotable
        };
        // What was taught last counts: it stands nowhere in the log.
        let dealt = self.serving.score(vec![(0, vector)], when).await;
        let Some(dealt) = dealt.into_iter().next() else {
            return Err(Status::internal("no score"));
        };
        let given = dealt.given.map_err(refused)?;
        // It follows from no fact of the log, so no score of the log is older than it.
        Ok(Response::new(fact(0, dealt.vector, given).to_wire()))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<Explanation>, Status> {
        let asked = request.into_inner();
        let vector = vector(asked.vector)?;
        let served = self.serving.table().named(&asked.model, &vector.schema_hash);
        let served = served.ok_or_else(|| {
            Status::not_found(if asked.model.is_empty() {
                let hash = &vector.schema_hash;
                format!("vector.schema_hash: nothing that is served reads {hash}")
            } else {
                format!("model: {} is not served here", asked.model)
            })
        })?;
        let explaining = tokio::task::spawn_blocking(move || {
            let explained = served.pool.explain(&vector);
            explained.map(|(scored, explained)| (served, vector, scored, explained))
        });
        let (served, vector, scored, explained) = explaining
            .await
            .map_err(|fault| Status::internal(fault.to_string()))?
            .map_err(refused)?;
        let contributions = vector.features.iter().zip(&explained.contributions).map(moved);
        let contributions: Vec<Contribution> = contributions.collect();
        let mut scored = scored;
        let given = Given {
            recalibration: self.serving.read(&served, (0, &vector), &mut scored),
            scored,
            model: served.model.label.clone(),
            mitigations: Vec::new(),
            trial: auspex_proto::score::Trial::default(),
        };
        Ok(Response::new(Explanation {
            method: explained.method.to_owned(),
            base: explained.base,
            raw: explained.raw,
            remainder: explained.remainder,
            contributions: contributions.iter().map(wire_contribution).collect(),
            score: Some(fact(0, vector, given).to_wire()),
        }))
    }

    async fn list_served(
        &self,
        _request: Request<ListServedRequest>,
    ) -> Result<Response<ListServedResponse>, Status> {
        let table = self.serving.table();
        let models = table
            .lineups
            .iter()
            .flat_map(|(name, lineup)| served(name, lineup, &self.serving));
        Ok(Response::new(ListServedResponse {
            models: models.collect(),
        }))
    }

    async fn get_score(&self, request: Request<GetScoreRequest>) -> Result<Response<wire::Score>, Status> {
        let asked = request.into_inner();
        let project = Project::new(asked.project).map_err(invalid)?;
        let (field, told, about) = about(asked.revision, asked.run)?;
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        match latest.get(&project, &about) {
            Some(score) => Ok(Response::new(score.to_wire())),
            None => Err(Status::not_found(format!(
                "{field}: {project} has no score of {told}"
            ))),
        }
    }
}

/// What a score is asked for of: the field that says so, as it says it, and read.
fn about(revision: String, run: String) -> Result<(&'static str, String, About), Status> {
    match (revision.is_empty(), run.is_empty()) {
        (true, false) => Ok(("run", run.clone(), About::Run(run))),
        (false, false) => Err(Status::invalid_argument("run: is told beside a revision")),
        (_, true) => {
            let read = Revision::new(revision.clone()).map_err(invalid)?;
            Ok(("revision", revision, About::Revision(read)))
        }
    }
}

fn moved((feature, log_odds): (&Feature, &f64)) -> Contribution {
    Contribution {
        feature: feature.name.clone(),
        value: feature.value,
        log_odds: *log_odds,
    }
}

fn wire_contribution(one: &Contribution) -> wire::Contribution {
    wire::Contribution {
        feature: one.feature.clone(),
        value: one.value,
        log_odds: one.log_odds,
    }
}

/// The versions of a model that score, and what was refused in whose place.
fn served(name: &str, lineup: &Lineup, serving: &Serving) -> Vec<ServedModel> {
    let mut found: Vec<ServedModel> = lineup
        .arms
        .iter()
        .map(|(arm, served)| ServedModel {
            model: served.model.label.clone(),
            arm: arm.name().to_owned(),
            percent: u32::from(served.percent),
            experiment: served.experiment.clone(),
            sha256: served.model.manifest.artifact.sha256.clone(),
            schema_hash: served.model.manifest.feature_schema_sha256.clone(),
            since_seq: served.since,
            refused: lineup
                .refused
                .get(arm)
                .map(|(_, why)| why.clone())
                .unwrap_or_default(),
            recalibrated: u32::try_from(serving.recalibrated(&served.model.label)).unwrap_or(u32::MAX),
        })
        .collect();
    let unserved = lineup
        .refused
        .iter()
        .filter(|(arm, _)| !lineup.arms.contains_key(arm));
    found.extend(unserved.map(|(arm, (_, why))| ServedModel {
        model: name.to_owned(),
        arm: arm.name().to_owned(),
        refused: why.clone(),
        ..ServedModel::default()
    }));
    found
}

fn invalid(fault: Invalid) -> Status {
    Status::invalid_argument(fault.to_string())
}

fn refused(fault: ScoreFault) -> Status {
    match fault {
        ScoreFault::Schema { .. } => Status::failed_precondition(format!("vector.{fault}")),
        ScoreFault::Features(_) => Status::invalid_argument(format!("vector.{fault}")),
        ScoreFault::NoNumber | ScoreFault::Runtime(_) | ScoreFault::Panicked => {
            Status::internal(fault.to_string())
        }
    }
}
