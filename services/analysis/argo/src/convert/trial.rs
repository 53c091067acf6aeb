//! Experiments: what they measure, without the pods that Argo Rollouts starts for them.

use serde_json::{Value as Json, json};

use super::runs::{Origin, check, found, incoming, planned};
use super::{Paper, empty};
use crate::arguments;
use crate::document::kinds::{
    Argument, Canary, DryRun, Experiment, ExperimentAnalysis, ExperimentTemplate, Retention, TemplateRef,
    ValueFrom,
};
use crate::plan::{self, Run, When};
use crate::template::Together;

/// What an experiment is: its analyses, what only watches, what is kept, and of which version its templates are.
pub(super) struct Trial<'e> {
    pub analyses: &'e [ExperimentAnalysis],
    pub dry_run: &'e [DryRun],
    pub retention: &'e [Retention],
    pub templates: &'e [ExperimentTemplate],
}

/// `{{templates.NAME.podTemplateHash}}` is the revision of the version of which NAME is; anything else of an experiment's own
/// pods is not there.
fn of_pods(argument: &mut Argument, (path, trial): (&str, &Trial<'_>), paper: &mut Paper<'_>) {
    let Some(value) = argument.value.as_deref().filter(|value| value.contains("{{")) else {
        return;
    };
    let tag = value
        .trim()
        .strip_prefix("{{")
        .and_then(|tag| tag.strip_suffix("}}"));
    let name = tag.and_then(|tag| {
        tag.trim()
            .strip_prefix("templates.")?
            .strip_suffix(".podTemplateHash")
    });
    let template = trial.templates.iter().find(|one| Some(one.name.as_str()) == name);
    let which = match template.map(|template| template.spec_ref.as_str()) {
        Some("canary") => "Latest",
        Some("stable") => "Stable",
        _ => {
            let reason = format!("`{value}` speaks of pods that an experiment starts; Auspex starts none");
            return paper.refuse(format!("{path}.value"), reason);
        }
    };
    argument.value = None;
    argument.value_from = Some(ValueFrom {
        pod_template_hash_value: Some(which.to_owned()),
        ..ValueFrom::default()
    });
}

/// Of which version the pods of a step's experiment are, and their share of traffic.
pub(super) fn templates(
    canary: &Canary,
    (path, templates): (&str, &[ExperimentTemplate]),
    paper: &mut Paper<'_>,
) {
    for (index, template) in templates.iter().enumerate() {
        if !["canary", "stable"].contains(&template.spec_ref.as_str()) {
            paper.refuse(
                format!("{path}.templates[{index}].specRef"),
                "Invalid template step SpecRef: must be canary or stable",
            );
        }
        if template.weight.is_none() {
            continue;
        }
        let field = format!("{path}.templates[{index}].weight");
        let Some(routing) = &canary.traffic_routing else {
            paper.refuse(
                field,
                "Experiment template weight cannot be set unless TrafficRouting is enabled",
            );
            continue;
        };
        let plugins = routing
            .plugins
            .as_ref()
            .is_some_and(|plugins| !plugins.is_empty());
        if routing.alb.is_none() && routing.smi.is_none() && routing.istio.is_none() && !plugins {
            paper.refuse(
                field,
                "Experiment template weight is only available for TrafficRouting with SMI, ALB, Istio and Plugins at this time",
            );
        } else {
            paper.note(field, "Auspex gives an experiment no traffic of its own");
        }
    }
}

/// What an experiment measures: its analyses as one run, metrics named after them.
pub(super) fn of_experiment(
    trial: &Trial<'_>,
    (name, path, when): Origin<'_>,
    lasts: plan::Experiment,
    paper: &mut Paper<'_>,
) -> Run {
    let mut whole = empty();
    let mut missing = Vec::new();
    for (at, analysis) in trial.analyses.iter().enumerate() {
        let path = format!("{path}.analyses[{at}]");
        let mut args = analysis.args.clone();
        for (at, argument) in args.iter_mut().enumerate() {
            of_pods(argument, (&format!("{path}.args[{at}]"), trial), paper);
        }
        let wanted = TemplateRef {
            template_name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope,
        };
        let (mut one, absent) = found(&[wanted], &path, paper);
        missing.extend(absent.iter().cloned());
        if !absent.is_empty() {
            continue;
        }
        match arguments::merge(&incoming(&args, &path, paper), &one.args) {
            Ok(args) => one.args = args,
            Err(fault) => paper.refuse(format!("{path}.args"), fault),
        }
        if let Err(fault) = one.add_patterns(trial.dry_run, trial.retention) {
            paper.refuse(&path, fault);
        }
        check(&one, (&path, false), paper);
        let rules = (one.watched(), one.retention());
        inline(&mut one, (&analysis.name, &path), paper);
        whole.metrics.append(&mut one.metrics);
        if let (Ok(watched), Ok(kept)) = rules {
            let exactly = |name: &str| format!("^{}$", regex::escape(&format!("{}.{name}", analysis.name)));
            let watched = watched.iter().map(|name| DryRun {
                metric_name: exactly(name),
            });
            whole.dry_run.extend(watched);
            let kept = kept.iter().map(|(name, limit)| Retention {
                metric_name: exactly(name),
                limit: i64::try_from(*limit).unwrap_or(0),
            });
            whole.measurement_retention.extend(kept);
        }
        for argument in one.args {
            if !whole.args.iter().any(|known| known.name == argument.name) {
                whole.args.push(argument);
            }
        }
    }
    Run {
        name: name.to_owned(),
        when,
        analysis: whole,
        missing,
        experiment: Some(lasts),
    }
}

/// Makes the metrics of several templates one list: each keeps its own arguments, put in at once where they are known.
fn inline(whole: &mut Together, (name, path): (&str, &str), paper: &mut Paper<'_>) {
    let values: arguments::Values = whole
        .args
        .iter()
        .filter_map(|argument| Some((argument.name.clone(), argument.value.clone()?)))
        .collect();
    let all = values.len() == whole.args.len();
    for metric in &mut whole.metrics {
        if all {
            let resolved = arguments::resolve(&json!(metric), &values)
                .and_then(|json| serde_json::from_value(json).map_err(|fault| fault.to_string()));
            match resolved {
                Ok(resolved) => *metric = resolved,
                Err(fault) => paper.refuse(path, fault),
            }
        }
        metric.name = format!("{name}.{}", metric.name);
    }
    if all {
        whole.args.clear();
    }
}

/// An experiment of its own.
pub(super) fn experiment(experiment: &Experiment, paper: &mut Paper<'_>) -> Vec<Json> {
    let spec = &experiment.spec;
    if spec.terminate == Some(true) {
        paper.note(
            "spec.terminate",
            "it is to end before it has begun: nothing is measured",
        );
        return Vec::new();
    }
    paper.note(
        "spec.templates",
        "Auspex starts no pods for an experiment: what it measures is measured",
    );
    let lasts = plan::Experiment {
        duration: spec.duration.clone(),
        required: spec
            .analyses
            .iter()
            .any(|analysis| analysis.required_for_completion == Some(true)),
    };
    let origin = ("experiment", "spec", When::Now);
    let trial = Trial {
        analyses: &spec.analyses,
        dry_run: &spec.dry_run,
        retention: &spec.measurement_retention,
        templates: &[],
    };
    let run = of_experiment(&trial, origin, lasts, paper);
    planned(&experiment.metadata, run, paper)
}
