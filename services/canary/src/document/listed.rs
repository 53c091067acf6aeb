//! Metrics that a document wants judged besides `requests` and `slow`.

use auspex_judge::Direction;
use serde::{Deserialize, Serialize};

/// Most metrics that a document may list.
pub const MOST_LISTED: usize = 8;
/// Longest name of one, in bytes.
const LONGEST_NAME: usize = 128;
/// What control knows without being told, and where it is asked for.
const BUILT_IN: [(&str, &str); 3] = [
    ("requests", "is always judged"),
    ("slow", "is judged when slo_ms is given"),
    ("ready", "says what the candidate can take, it is no evidence"),
];

/// One more metric to judge: counts, a histogram, or a value per interval, whichever is observed first.
///
/// A value must not depend on the share of traffic: of a version's load, say the load per request. One value per instance is
/// averaged over the instances of a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// As it is observed: `latency_ms`, or any metric's own name.
    pub name: String,
    /// Which way is worse; absent: either for values, increase for histograms and for counts (of bad units). Where it says
    /// `either`, both ways share its part of alpha, whatever is observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Its part in alpha, where `requests` and `slow` together have 1; within 0.01..=100. Default 1.
    #[serde(default = "one")]
    pub weight: f64,
    /// Whether nothing advances before it is proven no worse. One that is not can only alarm. Default false.
    #[serde(default)]
    pub critical: bool,
    /// Ratio to the baseline that may not be let through, above 1; absent: that of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Difference of shares that is of no concern, for counts and histograms; absent: that of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_abs: Option<f64>,
    /// A histogram's threshold of the owner's, in the metric's unit, which then takes half of the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// A histogram's quantile that is shown, within (0, 1). Default 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
}

const fn one() -> f64 {
    1.0
}

/// Every fault of a list of metrics below `path`.
pub(super) fn problems(listed: &[Listed], path: &str) -> Vec<String> {
    let mut found = Vec::new();
    if listed.len() > MOST_LISTED {
        found.push(format!("{path}: are {}, at most {MOST_LISTED}", listed.len()));
    }
    for (at, metric) in listed.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let name = metric.name.as_str();
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            found.push(format!(
                "{path}.name: is not 1 to {LONGEST_NAME} printable bytes long"
            ));
        }
        if let Some((_, why)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            found.push(format!("{path}.name: {name} {why}"));
        }
        if listed.iter().take(at).any(|other| other.name == metric.name) {
            found.push(format!("{path}.name: {name} is listed twice"));
        }
        for (field, value, least, most) in [
            ("weight", Some(metric.weight), 0.01, 100.0),
            ("margin", metric.margin, 1.000_001, 100.0),
            ("margin_abs", metric.margin_abs, 1e-9, 0.999),
            ("threshold", metric.threshold, -1e300, 1e300),
            ("quantile", metric.quantile, 1e-6, 0.999_999),
        ] {
            super::check::range(&mut found, &format!("{path}.{field}"), value, (least, most));
        }
    }
    found
}
