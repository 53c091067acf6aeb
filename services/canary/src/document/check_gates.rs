//! What strategy, cohorts, regions and gates of a document may ask for. Every fault is named, with its path.

use std::collections::BTreeSet;

use auspex_proto::ServiceName;
use auspex_proto::intent::{MOST_COHORTS, MOST_REGIONS};

use super::check::range;
use super::check_words::{is_http_url, is_token};
use super::gates::{Check, Gates, MOST};
use super::strategy::{Ab, BlueGreen, Canary, LegChoice, MOST_LEGS, Rolling};
use super::{Spec, version};

/// Points that are there without being named.
pub(super) const POINTS: [&str; 5] = ["start", "traffic", "promotion", "region", "end"];
/// Longest name of anything here, and longest ticket.
const LONGEST_NAME: usize = 64;
/// Longest text of a check: a URL, an argument, a body.
const LONGEST_TEXT: usize = 1_024;
/// Most arguments or headers of a check.
const MOST_WORDS: usize = 32;

impl Spec {
    pub(super) fn course_problems(&self, path: &str, found: &mut Vec<String>) {
        self.strategy_problems(&format!("{path}.strategy"), found);
        self.cohort_problems(path, found);
        self.route_problems(path, found);
        range(
            found,
            &format!("{path}.mirror"),
            Some(f64::from(self.mirror)),
            (0.0, 100.0),
        );
        if self.regions.len() > MOST_REGIONS {
            found.push(format!("{path}.regions: are more than {MOST_REGIONS}"));
        }
        let mut names = BTreeSet::new();
        for (at, region) in self.regions.iter().enumerate() {
            name(found, &format!("{path}.regions[{at}]"), &region.name, &mut names);
        }
        let rate = self.bake.as_ref().and_then(|bake| bake.error_rate);
        range(found, &format!("{path}.bake.error_rate"), rate, (0.0, 1.0));
        if let Some(sla) = &self.sla {
            range(
                found,
                &format!("{path}.sla.target"),
                Some(sla.target),
                (0.5, 0.999_999),
            );
        }
        let legs: Vec<String> = self.leg_names();
        self.unreached(path, found);
        self.gates.problems(&format!("{path}.gates"), &legs, found);
        if let Some(wanted) = self
            .gates
            .dependencies
            .iter()
            .find(|d| d.service == self.service && !self.service.is_empty())
        {
            found.push(format!(
                "{path}.gates.dependencies: {} cannot wait for itself",
                wanted.service
            ));
        }
    }

    /// Gates at a point that this rollout never comes by would be passed unseen.
    fn unreached(&self, path: &str, found: &mut Vec<String>) {
        let approvals = self.gates.approvals.iter().map(|a| a.at.as_str()).enumerate();
        let approvals = approvals.map(|(at, point)| ("approvals", at, point));
        let checks = self.gates.checks.iter().map(|c| c.at.as_str()).enumerate();
        let checks = checks.map(|(at, point)| ("checks", at, point));
        let between = self.regions.len() > 1;
        for (field, at, _) in approvals
            .chain(checks)
            .filter(|gate| gate.2 == "region" && !between)
        {
            found.push(format!(
                "{path}.gates.{field}[{at}].at: `region` is between two regions, and {path}.regions has {}",
                self.regions.len()
            ));
        }
    }

    fn cohort_problems(&self, path: &str, found: &mut Vec<String>) {
        if self.cohorts.len() > MOST_COHORTS {
            found.push(format!("{path}.cohorts: are more than {MOST_COHORTS}"));
        }
        let mut names = BTreeSet::new();
        for (at, cohort) in self.cohorts.iter().enumerate() {
            let path = format!("{path}.cohorts[{at}]");
            name(found, &path, &cohort.name, &mut names);
            if cohort.cohort().is_none() {
                found.push(format!("{path}: wants exactly one of header, cookie and user"));
            }
            if let Some(user) = &cohort.user {
                range(found, &format!("{path}.user.share"), Some(user.share), (0.0, 1.0));
                if user.header.is_empty() == user.cookie.is_empty() {
                    found.push(format!("{path}.user: wants exactly one of header and cookie"));
                }
            }
            let named = cohort.header.iter().chain(&cohort.cookie);
            let hash = cohort.user.iter();
            let hash =
                hash.flat_map(|user| [&user.header, &user.cookie].into_iter().filter(|n| !n.is_empty()));
            let mut names = named.map(|m| &m.name).chain(hash);
            if let Some(name) = names.find(|name| !is_token(name)) {
                found.push(format!("{path}: `{name}` cannot name a header or a cookie"));
            }
        }
    }

    /// The names by which gates may refer to legs.
    fn leg_names(&self) -> Vec<String> {
        let legs = self.strategy.pipeline.iter().flatten();
        let mut names: Vec<String> = legs.map(LegChoice::called).collect();
        if self.strategy.blue_green.is_some() {
            names.push("blue_green".to_owned());
        }
        names
    }

    fn strategy_problems(&self, path: &str, found: &mut Vec<String>) {
        let choice = &self.strategy;
        let given = [
            choice.canary.is_some(),
            choice.blue_green.is_some(),
            choice.ab.is_some(),
            choice.rolling.is_some(),
            choice.pipeline.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            found.push(format!(
                "{path}: is more than one of canary, blue_green, ab, rolling and pipeline"
            ));
        }
        let single = LegChoice {
            name: String::new(),
            canary: choice.canary.clone(),
            blue_green: choice.blue_green.clone(),
            ab: choice.ab.clone(),
            rolling: choice.rolling.clone(),
        };
        single.problems(self, path, found);
        let Some(pipeline) = &choice.pipeline else { return };
        if pipeline.is_empty() || pipeline.len() > MOST_LEGS {
            found.push(format!("{path}.pipeline: are not 1 to {MOST_LEGS} legs"));
        }
        let mut names = BTreeSet::new();
        for (at, leg) in pipeline.iter().enumerate() {
            let path = format!("{path}.pipeline[{at}]");
            let kinds = [
                leg.canary.is_some(),
                leg.blue_green.is_some(),
                leg.ab.is_some(),
                leg.rolling.is_some(),
            ];
            if kinds.into_iter().filter(|given| *given).count() != 1 {
                found.push(format!(
                    "{path}: wants exactly one of canary, blue_green, ab and rolling"
                ));
            }
            if (leg.blue_green.is_some() || leg.rolling.is_some()) && at + 1 < pipeline.len() {
                found.push(format!(
                    "{path}: {} gives everything to the candidate, so it must be the last leg",
                    leg.called()
                ));
            }
            if !names.insert(leg.called()) || POINTS.contains(&leg.name.as_str()) {
                found.push(format!("{path}.name: `{}` is taken", leg.called()));
            }
            leg.problems(self, &path, found);
        }
        descents(pipeline, path, found);
    }
}

/// Legs that would end below the one before them.
fn descents(pipeline: &[LegChoice], path: &str, found: &mut Vec<String>) {
    let to = |leg: &LegChoice| leg.canary.as_ref().map(|canary| canary.to.unwrap_or(100));
    for (at, pair) in pipeline.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        if let (Some(before), Some(after)) = (to(before), to(after))
            && after < before
        {
            let at = at + 1;
            found.push(format!(
                "{path}.pipeline[{at}].canary.to: {after} is below the {before} of the leg before"
            ));
        }
    }
}

impl LegChoice {
    /// Its name, or its strategy's.
    #[must_use]
    pub fn called(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let kinds = [
            (self.canary.is_some(), "canary"),
            (self.blue_green.is_some(), "blue_green"),
            (self.ab.is_some(), "ab"),
            (self.rolling.is_some(), "rolling"),
        ];
        let found = kinds.into_iter().find(|(given, _)| *given);
        found.map_or("", |(_, name)| name).to_owned()
    }

    fn problems(&self, spec: &Spec, path: &str, found: &mut Vec<String>) {
        if let Some(Canary { to, policy }) = &self.canary {
            range(
                found,
                &format!("{path}.canary.to"),
                to.map(f64::from),
                (1.0, 100.0),
            );
            if let Some(policy) = policy {
                found.extend(policy.problems(&format!("{path}.canary.policy")));
            }
        }
        if let Some(Ab { split, goal, .. }) = &self.ab {
            range(
                found,
                &format!("{path}.ab.split"),
                Some(f64::from(*split)),
                (1.0, 99.0),
            );
            let known = |goal: &String| spec.metrics.iter().any(|listed| &listed.name == goal);
            if let Some(goal) = goal.as_ref().filter(|goal| !known(goal)) {
                found.push(format!("{path}.ab.goal: {goal} is not among spec.metrics"));
            }
        }
        if let Some(Rolling { batch, .. }) = &self.rolling {
            range(
                found,
                &format!("{path}.rolling.batch"),
                Some(f64::from(*batch)),
                (1.0, 100.0),
            );
        }
        if let Some(BlueGreen { .. }) = &self.blue_green
            && spec.scale.as_ref().is_some_and(|scale| scale.dynamic)
        {
            found.push(format!(
                "{path}.blue_green: keeps stable whole, so scale.dynamic cannot be"
            ));
        }
    }
}

impl Gates {
    fn problems(&self, path: &str, legs: &[String], found: &mut Vec<String>) {
        let mut names = BTreeSet::new();
        let lengths = [
            ("approvals", self.approvals.len()),
            ("freeze", self.freeze.len()),
            ("dependencies", self.dependencies.len()),
            ("checks", self.all_checks().count()),
        ];
        for (what, _) in lengths.into_iter().filter(|(_, length)| *length > MOST) {
            found.push(format!("{path}.{what}: are more than {MOST}"));
        }
        let known = |at: &str| at.is_empty() || POINTS.contains(&at) || legs.iter().any(|leg| leg == at);
        for (at, approval) in self.approvals.iter().enumerate() {
            let path = format!("{path}.approvals[{at}]");
            name(found, &path, &approval.name, &mut names);
            if !known(&approval.at) {
                found.push(format!(
                    "{path}.at: `{}` is neither a point nor a leg",
                    approval.at
                ));
            }
        }
        for (at, window) in self.freeze.iter().enumerate() {
            let faults = window.faults(&format!("{path}.freeze[{at}]"));
            found.extend(faults);
        }
        for (at, dependency) in self.dependencies.iter().enumerate() {
            let path = format!("{path}.dependencies[{at}]");
            if let Err(fault) = ServiceName::new(dependency.service.as_str()) {
                found.push(format!("{path}.service: {}", fault.reason));
            }
            if let Some(fault) = version::fault(&dependency.version) {
                found.push(format!("{path}.version: {fault}"));
            }
        }
        if let Some(ticket) = &self.ticket
            && (ticket.id.len() > LONGEST_NAME
                || (!ticket.id.is_empty() && !ticket.id.starts_with(&ticket.prefix)))
        {
            found.push(format!(
                "{path}.ticket.id: `{}` does not begin with `{}`, or is too long",
                ticket.id, ticket.prefix
            ));
        }
        for (at, check) in self.checks.iter().enumerate() {
            let path = format!("{path}.checks[{at}]");
            if !known(&check.at) {
                found.push(format!("{path}.at: `{}` is neither a point nor a leg", check.at));
            }
            check.problems(&path, &mut names, found);
        }
        self.database_problems(path, &mut names, found);
    }

    fn database_problems<'a>(&'a self, path: &str, names: &mut BTreeSet<&'a str>, found: &mut Vec<String>) {
        if let Some(database) = &self.database {
            let expand = database.expand.iter().map(|check| ("expand".to_owned(), check));
            let verify = database.verify.iter().enumerate();
            let verify = verify.map(|(at, check)| (format!("verify[{at}]"), check));
            let contract = database
                .contract
                .iter()
                .map(|check| ("contract".to_owned(), check));
            for (field, check) in expand.chain(verify).chain(contract) {
                if !check.at.is_empty() {
                    found.push(format!(
                        "{path}.database.{field}.at: its place is given: expand and verify come first, contract last"
                    ));
                }
                check.problems(&format!("{path}.database.{field}"), names, found);
            }
        }
    }
}

impl Check {
    fn problems<'a>(&'a self, path: &str, names: &mut BTreeSet<&'a str>, found: &mut Vec<String>) {
        name(found, path, &self.name, names);
        if self.http.is_some() != self.command.is_empty() {
            found.push(format!("{path}: wants exactly one of http and command"));
        }
        let long = self.command.iter().any(|word| word.len() > LONGEST_TEXT);
        if long || self.command.len() > MOST_WORDS || self.command.first().is_some_and(String::is_empty) {
            found.push(format!("{path}.command: is empty or too long"));
        }
        if let Some(http) = &self.http {
            if !is_http_url(&http.url) {
                found.push(format!("{path}.http.url: `{}` is not an http(s) URL", http.url));
            }
            let texts = [&http.url, &http.contains, &http.body];
            if texts.iter().any(|text| text.len() > LONGEST_TEXT) || http.headers.len() > MOST_WORDS {
                found.push(format!("{path}.http: is too long"));
            }
            if let Some(name) = http.headers.keys().find(|name| !is_token(name)) {
                found.push(format!("{path}.http.headers: `{name}` cannot name a header"));
            }
            let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
            if !methods.contains(&http.method.as_str()) {
                found.push(format!(
                    "{path}.http.method: `{}` is not one of {}",
                    http.method,
                    methods.join(", ")
                ));
            }
        }
        if self.attempts == 0 || self.attempts > 100 {
            found.push(format!(
                "{path}.attempts: {} is not within 1..=100",
                self.attempts
            ));
        }
        let timeout = self.timeout.duration().as_secs_f64();
        range(found, &format!("{path}.timeout"), Some(timeout), (0.1, 3_600.0));
    }
}

/// A name has to be there, short and not taken.
fn name<'a>(found: &mut Vec<String>, path: &str, name: &'a str, taken: &mut BTreeSet<&'a str>) {
    let sound = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_graphic());
    if !sound {
        found.push(format!(
            "{path}.name: `{name}` is not 1 to {LONGEST_NAME} plain characters"
        ));
    } else if !taken.insert(name) {
        found.push(format!("{path}.name: `{name}` is taken"));
    }
}
