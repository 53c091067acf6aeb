//! Answers about analyses, from what is kept.

use auspex_argo::plan::{Document, When};
use auspex_argo::run::Outcome;
use auspex_proto::wire;
use auspex_proto::wire::analysis_service_server::AnalysisService;
use auspex_proto::{Project, RolloutName};
use tonic::{Request, Response, Status};

use crate::board::{Board, Seen};

/// The project of a plan that names none.
const PROJECT: &str = "default";

/// Answers `AnalysisService`.
#[derive(Debug)]
pub(crate) struct Answers {
    board: Board,
}

impl Answers {
    pub(crate) fn new(board: Board) -> Self {
        Self { board }
    }

    async fn seen(&self, project: &str) -> Result<Vec<Seen>, Status> {
        self.board
            .seen(project)
            .await
            .map_err(|fault| Status::unavailable(format!("{fault:#}")))
    }

    async fn one(&self, project: &str, name: &str) -> Result<wire::AnalysisView, Status> {
        let mut found = self.seen(project).await?;
        found.retain(|seen| seen.plan.metadata.name == name);
        match found.as_slice() {
            [one] => Ok(view(one)),
            [] => Err(Status::not_found(format!("there is no analysis of {name}"))),
            _ => Err(Status::failed_precondition(format!(
                "several projects have an analysis of {name}: name one"
            ))),
        }
    }
}

#[tonic::async_trait]
impl AnalysisService for Answers {
    async fn put(
        &self,
        request: Request<wire::PutAnalysisRequest>,
    ) -> Result<Response<wire::AnalysisView>, Status> {
        let asked = request.into_inner();
        let document = Document::read(&asked.document)
            .map_err(|fault| Status::invalid_argument(format!("analysis document: {fault}")))?;
        let named = document.metadata.project.clone().unwrap_or_default();
        let project = match (asked.project.as_str(), named.as_str()) {
            ("", "") => PROJECT,
            ("", named) => named,
            (asked, "") => asked,
            (asked, named) if asked == named => asked,
            (asked, named) => {
                return Err(Status::invalid_argument(format!(
                    "metadata.project is {named}, not {asked}"
                )));
            }
        };
        let wrong = |fault: auspex_proto::Invalid| Status::invalid_argument(fault.to_string());
        let project = Project::new(project).map_err(wrong)?;
        let name = RolloutName::new(document.metadata.name.as_str()).map_err(wrong)?;
        self.board
            .put(&project, document, &asked.actor)
            .await
            .map_err(Status::unavailable)?;
        Ok(Response::new(self.one(project.as_str(), name.as_str()).await?))
    }

    async fn get(
        &self,
        request: Request<wire::GetAnalysisRequest>,
    ) -> Result<Response<wire::AnalysisView>, Status> {
        let asked = request.into_inner();
        Ok(Response::new(self.one(&asked.project, &asked.name).await?))
    }

    async fn list(
        &self,
        request: Request<wire::ListAnalysesRequest>,
    ) -> Result<Response<wire::ListAnalysesResponse>, Status> {
        let found = self.seen(&request.into_inner().project).await?;
        let analyses = found.iter().map(view).collect();
        Ok(Response::new(wire::ListAnalysesResponse { analyses }))
    }
}

fn when(when: &When) -> &'static str {
    match when {
        When::Now => "now",
        When::Background(_) => "background",
        When::Step(_) => "step",
        When::PrePromotion => "prePromotion",
        When::PostPromotion => "postPromotion",
    }
}

fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn view(seen: &Seen) -> wire::AnalysisView {
    let plan = &seen.plan.spec;
    let runs = plan.runs.iter().map(|planned| {
        let attempt = seen
            .record
            .attempts
            .get(&planned.name)
            .cloned()
            .unwrap_or_default();
        wire::AnalysisRunView {
            name: planned.name.clone(),
            when: when(&planned.when).to_owned(),
            phase: attempt.run.phase.name().to_owned(),
            message: attempt.run.message.clone(),
            attempt: attempt.number,
            started_ms: attempt.run.started_ms,
            metrics: attempt.run.outcomes.iter().map(metric).collect(),
        }
    });
    wire::AnalysisView {
        project: seen.project.clone(),
        name: seen.plan.metadata.name.clone(),
        mode: match plan.mode {
            auspex_argo::expr::Mode::Strict => "strict".to_owned(),
            auspex_argo::expr::Mode::Safe => "safe".to_owned(),
        },
        step: u32::try_from(seen.step).unwrap_or(u32::MAX),
        runs: runs.collect(),
        holder: seen.holder.clone(),
    }
}

fn metric(outcome: &Outcome) -> wire::AnalysisMetricView {
    let counters = &outcome.counters;
    let measurements = outcome.measurements.iter().map(|one| wire::AnalysisMeasurement {
        phase: one.phase.name().to_owned(),
        value: one.value.clone(),
        message: one.message.clone(),
        started_ms: one.started_ms,
        finished_ms: one.finished_ms,
    });
    wire::AnalysisMetricView {
        name: outcome.name.clone(),
        phase: outcome.phase.name().to_owned(),
        message: outcome.message.clone(),
        dry_run: outcome.dry_run,
        count: count(counters.count),
        successful: count(counters.successful),
        failed: count(counters.failed),
        inconclusive: count(counters.inconclusive),
        error: count(counters.error),
        no_data: count(counters.no_data),
        measurements: measurements.collect(),
    }
}
