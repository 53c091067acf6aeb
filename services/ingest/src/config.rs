//! Section `[ingest]`.

use std::collections::BTreeMap;

use auspex_chassis::{Secret, Settings};
use serde::{Deserialize, Serialize};

use crate::normalize::Projects;

/// A secret shorter than this, in bytes, can be found by trying.
const SHORTEST_SECRET: usize = 16;

/// What comes in, from whom, and how much of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Secret of the GitHub webhook, 16 bytes or more. Empty: nobody can sign, and deliveries are answered 401.
    pub github_secret: Secret,
    /// The secret before, while it is being rotated: deliveries signed with either are let in.
    pub github_previous_secret: Secret,
    /// Let GitHub deliveries in unsigned when there is no secret. For a trial on one's own machine.
    pub insecure_webhooks: bool,
    /// Largest body, in bytes. GitHub sends none above 25 MB: it drops the event.
    pub max_body_bytes: usize,
    /// Bytes of bodies held at once, over all requests: what a flood can take of the machine's memory.
    pub max_bodies_bytes: usize,
    /// HTTP requests per second and sender address that are let in for long. GitHub's busiest hooks stay far below.
    pub rate_per_second: f64,
    /// HTTP requests of one sender address that are let in at once: a redelivery of a day's events by hand.
    pub rate_burst: f64,
    /// Facts of one gRPC stream on their way to the log at once: what fills a synced write, and no more than a process
    /// can afford to hold.
    pub window: usize,
    /// Pattern of repositories or services (`*` stands for any text) to the project they belong to. Without a match the
    /// project is the repository. All facts of a project have one order, so what deploys together belongs together.
    pub projects: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            github_secret: Secret::default(),
            github_previous_secret: Secret::default(),
            insecure_webhooks: false,
            max_body_bytes: 25 * 1024 * 1024,
            max_bodies_bytes: 256 * 1024 * 1024,
            rate_per_second: 200.0,
            rate_burst: 1_000.0,
            window: 1_000,
            projects: BTreeMap::new(),
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, secret) in [
            ("github_secret", &self.github_secret),
            ("github_previous_secret", &self.github_previous_secret),
        ] {
            if !secret.is_empty() && secret.expose().len() < SHORTEST_SECRET {
                problems.push(format!("{key}: is shorter than {SHORTEST_SECRET} bytes"));
            }
        }
        if self.github_secret.is_empty() && !self.github_previous_secret.is_empty() {
            problems.push("github_previous_secret: stands without github_secret".to_owned());
        }
        if !(1_024..=256 * 1024 * 1024).contains(&self.max_body_bytes) {
            problems.push("max_body_bytes: is not within 1024..=268435456".to_owned());
        }
        if self.max_bodies_bytes < self.max_body_bytes {
            problems.push("max_bodies_bytes: is below max_body_bytes".to_owned());
        }
        for (key, value) in [
            ("rate_per_second", self.rate_per_second),
            ("rate_burst", self.rate_burst),
        ] {
            if !(value.is_finite() && value >= 1.0) {
                problems.push(format!("{key}: is not a number above or equal 1"));
            }
        }
        if !(1..=8_000).contains(&self.window) {
            problems.push("window: is not within 1..=8000, beyond which the bus itself may wait".to_owned());
        }
        if let Err(faults) = Projects::new(&self.projects) {
            problems.extend(faults.iter().map(ToString::to_string));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use auspex_chassis::Section;
    use auspex_chassis::settings::Tree;

    use super::*;

    #[test]
    fn every_mistake_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            github_secret: Secret::new("short"),
            max_body_bytes: 1,
            max_bodies_bytes: 0,
            rate_burst: f64::NAN,
            window: 0,
            projects: BTreeMap::from([("a".to_owned(), String::new())]),
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 6, "{:#?}", wrong.problems());
    }

    #[test]
    fn patterns_come_through_the_layers_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auspex.toml");
        std::fs::write(&file, "[ingest.projects]\n\"Acme/shop.*\" = \"Shop\"\n").unwrap();
        let tree = Tree::load(Some(&file), &[], &[Section::of::<Config>("ingest")]).unwrap();
        let config: Config = tree.get("ingest").unwrap();
        let expected = BTreeMap::from([("Acme/shop.*".to_owned(), "Shop".to_owned())]);
        assert_eq!(config.projects, expected);
    }
}
