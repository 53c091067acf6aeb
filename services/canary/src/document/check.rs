//! What a document may ask for. Every fault is named, with its path.

use auspex_proto::{Project, RolloutName, ServiceName};

use crate::config::Config;
use crate::terms::Terms;

use super::check_words::{is_http_url, is_token};
use super::{API_VERSION, AdaptiveChoice, BudgetChoice, Document, KIND, PolicyChoice, Span, Spec, Step};

/// Most steps of a policy.
const MOST_STEPS: usize = 100;
/// Longest URL.
const LONGEST_URL: usize = 2_048;

impl Document {
    /// Every fault of content; empty when there is none.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.api_version != API_VERSION {
            found.push(format!("apiVersion: `{}` is not {API_VERSION}", self.api_version));
        }
        if self.kind != KIND {
            found.push(format!("kind: `{}` is not {KIND}", self.kind));
        }
        if let Err(fault) = RolloutName::new(self.metadata.name.as_str()) {
            found.push(format!("metadata.name: {}", fault.reason));
        }
        if let Some(Err(fault)) = self.metadata.project.as_deref().map(Project::new) {
            found.push(format!("metadata.project: {}", fault.reason));
        }
        if let Err(fault) = ServiceName::new(self.spec.service.as_str()) {
            found.push(format!("spec.service: {}", fault.reason));
        }
        found.extend(self.spec.problems("spec"));
        found
    }
}

impl Spec {
    /// Every fault of content below `path`, the service's name aside.
    #[must_use]
    pub fn problems(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        let limits = &self.limits;
        for (field, value, least, most) in [
            ("alpha", self.alpha, 1e-9, 0.5),
            ("beta", self.beta, 1e-9, 0.5),
            ("margin", self.margin, 1.000_001, 100.0),
            ("margin_abs", self.margin_abs, 1e-9, 0.999),
            ("slo_ms", self.slo_ms, 1e-3, 1e9),
            ("limits.error_rate", limits.error_rate, 0.0, 1.0),
            ("limits.slow_rate", limits.slow_rate, 0.0, 1.0),
            ("limits.p_failure", limits.p_failure, 0.0, 1.0),
        ] {
            range(&mut found, &format!("{path}.{field}"), value, (least, most));
        }
        if limits.slow_rate.is_some() && self.slo_ms.is_none() {
            found.push(format!("{path}.limits.slow_rate: needs {path}.slo_ms"));
        }
        for (field, target) in [
            ("stable", &self.tracks.stable),
            ("candidate", &self.tracks.candidate),
        ] {
            let url = &target.url;
            if !url.is_empty() && !is_http_url(url) {
                found.push(format!(
                    "{path}.tracks.{field}.url: `{url}` is not an http(s) URL"
                ));
            }
            if url.len() > LONGEST_URL || target.revision.len() > auspex_proto::id::MAX_LENGTH {
                found.push(format!("{path}.tracks.{field}: url or revision is too long"));
            }
        }
        if self.initial && self.tracks.stable != super::Target::default() {
            found.push(format!(
                "{path}.initial: {path}.tracks.stable names what serves already"
            ));
        }
        if let Some(sticky) = &self.affinity {
            let name = match (&sticky.cookie, &sticky.header) {
                (Some(name), None) | (None, Some(name)) => name.as_str(),
                _ => "",
            };
            if name.len() > 128 || !is_token(name) {
                found.push(format!(
                    "{path}.affinity: wants exactly one of cookie and header, a name"
                ));
            }
        }
        self.time_problems(path, &mut found);
        found.extend(super::listed::problems(&self.metrics, &format!("{path}.metrics")));
        found.extend(super::mitigations::problems(
            &self.mitigations,
            &format!("{path}.mitigations"),
        ));
        found.extend(self.policy.problems(&format!("{path}.policy")));
        self.course_problems(path, &mut found);
        if found.is_empty() {
            found.extend(Terms::of(self, &Config::default()).too_large(path));
        }
        found
    }
}

impl Spec {
    /// Times that exclude each other.
    fn time_problems(&self, path: &str, found: &mut Vec<String>) {
        if let (Some(least), Some(most)) = (self.min_dwell, self.max_dwell)
            && least > most
        {
            found.push(format!(
                "{path}.min_dwell: {least} is longer than {path}.max_dwell, {most}"
            ));
        }
        if self.deadline.is_some_and(|deadline| deadline == Span::default()) {
            found.push(format!(
                "{path}.deadline: is over before anything begins; leave it out where there is none"
            ));
        }
    }
}

impl PolicyChoice {
    pub(super) fn problems(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        let chosen = [
            self.steps.is_some(),
            self.adaptive.is_some(),
            self.budget.is_some(),
        ]
        .map(usize::from);
        if chosen.iter().sum::<usize>() > 1 {
            found.push(format!("{path}: is more than one of steps, adaptive and budget"));
        }
        if let Some(steps) = &self.steps {
            if steps.is_empty() || steps.len() > MOST_STEPS {
                found.push(format!("{path}.steps: are not 1 to {MOST_STEPS}"));
            }
            for (at, step) in steps.iter().enumerate() {
                if let Some(fault) = step_problem(step) {
                    found.push(format!("{path}.steps[{at}]: {fault}"));
                }
            }
        }
        if let Some(adaptive) = &self.adaptive {
            adaptive.problems(&format!("{path}.adaptive"), &mut found);
        }
        if let Some(budget) = &self.budget {
            budget.problems(&format!("{path}.budget"), &mut found);
        }
        found
    }
}

impl AdaptiveChoice {
    fn problems(&self, path: &str, found: &mut Vec<String>) {
        let percent = |value: Option<u8>| value.map(f64::from);
        for (field, value, least, most) in [
            ("high", self.high, 0.0, 1.0),
            ("moderate", self.moderate, 0.0, 1.0),
            ("low", self.low, 0.0, 1.0),
            ("rollback", self.rollback, 0.0, 1.0),
            ("p_failure", self.p_failure, 0.0, 1.0),
            ("error_rate", self.error_rate, 0.0, 1.0),
            ("below", percent(self.below), 1.0, 100.0),
            ("above", percent(self.above), 1.0, 100.0),
            ("fast", percent(self.fast), 1.0, 100.0),
            ("gradual", percent(self.gradual), 1.0, 100.0),
            ("limit", percent(self.limit), 1.0, 100.0),
            ("ceiling", percent(self.ceiling), 1.0, 100.0),
        ] {
            range(found, &format!("{path}.{field}"), value, (least, most));
        }
        let bands = [self.low, self.moderate, self.high];
        let given: Vec<f64> = bands.into_iter().flatten().collect();
        if given.windows(2).any(|pair| matches!(pair, [a, b] if a > b)) {
            found.push(format!("{path}: low, moderate and high are not in this order"));
        }
    }
}

impl BudgetChoice {
    fn problems(&self, path: &str, found: &mut Vec<String>) {
        let percent = |value: Option<u8>| value.map(f64::from);
        for (field, value, least, most) in [
            ("stake", self.stake, 1e-6, 1.0),
            ("growth", self.growth, 1.0, 100.0),
            ("plausible_effect", self.plausible_effect, 1e-6, 1.0),
            ("first_weight", percent(self.first_weight), 1.0, 100.0),
            ("ceiling", percent(self.ceiling), 1.0, 100.0),
        ] {
            range(found, &format!("{path}.{field}"), value, (least, most));
        }
    }
}

fn step_problem(step: &Step) -> Option<String> {
    let beside = usize::from(step.cohorts.is_some()) + usize::from(step.mirror.is_some());
    match (step.set_weight, &step.pause) {
        (None, None) if beside == 1 && step.analysis.is_empty() => {
            let most = step.mirror.filter(|percent| *percent > 100);
            most.map(|percent| format!("mirror {percent} is not within 0..=100"))
        }
        _ if beside > 0 => Some("wants exactly one of setWeight, pause, cohorts and mirror".to_owned()),
        (Some(weight), None) if weight > 100 => Some(format!("setWeight {weight} is not within 0..=100")),
        (Some(_), None) if !step.analysis.is_empty() => {
            Some("an analysis ends a pause, no setWeight".to_owned())
        }
        (None, Some(pause)) if !step.analysis.is_empty() && pause.duration.is_some() => {
            Some("an analysis ends a pause without a duration".to_owned())
        }
        (None, Some(_)) if step.analysis.len() > auspex_proto::id::MAX_LENGTH => {
            Some("the name of its analysis is too long".to_owned())
        }
        (Some(_), None) | (None, Some(_)) => None,
        _ => Some("wants exactly one of setWeight, pause, cohorts and mirror".to_owned()),
    }
}

/// Notes a value outside its range.
pub(crate) fn range(found: &mut Vec<String>, path: &str, value: Option<f64>, (least, most): (f64, f64)) {
    if let Some(value) = value
        && !(least..=most).contains(&value)
    {
        found.push(format!("{path}: {value} is not within {least}..={most}"));
    }
}
