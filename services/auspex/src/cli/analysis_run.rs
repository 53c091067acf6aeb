//! `auspex analysis run`: measures what a template says, for real.

use std::path::PathBuf;
use std::time::Duration;

use auspex_analysis::drive::{drive, values, with_values};
use auspex_analysis::provider::Site;
use auspex_argo::document::kinds::{Argument, TemplateRef, metadata};
use auspex_argo::document::{Kind, Template};
use auspex_argo::phase::Phase;
use auspex_argo::run::{Outcome, Run as Under};
use auspex_argo::template::{Apart, Templates, Together};
use auspex_argo::{arguments, traps};
use auspex_chassis::Secret;
use clap::Args;
use serde_json::json;

use super::analysis::Kept;
use super::{Output, convert, print};
use crate::fault::Fault;

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// AnalysisTemplates or an AnalysisRun (YAML, several in a file), or folders of them; - is standard input
    #[arg(short, long = "file", value_name = "TEMPLATE", num_args = 1.., required = true)]
    files: Vec<PathBuf>,
    /// Which of several templates; default: the first
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// An argument
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = pair)]
    args: Vec<(String, String)>,
    /// A secret's value
    #[arg(long = "secret", value_name = "SECRET/KEY=VALUE", value_parser = pair)]
    secrets: Vec<(String, String)>,
    /// Where Prometheus is, when a metric does not say
    #[arg(
        long,
        value_name = "URL",
        env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS",
        default_value = ""
    )]
    prometheus: String,
    /// An InfluxDB server, when a metric asks one: URL, organisation and token
    #[arg(long, value_names = ["URL", "ORG", "TOKEN"], num_args = 3)]
    influx: Option<Vec<String>>,
    /// End it after this long, as a rollout that is over would
    #[arg(long, value_name = "DURATION", value_parser = span)]
    r#for: Option<Duration>,
    /// Do not run the commands of jobs
    #[arg(long)]
    no_jobs: bool,
    /// Whether Argo's quirks are kept
    #[arg(long, value_enum, default_value_t)]
    mode: Kept,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not name=value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn span(text: &str) -> Result<Duration, String> {
    let nanoseconds = auspex_argo::duration::parse(text)?;
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| format!("`{text}` is below 0"))
}

impl Run {
    /// What is to be measured, and the arguments that it brings.
    fn wanted(&self) -> Result<Together, Fault> {
        let (kinds, unread) = convert::kinds(&self.files)?;
        if let Some(remark) = unread.first() {
            return Err(Fault::invalid(format!(
                "{}: {}: {}",
                remark.document, remark.field, remark.reason
            )));
        }
        let mut templates = Templates::default();
        templates.add_all(&kinds);
        let named = |template: &Template| {
            let name = metadata(&template.metadata, "name");
            self.template.as_deref().is_none_or(|wanted| wanted == name)
        };
        let mut whole = kinds
            .iter()
            .find_map(|kind| match kind {
                Kind::Run(run) if named(run) => Some(Together::of(&run.spec)),
                Kind::Template(template, cluster) if named(template) => {
                    let wanted = TemplateRef {
                        template_name: metadata(&template.metadata, "name").to_owned(),
                        cluster_scope: Some(*cluster),
                    };
                    Some(templates.together(&[wanted]).map_err(|apart| match apart {
                        Apart::Wrong(fault) => fault,
                        Apart::Missing(names) => format!("templates are missing: {}", names.join(", ")),
                    }))
                }
                _ => None,
            })
            .ok_or_else(|| {
                let what = "no AnalysisTemplate or AnalysisRun";
                Fault::invalid(match &self.template {
                    Some(name) => format!("--template {name}: there is {what} of that name in the files"),
                    None => format!("--file: there is {what} in the files"),
                })
            })?
            .map_err(Fault::invalid)?;
        for (name, _) in &self.args {
            if !whole.args.iter().any(|known| known.name == *name) {
                return Err(Fault::invalid(format!(
                    "--arg: the template has no argument {name}"
                )));
            }
        }
        let given: Vec<Argument> = self
            .args
            .iter()
            .map(|(name, value)| Argument {
                name: name.clone(),
                value: Some(value.clone()),
                value_from: None,
            })
            .collect();
        // What is given by hand goes before a secret that the template names.
        for argument in &mut whole.args {
            if given.iter().any(|one| one.name == argument.name) {
                argument.value_from = None;
            }
        }
        whole.args = arguments::merge(&given, &whole.args).map_err(Fault::invalid)?;
        Ok(whole)
    }

    fn site(&self, secrets: arguments::Values) -> Site {
        let mut site = Site {
            prometheus: self.prometheus.clone(),
            jobs: !self.no_jobs,
            secrets,
            ..Site::default()
        };
        if let Some([url, org, token]) = self.influx.as_deref() {
            let server = auspex_analysis::config::Influx {
                url: url.clone(),
                org: org.clone(),
                token: Secret::new(token.as_str()),
            };
            site.influx.insert("influxdb".to_owned(), server);
        }
        site
    }

    pub(crate) async fn carry_out(self) -> Result<(), Fault> {
        let whole = self.wanted()?;
        let secret = |name: &str, key: &str| {
            let wanted = format!("{name}/{key}");
            let found = self.secrets.iter().find(|(known, _)| *known == wanted);
            found.map(|(_, value)| value.clone())
        };
        let (values, secrets) = values(&whole.args, secret, |_| None).map_err(Fault::invalid)?;
        let whole = with_values(whole, &values).map_err(Fault::invalid)?;
        for metric in &whole.metrics {
            for warning in traps::of_metric(metric, self.mode.into(), false) {
                eprintln!("warning: {}: {}: {}", metric.name, warning.field, warning.text);
            }
        }
        let site = self.site(secrets);
        let mut run = Under::begin(whole, jiff::Timestamp::now().as_millisecond());
        let text = self.output == Output::Text;
        let mut shown = vec![0; run.outcomes.len()];
        let told = |run: &Under| {
            for (outcome, shown) in run.outcomes.iter().zip(&mut shown) {
                let taken = outcome.counters.count + outcome.counters.error + outcome.counters.no_data;
                if taken > *shown && text {
                    *shown = taken;
                    // What became of it is told at the end once more.
                    print::line(&line(outcome)).ok();
                }
            }
        };
        let driven = drive(&mut run, self.mode.into(), &site, told);
        match self.r#for {
            None => driven.await,
            Some(length) => {
                if tokio::time::timeout(length, driven).await.is_err() {
                    run.end();
                }
            }
        }
        self.end(&run)
    }

    fn end(&self, run: &Under) -> Result<(), Fault> {
        match self.output {
            Output::Json => print::json(&json!({
                "phase": run.phase,
                "message": run.message,
                "metrics": run.outcomes,
            }))?,
            Output::Text => {
                for outcome in &run.outcomes {
                    let watched = if outcome.dry_run { " (dry run)" } else { "" };
                    print::line(&format!(
                        "{}: {}{watched}: {}",
                        outcome.name, outcome.phase, outcome.message
                    ))?;
                }
                let why = if run.message.is_empty() {
                    String::new()
                } else {
                    format!(": {}", run.message)
                };
                print::line(&format!("{}{why}", run.phase))?;
            }
        }
        if run.phase == Phase::Successful {
            Ok(())
        } else {
            Err(Fault::failed(format!("the analysis is {}", run.phase)))
        }
    }
}

fn line(outcome: &Outcome) -> String {
    let last = outcome.measurements.last();
    let (phase, value) = last.map_or((outcome.phase, ""), |last| (last.phase, last.value.as_str()));
    let message = last.map_or("", |last| last.message.as_str());
    let message = if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    };
    format!("{}: {phase} {value}{message}", outcome.name)
}
