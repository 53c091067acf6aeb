//! `auspex demo`: the demonstration, and a playground.

use std::process::ExitCode;

use auspex_chassis::telemetry::{self, Format};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Output, print};
use crate::demo::{self, Outcome, Scenario, Show, report};
use crate::fault::Fault;

/// The demonstration.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// What to play
    #[arg(long, value_enum, default_value_t)]
    scenario: Played,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Keep everything running, for you to play with
    #[arg(long, conflicts_with_all = ["scenario", "output"])]
    serve: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Played {
    /// A risky change with a regression
    Bad,
    /// A small change without one
    Good,
    #[default]
    Both,
    /// An Argo Rollout with AnalysisTemplates, a real Prometheus on PATH: a good version and a bad one
    Argo,
}

impl Demo {
    pub(crate) async fn carry_out(&self) -> Result<ExitCode, Fault> {
        // What the mesh says of itself would drown what is shown; AUSPEX_LOG brings it back.
        telemetry::init(Format::Text, "error");
        if self.serve {
            return Ok(Box::pin(demo::serve::serve()).await.map(|()| ExitCode::SUCCESS)?);
        }
        if matches!(self.scenario, Played::Argo) {
            return match Box::pin(demo::argo::run(self.show())).await {
                Err(fault) if fault.is::<demo::Interrupted>() => Ok(ExitCode::from(130)),
                Err(fault) => Err(fault.into()),
                Ok(endings) => self.told(&endings),
            };
        }
        match Box::pin(self.play()).await {
            Err(fault) if fault.is::<demo::Interrupted>() => Ok(ExitCode::from(130)),
            Err(fault) => Err(fault.into()),
            Ok((outcomes, ok)) => self.tell(&outcomes, ok),
        }
    }

    async fn play(&self) -> anyhow::Result<(Vec<Outcome>, bool)> {
        let scenarios: &[Scenario] = match self.scenario {
            Played::Bad => &[Scenario::Bad],
            Played::Good => &[Scenario::Good],
            // Played elsewhere.
            Played::Argo => &[],
            Played::Both => &[Scenario::Bad, Scenario::Good],
        };
        let show = self.show();
        let mut ok = true;
        let mut outcomes = Vec::new();
        for scenario in scenarios {
            let outcome = Box::pin(demo::run(&scenario.script(), show)).await?;
            ok &= as_promised(*scenario, &outcome);
            outcomes.push(outcome);
        }
        Ok((outcomes, ok))
    }

    fn show(&self) -> Show {
        if self.output == Output::Text {
            Show::Progress
        } else {
            Show::Nothing
        }
    }

    fn told(&self, endings: &[demo::argo::Ending]) -> Result<ExitCode, Fault> {
        let ok = endings.iter().all(|ending| ending.ok);
        if self.output == Output::Json {
            let scenarios: Vec<Value> = endings.iter().map(demo::argo::Ending::document).collect();
            print::json(&json!({"ok": ok, "scenarios": scenarios}))?;
        } else if !ok {
            print::text("\nNOT as promised: see above\n")?;
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn tell(&self, outcomes: &[Outcome], ok: bool) -> Result<ExitCode, Fault> {
        match self.output {
            Output::Text => print::text(&text(outcomes, ok))?,
            Output::Json => {
                let scenarios: Vec<Value> = outcomes.iter().map(report::document).collect();
                print::json(&json!({"ok": ok, "scenarios": scenarios}))?;
            }
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// It ended as it has to, and everybody was told, in a way that nobody would refuse.
fn as_promised(scenario: Scenario, outcome: &Outcome) -> bool {
    outcome.outcome == scenario.ending() && outcome.told && outcome.faults.is_empty()
}

fn text(outcomes: &[Outcome], ok: bool) -> String {
    let mut out: String = outcomes.iter().map(report::summary).collect();
    if !ok {
        out.push_str("\nNOT as promised: see above\n");
    }
    out.push_str(report::NEXT);
    out
}
