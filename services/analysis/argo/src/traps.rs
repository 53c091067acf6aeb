//! Traps: what is allowed, and yet rarely meant.

use serde::Serialize;

use crate::expr::{self, Mode};
use crate::measure::Conditions;
use crate::metric::Metric;
use crate::provider::Known;

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Where.
    pub field: String,
    /// What, and what to do.
    pub text: String,
}

fn warning(field: &str, text: impl Into<String>) -> Warning {
    Warning {
        field: field.to_owned(),
        text: text.into(),
    }
}

/// What follows a function's name in a condition: its first argument, roughly.
fn first_argument<'t>(text: &'t str, function: &str) -> Option<&'t str> {
    let (before, after) = text.split_once(function)?;
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
        return None;
    }
    let end = after.find([',', ')']).unwrap_or(after.len());
    Some(after.get(..end)?.trim())
}

/// Of conditions alone.
#[must_use]
pub fn of_conditions(conditions: Conditions<'_>, mode: Mode) -> Vec<Warning> {
    let mut found = Vec::new();
    let both = [
        ("successCondition", conditions.success),
        ("failureCondition", conditions.failure),
    ];
    for (field, text) in both {
        for function in ["default(", "isNil("] {
            let argument = first_argument(text, function).filter(|argument| *argument != "result");
            if let Some(argument) = argument.filter(|_| mode == Mode::Strict) {
                let name = function.trim_end_matches('(');
                let text = format!(
                    "{name} looks at the whole result in Argo Rollouts, not at `{argument}`; in safe mode it looks at `{argument}`"
                );
                found.push(warning(field, text));
            }
        }
    }
    found
}

/// Of one that cannot be read: it fails only when it is measured, every time. Its arguments may still be missing.
fn unread(field: &str, text: &str) -> Option<Warning> {
    if text.is_empty() || text.contains("{{args.") || text.contains("{{ args.") {
        return None;
    }
    let fault = expr::readable(text).err()?;
    let ends = text.trim_end().ends_with([',', '(', '{', '&', '|']);
    let hint = if ends {
        "; in YAML ` #` begins a comment: quote the condition"
    } else {
        ""
    };
    Some(warning(field, format!("cannot be read: {fault}{hint}")))
}

/// Of a metric, as far as its arguments are in it. `inline`: it is a step of a rollout.
#[must_use]
pub fn of_metric(metric: &Metric, mode: Mode, inline: bool) -> Vec<Warning> {
    let mut found = of_conditions(metric.conditions(), mode);
    found.extend(unread("successCondition", &metric.success_condition));
    found.extend(unread("failureCondition", &metric.failure_condition));
    let query = match metric.provider.known() {
        Ok(Known::Prometheus(prometheus)) => prometheus.query,
        _ => String::new(),
    };
    let plain: String = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let divides = plain.contains('/');
    if divides && plain.contains("or vector(0)") {
        found.push(warning(
            "provider.prometheus.query",
            "`a / b or vector(0)` hides missing data: nothing measured becomes 0, which may pass for perfect",
        ));
    } else if divides {
        found.push(warning(
            "provider.prometheus.query",
            "0/0 is NaN: an idle service fails every comparison, and with a successCondition alone it is rolled back",
        ));
    }
    let many = metric.effective_count().is_none_or(|count| count > 1);
    if many && metric.failures() == Some(0) && metric.successes().is_none() {
        found.push(warning(
            "failureLimit",
            "0 with many measurements: one false alarm ends the rollout; at 1 % each, 30 measurements end 26 % of healthy ones",
        ));
    }
    if inline && metric.effective_count().is_none() {
        found.push(warning(
            "count",
            "an interval without a count runs without end: as a step of a rollout it never lets it go on",
        ));
    }
    if !metric.success_condition.is_empty() && !metric.failure_condition.is_empty() {
        found.push(warning(
            "failureCondition",
            "with both conditions, what neither covers is inconclusive, and what both cover has failed; NaN is inconclusive",
        ));
    }
    found
}
