//! `auspex judge`: the judge on a file of rows, and on a plan.

use std::path::{Path, PathBuf};

use auspex_judge::report;
use auspex_judge::rows::{self, Format};
use auspex_judge::{
    Assumption, CountSettings, JudgeError, Levels, Look, Looks, MetricLook, Options, Plan, Traffic, Verdict,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Output, print};
use crate::fault::Fault;

const ROWS: &str = "A row may also say direction (increase, decrease, either: which way is worse; left out, either for values and \
increase for counts and histograms), weight (its share of alpha) and critical (true: nothing advances without it). Rows without a \
track are one series, judged against its own past: they need --change-at. docs/judge.md tells the rest.";

/// Judges a file.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = ROWS)]
pub(crate) struct Judge {
    /// Rows: time, track, metric, and bad and total, or value, or histogram; - is standard input
    #[arg(long, value_name = "FILE", required = true)]
    input: Option<PathBuf>,
    /// How the file is laid out; default: by its ending, else CSV
    #[arg(long, value_enum)]
    format: Option<Laid>,
    /// Greatest probability of ever calling a healthy candidate worse
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    alpha: f64,
    /// Greatest probability of ever letting pass what is worse by the margin
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    beta: f64,
    /// Ratio that may not be let through
    #[arg(long, default_value_t = 1.25, value_parser = above_one)]
    margin: f64,
    /// When verdicts are taken
    #[arg(long, value_enum, default_value_t)]
    looks: When,
    /// Seconds or RFC 3339: rows before it are a period of equal versions, or the past of a single series
    #[arg(long, value_name = "TIME", value_parser = rows::seconds, allow_hyphen_values = true)]
    change_at: Option<f64>,
    /// P(bad) before the first request: where the posterior starts; it moves no verdict
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = share)]
    prior: f64,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(subcommand)]
    ask: Option<Ask>,
}

#[derive(Debug, Subcommand)]
enum Ask {
    /// How long until a decision is likely
    Plan(Wanted),
}

#[derive(Debug, Args)]
struct Wanted {
    /// Requests per second of both tracks together
    #[arg(long)]
    rate: f64,
    /// The candidate's share of them, within 0..1
    #[arg(long, value_parser = share)]
    share: f64,
    /// The baseline's share of failures, within 0..1
    #[arg(long, value_parser = share)]
    base: f64,
    /// How many times as many failures a bad candidate has
    #[arg(long, value_parser = above_one)]
    effect: f64,
    /// Greatest probability of ever calling a healthy candidate worse
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    alpha: f64,
    /// Greatest probability of ever letting pass what is worse by the margin
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    beta: f64,
    /// Ratio that may not be let through
    #[arg(long, default_value_t = 1.25, value_parser = above_one)]
    margin: f64,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Laid {
    Csv,
    Jsonl,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum When {
    /// After every interval
    #[default]
    Each,
    /// Once, after the last
    End,
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn share(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(format!("{text} is not within 0..1"))
    }
}

fn above_one(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if value > 1.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(format!("{text} is not above 1"))
    }
}

impl Judge {
    pub(crate) fn carry_out(&self) -> Result<(), Fault> {
        if let Some(Ask::Plan(wanted)) = &self.ask {
            return wanted.carry_out();
        }
        let Some(file) = &self.input else {
            return Err(Fault::invalid("--input: is needed"));
        };
        let rows = self.rows(file)?;
        let options = Options {
            levels: Levels {
                alpha: self.alpha,
                beta: self.beta,
                ..Levels::default()
            },
            margin: self.margin,
            looks: match self.looks {
                When::Each => Looks::Each,
                When::End => Looks::End,
            },
            change_at: self.change_at,
            prior: self.prior,
            ..Options::default()
        };
        let looks = report::run(&rows, &options).map_err(|fault| {
            let option = if fault == JudgeError::NoChange {
                "--change-at: "
            } else {
                ""
            };
            Fault::invalid(format!("{}: {option}{fault}", file.display()))
        })?;
        match self.output {
            Output::Json => looks.iter().try_for_each(|look| {
                let text = serde_json::to_string(look).map_err(Fault::failed)?;
                print::line(&text)
            }),
            Output::Text => print::text(&text(&looks, &options)),
        }
    }

    fn rows(&self, file: &Path) -> Result<Vec<rows::Row>, Fault> {
        let text = super::read(file)?;
        let ending = file
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        let format = match (self.format, ending) {
            (Some(Laid::Csv), _) => Format::Csv,
            (Some(Laid::Jsonl), _) | (None, "jsonl" | "json" | "ndjson") => Format::JsonLines,
            (None, _) => Format::Csv,
        };
        rows::agreeing(&file.display().to_string(), &text, format).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Fault::Invalid(faults.join("\n"))
        })
    }
}

/// A word of the judge, as it stands in its JSON.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn text(looks: &[Look], options: &Options) -> String {
    let Some(end) = looks.last() else {
        return String::new();
    };
    let mut out = format!(
        "{} ({}), P(bad) {:.3} after {} looks\n",
        word(end.verdict),
        word(end.reason),
        end.posterior,
        looks.len()
    );
    let head = [
        "METRIC", "VERDICT", "REASON", "E(WORSE)", "E(SAFE)", "EFFECT", "LOW", "HIGH", "SAMPLES",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    for metric in &end.metrics {
        table.push(vec![
            metric.metric.clone(),
            word(metric.verdict),
            word(metric.reason),
            super::view::magnitude(metric.log_e_worse),
            super::view::magnitude(metric.log_e_safe),
            shown(metric.effect),
            shown(metric.low),
            shown(metric.high),
            metric.samples.to_string(),
        ]);
    }
    out.push_str(&print::table(&table));
    out.push_str(&notes(end));
    out.push_str("\nevidence that the candidate is worse, over time:\n");
    out.push_str(&report::plot(looks, options));
    out
}

/// What a reader of the table should know besides.
fn notes(end: &Look) -> String {
    let mut out = String::new();
    if let Some(seconds) = end.remaining {
        out.push_str(&format!(
            "a decision is likely in {seconds:.0} s at this traffic\n"
        ));
    }
    let assumed = [
        (
            Assumption::OneTimeScale,
            "no slow component under its noise; 30 intervals of equal versions before --change-at would bound one",
        ),
        (
            Assumption::OwnPastHolds,
            "it goes on as its past did, and nothing but the change moved it then",
        ),
    ];
    for (assumption, text) in assumed {
        let rests = |metric: &&MetricLook| {
            metric.assumes == Some(assumption) && metric.verdict != Verdict::NoEvidence
        };
        let metrics: Vec<&str> = end
            .metrics
            .iter()
            .filter(rests)
            .map(|m| m.metric.as_str())
            .collect();
        if !metrics.is_empty() {
            out.push_str(&format!("assumed of {}: {text}\n", metrics.join(", ")));
        }
    }
    if end.unpaired > 0 {
        out.push_str(&format!(
            "nothing to compare in {} intervals that have rows of one track alone; rows of one interval have one time\n",
            end.unpaired
        ));
    }
    if end.late + end.duplicates > 0 {
        out.push_str(&format!(
            "not counted: {} late rows, {} repeated ones\n",
            end.late, end.duplicates
        ));
    }
    out
}

impl Wanted {
    fn carry_out(&self) -> Result<(), Fault> {
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return Err(Fault::invalid("--rate: is not a number above 0"));
        }
        let traffic = Traffic {
            rate: self.rate,
            share: self.share,
            base: self.base,
        };
        let settings = CountSettings {
            margin: self.margin,
            ..CountSettings::default()
        };
        let levels = Levels {
            alpha: self.alpha,
            beta: self.beta,
            ..Levels::default()
        };
        let Plan {
            detect,
            exposed,
            pass,
        } = auspex_judge::plan(&traffic, self.effect, &settings, &levels);
        if self.output == Output::Json {
            return print::json(&json!({"detect_seconds": detect, "exposed": exposed, "pass_seconds": pass}));
        }
        let shown = |seconds: Option<f64>| {
            seconds.map_or_else(|| "never within a year".to_owned(), |s| format!("{s:.0} s"))
        };
        let exposed = exposed.map_or_else(String::new, |units| {
            format!(", after {units:.0} requests of the candidate")
        });
        print::text(&format!(
            "called worse, with {} times the failures: {}{exposed}\npermitted to advance, when healthy: {}\n\
             (typical times: half of all rollouts are quicker)\n",
            self.effect,
            shown(detect),
            shown(pass)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_ratios_are_checked() {
        assert!(share("1").is_err() && share("nan").is_err() && share("0.5") == Ok(0.5));
        assert!(above_one("1").is_err() && above_one("inf").is_err() && above_one("1.25") == Ok(1.25));
    }
}
