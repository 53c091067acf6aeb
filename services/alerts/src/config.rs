//! The section `alerts` of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::outbound::signature;
use auspex_chassis::{Secret, Settings};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::outbound::{self, Outbound};
use crate::outbox::Policy;
use crate::pagerduty::PagerDuty;
use crate::receiver::Receiver;
use crate::route::receivers::Route;
use crate::slack::Slack;
use crate::webhook::Webhook;

/// The most receivers there can be: each project keeps a lane for each in one value below 1 MB.
const MAX_RECEIVERS: usize = 16;
/// The longest name of a receiver, in bytes.
const MAX_NAME: usize = 64;

/// Who is told of what, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Slack channels by name of the receiver. None by default.
    pub slack: BTreeMap<String, SlackConfig>,
    /// PagerDuty integrations by name of the receiver. None by default.
    pub pagerduty: BTreeMap<String, PagerDutyConfig>,
    /// Endpoints that speak Standard Webhooks, by name of the receiver. None by default.
    pub webhook: BTreeMap<String, WebhookConfig>,
    /// Who is told of what; an alert that no route matches goes to every receiver. None by default.
    pub routes: Vec<Route>,
    /// Services whose rollback is `critical` rather than an `error`. None by default.
    pub critical_services: Vec<String>,
    /// Lets receivers be on this machine, without TLS: to try things out. False by default, for what is configured can come
    /// from people who must not reach the network behind.
    pub allow_loopback: bool,
    /// How long a receiver may take to answer, in seconds. 10: Slack and PagerDuty answer within 1.
    pub timeout_seconds: u64,
    /// The pause after the first failed attempt, in seconds; each further one doubles it. 2: most hiccups are over by then.
    pub retry_first_seconds: u64,
    /// The longest pause between attempts, in seconds. 300: a receiver that is back is noticed within minutes.
    pub retry_longest_seconds: u64,
    /// After this long a delivery becomes a dead letter, in seconds. 86,400: a day, so that somebody has been at work since.
    pub give_up_seconds: u64,
}

/// A Slack channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlackConfig {
    /// The incoming webhook's URL: a secret.
    pub webhook_url: Secret,
    /// The least time between two messages, in milliseconds. 1,000: Slack takes one a second and channel.
    pub pace_ms: u64,
}

/// A PagerDuty integration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// The integration's key, of 32 characters: a secret.
    pub routing_key: Secret,
    /// Where the Events API is. `https://events.pagerduty.com`; its region in Europe is `https://events.eu.pagerduty.com`.
    pub url: String,
    /// The least time between two calls, in milliseconds. 500: PagerDuty takes about 120 a minute and key.
    pub pace_ms: u64,
}

/// An endpoint that speaks Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// The endpoint: such URLs often hold a secret, so it is treated as one.
    pub webhook_url: Secret,
    /// `whsec_` and at least 24 bytes in base64: a secret.
    pub secret: Secret,
    /// The least time between two messages, in milliseconds. 100.
    pub pace_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slack: BTreeMap::new(),
            pagerduty: BTreeMap::new(),
            webhook: BTreeMap::new(),
            routes: Vec::new(),
            critical_services: Vec::new(),
            allow_loopback: false,
            timeout_seconds: 10,
            retry_first_seconds: 2,
            retry_longest_seconds: 300,
            give_up_seconds: 86_400,
        }
    }
}

impl Default for SlackConfig {
    fn default() -> Self {
        Self {
            webhook_url: Secret::default(),
            pace_ms: 1_000,
        }
    }
}

impl Default for PagerDutyConfig {
    fn default() -> Self {
        Self {
            routing_key: Secret::default(),
            url: "https://events.pagerduty.com".to_owned(),
            pace_ms: 500,
        }
    }
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            webhook_url: Secret::default(),
            secret: Secret::default(),
            pace_ms: 100,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut url = |path: String, text: &str| {
            if let Err(why) = outbound::check(text, self.allow_loopback) {
                problems.push(format!("{path}: {why}"));
            }
        };
        self.slack
            .iter()
            .for_each(|(name, c)| url(format!("slack.{name}.webhook_url"), c.webhook_url.expose()));
        self.pagerduty
            .iter()
            .for_each(|(name, c)| url(format!("pagerduty.{name}.url"), &c.url));
        self.webhook
            .iter()
            .for_each(|(name, c)| url(format!("webhook.{name}.webhook_url"), c.webhook_url.expose()));
        for (name, c) in &self.pagerduty {
            let key = c.routing_key.expose();
            if key.len() != 32 || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
                problems.push(format!(
                    "pagerduty.{name}.routing_key: is not 32 letters and digits"
                ));
            }
        }
        for (name, c) in &self.webhook {
            if signature::key(&c.secret).is_none() {
                problems.push(format!(
                    "webhook.{name}.secret: is not whsec_ and at least 24 bytes in base64"
                ));
            }
        }
        self.name_problems(&mut problems);
        self.time_problems(&mut problems);
        problems
    }
}

impl Config {
    /// The names of all receivers, in order; one that stands twice is there twice.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self
            .slack
            .keys()
            .chain(self.pagerduty.keys())
            .chain(self.webhook.keys());
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names
    }

    fn name_problems(&self, problems: &mut Vec<String>) {
        let names = self.names();
        for pair in names.windows(2) {
            if let [a, b] = pair
                && a == b
            {
                problems.push(format!("{a}: is the name of two receivers"));
            }
        }
        if names.len() > MAX_RECEIVERS {
            problems.push(format!(
                "slack: there are {} receivers, at most {MAX_RECEIVERS} are allowed",
                names.len()
            ));
        }
        for name in names
            .iter()
            .filter(|name| name.is_empty() || name.len() > MAX_NAME)
        {
            problems.push(format!("{name:?}: a receiver's name has 1 to {MAX_NAME} bytes"));
        }
        let known: BTreeSet<&String> = names.iter().collect();
        for (n, route) in self.routes.iter().enumerate() {
            for name in route.receivers.iter().filter(|name| !known.contains(name)) {
                problems.push(format!("routes[{n}].receivers: {name} is not a receiver"));
            }
        }
    }

    fn time_problems(&self, problems: &mut Vec<String>) {
        if !(1..=60).contains(&self.timeout_seconds) {
            problems.push(format!(
                "timeout_seconds: {} is not within 1..=60",
                self.timeout_seconds
            ));
        }
        if self.retry_first_seconds == 0 || self.retry_first_seconds > self.retry_longest_seconds {
            problems.push("retry_first_seconds: is not within 1..=retry_longest_seconds".to_owned());
        }
        if self.retry_longest_seconds > self.give_up_seconds {
            problems.push("retry_longest_seconds: is above give_up_seconds".to_owned());
        }
        if self.give_up_seconds > 7 * 86_400 {
            problems.push(format!(
                "give_up_seconds: {} is more than 7 days",
                self.give_up_seconds
            ));
        }
    }

    /// How failures are taken.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            first: Duration::from_secs(self.retry_first_seconds),
            longest: Duration::from_secs(self.retry_longest_seconds),
            horizon: Duration::from_secs(self.give_up_seconds),
        }
    }

    /// The receivers by name.
    ///
    /// # Errors
    /// When the configuration has mistakes that [`Settings::problems`] tells, or TLS cannot be set up.
    pub fn receivers(&self) -> anyhow::Result<BTreeMap<String, Arc<dyn Receiver>>> {
        let out = Outbound::new(self.allow_loopback, Duration::from_secs(self.timeout_seconds))?;
        let url = |name: &str, text: &str| {
            outbound::check(text, self.allow_loopback)
                .map_err(|why| anyhow::anyhow!("the URL of {name} {why}"))
        };
        let mut receivers: BTreeMap<String, Arc<dyn Receiver>> = BTreeMap::new();
        for (name, c) in &self.slack {
            let url = url(name, c.webhook_url.expose())?;
            let pace = Duration::from_millis(c.pace_ms);
            receivers.insert(
                name.clone(),
                Arc::new(Slack {
                    outbound: out.clone(),
                    url,
                    pace,
                }),
            );
        }
        for (name, c) in &self.pagerduty {
            let at = |path: &str| -> anyhow::Result<Url> { Ok(url(name, &c.url)?.join(path)?) };
            let receiver = PagerDuty {
                outbound: out.clone(),
                alerts: at("/v2/enqueue")?,
                changes: at("/v2/change/enqueue")?,
                routing_key: c.routing_key.clone(),
                pace: Duration::from_millis(c.pace_ms),
            };
            receivers.insert(name.clone(), Arc::new(receiver));
        }
        for (name, c) in &self.webhook {
            let url = url(name, c.webhook_url.expose())?;
            let (secret, pace) = (c.secret.clone(), Duration::from_millis(c.pace_ms));
            receivers.insert(
                name.clone(),
                Arc::new(Webhook {
                    outbound: out.clone(),
                    url,
                    secret,
                    pace,
                }),
            );
        }
        Ok(receivers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_and_no_secret() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "slack": {"team": {"webhook_url": "http://hooks.slack.com/services/hunter2"}},
            "pagerduty": {"team": {"routing_key": "hunter2"}},
            "webhook": {"tool": {"webhook_url": "https://10.0.0.1/", "secret": "hunter2"}},
            "routes": [{"receivers": ["nobody"], "severity": "error", "kinds": ["rolled_back"]}],
            "retry_first_seconds": 600,
            "timeout_seconds": 0,
        }))
        .unwrap();
        let problems = config.problems();
        assert_eq!(problems.len(), 8, "{problems:#?}");
        assert!(!problems.join(" ").contains("hunter2"), "{problems:#?}");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(Config::default().problems().is_empty());
    }

    #[test]
    fn receivers_are_built_as_configured() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "slack": {"team": {"webhook_url": "https://hooks.slack.com/services/T/B/x"}},
            "pagerduty": {"oncall": {"routing_key": "0123456789abcdef0123456789abcdef"}},
        }))
        .unwrap();
        assert_eq!(config.problems(), Vec::<String>::new());
        let receivers = config.receivers().unwrap();
        assert_eq!(receivers.keys().collect::<Vec<_>>(), ["oncall", "team"]);
        assert_eq!(config.names(), ["oncall", "team"]);
    }
}
