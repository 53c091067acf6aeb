//! Analyses: templates found and put together, arguments from the rollout.

use serde_json::{Value as Json, json};

use super::{Paper, empty, named};
use crate::arguments;
use crate::document::Template;
use crate::document::kinds::{Analysis, Argument, TemplateRef, ValueFrom};
use crate::expr;
use crate::metric::Metric;
use crate::plan::{self, Plan, Run, When};
use crate::template::{Apart, Together};
use crate::traps;

/// Where a run comes from: its name, its path in the document, when it begins.
pub(super) type Origin<'o> = (&'o str, &'o str, When);

/// An analysis of a rollout.
pub(super) fn of_analysis(analysis: &Analysis, (name, path, when): Origin<'_>, paper: &mut Paper<'_>) -> Run {
    let (mut whole, missing) = found(&analysis.templates, path, paper);
    let incoming = incoming(&analysis.args, path, paper);
    if missing.is_empty() {
        if let Err(fault) = whole.add_patterns(&analysis.dry_run, &analysis.measurement_retention) {
            paper.refuse(path, fault);
        }
        let background = matches!(when, When::Background(_));
        for argument in whole.args.iter().filter(|_| !background) {
            if argument.value.is_some() && argument.value_from.is_some() {
                let name = &argument.name;
                let reason = format!("arg '{name}' has both Value and ValueFrom fields");
                paper.refuse(format!("{path}.templates"), reason);
            }
        }
        match arguments::merge(&incoming, &whole.args) {
            Ok(args) => {
                whole.args = args;
                check(&whole, (path, !background), paper);
            }
            Err(fault) => paper.refuse(format!("{path}.args"), fault),
        }
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

/// The templates of these names; the names of those that are not there.
pub(super) fn found(wanted: &[TemplateRef], path: &str, paper: &mut Paper<'_>) -> (Together, Vec<String>) {
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
pub(super) fn incoming(args: &[Argument], path: &str, paper: &mut Paper<'_>) -> Vec<Argument> {
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

/// A metric with its arguments in it, as far as they are known now: what comes later is filled with a word, as Argo Rollouts
/// does it when it validates. `None`: there are arguments that nobody has given yet.
fn filled(metric: &Metric, args: &[Argument]) -> Option<Result<Metric, String>> {
    let mut values = arguments::Values::new();
    for argument in args {
        let value = match (&argument.value, &argument.value_from) {
            (_, Some(from)) if from.secret_key_ref.is_some() => "temp-for-secret".to_owned(),
            (_, Some(_)) => "dummy-value".to_owned(),
            (Some(value), None) => value.clone(),
            (None, None) => return None,
        };
        values.insert(argument.name.clone(), value);
    }
    let resolved = arguments::resolve(&json!(metric), &values);
    Some(resolved.and_then(|json| serde_json::from_value(json).map_err(|fault| fault.to_string())))
}

/// Providers that are refused, conditions that cannot be read, limits that contradict each other, traps. `inline`: the
/// rollout waits for it, so that it has to come to an end.
pub(super) fn check(whole: &Together, (path, inline): (&str, bool), paper: &mut Paper<'_>) {
    for (at, metric) in whole.metrics.iter().enumerate() {
        let path = format!("{path}.metrics[{at}]");
        let known = metric.provider.known();
        let said = known.as_ref().err().map(|refused| refused.reason.clone());
        match known {
            Err(refused) => paper.refuse(refused.place(&path), refused.reason),
            Ok(crate::provider::Known::Job(job)) => {
                if let Err(refused) = job.command() {
                    paper.refuse(refused.place(&path), refused.reason);
                }
            }
            Ok(_) => {}
        }
        let metric = match filled(metric, &whole.args) {
            None => metric.clone(),
            Some(Ok(metric)) => metric,
            Some(Err(fault)) => {
                paper.refuse(path, fault);
                continue;
            }
        };
        // Before arguments are in it, a limit may be no number yet.
        if !json!(metric).to_string().contains("{{")
            && let Err(fault) = metric.validate()
            && said.as_ref() != Some(&fault)
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
                "runs indefinitely: an interval without a count never lets the rollout go on",
            );
        }
        for warning in traps::of_metric(&metric, paper.mode, inline) {
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
        paper.note(
            "spec.terminate",
            "it is to end before it has begun: nothing is measured",
        );
        return Vec::new();
    }
    if run.spec.ttl_strategy.is_some() {
        paper.note(
            "spec.ttlStrategy",
            "plans are kept until another one takes their place",
        );
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

pub(super) fn planned(metadata: &Json, run: Run, paper: &Paper<'_>) -> Vec<Json> {
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
