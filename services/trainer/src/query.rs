//! `Trainer`: train now, and what was trained.

use auspex_proto::stage;
use auspex_proto::wire::trainer_server::Trainer;
use auspex_proto::wire::{self, GetTrainingRequest, GetTrainingResponse, TrainNowRequest};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use crate::job::{Demand, Job};
use crate::schedule::{self, Past, Run};

/// Answers for the trainer.
#[derive(Debug, Clone)]
pub struct Answers {
    jobs: Vec<(Job, mpsc::Sender<Demand>)>,
}

impl Answers {
    /// With these jobs, the one that is meant where none is named first; each listens at the other end.
    #[must_use]
    pub fn new(jobs: Vec<(Job, mpsc::Sender<Demand>)>) -> Self {
        Self { jobs }
    }

    /// The job of a model; of none named the first.
    fn job(&self, model: &str) -> Result<&(Job, mpsc::Sender<Demand>), Status> {
        let mut jobs = self.jobs.iter();
        let found = jobs.find(|(job, _)| model.is_empty() || job.config.model == model);
        found.ok_or_else(|| Status::not_found(format!("model: {model} is not learned here")))
    }
}

fn shown(run: &Run) -> wire::TrainingRun {
    wire::TrainingRun {
        as_of_ms: run.as_of_ms,
        cause: run.cause.clone(),
        text: run.text.clone(),
        examples: run.examples,
        failures: run.failures,
        snapshot: run.snapshot.clone(),
        champion: run.champion.clone(),
        roc_auc: run.roc_auc.unwrap_or(f64::NAN),
        log_loss: run.log_loss,
        brier: run.brier,
        brier_base: run.brier_base,
        ece: run.ece,
        published: run.published,
        version: run.version.clone(),
        gates_failed: run.gates_failed.clone(),
    }
}

fn away(fault: &anyhow::Error) -> Status {
    Status::unavailable(format!("{fault:#}"))
}

#[tonic::async_trait]
impl Trainer for Answers {
    async fn train_now(
        &self,
        request: Request<TrainNowRequest>,
    ) -> Result<Response<wire::TrainingRun>, Status> {
        let request = request.into_inner();
        let (reply, answer) = oneshot::channel();
        let demand = Demand {
            note: format!("{}: {}", request.actor, request.note),
            reply,
        };
        let gone = || Status::unavailable("the trainer is stopping");
        let (_, demands) = self.job(&request.model)?;
        demands.send(demand).await.map_err(|_| gone())?;
        match answer.await.map_err(|_| gone())? {
            Ok(run) => Ok(Response::new(shown(&run))),
            Err(reason) => Err(Status::failed_precondition(reason)),
        }
    }

    async fn get_training(
        &self,
        request: Request<GetTrainingRequest>,
    ) -> Result<Response<GetTrainingResponse>, Status> {
        let (job, _) = self.job(&request.into_inner().model)?;
        let states = job.states().await.map_err(|fault| away(&fault))?;
        let claimed = job
            .house
            .claimed::<Past>(stage::TRAINING)
            .await
            .map_err(|fault| away(&fault))?;
        let model = &job.config.model;
        let past = claimed
            .into_iter()
            .find(|(name, ..)| name == model)
            .map(|(_, kept, _)| kept.record)
            .unwrap_or_default();
        let mut answer = GetTrainingResponse {
            schedule: job.config.schedule.name().to_owned(),
            next_ms: schedule::next(&job.config, &past),
            runs: past.runs.iter().map(shown).collect(),
            ..GetTrainingResponse::default()
        };
        for (_, state) in states {
            let failed = state.examples.iter().filter(|example| example.failed);
            answer.failures += failed.count() as u64;
            answer.examples += state.examples.len() as u64;
            answer.waiting += state.pending() as u64;
        }
        Ok(Response::new(answer))
    }
}
