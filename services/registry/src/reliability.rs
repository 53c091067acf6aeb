//! `Feedback`: how good predictions have turned out to be, from what is saved.

use std::collections::BTreeMap;

use auspex_chassis::View;
use auspex_proto::Project;
use auspex_proto::wire::feedback_server::{Feedback, FeedbackServer};
use auspex_proto::wire::{
    AccuracyWeek, BandFigures, GetReliabilityRequest, GetReliabilityResponse, RecalibrateRequest,
    RecalibrateResponse, Reliability, ReliabilityBin,
};
use tonic::{Request, Response, Status};

use crate::feedback::figures::{BINS, ModelFigures, Tally};
use crate::feedback::state::State;
use crate::query::given;

const WEEK_MS: i64 = 7 * 86_400_000;

/// Answers about outcomes.
#[derive(Debug, Clone)]
pub struct Answers {
    view: View<State>,
}

impl Answers {
    /// The door.
    #[must_use]
    pub fn server(view: View<State>) -> FeedbackServer<Self> {
        FeedbackServer::new(Self { view })
    }
}

fn unavailable(fault: anyhow::Error) -> Status {
    Status::unavailable(format!("{fault:#}"))
}

fn rate(tally: &Tally) -> f64 {
    tally.failures as f64 / tally.outcomes as f64
}

/// One model's figures as the wire says them.
fn shown(model: String, project: &str, figures: &ModelFigures, pending: u64) -> Reliability {
    let base = figures.mean(figures.failures as f64);
    let width = 1.0 / BINS as f64;
    let band = |(name, tally): (&str, &Tally)| BandFigures {
        band: name.to_owned(),
        outcomes: tally.outcomes,
        failures: tally.failures,
        predicted: tally.predicted / tally.outcomes as f64,
        realised: rate(tally),
    };
    let bin = |(at, tally): (usize, &Tally)| ReliabilityBin {
        from: at as f64 * width,
        to: (at + 1) as f64 * width,
        outcomes: tally.outcomes,
        predicted: tally.predicted / tally.outcomes as f64,
        realised: rate(tally),
    };
    let weeks = figures.weeks.iter().map(|(number, week)| AccuracyWeek {
        from_ms: number * WEEK_MS,
        outcomes: week.outcomes,
        failures: week.failures,
        brier: week.brier / week.outcomes as f64,
        log_loss: week.log_loss / week.outcomes as f64,
        accuracy: week.right as f64 / week.outcomes as f64,
    });
    let bins = figures.bins.iter().enumerate();
    let told = |tally: &Tally| tally.outcomes > 0;
    Reliability {
        model,
        project: project.to_owned(),
        outcomes: figures.outcomes,
        failure_rate: base,
        log_loss: figures.mean(figures.log_loss),
        brier: figures.mean(figures.brier),
        brier_base: base * (1.0 - base),
        ece: figures.ece(),
        roc_auc: figures.roc_auc(),
        coverage: figures.coverage(),
        bands: ["low", "medium", "high"]
            .into_iter()
            .zip(&figures.bands)
            .filter(|(_, t)| told(t))
            .map(band)
            .collect(),
        bins: bins.filter(|(_, t)| told(t)).map(bin).collect(),
        failure_rate_unbiased: figures.unbiased_rate(),
        pending,
        slope: figures.online.slope,
        offset: figures.online.offset,
        brier_recalibrated: figures.online.brier / figures.online.outcomes as f64,
        drifts: figures.online.drifts,
        weeks: weeks.collect(),
        brier_raw: figures.mean(figures.brier_raw),
        log_loss_raw: figures.mean(figures.log_loss_raw),
        recalibrates: figures.proof.since.is_some(),
        recalibration_log_e: figures.proof.log_e(),
    }
}

#[tonic::async_trait]
impl Feedback for Answers {
    async fn get_reliability(
        &self,
        request: Request<GetReliabilityRequest>,
    ) -> Result<Response<GetReliabilityResponse>, Status> {
        let asked = request.into_inner();
        let states = self.view.list().await.map_err(unavailable)?;
        let wanted = |project: &str| asked.project.is_empty() || asked.project == project;
        let mut sums: BTreeMap<String, (ModelFigures, u64)> = BTreeMap::new();
        for (_, kept) in states.into_iter().filter(|(project, _)| wanted(project)) {
            for waiting in kept.state.waiting.values() {
                sums.entry(waiting.said.model.clone()).or_default().1 += 1;
            }
            for (name, figures) in kept.state.models {
                let (sum, _) = sums.entry(name).or_default();
                // Of one project alone the recalibration is its own.
                if sum.outcomes == 0 {
                    *sum = figures;
                } else {
                    sum.merge(&figures);
                }
            }
        }
        let named = |name: &str| asked.model.is_empty() || asked.model == name;
        let models = sums.into_iter().filter(|(name, _)| named(name));
        Ok(Response::new(GetReliabilityResponse {
            models: models
                .map(|(name, (figures, pending))| shown(name, &asked.project, &figures, pending))
                .collect(),
        }))
    }

    async fn recalibrate(
        &self,
        request: Request<RecalibrateRequest>,
    ) -> Result<Response<RecalibrateResponse>, Status> {
        let asked = request.into_inner();
        if !(0.0..=1.0).contains(&asked.p_failure) {
            return Err(Status::invalid_argument(format!(
                "p_failure: {} is not within 0..=1",
                asked.p_failure
            )));
        }
        let invalid = |fault: auspex_proto::Invalid| Status::invalid_argument(fault.to_string());
        let project = Project::new(asked.project).map_err(invalid)?;
        given("model", &asked.model)?;
        let found = self
            .view
            .get(&project, project.as_str())
            .await
            .map_err(unavailable)?;
        let figures = found.and_then(|kept| kept.state.models.get(&asked.model).cloned());
        let proof = figures.unwrap_or_default().proof;
        Ok(Response::new(RecalibrateResponse {
            p_failure: proof.told(asked.p_failure).unwrap_or(asked.p_failure),
            outcomes: proof.offer.map_or(0, |offer| offer.outcomes),
            served: proof.since.is_some(),
        }))
    }
}
