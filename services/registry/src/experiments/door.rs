//! `Experiments`: begin, end, list.

use auspex_proto::wire::experiments_server::Experiments;
use auspex_proto::wire::{
    self, ExperimentReason, ExperimentState, ListExperimentsRequest, ListExperimentsResponse,
    StartExperimentRequest, StopExperimentRequest,
};
use tonic::{Request, Response, Status};

use super::{Experiment, Trials};
use crate::catalog::trial::{Ruling, Standing, Why, rule};
use crate::query::{by, given, status};
use crate::shelf::Fault;

impl Trials {
    async fn shown(&self, experiment: Experiment) -> Result<wire::Experiment, Fault> {
        let counted = self.counted(&experiment).await?;
        let now = rule(&counted, &self.config);
        let (loss, cost) = (counted.log_loss.evidence(), counted.cost.evidence());
        let (state, why, text) = match &experiment.ended {
            None => (ExperimentState::Running, now.why, now.text),
            Some(ended) if ended.promoted => (ExperimentState::Promoted, ended.why, ended.text.clone()),
            Some(ended) => (ExperimentState::Returned, ended.why, ended.text.clone()),
        };
        Ok(wire::Experiment {
            state: state.into(),
            reason: reason(why).into(),
            text,
            started_ms: experiment.started.0,
            ended_ms: experiment.ended.as_ref().map_or(0, |ended| ended.at.0),
            outcomes: loss.samples,
            log_e_better: loss.log_e_better,
            log_e_worse: loss.log_e_worse,
            log_e_cost_worse: cost.log_e_worse,
            log_e_cost_no_worse: counted.cost_within.evidence().log_e_better,
            log_loss_gain: loss.gain,
            cost_gain: cost.gain,
            alpha: self.config.alpha,
            beta: self.config.beta,
            name: experiment.name,
            model: experiment.model,
            champion: experiment.champion,
            challenger: experiment.challenger,
            percent: u32::from(experiment.percent),
            actor: experiment.actor,
            note: experiment.note,
        })
    }
}

fn reason(why: Why) -> ExperimentReason {
    match why {
        Why::StillWatching => ExperimentReason::StillWatching,
        Why::TooFewOutcomes => ExperimentReason::TooFewOutcomes,
        Why::Better => ExperimentReason::Better,
        Why::WorseLogLoss => ExperimentReason::WorseLogLoss,
        Why::WorseCost => ExperimentReason::WorseCost,
        Why::NoDifference => ExperimentReason::NoDifference,
        Why::Stopped => ExperimentReason::Stopped,
        Why::Superseded => ExperimentReason::Superseded,
        Why::Refused => ExperimentReason::Refused,
    }
}

#[tonic::async_trait]
impl Experiments for Trials {
    async fn start(
        &self,
        request: Request<StartExperimentRequest>,
    ) -> Result<Response<wire::Experiment>, Status> {
        let asked = request.into_inner();
        given("model", &asked.model)?;
        given("challenger", &asked.challenger)?;
        let shelf = self.gate.shelf();
        let head = shelf.head(&asked.model).await.map_err(by("model"))?;
        let resolved = head.resolve(&asked.challenger).map_err(Fault::from);
        resolved.map_err(by("challenger"))?;
        let begun = self.begin(asked).await.map_err(status)?;
        self.shown(begun).await.map(Response::new).map_err(status)
    }

    async fn stop(
        &self,
        request: Request<StopExperimentRequest>,
    ) -> Result<Response<wire::Experiment>, Status> {
        let asked = request.into_inner();
        given("name", &asked.name)?;
        let all = self.all().await.map_err(status)?;
        let found = all
            .into_iter()
            .find(|e| e.name == asked.name || (e.model == asked.name && e.ended.is_none()));
        let found =
            found.ok_or_else(|| Status::not_found(format!("name: there is no experiment {}", asked.name)))?;
        if found.ended.is_some() {
            return Err(Status::failed_precondition(format!(
                "name: {} has ended already",
                found.name
            )));
        }
        let counted = self.counted(&found).await.map_err(status)?;
        let ruling = Ruling {
            standing: Standing::Return,
            why: Why::Stopped,
            text: if asked.note.is_empty() {
                "stopped".to_owned()
            } else {
                asked.note
            },
        };
        let ended = self
            .end(&found, ruling, counted, &asked.actor)
            .await
            .map_err(status)?;
        self.shown(ended).await.map(Response::new).map_err(status)
    }

    async fn list(
        &self,
        request: Request<ListExperimentsRequest>,
    ) -> Result<Response<ListExperimentsResponse>, Status> {
        let model = request.into_inner().model;
        let all = self.all().await.map_err(status)?;
        let mut experiments = Vec::new();
        for one in all.into_iter().filter(|e| model.is_empty() || e.model == model) {
            experiments.push(self.shown(one).await.map_err(status)?);
        }
        Ok(Response::new(ListExperimentsResponse { experiments }))
    }
}
