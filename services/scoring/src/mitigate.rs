//! What is worth doing at a risk, as words that other services act on.
//!
//! The rules are a table, in the order in which what they name is worth doing; configuration may put another in its place.

use auspex_proto::EntityKind;
use auspex_proto::score::{Band, Contribution, Mitigation};
use serde::{Deserialize, Serialize};

/// The one that holds a change back until a person has looked.
pub const APPROVAL: &str = Mitigation::RequireManualApproval.word();

/// The words.
pub const WORDS: [&str; 8] = {
    let mut words = [""; 8];
    let mut at = 0;
    while at < words.len() {
        words[at] = Mitigation::ALL[at].word();
        at += 1;
    }
    words
};

/// When a mitigation is worth it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// One of [`WORDS`].
    pub mitigation: String,
    /// From this band on: `medium` or `high`.
    pub from: Risk,
    /// About `change`, `run`, `deployment`; empty: whatever it is about.
    #[serde(default)]
    pub about: Vec<About>,
    /// Only when a feature whose name begins with one of these is a reason for the risk; empty: whatever the reasons.
    #[serde(default)]
    pub because: Vec<String>,
}

/// A band that asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Risk {
    Medium,
    High,
}

/// What a score is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum About {
    Change,
    Run,
    Deployment,
}

/// The table that holds unless configuration has another.
#[must_use]
pub fn table() -> Vec<Rule> {
    let rule = |mitigation: &str, from, about: &[About], because: &[&str]| Rule {
        mitigation: mitigation.to_owned(),
        from,
        about: about.to_vec(),
        because: because.iter().map(|name| (*name).to_owned()).collect(),
    };
    let large = ["files", "directories", "subsystems", "lines_", "entropy"];
    let slow = ["duration", "queue", "lines_", "files"];
    let cache = ["cache"];
    let run = [About::Run];
    vec![
        rule(APPROVAL, Risk::High, &[About::Change, About::Deployment], &[]),
        rule("enable_conservative_mode", Risk::High, &[], &[]),
        rule("enable_extra_retries", Risk::Medium, &run, &[]),
        rule("increase_timeouts", Risk::Medium, &run, &[]),
        rule("split_build_into_chunks", Risk::Medium, &[], &large),
        rule("enable_parallel_builds", Risk::Medium, &run, &slow),
        rule("warm_cache_preemptively", Risk::High, &run, &[]),
        rule("use_alternative_cache", Risk::Medium, &run, &cache),
    ]
}

/// What is worth doing, in the order of the rules.
#[must_use]
pub fn mitigations(rules: &[Rule], band: Band, about: EntityKind, reasons: &[Contribution]) -> Vec<String> {
    let about = match about {
        EntityKind::Change => About::Change,
        EntityKind::Run => About::Run,
        EntityKind::Deployment => About::Deployment,
    };
    let wanted = |rule: &&Rule| {
        let risky = match rule.from {
            Risk::Medium => band != Band::Low,
            Risk::High => band == Band::High,
        };
        // A feature of the store bears the name of its view before its own, as in `change_impact__files`.
        let own = |feature: &str| feature.split_once("__").map_or(0, |(view, _)| view.len() + 2);
        let begins = |feature: &str, name: &str| {
            feature.starts_with(name)
                || feature
                    .get(own(feature)..)
                    .is_some_and(|own| own.starts_with(name))
        };
        let raises = |name: &String| {
            reasons
                .iter()
                .any(|r| r.log_odds > 0.0 && begins(&r.feature, name))
        };
        risky
            && (rule.about.is_empty() || rule.about.contains(&about))
            && (rule.because.is_empty() || rule.because.iter().any(raises))
    };
    rules
        .iter()
        .filter(wanted)
        .map(|rule| rule.mitigation.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(feature: &str, log_odds: f64) -> Contribution {
        Contribution {
            feature: feature.to_owned(),
            value: 1.0,
            log_odds,
        }
    }

    #[test]
    fn each_word_has_a_rule_and_each_rule_its_case() {
        let rules = table();
        assert!(
            WORDS
                .iter()
                .all(|word| rules.iter().any(|rule| rule.mitigation == *word))
        );
        let of = |band, about, reasons: &[Contribution]| mitigations(&rules, band, about, reasons);
        assert!(of(Band::Low, EntityKind::Run, &[reason("files", 1.0)]).is_empty());
        let large = [reason("change_impact__files", 1.0)];
        let chunks = "split_build_into_chunks".to_owned();
        assert!(of(Band::Medium, EntityKind::Run, &large).contains(&chunks));
        let other = [reason("build_history__flaky_rate_30d", 1.0)];
        assert!(!of(Band::Medium, EntityKind::Run, &other).contains(&chunks));
        assert_eq!(
            of(
                Band::Medium,
                EntityKind::Run,
                &[reason("cache_hit_rate", 0.3), reason("files", -1.0)]
            ),
            [
                "enable_extra_retries",
                "increase_timeouts",
                "use_alternative_cache"
            ]
        );
        assert_eq!(
            of(Band::High, EntityKind::Change, &[reason("lines_added", 0.3)]),
            [APPROVAL, "enable_conservative_mode", "split_build_into_chunks"]
        );
    }
}
