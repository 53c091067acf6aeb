//! A deployment that waits for its answer: how it is kept, and when it is tried again. Nothing here knows a clock.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest text that is kept of a webhook, in bytes.
const LONGEST: usize = 2_000;
/// GitHub is told at most so often: some two hours.
const TRIES: u32 = 20;
/// The longest pause between two tries, in milliseconds.
const LONGEST_PAUSE: i64 = 600_000;

/// What GitHub's webhook says, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    action: String,
    environment: String,
    deployment_callback_url: String,
    deployment: Deployment,
    repository: Repository,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Deployment {
    sha: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    full_name: String,
}

/// A deployment that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    /// `owner/name`.
    pub repository: String,
    /// Its commit.
    pub sha: String,
    /// Where to.
    pub environment: String,
    /// Where the answer goes.
    pub callback: String,
    /// Since when, milliseconds since 1970.
    pub asked_ms: i64,
    /// How often GitHub was to be told.
    pub tries: u32,
    /// Nobody tells it before this, milliseconds since 1970: somebody is at it, or it has failed lately.
    pub not_before_ms: i64,
}

impl Waiting {
    /// What the webhook asks.
    ///
    /// # Errors
    /// Which field is not as it has to be.
    pub(super) fn of(payload: Payload, api: &str, now_ms: i64) -> Result<Self, String> {
        if payload.action != "requested" {
            return Err("action: is not `requested`".to_owned());
        }
        let waiting = Self {
            repository: payload.repository.full_name,
            sha: payload.deployment.sha,
            environment: payload.environment,
            callback: payload.deployment_callback_url,
            asked_ms: now_ms,
            ..Self::default()
        };
        if waiting.sha.is_empty() || waiting.repository.is_empty() {
            return Err("deployment.sha or repository.full_name: is empty".to_owned());
        }
        // The answer carries a token: it goes to GitHub's API alone.
        if !waiting.callback.starts_with(api) {
            return Err("deployment_callback_url: does not begin with analysis.github.api".to_owned());
        }
        let texts = [
            ("repository.full_name", &waiting.repository),
            ("deployment.sha", &waiting.sha),
            ("environment", &waiting.environment),
            ("deployment_callback_url", &waiting.callback),
        ];
        match texts.iter().find(|(_, text)| text.len() > LONGEST) {
            Some((field, _)) => Err(format!("{field}: has more than {LONGEST} bytes")),
            None => Ok(waiting),
        }
    }

    /// Under which key it is kept: the same question is one.
    pub(super) fn key(&self) -> String {
        hex::encode(Sha256::digest(format!("{} {}", self.callback, self.environment)))
    }

    /// The same while somebody tells GitHub, who has this long to do it.
    pub(super) fn at_work(&self, now_ms: i64, has_ms: i64) -> Self {
        Self {
            tries: self.tries.saturating_add(1),
            not_before_ms: now_ms.saturating_add(has_ms),
            ..self.clone()
        }
    }

    /// The same after a try that failed; `None`: it was the last.
    pub(super) fn again(&self, now_ms: i64) -> Option<Self> {
        let pause = 1_000_i64 << self.tries.min(20);
        let again = Self {
            not_before_ms: now_ms.saturating_add(pause.min(LONGEST_PAUSE)),
            ..self.clone()
        };
        (self.tries < TRIES).then_some(again)
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub approved: bool,
    pub comment: String,
}

impl Verdict {
    /// By the score of the commit, and the highest that is let through.
    pub(super) fn by(p_failure: f64, model: &str, most: f64) -> Self {
        let approved = p_failure <= most;
        let relation = if approved { "at most" } else { "above" };
        Self {
            approved,
            comment: format!("Auspex: P(failure) {p_failure:.2} is {relation} {most:.2} ({model})"),
        }
    }

    /// Without a score after so many seconds: not knowing is no pass.
    pub(super) fn unknown(why: &str, seconds: u64) -> Self {
        Self {
            approved: false,
            comment: format!("Auspex: {why} after {seconds} s; not knowing is no pass"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(callback: &str, sha: &str) -> Payload {
        let payload = json!({
            "action": "requested", "environment": "production", "deployment_callback_url": callback,
            "deployment": {"sha": sha, "ref": "main"}, "repository": {"full_name": "acme/shop"},
        });
        serde_json::from_value(payload).unwrap()
    }

    #[test]
    fn what_cannot_be_answered_is_refused_by_its_field() {
        let api = "https://api.github.com/";
        let of = |callback: &str, sha: &str| Waiting::of(payload(callback, sha), api, 1);
        let right = of("https://api.github.com/x", "abc").unwrap();
        assert_eq!((right.asked_ms, right.tries, right.not_before_ms), (1, 0, 0));
        let refused = |callback: &str, sha: &str| of(callback, sha).unwrap_err();
        assert!(refused("https://evil.example.com/", "abc").starts_with("deployment_callback_url: "));
        assert!(refused("https://api.github.com/x", "").starts_with("deployment.sha"));
        let long = format!("https://api.github.com/{}", "x".repeat(LONGEST));
        assert_eq!(
            refused(&long, "abc"),
            "deployment_callback_url: has more than 2000 bytes"
        );
        assert!(
            Waiting::of(Payload::default(), api, 1)
                .unwrap_err()
                .starts_with("action")
        );
    }

    #[test]
    fn tries_come_at_growing_pauses_and_end() {
        let mut waiting = Waiting::default();
        let mut pauses = Vec::new();
        loop {
            waiting = waiting.at_work(0, 40_000);
            assert_eq!(waiting.not_before_ms, 40_000);
            let Some(again) = waiting.again(0) else { break };
            pauses.push(again.not_before_ms / 1_000);
            waiting = again;
        }
        assert_eq!(pauses[..4], [2, 4, 8, 16]);
        assert_eq!((pauses.len(), pauses.last()), (19, Some(&600)));
        assert!(
            pauses.iter().sum::<i64>() > 3_600,
            "an outage of an hour is outlasted"
        );
    }

    #[test]
    fn the_threshold_itself_is_let_through() {
        assert!(Verdict::by(0.5, "m@1", 0.5).approved);
        assert!(!Verdict::by(0.51, "m@1", 0.5).approved);
        assert_eq!(
            Verdict::by(0.9, "m@1", 0.5).comment,
            "Auspex: P(failure) 0.90 is above 0.50 (m@1)"
        );
        assert!(!Verdict::unknown("there is no score of this commit", 60).approved);
    }
}
