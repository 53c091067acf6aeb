//! `auspex bench`: figures beside the limit that was measured in the same run, so that another machine, or a busy one, gives
//! the same ratios. What is measured and its limit take turns; the round with the median ratio is the one reported.

mod control;
mod features;
mod hop;
mod ingest;
mod judge;
mod load;
mod pace;
mod path;
mod policies;
mod proxy;
mod router;
mod row;
mod score;
mod shap;
mod simulated;
mod site;
mod wire;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::row::Report;
use crate::cli::Output;

/// Measure the product against the limits of this machine
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    bench: Bench,
    /// How to print what came out
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Less of everything: for a look, not for a figure
    #[arg(long)]
    quick: bool,
    /// Of `judge`: only the simulations whose names hold this; of `router`: `flips` or `soon` of `haproxy` or `envoy`
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Of `policies`: write the plot there
    #[arg(long, value_name = "FILE")]
    svg: Option<std::path::PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// From a change's event to the decision about its rollout, against one bare hop through the log
    Path,
    /// Events a second over gRPC, against publishing to the log without us
    Ingest,
    /// One vector scored, against the bare ONNX Runtime session
    Score,
    /// Requests a second through the proxy, against HAProxy; lost requests while the weight flips
    Proxy,
    /// From the log to weight 0 at HAProxy and Envoy; lost requests in flips while controllers are killed
    Router,
    /// Reads of the feature store over gRPC, updates, memory
    Features,
    /// False alarms and detection of the judge, in seeded simulations
    Judge,
    /// Ten thousand rollouts in one process through an hour: who is touched, what is saved, whether any is missed
    Control,
    /// Fixed steps, Flagger's loop and Auspex's policies on the same simulated traffic
    Policies,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Ingest => "ingest",
            Self::Score => "score",
            Self::Proxy => "proxy",
            Self::Router => "router",
            Self::Features => "features",
            Self::Judge => "judge",
            Self::Control => "control",
            Self::Policies => "policies",
        }
    }
}

/// Measures, prints, and says by the exit code whether every floor is held.
///
/// # Errors
/// When something cannot be measured at all.
pub async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        eprintln!("auspex: this is a debug build: its figures mean nothing; use cargo run --release");
    }
    let results = match args.bench {
        Bench::Path => Box::pin(path::measure(args.quick)).await,
        Bench::Ingest => Box::pin(ingest::measure(args.quick)).await,
        Bench::Score => score::measure(args.quick).await,
        Bench::Proxy => Box::pin(proxy::measure(args.quick)).await,
        Bench::Router => Box::pin(router::measure(args.quick, args.only.as_deref())).await,
        Bench::Features => Box::pin(features::measure(args.quick)).await,
        Bench::Judge => judge::measure(args.quick, args.only).await,
        Bench::Control => control::measure(args.quick).await,
        Bench::Policies => policies::measure(args.quick, args.svg).await,
    }?;
    let report = Report {
        bench: args.bench.name(),
        results,
    };
    match args.output {
        Output::Json => println!("{}", serde_json::to_string(&report)?),
        Output::Text => print!("{report}"),
    }
    let held = report.results.iter().all(|row| row.ok);
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A folder for a server of the bench's own; it is gone when this is dropped.
fn scratch() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("auspex-bench-").tempdir()?)
}
