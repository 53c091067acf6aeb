//! The command line: one file per group of commands.

mod analysis;
mod analysis_run;
mod analysis_view;
mod audit;
mod config;
mod convert;
mod demo;
mod dlq;
mod event;
mod features;
mod history;
pub(crate) mod id;
mod judge;
mod lint;
mod model;
mod print;
mod reach;
mod recover;
mod rollout;
mod router;
mod start;
mod token;
mod tools;
mod topology;
mod train;
mod up;
pub(crate) mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::reach::Reach;
use crate::fault::Fault;

/// Reads the signs before and during a deployment: scores a change, watches its canary, rolls back by itself, and says why.
#[derive(Debug, Parser)]
#[command(name = "auspex", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    ask: Ask,
}

#[derive(Debug, Subcommand)]
enum Ask {
    /// Run every service in one process, with a NATS server of its own
    Up(up::Up),
    /// Run some services, or all, on a NATS server that is there (nats.url)
    Run(up::Run),
    /// Print services, streams, subjects, durables and buckets
    Topology(topology::Topology),
    /// Check a configuration, and say everything that is wrong with it
    CheckConfig(config::CheckConfig),
    /// Make an access token and the entry for the server's configuration
    Token(token::NewToken),
    /// Look at facts that could not be absorbed, and give them another chance
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Tell what happened: a change, a run, a deployment
    #[command(subcommand)]
    Event(event::Ask),
    /// Check Rollout documents, and say every fault with its line and field
    Lint(lint::Lint),
    /// The feature store: definitions, values now and then, drift
    #[command(subcommand)]
    Features(features::Ask),
    /// Start, watch and steer rollouts
    #[command(subcommand)]
    Rollout(rollout::Ask),
    /// Data planes outside: what is asked of them, what holds there, whether it is verified
    #[command(subcommand)]
    Router(router::Ask),
    /// What passed: metrics over time, every fact, who asked and what decided; the archive and putting it back
    #[command(subcommand)]
    History(history::Ask),
    /// Versions of models, who may score, what is tried, what became of predictions
    #[command(subcommand)]
    Model(model::Ask),
    /// Start over on the log that is there, after it was replaced
    Recover(recover::Recover),
    /// Find or install nats-server and ONNX Runtime, and say where they are
    Tools,
    /// Ask a process of the mesh whether it is ready
    Health,
    /// Conditions, limits and measurements of Argo Rollouts' templates
    #[command(subcommand)]
    Analysis(Box<analysis::Ask>),
    /// Turn documents of Argo Rollouts into Auspex's own
    Convert(convert::Convert),
    /// Judge a candidate from a file of measurements
    Judge(Box<judge::Judge>),
    /// Learn from a table of what happened, and say what the model is worth
    Train(Box<train::Train>),
    /// Score a table with a model, and judge what it said
    Evaluate(Box<train::Evaluate>),
    /// See it at work: a bad and a good deployment on real traffic
    Demo(demo::Demo),
    /// Measure the product beside the limits of this machine
    Bench(crate::bench::BenchArgs),
}

/// How a command shows what it found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document, or one a line for what goes on.
    Json,
}

/// What `main` calls: reads the arguments, does what they ask.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match auspex_chassis::block_on(Box::pin(cli.carry_out())) {
        Ok(Ok(code)) => code,
        Ok(Err(fault)) => {
            eprintln!("auspex: {fault}");
            fault.code()
        }
        Err(fault) => {
            eprintln!("auspex: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// The text of a file; `-` is standard input.
fn read(file: &std::path::Path) -> Result<String, Fault> {
    let text = if file == std::path::Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|fault| Fault::invalid(format!("{}: {fault}", file.display())))
}

impl Cli {
    async fn carry_out(self) -> Result<ExitCode, Fault> {
        let done = |()| ExitCode::SUCCESS;
        match self.ask {
            Ask::Up(up) => up.carry_out().await,
            Ask::Run(run) => run.carry_out().await,
            Ask::Topology(topology) => topology.carry_out().map(done),
            Ask::CheckConfig(check) => check.carry_out().map(done),
            Ask::Token(token) => token.carry_out().map(done),
            Ask::Dlq(dlq) => dlq.carry_out(&self.reach).await.map(done),
            Ask::Event(event) => event.carry_out(&self.reach).await.map(done),
            Ask::Lint(lint) => lint.carry_out(),
            Ask::Features(ask) => Box::pin(ask.carry_out(&self.reach)).await.map(done),
            Ask::Rollout(rollout) => rollout.carry_out(&self.reach).await.map(done),
            Ask::Router(router) => router.carry_out(&self.reach).await.map(done),
            Ask::History(history) => Box::pin(history.carry_out(&self.reach)).await.map(done),
            Ask::Model(model) => Box::pin(model.carry_out(&self.reach)).await.map(done),
            Ask::Tools => tools::install().await.map(done),
            Ask::Health => tools::health(&self.reach).await.map(done),
            Ask::Recover(recover) => Box::pin(recover.carry_out()).await.map(done),
            Ask::Analysis(analysis) => analysis.carry_out(&self.reach).await.map(done),
            Ask::Convert(convert) => convert.carry_out(),
            Ask::Judge(judge) => judge.carry_out().map(done),
            Ask::Train(train) => Box::pin(train.carry_out(&self.reach)).await.map(done),
            Ask::Evaluate(evaluate) => evaluate.carry_out().await.map(done),
            Ask::Demo(demo) => demo.carry_out().await,
            Ask::Bench(args) => Ok(Box::pin(crate::bench::run(args)).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_server_may_be_named_before_or_after_the_command() {
        let cli = Cli::try_parse_from(["auspex", "rollout", "list", "--server", "https://a:1"]).unwrap();
        assert_eq!(cli.reach.server, "https://a:1");
        assert!(Cli::try_parse_from(["auspex", "rollout", "lst"]).is_err());
    }
}
