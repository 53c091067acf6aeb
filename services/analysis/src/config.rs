//! Settings of the analysis.

use std::collections::BTreeMap;

use auspex_chassis::{Secret, Settings};
use serde::{Deserialize, Serialize};

/// Settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Prometheus is when a metric does not say; empty: such a metric is an error.
    pub prometheus: String,
    /// InfluxDB servers by profile; a metric without one asks `influxdb`.
    pub influx: BTreeMap<String, Influx>,
    /// Whether the commands of jobs may be run, with the rights of this process. Default false: templates come from outside.
    pub jobs: bool,
    /// Values of `secretKeyRef`, by `secret/key`.
    pub secrets: BTreeMap<String, Secret>,
    /// Where control and scoring answer, when others ask here. Default: port 7700 of this machine; `auspex up` asks itself.
    pub mesh: String,
    /// Root certificates (PEM file) to trust for that beside the usual ones; empty: none.
    pub ca: String,
    /// The token for that, of a reader.
    pub token: Secret,
    /// Most plans that are kept; where there is no room, the one that has been over the longest goes. Default 1,000: some 20 MB.
    pub plans: usize,
    /// Answers to GitHub's deployment protection rules.
    pub github: Github,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prometheus: String::new(),
            influx: BTreeMap::new(),
            jobs: false,
            secrets: BTreeMap::new(),
            mesh: "http://127.0.0.1:7700".to_owned(),
            ca: String::new(),
            token: Secret::default(),
            plans: 1_000,
            github: Github::default(),
        }
    }
}

/// One InfluxDB server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Influx {
    /// Where.
    pub url: String,
    /// Whose.
    pub org: String,
    /// Who is asking.
    pub token: Secret,
}

/// Answers to GitHub's deployment protection rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Github {
    /// The webhook's secret; empty: the rule is not answered.
    pub secret: Secret,
    /// The token with which the answer is given: of a GitHub App's installation, with deployments: write.
    pub token: Secret,
    /// Where answers may go: only URLs that begin with this. Default: GitHub's own API.
    pub api: String,
    /// Longest that a decision is waited for, seconds; then it is rejected with that reason. Default 3600.
    pub wait: u64,
    /// Between two looks, seconds. Default 10.
    pub every: u64,
    /// P(failure) above which a deployment is rejected. Default 0.5.
    pub p_failure: f64,
}

impl Default for Github {
    fn default() -> Self {
        Self {
            secret: Secret::default(),
            token: Secret::default(),
            api: "https://api.github.com/".to_owned(),
            wait: 3_600,
            every: 10,
            p_failure: 0.5,
        }
    }
}

fn is_http(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.prometheus.is_empty() && !is_http(&self.prometheus) {
            found.push(format!("prometheus: `{}` is not an http(s) URL", self.prometheus));
        }
        if !is_http(&self.mesh) {
            found.push(format!("mesh: `{}` is not an http(s) URL", self.mesh));
        }
        for (profile, server) in &self.influx {
            if !is_http(&server.url) {
                found.push(format!(
                    "influx.{profile}.url: `{}` is not an http(s) URL",
                    server.url
                ));
            }
            if server.org.is_empty() {
                found.push(format!("influx.{profile}.org: is empty"));
            }
        }
        for name in self.secrets.keys().filter(|name| !name.contains('/')) {
            found.push(format!("secrets.{name}: is not secret/key"));
        }
        if !(1..=10_000).contains(&self.plans) {
            found.push(format!("plans: {} is not within 1..=10000", self.plans));
        }
        let github = &self.github;
        if !is_http(&github.api) || !github.api.ends_with('/') {
            found.push(format!(
                "github.api: `{}` is not an http(s) URL that ends with /",
                github.api
            ));
        }
        if !github.secret.is_empty() && github.token.is_empty() {
            found.push("github.token: is empty, though github.secret is given".to_owned());
        }
        if github.every == 0 || github.wait < github.every {
            found.push("github.wait, github.every: are not 1 <= every <= wait".to_owned());
        }
        if !(0.0..=1.0).contains(&github.p_failure) {
            found.push(format!(
                "github.p_failure: {} is not within 0..=1",
                github.p_failure
            ));
        }
        found
    }
}
