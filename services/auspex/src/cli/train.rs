//! `auspex train` and `auspex evaluate`: from a table of what happened to a model, and a model on another table.

use std::path::PathBuf;

use auspex_chassis::tools;
use auspex_trainer::plugin::Plugin;
use auspex_trainer::recipe::Recipe;
use auspex_trainer::report::{Report, html, text};
use auspex_trainer::request::delay;
use auspex_trainer::table::choice::Wanted;
use auspex_trainer::train::finish;
use auspex_trainer::{Bench, Candidate, Evaluation, Recalibrate, Request, built, evaluate, train};
use clap::{Args, ValueEnum};

use super::print;
use super::reach::Reach;
use crate::fault::Fault;

/// Learns from a table.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// The table: a CSV with a header line
    #[arg(long, value_name = "FILE.csv", required_unless_present = "builds")]
    data: Option<PathBuf>,
    /// Instead of a table: the builds of these projects, as the mesh at --server knew each when it was asked for
    #[arg(long, value_name = "PROJECT,PROJECT", value_delimiter = ',', conflicts_with_all = ["data", "label", "time", "join", "features",
        "group", "test", "history", "context", "ratios", "recipe", "effort"])]
    builds: Vec<String>,
    /// What the feature store answered for the same rows in the same order (`auspex features history`): learn from its columns
    #[arg(long, value_name = "FILE.parquet", conflicts_with = "test")]
    join: Option<PathBuf>,
    /// The column with the outcome: 1, true, failed ... is a failure
    #[arg(long, value_name = "COLUMN", required_unless_present_any = ["recipe", "builds"])]
    label: Option<String>,
    /// The column with the time, or `row`: rows are in time order
    #[arg(long, value_name = "COLUMN|row", default_value = "row")]
    time: String,
    /// The columns to learn from; default: all that can be
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    features: Vec<String>,
    /// The column that tells projects apart: each is cut by its own time, and all learn from each other
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Share of the rows to learn from, the oldest; the others are the test
    #[arg(long, default_value_t = 0.8, conflicts_with = "test")]
    split: f64,
    /// A table of its own to test on
    #[arg(long, value_name = "FILE.csv")]
    test: Option<PathBuf>,
    /// Who competes: baseline, logistic, gbdt (no Python), lightgbm, xgboost, random_forest, lstm, ensemble
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = candidate)]
    candidates: Vec<Candidate>,
    /// Whether the test is told with the outcomes that are known by then
    #[arg(long, value_name = "none|online", default_value = "none", value_parser = recalibrate)]
    recalibrate: Recalibrate,
    /// Time until an outcome is known, as in 90d or 12h; a number is in the unit of the time column
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = delay)]
    label_delay: f64,
    /// Learn from the outcomes of earlier rows too, as far as they were known by then (`--label-delay`), and from the hour
    #[arg(long)]
    history: bool,
    /// Learn from the hour of a row and from how busy its group was before it too: no outcome is looked at
    #[arg(long)]
    context: bool,
    /// Learn from ratios of columns too, as in la+ld/lt: sums of columns over sums of columns
    #[arg(long, value_name = "A/B,A+B/C", value_delimiter = ',')]
    ratios: Vec<String>,
    /// Make a model that ships again, with the settings it ships with: change-risk or ci-run, from the folder of the public data
    #[arg(long, value_name = "NAME", value_parser = recipe, conflicts_with_all = ["label", "time", "join", "features", "group", "split", "test",
        "candidates", "recalibrate", "label_delay", "history", "context", "ratios", "name", "model_version",
        "feature_service", "effort", "seed"])]
    recipe: Option<Recipe>,
    /// The folder to write
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    report: Shown,
    /// Name of the model [default: model, of builds ci-run]
    #[arg(long)]
    name: Option<String>,
    /// Its version
    #[arg(long, default_value = "1")]
    model_version: String,
    /// The feature service that fills its columns; default: name and version, of builds ci-run
    #[arg(long, default_value = "")]
    feature_service: String,
    /// Columns whose sum is the effort of reading a row; default: la + ld and the like
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    effort: Vec<String>,
    /// Seed of whatever is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Scores a table with a model and judges what it said.
#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// The folder of the model
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// The table: a CSV with a header line
    #[arg(long, value_name = "FILE.csv")]
    data: PathBuf,
    /// What the feature store answered for the same rows in the same order
    #[arg(long, value_name = "FILE.parquet")]
    join: Option<PathBuf>,
    /// The column with the outcome; default: as in training
    #[arg(long, value_name = "COLUMN", default_value = "")]
    label: String,
    /// The column with the time; default: as in training
    #[arg(long, value_name = "COLUMN|row")]
    time: Option<String>,
    /// The column that tells projects apart; default: as in training
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Whether outcomes that are known by then are followed
    #[arg(long, value_name = "none|online", default_value = "none", value_parser = recalibrate)]
    recalibrate: Recalibrate,
    /// Time until an outcome is known
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = delay)]
    label_delay: f64,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    report: Shown,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// A page with plots
    Html,
}

/// The model of builds, and the feature service that fills it.
const BUILDS: &str = "ci-run";

fn say(text: &str) {
    eprintln!("auspex train: {text}");
}

fn candidate(text: &str) -> Result<Candidate, String> {
    text.parse()
}

fn recipe(text: &str) -> Result<Recipe, String> {
    text.parse()
}

fn recalibrate(text: &str) -> Result<Recalibrate, String> {
    text.parse()
}

impl From<auspex_trainer::Fault> for Fault {
    fn from(fault: auspex_trainer::Fault) -> Self {
        match fault {
            auspex_trainer::Fault::Invalid { .. } => Self::invalid(fault),
            auspex_trainer::Fault::Failed(_) => Self::failed(fault),
        }
    }
}

fn show(report: &Report, shown: Shown) -> Result<(), Fault> {
    match shown {
        Shown::Json => print::json(&serde_json::to_value(report).map_err(Fault::failed)?),
        Shown::Html => print::text(&html::html(report)),
        Shown::Text => print::text(&text::text(report)),
    }
}

fn column(time: &str) -> Option<String> {
    (time != "row").then(|| time.to_owned())
}

impl Train {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let shown = self.report;
        if let Some(recipe) = self.recipe {
            return self.again(recipe, shown).await;
        }
        let projects = self.builds.clone();
        let mut request = self.request();
        let asked = match projects.is_empty() {
            true => None,
            false => {
                let place = reach.place()?;
                Some(built::prepare(&place, &projects, &mut request, &say).await?)
            }
        };
        let usual = request.candidates.is_empty();
        let plugin = usual
            || request
                .candidates
                .iter()
                .any(|candidate| candidate.needs_plugin());
        let sequences = request.candidates.contains(&Candidate::Lstm);
        let runtime = tools::onnxruntime().await.map_err(|fault| format!("{fault:#}"));
        let report = tokio::task::spawn_blocking(move || {
            let library = runtime.as_deref().ok();
            let prepare =
                || Plugin::prepare(&Plugin::folder(), sequences, &say).map(|p| p.with_runtime(library));
            let bench = Bench {
                plugin: plugin.then(prepare),
                runtime: Some(runtime.clone()),
            };
            match asked {
                Some(prepared) => finish(&request, &bench, prepared, &say),
                None => train(&request, &bench, &say),
            }
        });
        show(&report.await.map_err(Fault::failed)??, shown)
    }

    /// Makes the model that ships again.
    async fn again(self, recipe: Recipe, shown: Shown) -> Result<(), Fault> {
        let runtime = tools::onnxruntime().await?;
        let data = self.data.unwrap_or_default();
        let report = tokio::task::spawn_blocking(move || recipe.make(&data, &self.out, &runtime, &say));
        show(&report.await.map_err(Fault::failed)??, shown)
    }

    fn request(self) -> Request {
        let of_builds = !self.builds.is_empty();
        let or = |said: String, of: &str| {
            if said.is_empty() && of_builds {
                of.to_owned()
            } else {
                said
            }
        };
        let named = self.name.unwrap_or_default();
        let name = or(named, BUILDS);
        Request {
            table: match of_builds {
                true => format!("the builds of {}", self.builds.join(", ")).into(),
                false => self.data.unwrap_or_default(),
            },
            join: self.join,
            wanted: Wanted {
                label: or(self.label.unwrap_or_default(), "the build failed or timed out"),
                time: match of_builds {
                    true => Some("when the build was asked for".to_owned()),
                    false => column(&self.time),
                },
                features: self.features,
                group: self.group,
                whole: false,
                effort: self.effort,
            },
            split: self.split,
            test: self.test,
            candidates: self.candidates,
            recalibrate: self.recalibrate,
            delay: self.label_delay,
            history: self.history,
            context: self.context,
            ratios: self.ratios,
            out: self.out,
            name: if name.is_empty() { "model".to_owned() } else { name },
            version: self.model_version,
            feature_service: or(self.feature_service, BUILDS),
            seed: self.seed,
        }
    }
}

impl Evaluate {
    pub(crate) async fn carry_out(self) -> Result<(), Fault> {
        let shown = self.report;
        let evaluation = Evaluation {
            model: self.model,
            table: self.data,
            join: self.join,
            wanted: Wanted {
                label: self.label,
                time: self.time.as_deref().and_then(column),
                group: self.group,
                ..Wanted::default()
            },
            recalibrate: self.recalibrate,
            delay: self.label_delay,
            seed: 1,
        };
        let runtime = tools::onnxruntime().await?;
        let found = tokio::task::spawn_blocking(move || evaluate(&evaluation, &runtime));
        let found = found.await.map_err(Fault::failed)??;
        match shown {
            Shown::Json => print::json(&serde_json::to_value(&found).map_err(Fault::failed)?),
            Shown::Html => print::text(&html::evaluated(&found)),
            Shown::Text => print::text(&text::evaluated(&found)),
        }
    }
}
