//! Where a metric is measured: the providers that Auspex has, and those it refuses by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A provider as it is written: a map of exactly one entry, so that two can be told apart from one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provider(pub BTreeMap<String, Json>);

/// A provider that Auspex measures with.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// `PromQL`, at a point in time or over a range.
    Prometheus(Prometheus),
    /// JSON over HTTP.
    Web(Web),
    /// Flux over HTTP.
    Influx(Influx),
    /// A command.
    Job(Job),
    /// Auspex's own judge or score.
    Auspex(Auspex),
}

/// A header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Who is asking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// Amazon's signatures: refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<Json>,
    /// Client credentials.
    #[serde(skip_serializing_if = "OAuth2::is_empty")]
    pub oauth2: OAuth2,
}

impl Authentication {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Client credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where a token is had; empty: none is needed.
    pub token_url: String,
    /// Who.
    pub client_id: String,
    /// The secret.
    pub client_secret: String,
    /// For what.
    pub scopes: Vec<String>,
}

impl OAuth2 {
    fn is_empty(&self) -> bool {
        self.token_url.is_empty()
    }
}

/// `PromQL`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Prometheus {
    /// Where; empty: as configured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// What.
    pub query: String,
    /// Who is asking.
    #[serde(skip_serializing_if = "Authentication::is_empty")]
    pub authentication: Authentication,
    /// Seconds; absent: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Certificates are not looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Headers that are sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Over a range of time; absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_query: Option<RangeQuery>,
}

/// A range of time: expressions such as `now() - duration("5m")`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RangeQuery {
    /// Its beginning.
    pub start: String,
    /// Its end.
    pub end: String,
    /// Between two points, a Go duration.
    pub step: String,
}

/// JSON over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Web {
    /// GET, POST or PUT; empty: GET.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Where.
    pub url: String,
    /// Headers that are sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// What is sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// What is sent, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_body: Option<Json>,
    /// Absent, 0 or less: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// Which part of the answer; empty: all of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub json_path: String,
    /// Certificates are not looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Who is asking.
    #[serde(skip_serializing_if = "Authentication::is_empty")]
    pub authentication: Authentication,
}

/// Flux.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Influx {
    /// Which configured server; empty: `influxdb`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// What.
    pub query: String,
}

/// A Kubernetes Job, of which the command is run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Job {
    /// Labels and annotations; they mean nothing to a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Kubernetes' `JobSpec`.
    pub spec: Json,
}

/// Auspex's own answer: a comparison of candidate and baseline, or the score of the change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Auspex {
    /// Compares two series with the judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
    /// Asks for the score of what is on trial: `result` is P(failure).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// Two `PromQL` queries of the same thing, one per version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Judge {
    /// Where Prometheus is; empty: as configured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The candidate's values, or its bad units when `total` is given too.
    pub candidate: String,
    /// The baseline's.
    pub baseline: String,
    /// The candidate's units in all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub candidate_total: String,
    /// The baseline's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub baseline_total: String,
    /// How far back, a Go duration. Default 5m.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub window: String,
    /// Between two points, a Go duration. Default 10s.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// Greatest share of healthy candidates that may be called worse. Default 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Ratio that may not be let through. Default 1.25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// `increase`, `decrease` or `either`. Default: increase.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub direction: String,
}

/// Whose score.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Score {
    /// Its project; empty: that of the run.
    pub project: String,
    /// Its rollout; empty: that of the run.
    pub rollout: String,
}

/// Providers of Argo Rollouts that Auspex does not have, and what to do.
const REFUSED: [(&str, &str); 9] = [
    (
        "datadog",
        "Auspex does not ask Datadog; a web metric can ask its query API",
    ),
    (
        "newRelic",
        "Auspex does not ask New Relic; a web metric can ask NerdGraph",
    ),
    ("wavefront", "Auspex does not ask Wavefront"),
    ("cloudWatch", "Auspex does not ask CloudWatch"),
    (
        "graphite",
        "Auspex does not ask Graphite; a web metric can ask its render API",
    ),
    (
        "skywalking",
        "Auspex does not ask SkyWalking; a web metric can ask its GraphQL",
    ),
    (
        "kayenta",
        "Auspex does not ask Kayenta: its own judge compares the versions, with `provider: auspex`",
    ),
    (
        "plugin",
        "plugins of Argo Rollouts are Go binaries, which Auspex does not run",
    ),
    (
        "plugins",
        "plugins of Argo Rollouts are Go binaries, which Auspex does not run",
    ),
];

/// Why a provider is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Below `provider`.
    pub field: String,
    /// Why.
    pub reason: String,
}

impl Refused {
    /// The field at fault, below its metric.
    pub(crate) fn place(&self, metric: &str) -> String {
        match self.field.as_str() {
            "" => format!("{metric}.provider"),
            field => format!("{metric}.provider.{field}"),
        }
    }
}

impl Provider {
    /// Its kind; empty: none or several.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self.0.len() {
            1 => self.0.keys().next().map_or("", String::as_str),
            _ => "",
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Refused`]: it is none of those that Auspex has, or cannot be read.
    pub fn known(&self) -> Result<Known, Refused> {
        let refused = |field: &str, reason: String| Refused {
            field: field.to_owned(),
            reason,
        };
        let mut entries = self.0.iter();
        let (Some((kind, body)), None) = (entries.next(), entries.next()) else {
            let reason = if self.0.is_empty() {
                "no provider specified"
            } else {
                "multiple providers specified"
            };
            return Err(refused("", reason.to_owned()));
        };
        if let Some((_, reason)) = REFUSED.iter().find(|(name, _)| name == kind) {
            return Err(refused(kind, (*reason).to_owned()));
        }
        let unreadable = |fault: serde_json::Error| refused(kind, fault.to_string());
        let body = body.clone();
        Ok(match kind.as_str() {
            "prometheus" => {
                let prometheus: Prometheus = serde_json::from_value(body).map_err(unreadable)?;
                if prometheus.authentication.sigv4.is_some() {
                    let reason = "Auspex does not sign requests for Amazon: put a signing proxy in front";
                    return Err(refused("prometheus.authentication.sigv4", reason.to_owned()));
                }
                Known::Prometheus(prometheus)
            }
            "web" => Known::Web(serde_json::from_value(body).map_err(unreadable)?),
            "influxdb" => Known::Influx(serde_json::from_value(body).map_err(unreadable)?),
            "job" => Known::Job(serde_json::from_value(body).map_err(unreadable)?),
            "auspex" => Known::Auspex(serde_json::from_value(body).map_err(unreadable)?),
            other => {
                return Err(refused(
                    other,
                    format!(
                        "there is no provider {other}; there are prometheus, web, influxdb, job and auspex"
                    ),
                ));
            }
        })
    }
}

impl Job {
    /// The command and arguments of its one container.
    ///
    /// # Errors
    /// [`Refused`]: there is none, or it is not said which.
    pub fn command(&self) -> Result<Vec<String>, Refused> {
        let refused = |reason: &str| Refused {
            field: "job.spec.template.spec.containers".to_owned(),
            reason: reason.to_owned(),
        };
        let containers = self.spec.pointer("/template/spec/containers");
        let containers = containers.and_then(Json::as_array).map(Vec::as_slice);
        let [container] = containers.unwrap_or_default() else {
            return Err(refused("Auspex runs the command of exactly one container"));
        };
        let words = |field: &str| {
            let list = container.get(field).and_then(Json::as_array);
            list.into_iter()
                .flatten()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect::<Vec<String>>()
        };
        let mut command = words("command");
        if command.is_empty() {
            return Err(refused(
                "a container without `command` runs what its image says, which Auspex cannot know",
            ));
        }
        command.extend(words("args"));
        Ok(command)
    }
}
