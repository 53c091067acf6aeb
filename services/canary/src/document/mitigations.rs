//! Which of a score's words a rollout may be told to act on.

use auspex_proto::score::Mitigation;

/// Every fault of a list below `path`.
pub(super) fn problems(listed: &[Mitigation], path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, mitigation) in listed.iter().enumerate() {
        let word = mitigation.word();
        if let Some(why) = elsewhere(*mitigation) {
            found.push(format!("{path}[{at}]: {word} is for CI jobs: {why}"));
        } else if listed.iter().take(at).any(|other| other == mitigation) {
            found.push(format!("{path}[{at}]: {word} is listed twice"));
        }
    }
    found
}

/// Why a rollout cannot act on it; `None`: it can.
fn elsewhere(mitigation: Mitigation) -> Option<&'static str> {
    Some(match mitigation {
        Mitigation::RequireManualApproval | Mitigation::EnableConservativeMode => return None,
        Mitigation::EnableExtraRetries => "a rollout runs no job that could be tried again",
        Mitigation::IncreaseTimeouts => {
            "a rollout's checks and deadline have the limits that its document says"
        }
        Mitigation::SplitBuildIntoChunks | Mitigation::EnableParallelBuilds => {
            "what a rollout brings is built"
        }
        Mitigation::WarmCachePreemptively | Mitigation::UseAlternativeCache => {
            "a rollout uses no build cache"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_rollout_can_do_is_taken() {
        let found = problems(&Mitigation::ALL, "spec.mitigations");
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(
            found[0].starts_with("spec.mitigations[2]: enable_extra_retries is for CI jobs: "),
            "{found:?}"
        );
        let twice = [Mitigation::EnableConservativeMode; 2];
        assert_eq!(
            problems(&twice, "m"),
            ["m[1]: enable_conservative_mode is listed twice"]
        );
    }
}
