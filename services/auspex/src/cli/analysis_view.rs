//! `auspex analysis list` and `get`: what is measured beside rollouts.

use auspex_proto::wire::analysis_service_client::AnalysisServiceClient;
use auspex_proto::wire::{
    AnalysisMetricView, AnalysisRunView, AnalysisView, GetAnalysisRequest, ListAnalysesRequest,
};
use clap::Args;
use serde_json::{Value as Json, json};

use super::reach::Reach;
use super::{Output, print};
use crate::fault::Fault;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Whose; default: all
    #[arg(long, default_value = "")]
    project: String,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The rollout's name
    name: String,
    /// Its project, when several have one of that name
    #[arg(long, default_value = "")]
    project: String,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl List {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut client = AnalysisServiceClient::new(reach.open().await?);
        let request = ListAnalysesRequest {
            project: self.project,
        };
        let found = client.list(request).await?.into_inner().analyses;
        if self.output == Output::Json {
            return print::json(&Json::from(found.iter().map(shown).collect::<Vec<_>>()));
        }
        let head = ["PROJECT", "ROLLOUT", "RUN", "WHEN", "PHASE", "WHY"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for one in &found {
            for run in &one.runs {
                rows.push(vec![
                    one.project.clone(),
                    one.name.clone(),
                    run.name.clone(),
                    run.when.clone(),
                    run.phase.clone(),
                    run.message.clone(),
                ]);
            }
        }
        print::text(&print::table_or(&rows, "nothing is measured beside a rollout"))
    }
}

impl Get {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut client = AnalysisServiceClient::new(reach.open().await?);
        let request = GetAnalysisRequest {
            project: self.project,
            name: self.name,
        };
        let found = client.get(request).await?.into_inner();
        match self.output {
            Output::Json => print::json(&shown(&found)),
            Output::Text => print::text(&text(&found)),
        }
    }
}

fn text(view: &AnalysisView) -> String {
    let mut out = format!(
        "{}/{}, {}, at step {}\n",
        view.project, view.name, view.mode, view.step
    );
    for run in &view.runs {
        let why = if run.message.is_empty() {
            String::new()
        } else {
            format!(": {}", run.message)
        };
        out.push_str(&format!("{} ({}): {}{why}\n", run.name, run.when, run.phase));
        for metric in &run.metrics {
            let last = metric.measurements.last();
            let last = last.map_or(String::new(), |last| {
                format!(", last {} {} {}", last.phase, last.value, last.message)
            });
            out.push_str(&format!(
                "  {}: {}, {} measured, {} good, {} bad, {} inconclusive, {} errors{}\n",
                metric.name,
                metric.phase,
                metric.count,
                metric.successful,
                metric.failed,
                metric.inconclusive,
                metric.error,
                last.trim_end()
            ));
        }
    }
    out
}

fn shown(view: &AnalysisView) -> Json {
    json!({
        "project": view.project,
        "rollout": view.name,
        "mode": view.mode,
        "step": view.step,
        "runs": view.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(run: &AnalysisRunView) -> Json {
    json!({
        "name": run.name,
        "when": run.when,
        "phase": run.phase,
        "message": run.message,
        "attempt": run.attempt,
        "startedMs": run.started_ms,
        "metrics": run.metrics.iter().map(metric).collect::<Vec<_>>(),
    })
}

fn metric(metric: &AnalysisMetricView) -> Json {
    let measurements = metric.measurements.iter().map(|one| {
        json!({
            "phase": one.phase, "value": one.value, "message": one.message,
            "startedMs": one.started_ms, "finishedMs": one.finished_ms,
        })
    });
    json!({
        "name": metric.name,
        "phase": metric.phase,
        "message": metric.message,
        "dryRun": metric.dry_run,
        "count": metric.count,
        "successful": metric.successful,
        "failed": metric.failed,
        "inconclusive": metric.inconclusive,
        "error": metric.error,
        "noData": metric.no_data,
        "measurements": measurements.collect::<Vec<_>>(),
    })
}
