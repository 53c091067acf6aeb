//! `auspex analysis`: conditions, limits and measurements of Argo Rollouts' templates.

use std::path::{Path, PathBuf};

use auspex_argo::assess::{Counters, Standing, assess};
use auspex_argo::expr::{self, Mode, Of, Value};
use auspex_argo::measure::{Conditions, judge};
use auspex_argo::metric::Metric;
use auspex_argo::phase::Phase;
use auspex_argo::traps;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::reach::Reach;
use super::{Output, print};
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// The phase of one measurement: a result and its conditions
    Eval(Eval),
    /// The phase of a metric: its limits and its measurements
    Assess(Assess),
    /// Measure what a template says, for real
    Run(super::analysis_run::Run),
    /// What is measured beside rollouts
    List(super::analysis_view::List),
    /// What is measured beside one rollout, and what it says
    Get(super::analysis_view::Get),
}

/// Whether Argo's quirks are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// Bit by bit as Argo Rollouts does it
    #[default]
    Strict,
    /// No data is an outcome of its own; default and isNil look at what they are given
    Safe,
}

impl From<Kept> for Mode {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Strict => Self::Strict,
            Kept::Safe => Self::Safe,
        }
    }
}

/// As what a result's lists of numbers are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum From_ {
    /// Lists of numbers are []float64
    #[default]
    Prometheus,
    /// All lists are []any, as JSON
    Web,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The measurement's result: JSON, with NaN and Inf as numbers
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    result: String,
    /// successCondition
    #[arg(long, value_name = "EXPR", default_value = "", allow_hyphen_values = true)]
    success: String,
    /// failureCondition
    #[arg(long, value_name = "EXPR", default_value = "", allow_hyphen_values = true)]
    failure: String,
    /// Whether Argo's quirks are kept
    #[arg(long, value_enum, default_value_t)]
    mode: Kept,
    /// Whose result it is
    #[arg(long, value_enum, default_value_t)]
    provider: From_,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Assess {
    /// The metric (YAML or JSON); - is standard input
    #[arg(long, value_name = "FILE")]
    metric: PathBuf,
    /// Its measurements, in order: phases, or Argo's measurements, or results to judge
    #[arg(long, value_name = "FILE")]
    measurements: PathBuf,
    /// The run is ending
    #[arg(long)]
    terminating: bool,
    /// Whether Argo's quirks are kept
    #[arg(long, value_enum, default_value_t)]
    mode: Kept,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What a result of Argo's counts.
const COUNTERS: [&str; 7] = [
    "count",
    "successful",
    "failed",
    "inconclusive",
    "error",
    "consecutiveError",
    "consecutiveSuccess",
];

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        match self {
            Self::Eval(eval) => eval.carry_out(),
            Self::Assess(assess) => assess.carry_out(),
            Self::Run(run) => run.carry_out().await,
            Self::List(list) => list.carry_out(reach).await,
            Self::Get(get) => get.carry_out(reach).await,
        }
    }
}

impl Eval {
    fn carry_out(&self) -> Result<(), Fault> {
        let mut result =
            expr::read(&self.result).map_err(|fault| Fault::invalid(format!("--result: {fault}")))?;
        if let (From_::Web, Value::List(of, _)) = (self.provider, &mut result) {
            *of = Of::Any;
        }
        let conditions = Conditions {
            success: &self.success,
            failure: &self.failure,
        };
        let mode = Mode::from(self.mode);
        let judged = judge(&result, conditions, mode);
        let warnings = traps::of_conditions(conditions, mode);
        match self.output {
            Output::Json => {
                let mut shown = json!({"phase": judged.phase, "value": result.show(), "mode": mode});
                if let Some(error) = &judged.error {
                    put(&mut shown, "error", json!(error));
                }
                if !warnings.is_empty() {
                    put(&mut shown, "warnings", json!(warnings));
                }
                print::json(&shown)
            }
            Output::Text => {
                let why = judged.error.as_ref();
                let why = why.map(|error| format!(" ({}): {}", error.class.name(), error.message));
                let mut text = format!("{}{}\n", judged.phase, why.unwrap_or_default());
                for warning in warnings {
                    text.push_str(&format!("warning: {}: {}\n", warning.field, warning.text));
                }
                print::text(&text)
            }
        }
    }
}

fn put(object: &mut Json, key: &str, value: Json) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// A YAML or JSON file as JSON.
pub(crate) fn json_of(file: &Path) -> Result<Json, Fault> {
    let text = super::read(file)?;
    let wrong = |fault: String| Fault::invalid(format!("{}: {fault}", file.display()));
    // JSON lines, as a log has them.
    let lines: Result<Vec<Json>, _> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(serde_json::from_str)
        .collect();
    if let Ok(lines) = lines
        && lines.len() > 1
    {
        return Ok(Json::from(lines));
    }
    auspex_argo::document::read_one(&text).map_err(|fault| wrong(fault.to_string()))
}

impl Assess {
    fn metric(&self) -> Result<Metric, Fault> {
        let shown = self.metric.display();
        let mut json = json_of(&self.metric)?;
        // A whole template with one metric will do as well.
        if let Some([one]) = json
            .pointer("/spec/metrics")
            .and_then(Json::as_array)
            .map(Vec::as_slice)
        {
            json = one.clone();
        } else if let Some([one]) = json
            .pointer("/metrics")
            .and_then(Json::as_array)
            .map(Vec::as_slice)
        {
            json = one.clone();
        }
        let metric: Metric = serde_path_to_error::deserialize(json)
            .map_err(|fault| Fault::invalid(format!("{shown}: {}: {}", fault.path(), fault.inner())))?;
        metric
            .validate_limits()
            .map_err(|fault| Fault::invalid(format!("{shown}: {fault}")))?;
        Ok(metric)
    }

    fn carry_out(&self) -> Result<(), Fault> {
        let metric = self.metric()?;
        let json = json_of(&self.measurements)?;
        let so_far = json
            .get("phase")
            .and_then(Json::as_str)
            .and_then(Phase::named)
            .unwrap_or_default();
        let told = COUNTERS.iter().any(|field| json.get(field).is_some());
        let list = match json.get("measurements").unwrap_or(&json) {
            Json::Array(list) => list.clone(),
            // Counters alone, or a result that has none yet.
            Json::Object(_) if told || json.get("phase").and_then(Json::as_str).is_some() => Vec::new(),
            Json::Null => Vec::new(),
            // Phases as words, as YAML reads lines of them.
            Json::String(words) => words.split_whitespace().map(Json::from).collect(),
            _ => {
                return Err(Fault::invalid(
                    "--measurements: is neither a list of measurements nor a result with `measurements` or counters",
                ));
            }
        };
        let phases = list.iter().enumerate().map(|(at, one)| {
            self.phase(&metric, one)
                .map_err(|fault| Fault::invalid(format!("{}: [{at}]: {fault}", self.measurements.display())))
        });
        let phases: Vec<Phase> = phases.collect::<Result<_, _>>()?;
        let counters = if told {
            serde_json::from_value(json.clone())
                .map_err(|fault| Fault::invalid(format!("{}: {fault}", self.measurements.display())))?
        } else {
            Counters::of(&phases)
        };
        let standing = |counters: Counters, last: Option<Phase>| Standing {
            phase: so_far,
            last,
            counters,
            terminating: self.terminating,
        };
        let said = assess(&metric, &standing(counters, phases.last().copied()));
        let decided = (1..=phases.len()).find(|taken| {
            let phases = phases.get(..*taken).unwrap_or_default();
            let standing = Standing {
                phase: Phase::Pending,
                terminating: false,
                ..standing(Counters::of(phases), phases.last().copied())
            };
            assess(&metric, &standing).phase.is_completed()
        });
        match self.output {
            Output::Json => print::json(&json!({
                "phase": said.phase,
                "reason": said.reason,
                "rule": said.rule,
                "counters": counters,
                "decidedAfter": decided,
            })),
            Output::Text => print::line(&format!("{}: {}", said.phase, said.reason)),
        }
    }

    /// The phase of one measurement, however it is written.
    fn phase(&self, metric: &Metric, one: &Json) -> Result<Phase, String> {
        let named = |name: &str| Phase::named(name).ok_or_else(|| format!("`{name}` is no phase"));
        let judged = |result: &Value| judge(result, metric.conditions(), self.mode.into()).phase;
        match one {
            Json::String(name) => named(name),
            Json::Object(fields) => match (fields.get("phase"), fields.get("result"), fields.get("value")) {
                (Some(Json::String(name)), _, _) => named(name),
                (_, Some(Json::String(text)), _) => Ok(match expr::read(text) {
                    Ok(result) => judged(&result),
                    Err(_) => judged(&Value::Text(text.clone())),
                }),
                (_, Some(result), _) => {
                    let result = expr::read(&result.to_string()).map_err(|fault| fault.to_string())?;
                    Ok(judged(&result))
                }
                (_, _, Some(Json::String(text))) => {
                    let result = expr::read(text).unwrap_or_else(|_| Value::Text(text.clone()));
                    Ok(judged(&result))
                }
                _ => Err("wants a phase, a result or a value".to_owned()),
            },
            result => {
                let result = expr::read(&result.to_string()).map_err(|fault| fault.to_string())?;
                Ok(judged(&result))
            }
        }
    }
}
