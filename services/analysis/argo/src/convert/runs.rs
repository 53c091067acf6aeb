//! Analyses: templates found and put together, arguments from the rollout.

use serde_json::{Value as Json, json};

use super::{Paper, empty, named};
use crate::arguments;
use crate::document::Template;
use crate::document::kinds::{
    Analysis, Argument, DryRun, Experiment, ExperimentAnalysis, TemplateRef, ValueFrom,
};
use crate::expr;
use crate::plan::{self, Plan, Run, When};
use crate::template::{Apart, Together};
use crate::traps;

/// Where a run comes from: its name, its path in the document, when it begins.
type Origin<'o> = (&'o str, &'o str, When);

/// An analysis of a rollout.
pub(super) fn of_analysis(analysis: &Analysis, (name, path, when): Origin<'_>, paper: &mut Paper<'_>) -> Run {
    let (mut whole, missing) = found(&analysis.templates, path, paper);
    let incoming = incoming(&analysis.args, path, paper);
    if missing.is_empty() {
        if let Err(fault) = whole.add_patterns(&analysis.dry_run, &analysis.measurement_retention) {
            paper.refuse(path, fault);
        }
        match arguments::merge(&incoming, &whole.args) {
            Ok(args) => whole.args = args,
            Err(fault) => paper.refuse(format!("{path}.args"), fault),
        }
        check(&whole, (path, matches!(when, When::Step(_))), paper);
    } else {
        // Kept for when the templates are there.
        whole.args = incoming;
        whole.dry_run.clone_from(&analysis.dry_run);
        whole
            .measurement_retention
            .clone_from(&analysis.measurement_retention);
    }
    Run {
        name: name.to_owned(),
        when,
        analysis: whole,
        missing,
        experiment: None,
    }
}

/// What an experiment measures: its analyses as one run, metrics named after them.
pub(super) fn of_experiment(
    (analyses, dry_run): (&[ExperimentAnalysis], &[DryRun]),
    (name, path, when): Origin<'_>,
    lasts: plan::Experiment,
    paper: &mut Paper<'_>,
) -> Run {
    let mut whole = empty();
    let mut missing = Vec::new();
    for (at, analysis) in analyses.iter().enumerate() {
        let path = format!("{path}.analyses[{at}]");
        let wanted = TemplateRef {
            template_name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope,
        };
        let (mut one, absent) = found(&[wanted], &path, paper);
        missing.extend(absent.iter().cloned());
        if !absent.is_empty() {
            continue;
        }
        match arguments::merge(&incoming(&analysis.args, &path, paper), &one.args) {
            Ok(args) => one.args = args,
            Err(fault) => paper.refuse(format!("{path}.args"), fault),
        }
        check(&one, (&path, false), paper);
        inline(&mut one, (&analysis.name, &path), paper);
        whole.metrics.append(&mut one.metrics);
        whole.dry_run.append(&mut one.dry_run);
        for argument in one.args {
            if !whole.args.iter().any(|known| known.name == argument.name) {
                whole.args.push(argument);
            }
        }
    }
    if missing.is_empty()
        && let Err(fault) = whole.add_patterns(dry_run, &[])
    {
        paper.refuse(path, fault);
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

/// The templates of these names; the names of those that are not there.
fn found(wanted: &[TemplateRef], path: &str, paper: &mut Paper<'_>) -> (Together, Vec<String>) {
    if wanted.is_empty() {
        paper.refuse(format!("{path}.templates"), "no templates are named");
        return (empty(), Vec::new());
    }
    match paper.templates.together(wanted) {
        Ok(whole) => (whole, Vec::new()),
        Err(Apart::Wrong(fault)) => {
            paper.refuse(format!("{path}.templates"), fault);
            (empty(), Vec::new())
        }
        Err(Apart::Missing(names)) => {
            paper.note(
                format!("{path}.templates"),
                format!(
                    "not among the documents: {}; give their files with -f too",
                    names.join(", ")
                ),
            );
            paper.missing.extend(names.iter().cloned());
            (empty(), names)
        }
    }
}

/// The rollout's arguments, with their values where they are known now.
fn incoming(args: &[Argument], path: &str, paper: &mut Paper<'_>) -> Vec<Argument> {
    let mut out = Vec::new();
    for (at, argument) in args.iter().enumerate() {
        let path = format!("{path}.args[{at}].valueFrom");
        let mut argument = argument.clone();
        match &argument.value_from {
            // Argo takes an empty value when none is given.
            None => argument.value = Some(argument.value.unwrap_or_default()),
            Some(from) => match resolved(from, paper) {
                Ok(Some(value)) => {
                    argument.value = Some(value);
                    argument.value_from = None;
                }
                Ok(None) => argument.value = None,
                Err(fault) => paper.refuse(path, fault),
            },
        }
        out.push(argument);
    }
    out
}

fn resolved(from: &ValueFrom, paper: &mut Paper<'_>) -> Result<Option<String>, String> {
    if let Some(which) = &from.pod_template_hash_value {
        if !["Stable", "Latest"].contains(&which.as_str()) {
            return Err(format!(
                "podTemplateHashValue `{which}` is neither Stable nor Latest"
            ));
        }
        paper.note(
            "args.valueFrom.podTemplateHashValue",
            "becomes the revision of the track, which Auspex knows; label your metrics with it",
        );
        return Ok(None);
    }
    match &from.field_ref {
        Some(field) => arguments::field(&paper.whole, &field.field_path).map(Some),
        None => Ok(None),
    }
}

/// Providers that are refused, conditions that cannot be read, limits that contradict each other, traps.
fn check(whole: &Together, (path, inline): (&str, bool), paper: &mut Paper<'_>) {
    for (at, metric) in whole.metrics.iter().enumerate() {
        let path = format!("{path}.metrics[{at}]");
        match metric.provider.known() {
            Err(refused) => paper.refuse(format!("{path}.provider.{}", refused.field), refused.reason),
            Ok(crate::provider::Known::Job(job)) => {
                if let Err(refused) = job.command() {
                    paper.refuse(format!("{path}.provider.{}", refused.field), refused.reason);
                }
            }
            Ok(_) => {}
        }
        let text = json!(metric).to_string();
        // Before arguments are in it, a limit may be no number yet.
        if !text.contains("{{")
            && let Err(fault) = metric.validate()
        {
            paper.refuse(&path, fault);
        }
        for (field, condition) in [
            ("successCondition", &metric.success_condition),
            ("failureCondition", &metric.failure_condition),
        ] {
            if !condition.is_empty()
                && !condition.contains("{{")
                && let Err(fault) = expr::readable(condition)
            {
                paper.refuse(format!("{path}.{field}"), fault.message);
            }
        }
        if inline && metric.effective_count().is_none() {
            paper.refuse(
                format!("{path}.count"),
                "runs indefinitely: an interval without a count cannot be a step",
            );
        }
        for warning in traps::of_metric(metric, paper.mode, inline) {
            paper.note(format!("{path}.{}", warning.field), warning.text);
        }
    }
    if let Err(fault) = whole.watched().and_then(|_| whole.retention()) {
        paper.refuse(path, fault);
    }
}

/// A template alone stays what it is, in Auspex's name.
pub(super) fn template(template: &Template, cluster: bool, paper: &mut Paper<'_>) -> Vec<Json> {
    match Together::of(&template.spec) {
        Ok(whole) => check(&whole, ("spec", false), paper),
        Err(fault) => paper.refuse("spec", fault),
    }
    if template.spec.metrics.is_empty() && template.spec.templates.is_empty() {
        paper.refuse("spec.metrics", "no metrics specified");
    }
    let kind = if cluster {
        "ClusterAnalysisTemplate"
    } else {
        "AnalysisTemplate"
    };
    vec![json!({
        "apiVersion": plan::API_VERSION,
        "kind": kind,
        "metadata": named(&template.metadata),
        "spec": template.spec,
    })]
}

/// A run of its own.
pub(super) fn alone(run: &Template, paper: &mut Paper<'_>) -> Vec<Json> {
    if run.spec.terminate == Some(true) {
        paper.note("spec.terminate", "it is not begun");
    }
    let mut whole = match Together::of(&run.spec) {
        Ok(whole) => whole,
        Err(fault) => {
            paper.refuse("spec", fault);
            return Vec::new();
        }
    };
    match arguments::merge(&[], &whole.args) {
        Ok(args) => whole.args = args,
        Err(fault) => paper.refuse("spec.args", fault),
    }
    check(&whole, ("spec", false), paper);
    let one = Run {
        name: "run".to_owned(),
        when: When::Now,
        analysis: whole,
        ..Run::default()
    };
    planned(&run.metadata, one, paper)
}

fn planned(metadata: &Json, run: Run, paper: &Paper<'_>) -> Vec<Json> {
    let plan = Plan {
        mode: paper.mode,
        steps: Vec::new(),
        runs: vec![run],
    };
    vec![json!({
        "apiVersion": plan::API_VERSION,
        "kind": plan::KIND,
        "metadata": named(metadata),
        "spec": plan,
    })]
}

/// An experiment of its own.
pub(super) fn experiment(experiment: &Experiment, paper: &mut Paper<'_>) -> Vec<Json> {
    let spec = &experiment.spec;
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
    let run = of_experiment((&spec.analyses, &spec.dry_run), origin, lasts, paper);
    planned(&experiment.metadata, run, paper)
}
