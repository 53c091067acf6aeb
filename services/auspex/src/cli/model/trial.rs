//! `auspex model experiment` and `auspex model reliability`.

use auspex_proto::wire::experiments_client::ExperimentsClient;
use auspex_proto::wire::feedback_client::FeedbackClient;
use auspex_proto::wire::{
    Experiment, ExperimentReason, ExperimentState, GetReliabilityRequest, ListExperimentsRequest,
    Reliability, StartExperimentRequest, StopExperimentRequest,
};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{How, or_null, split};
use crate::cli::reach::Reach;
use crate::cli::view::instant;
use crate::cli::{Output, id, print};
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Try a version beside its model's champion
    Start {
        /// As in change-risk@3
        model: String,
        /// Its share of changes; 0: it is only listened to
        #[arg(long, default_value_t = 0)]
        percent: u32,
        #[command(flatten)]
        how: How,
    },
    /// End one; the champion stays
    Stop {
        /// Its name, or that of its model
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// All of them, the newest first
    List {
        /// Only of this model
        #[arg(long, default_value = "")]
        model: String,
        /// How to show them
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut client = ExperimentsClient::new(reach.open().await?);
        match self {
            Self::Start { model, percent, how } => {
                let (model, challenger) = split(&model)?;
                if challenger.is_empty() {
                    return Err(Fault::invalid(format!("{model}: is not NAME@VERSION")));
                }
                let request = StartExperimentRequest {
                    model,
                    challenger,
                    percent,
                    actor: id::person(),
                    note: how.note,
                };
                show(&[client.start(request).await?.into_inner()], how.output, true)
            }
            Self::Stop { name, how } => {
                let request = StopExperimentRequest {
                    name,
                    actor: id::person(),
                    note: how.note,
                };
                show(&[client.stop(request).await?.into_inner()], how.output, true)
            }
            Self::List { model, output } => {
                let answer = client.list(ListExperimentsRequest { model }).await?;
                show(&answer.into_inner().experiments, output, false)
            }
        }
    }
}

fn state(one: &Experiment) -> String {
    let name = ExperimentState::try_from(one.state)
        .unwrap_or_default()
        .as_str_name();
    name.trim_start_matches("EXPERIMENT_STATE_").to_lowercase()
}

fn reason(one: &Experiment) -> String {
    let name = ExperimentReason::try_from(one.reason)
        .unwrap_or_default()
        .as_str_name();
    name.trim_start_matches("EXPERIMENT_REASON_").to_lowercase()
}

fn show(all: &[Experiment], output: Output, alone: bool) -> Result<(), Fault> {
    match (output, all) {
        (Output::Json, [one]) if alone => print::json(&document(one)),
        (Output::Json, all) => print::json(&all.iter().map(document).collect::<Vec<_>>().into()),
        (Output::Text, []) => print::line("there are no experiments"),
        (Output::Text, all) => {
            let head = [
                "NAME",
                "CHAMPION",
                "CHALLENGER",
                "PERCENT",
                "STATE",
                "REASON",
                "OUTCOMES",
                "STARTED",
            ];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            for one in all {
                rows.push(vec![
                    one.name.clone(),
                    one.champion.to_string(),
                    one.challenger.to_string(),
                    one.percent.to_string(),
                    state(one),
                    reason(one),
                    one.outcomes.to_string(),
                    instant(one.started_ms),
                ]);
            }
            let texts = all.iter().map(|one| format!("{}: {}\n", one.name, one.text));
            print::text(&format!("{}\n{}", print::table(&rows), texts.collect::<String>()))
        }
    }
}

fn document(one: &Experiment) -> Value {
    json!({
        "name": one.name, "model": one.model, "champion": one.champion, "challenger": one.challenger,
        "percent": one.percent, "state": state(one), "reason": reason(one), "text": one.text,
        "started_ms": one.started_ms, "ended_ms": (one.ended_ms != 0).then_some(one.ended_ms),
        "outcomes": one.outcomes, "log_e_better": one.log_e_better, "log_e_worse": one.log_e_worse,
        "log_e_cost_worse": one.log_e_cost_worse, "log_e_cost_no_worse": one.log_e_cost_no_worse,
        "log_loss_gain": one.log_loss_gain, "cost_gain": one.cost_gain, "alpha": one.alpha, "beta": one.beta,
        "actor": one.actor, "note": or_null(&one.note),
    })
}

pub(super) async fn reliability(
    reach: &Reach,
    model: String,
    project: String,
    output: Output,
) -> Result<(), Fault> {
    let mut client = FeedbackClient::new(reach.open().await?);
    let request = GetReliabilityRequest { model, project };
    let models = client.get_reliability(request).await?.into_inner().models;
    if output == Output::Json {
        return print::json(&models.iter().map(figures).collect::<Vec<_>>().into());
    }
    if models.is_empty() {
        return print::line("no score has met its outcome yet");
    }
    let head = [
        "MODEL",
        "OUTCOMES",
        "PENDING",
        "FAILED",
        "BRIER",
        "BASE",
        "RAW",
        "RECALIBRATED",
        "SERVED",
        "ECE",
        "AUC",
        "COVERAGE",
        "DRIFTS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let number = |value: f64| {
        if value.is_finite() {
            format!("{value:.3}")
        } else {
            "-".to_owned()
        }
    };
    for one in &models {
        rows.push(vec![
            one.model.clone(),
            one.outcomes.to_string(),
            one.pending.to_string(),
            number(one.failure_rate),
            number(one.brier),
            number(one.brier_base),
            number(one.brier_raw),
            number(one.brier_recalibrated),
            if one.recalibrates { "yes" } else { "no" }.to_owned(),
            number(one.ece),
            number(one.roc_auc),
            number(one.coverage),
            one.drifts.to_string(),
        ]);
    }
    print::text(&print::table(&rows))
}

/// What is not a number is `null`.
fn figures(one: &Reliability) -> Value {
    let bands: Vec<Value> = one
        .bands
        .iter()
        .map(|b| json!({"band": b.band, "outcomes": b.outcomes, "failures": b.failures, "predicted": b.predicted, "realised": b.realised}))
        .collect();
    let bins: Vec<Value> = one
        .bins
        .iter()
        .map(|b| json!({"from": b.from, "to": b.to, "outcomes": b.outcomes, "predicted": b.predicted, "realised": b.realised}))
        .collect();
    let weeks: Vec<Value> = one
        .weeks
        .iter()
        .map(|w| json!({"from_ms": w.from_ms, "outcomes": w.outcomes, "failures": w.failures, "brier": w.brier, "log_loss": w.log_loss, "accuracy": w.accuracy}))
        .collect();
    json!({
        "model": one.model, "project": or_null(&one.project), "outcomes": one.outcomes, "pending": one.pending,
        "failure_rate": one.failure_rate, "failure_rate_unbiased": one.failure_rate_unbiased,
        "log_loss": one.log_loss, "brier": one.brier, "brier_base": one.brier_base,
        "brier_raw": one.brier_raw, "log_loss_raw": one.log_loss_raw, "brier_recalibrated": one.brier_recalibrated,
        "recalibrates": one.recalibrates, "recalibration_log_e": one.recalibration_log_e, "slope": one.slope, "offset": one.offset, "drifts": one.drifts,
        "ece": one.ece, "roc_auc": one.roc_auc, "coverage": one.coverage,
        "bands": bands, "bins": bins, "weeks": weeks,
    })
}
