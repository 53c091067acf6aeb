//! Section `[trainer]`.

use auspex_chassis::{Secret, Settings};
use serde::{Deserialize, Serialize};

use crate::candidate::Candidate;

/// When training happens, what counts as a failure, and where versions go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// When a model is trained beside drift and demand: `weekly`, `monthly`, `never`.
    pub schedule: Schedule,
    /// Whether a failure rate that has moved brings a training of its own.
    pub on_drift: bool,
    /// Examples without which nothing is trained, at least 63. 200: fewer give bounds too wide to be of use.
    pub least_examples: u64,
    /// What counts as a failure: `rollback` (a deployment that failed or was rolled back), `pipeline` (a run of the revision
    /// that failed), `incident` (one of its service within the time to maturity after it was released last there).
    pub failures: Vec<Rule>,
    /// After a release, this long without a failure counts as an outcome, in minutes. 1,440: a day.
    pub maturity_minutes: u64,
    /// What has no outcome by then is forgotten, in days. 30.
    pub give_up_days: u64,
    /// Name of the model that is registered.
    pub model: String,
    /// Feature service whose vectors are learned from; those of its later versions count too. As in `change-risk`.
    pub feature_service: String,
    /// Address of the feature store that is asked what was known of each example then; `feature_service` is one of its own.
    /// Empty: learned from are vectors as they were served, as must be with `change-risk`, which no store answers.
    pub store: String,
    /// The alias that a version which passes its gates takes: `challenger`, `shadow`, `champion`; empty: none.
    pub alias: String,
    /// Who competes. Those of the plug-in need Python 3 with venv and pip; the others need nothing.
    pub candidates: Vec<String>,
    /// Address of the registry.
    pub registry: String,
    /// Access token for it. Empty: none.
    pub token: Secret,
    /// Root certificates (PEM file) to trust beside the usual ones, where registry and store are asked over TLS. Empty: none.
    pub ca: String,
    /// How often is looked whether it is time, in seconds, 1..=3600.
    pub look_seconds: u64,
    /// The model of builds.
    pub builds: BuildsConfig,
}

/// Section `[trainer.builds]`: the model of builds, learned beside that of changes from vectors as they were served
/// (`features.builds`) and from how each build ended. Candidates, registry and the like are those of `[trainer]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildsConfig {
    /// Feature service whose vectors of builds are learned from, in any version. Empty: nothing is learned of builds.
    pub feature_service: String,
    /// Name of the model that is registered.
    pub model: String,
    /// When it is trained beside drift and demand: `weekly`, `monthly`, `never`.
    pub schedule: Schedule,
    /// Whether a failure rate that has moved brings a training of its own.
    pub on_drift: bool,
    /// Builds with an outcome without which nothing is trained, at least 63. 200: fewer give bounds too wide to be of use.
    pub least_examples: u64,
    /// The alias that a version which passes its gates takes: `challenger`, `shadow`, `champion`; empty: none. Where the model
    /// has no champion yet, the first takes `champion` in place of `challenger`: nothing would score before.
    pub alias: String,
}

impl Default for BuildsConfig {
    fn default() -> Self {
        Self {
            feature_service: "ci-run".to_owned(),
            model: "ci-run".to_owned(),
            schedule: Schedule::Weekly,
            on_drift: true,
            least_examples: 200,
            alias: "challenger".to_owned(),
        }
    }
}

/// When a model is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Every seven days.
    #[default]
    Weekly,
    /// Every thirty days.
    Monthly,
    /// On drift and demand alone.
    Never,
}

impl Schedule {
    /// Time between two trainings, in milliseconds.
    #[must_use]
    pub fn every_ms(self) -> Option<i64> {
        const DAY: i64 = 86_400_000;
        match self {
            Self::Weekly => Some(7 * DAY),
            Self::Monthly => Some(30 * DAY),
            Self::Never => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Never => "never",
        }
    }
}

/// What counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// A deployment failed or was rolled back.
    Rollback,
    /// A run failed.
    Pipeline,
    /// An incident opened.
    Incident,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            schedule: Schedule::Weekly,
            on_drift: true,
            least_examples: 200,
            failures: vec![Rule::Rollback, Rule::Incident],
            maturity_minutes: 1440,
            give_up_days: 30,
            model: "change-risk".to_owned(),
            feature_service: "change-risk".to_owned(),
            store: String::new(),
            alias: "challenger".to_owned(),
            candidates: vec!["logistic".to_owned(), "gbdt".to_owned(), "ensemble".to_owned()],
            registry: "http://127.0.0.1:7700".to_owned(),
            token: Secret::default(),
            ca: String::new(),
            look_seconds: 60,
            builds: BuildsConfig::default(),
        }
    }
}

impl Config {
    /// Whether the feature store is asked.
    #[must_use]
    pub fn asks_store(&self) -> bool {
        !self.store.is_empty()
    }

    /// By what the model of builds is learned; `None`: it is not.
    #[must_use]
    pub fn of_builds(&self) -> Option<Self> {
        let builds = self.builds.clone();
        (!builds.feature_service.is_empty()).then(|| Self {
            schedule: builds.schedule,
            on_drift: builds.on_drift,
            least_examples: builds.least_examples,
            model: builds.model,
            feature_service: builds.feature_service,
            store: String::new(),
            alias: builds.alias,
            ..self.clone()
        })
    }

    /// The candidates; those that there are.
    #[must_use]
    pub fn entrants(&self) -> Vec<Candidate> {
        self.candidates
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect()
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.least_examples < 63 {
            problems.push(format!("least_examples: {} is below 63", self.least_examples));
        }
        if self.builds.least_examples < 63 {
            let least = self.builds.least_examples;
            problems.push(format!("builds.least_examples: {least} is below 63"));
        }
        if self.builds.model.is_empty() || self.builds.model == self.model {
            problems.push(format!(
                "builds.model: `{}` is no name of its own",
                self.builds.model
            ));
        }
        if self.failures.is_empty() {
            problems.push("failures: is empty: nothing would ever fail".to_owned());
        }
        if self.maturity_minutes == 0 {
            problems.push("maturity_minutes: is 0: success would be known at once".to_owned());
        }
        if self.give_up_days == 0 {
            problems.push("give_up_days: is 0: everything would be forgotten".to_owned());
        }
        for (field, value) in [
            ("model", &self.model),
            ("feature_service", &self.feature_service),
            ("registry", &self.registry),
        ] {
            if value.is_empty() {
                problems.push(format!("{field}: is empty"));
            }
        }
        if self.asks_store() && self.feature_service == "change-risk" {
            problems.push(
                "store: no feature store answers `change-risk`, whose vectors are made as they are served; name another \
                 `feature_service` and `model`, or no store"
                    .to_owned(),
            );
        }
        if self.candidates.is_empty() {
            problems.push("candidates: is empty".to_owned());
        }
        let unknown = self
            .candidates
            .iter()
            .filter_map(|name| name.parse::<Candidate>().err());
        problems.extend(unknown.map(|fault| format!("candidates: {fault}")));
        if !(1..=3600).contains(&self.look_seconds) {
            problems.push(format!(
                "look_seconds: {} is not within 1..=3600",
                self.look_seconds
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            least_examples: 1,
            failures: Vec::new(),
            maturity_minutes: 0,
            give_up_days: 0,
            model: String::new(),
            store: "http://127.0.0.1:7700".to_owned(),
            candidates: vec!["svm".to_owned()],
            look_seconds: 0,
            builds: BuildsConfig {
                least_examples: 1,
                model: String::new(),
                ..BuildsConfig::default()
            },
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 10);
    }
}
