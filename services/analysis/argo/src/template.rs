//! Templates: found by name, put together, matched by patterns.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::document::kinds::{Argument, DryRun, Retention, TemplateRef, TemplateSpec, metadata};
use crate::document::{Kind, Template};
use crate::metric::{self, Metric};

/// Measurements of a metric that are kept when nobody says.
pub const KEPT: usize = 10;
/// Deepest nesting of templates in templates.
const DEEPEST: usize = 32;

/// Templates by name, those of a namespace apart from those of the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Templates {
    all: BTreeMap<(bool, String), TemplateSpec>,
}

/// What a run measures: templates put together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Together {
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Metrics that only watch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// Measurements that are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<Retention>,
}

/// Why templates cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apart {
    /// These are not there: names, with `cluster/` before those of the cluster.
    Missing(Vec<String>),
    /// They contradict each other.
    Wrong(String),
}

impl Templates {
    /// Adds a template; one of the same name is replaced.
    pub fn add(&mut self, template: &Template, cluster: bool) {
        let name = metadata(&template.metadata, "name").to_owned();
        self.all.insert((cluster, name), template.spec.clone());
    }

    /// Adds those among documents.
    pub fn add_all<'k>(&mut self, kinds: impl IntoIterator<Item = &'k Kind>) {
        for kind in kinds {
            if let Kind::Template(template, cluster) = kind {
                self.add(template, *cluster);
            }
        }
    }

    /// Those of a namespace and of the cluster that are meant, each once, templates in templates among them.
    fn found(&self, wanted: &[TemplateRef]) -> Result<Vec<&TemplateSpec>, Apart> {
        let mut order: Vec<(bool, String)> = Vec::new();
        let mut missing = Vec::new();
        let mut next: Vec<(usize, TemplateRef)> = wanted.iter().rev().map(|one| (0, one.clone())).collect();
        while let Some((deep, one)) = next.pop() {
            let key = (one.cluster_scope.unwrap_or(false), one.template_name);
            if deep > DEEPEST {
                return Err(Apart::Wrong(format!(
                    "templates: nested more than {DEEPEST} deep"
                )));
            }
            if order.contains(&key) {
                continue;
            }
            match self.all.get(&key) {
                Some(spec) => next.extend(spec.templates.iter().rev().map(|one| (deep + 1, one.clone()))),
                None => {
                    let scope = if key.0 { "cluster/" } else { "" };
                    missing.push(format!("{scope}{}", key.1));
                }
            }
            order.push(key);
        }
        if !missing.is_empty() {
            return Err(Apart::Missing(missing));
        }
        // Those of the namespace come first, as in Argo Rollouts.
        let (cluster, own): (Vec<_>, Vec<_>) = order.iter().partition(|(cluster, _)| *cluster);
        Ok(own
            .into_iter()
            .chain(cluster)
            .filter_map(|key| self.all.get(key))
            .collect())
    }

    /// Puts templates together: metrics, arguments, patterns.
    ///
    /// # Errors
    /// [`Apart`]: some are missing, or they contradict each other.
    pub fn together(&self, wanted: &[TemplateRef]) -> Result<Together, Apart> {
        let mut whole = Together::default();
        for spec in self.found(wanted)? {
            whole.add(spec).map_err(Apart::Wrong)?;
        }
        Ok(whole)
    }
}

impl Together {
    /// Of one template alone.
    ///
    /// # Errors
    /// It contradicts itself.
    pub fn of(spec: &TemplateSpec) -> Result<Self, String> {
        let mut whole = Self::default();
        whole.add(spec)?;
        Ok(whole)
    }

    fn add(&mut self, spec: &TemplateSpec) -> Result<(), String> {
        for metric in &spec.metrics {
            if self.metrics.iter().any(|known| known.name == metric.name) {
                return Err(format!("two metrics have the same name '{}'", metric.name));
            }
            self.metrics.push(metric.clone());
        }
        for argument in &spec.args {
            let Some(known) = self.args.iter_mut().find(|known| known.name == argument.name) else {
                self.args.push(argument.clone());
                continue;
            };
            match (&known.value, &argument.value) {
                (Some(one), Some(other)) if one != other => {
                    return Err(format!(
                        "Argument `{}` specified multiple times with different values: '{one}', '{other}'",
                        argument.name
                    ));
                }
                (None, _) => *known = argument.clone(),
                _ => {}
            }
        }
        self.add_patterns(&spec.dry_run, &spec.measurement_retention)
    }

    /// Adds patterns; one that is there twice is a fault.
    ///
    /// # Errors
    /// Which.
    pub fn add_patterns(&mut self, dry_run: &[DryRun], retention: &[Retention]) -> Result<(), String> {
        for rule in dry_run {
            if self.dry_run.contains(rule) {
                return Err(format!(
                    "two Dry-Run metric rules have the same name '{}'",
                    rule.metric_name
                ));
            }
            self.dry_run.push(rule.clone());
        }
        for rule in retention {
            if self
                .measurement_retention
                .iter()
                .any(|known| known.metric_name == rule.metric_name)
            {
                return Err(format!(
                    "two Measurement Retention metric rules have the same name '{}'",
                    rule.metric_name
                ));
            }
            self.measurement_retention.push(rule.clone());
        }
        Ok(())
    }

    /// What is wrong with it before it runs: metrics, patterns that match nothing.
    ///
    /// # Errors
    /// The first fault.
    pub fn validate(&self) -> Result<(), String> {
        metric::validate(&self.metrics)?;
        self.watched()?;
        self.retention()?;
        Ok(())
    }

    /// Metrics that only watch.
    ///
    /// # Errors
    /// A pattern matches none.
    pub fn watched(&self) -> Result<Vec<String>, String> {
        let rules = self.dry_run.iter().map(|rule| rule.metric_name.as_str());
        let matched = self.matched("dryRun", rules)?;
        Ok(matched.into_keys().collect())
    }

    /// How many measurements of each metric are kept, where that is said.
    ///
    /// # Errors
    /// A pattern matches none.
    pub fn retention(&self) -> Result<BTreeMap<String, usize>, String> {
        let rules = self
            .measurement_retention
            .iter()
            .map(|rule| rule.metric_name.as_str());
        let matched = self.matched("measurementRetention", rules)?;
        let limit = |at: usize| {
            let rule = self.measurement_retention.get(at);
            rule.map_or(KEPT, |rule| usize::try_from(rule.limit).unwrap_or(0))
        };
        Ok(matched.into_iter().map(|(name, at)| (name, limit(at))).collect())
    }

    /// Metrics by unanchored patterns, with the last rule that matches each.
    fn matched<'r>(
        &self,
        what: &str,
        rules: impl Iterator<Item = &'r str>,
    ) -> Result<BTreeMap<String, usize>, String> {
        let mut matched = BTreeMap::new();
        for (at, rule) in rules.enumerate() {
            // A pattern that cannot be read matches nothing.
            let pattern = Regex::new(rule).ok();
            let before = self.metrics.iter().filter(|metric| {
                pattern
                    .as_ref()
                    .is_some_and(|pattern| pattern.is_match(&metric.name))
            });
            let names: Vec<String> = before.map(|metric| metric.name.clone()).collect();
            if names.is_empty() {
                return Err(format!("{what}[{at}]: Rule didn't match any metric name(s)"));
            }
            matched.extend(names.into_iter().map(|name| (name, at)));
        }
        Ok(matched)
    }
}
