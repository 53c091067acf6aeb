//! Any data plane that answers a signed request: JSON as Standard Webhooks, HMAC-SHA256 over id, time and body.
//!
//! The request says everything that is to hold, so that it may come twice, late or alone. Its id is the decision's: a repeat
//! has the same one. It carries the decision's sequence and the claim's epoch: a receiver that remembers the greatest refuses
//! (409) what a paused process sends too late.

use auspex_chassis::outbound::signature;
use auspex_chassis::outbound::{self, Reach};
use auspex_chassis::{Secret, clock};
use auspex_proto::intent::By;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::config::Route;
use crate::registry::Site;
use crate::router::{Applied, Capabilities, Fault, Fence, Intent, Mark, Observed, Router, Shares, Verified};

/// The most that is read of an answer, in bytes.
const MOST: usize = 16 * 1024;

/// `[router.routes.webhook]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where requests go: HTTPS to the open internet, unless `allow_private`.
    pub url: String,
    /// `whsec_` and at least 24 bytes in base64: a secret.
    pub secret: Secret,
    /// Whether the address may be of one's own network, or this machine, and without TLS. Metadata services of clouds are
    /// never spoken to.
    pub allow_private: bool,
    /// Whether the receiver also answers `weight.read`, so that somebody else's change is found.
    pub reads: bool,
    /// What the receiver can do beside weights: `header`, `cookie`, `user`, `mirror`, `scale`.
    pub can: Vec<String>,
}

/// One service behind one receiver.
pub struct Webhook {
    settings: Settings,
    url: Url,
    client: reqwest::Client,
    names: [String; 3],
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// What a receiver may answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Answer {
    /// The candidate's share that holds, percent.
    weight: Option<u8>,
    /// The number (`write`) of the last request that it followed.
    write: Option<u64>,
    /// Whether it was seen at the data plane; a weight that is told counts as seen unless this is false.
    verified: Option<bool>,
    /// Why not.
    reason: String,
}

impl Settings {
    /// Every mistake.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(why) = outbound::check(&self.url, self.reach()) {
            // Never the URL: it may be a secret.
            found.push(format!("url: {why}"));
        }
        if signature::key(&self.secret).is_none() {
            found.push("secret: is not whsec_ and at least 24 bytes in base64".to_owned());
        }
        let known = ["header", "cookie", "user", "mirror", "scale"];
        for can in self.can.iter().filter(|can| !known.contains(&can.as_str())) {
            found.push(format!("can: {can:?} is none of {}", known.join(", ")));
        }
        found
    }

    fn reach(&self) -> Reach {
        if self.allow_private {
            Reach::Private
        } else {
            Reach::Open
        }
    }

    fn can(&self, what: &str) -> bool {
        self.can.iter().any(|can| can == what)
    }
}

impl Webhook {
    /// The route.
    ///
    /// # Errors
    /// When its URL may not be spoken to, or no client can be made.
    pub fn new(route: &Route, settings: &Settings, site: Site) -> anyhow::Result<Self> {
        let reach = settings.reach();
        let url =
            outbound::check(&settings.url, reach).map_err(|why| anyhow::anyhow!("webhook.url: {why}"))?;
        Ok(Self {
            settings: settings.clone(),
            url,
            client: outbound::client(reach, site.timeout)?,
            names: [route.name(), route.project.clone(), route.service.clone()],
        })
    }

    fn body(&self, kind: &str, intent: &Intent) -> String {
        let [route, project, service] = &self.names;
        let time = jiff::Timestamp::from_millisecond(clock::now().0).map(|t| t.to_string());
        json!({
            "type": kind,
            "timestamp": time.unwrap_or_default(),
            "data": {
                "route": route,
                "project": project,
                "service": service,
                "rollout": intent.rollout,
                "decision": intent.decision,
                "sequence": intent.seq,
                "epoch": intent.epoch,
                "write": intent.mark,
                "weight": intent.weight,
                "cohorts": cohorts(intent),
                "mirror": intent.mirror,
                "scale": { "stable": intent.stable, "candidate": intent.candidate },
                "stable_revision": intent.stable_revision,
                "candidate_revision": intent.candidate_revision,
                "swapped": intent.swapped,
                "suspended": intent.suspended,
            },
        })
        .to_string()
    }

    async fn post(&self, kind: &str, id: &str, intent: &Intent) -> Result<Answer, Fault> {
        let body = self.body(kind, intent);
        let time = clock::now().0 / 1_000;
        let signature = signature::sign(&self.settings.secret, id, time, &body)
            .ok_or_else(|| Fault::Refused("the secret is not whsec_ and base64".to_owned()))?;
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", id)
            .header("webhook-id", id)
            .header("webhook-timestamp", time)
            .header("webhook-signature", signature)
            .body(body);
        let mut answer = request.send().await.map_err(unreached)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while bytes.len() < MOST {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                // An answer that is cut short says nothing for certain.
                Err(fault) if status < 300 => return Err(unreached(fault)),
                Err(_) => break,
            }
        }
        bytes.truncate(MOST);
        told(status, &bytes)
    }
}

/// What a status and a body say.
fn told(status: u16, body: &[u8]) -> Result<Answer, Fault> {
    let answer = serde_json::from_slice::<Answer>(body);
    let said = || {
        let text = String::from_utf8_lossy(body);
        let line: String = text
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(100)
            .collect();
        format!("the receiver answers {status}: {line}")
    };
    match status {
        200..=299 => match answer {
            Ok(answer) if answer.weight.is_some_and(|w| w > 100) => {
                Err(Fault::Refused("the receiver tells a weight above 100".to_owned()))
            }
            Ok(answer) => Ok(answer),
            // No JSON, or none of ours: it has taken the request, and tells nothing.
            Err(_) => Ok(Answer::default()),
        },
        409 => Err(Fault::Conflict(said())),
        408 | 425 | 429 | 500..=599 => Err(Fault::Away(said())),
        300..=399 => Err(Fault::Refused(format!(
            "the receiver answers {status}; redirects are not followed"
        ))),
        _ => Err(Fault::Refused(said())),
    }
}

fn unreached(fault: reqwest::Error) -> Fault {
    let fault = fault.without_url();
    let mut reason = format!("the receiver: {fault}");
    let mut cause = std::error::Error::source(&fault);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    Fault::Away(reason)
}

fn cohorts(intent: &Intent) -> Vec<Value> {
    let one = |cohort: &auspex_proto::intent::Cohort| {
        let by = match &cohort.by {
            By::Header(m) => json!({"header": m.name, "value": m.value}),
            By::Cookie(m) => json!({"cookie": m.name, "value": m.value}),
            By::User(u) => json!({"header": u.header, "cookie": u.cookie, "share": u.share, "salt": u.salt}),
        };
        json!({"name": cohort.name, "track": if cohort.stable { "stable" } else { "candidate" }, "by": by})
    };
    intent.cohorts.iter().map(one).collect()
}

impl Answer {
    fn observed(&self) -> Observed {
        Observed {
            shares: self.weight.map(Shares::of),
            mark: self.write.map_or(Mark::Unkept, Mark::Write),
            note: self.reason.clone(),
            ..Observed::default()
        }
    }

    fn verified(&self, intent: &Intent) -> Verified {
        match (self.weight, self.verified) {
            (Some(_), Some(false)) => Verified::Unverified(if self.reason.is_empty() {
                "the receiver says that it is not verified".to_owned()
            } else {
                self.reason.clone()
            }),
            (Some(weight), _) if weight == intent.weight => Verified::Verified,
            (Some(weight), _) => {
                Verified::Unverified(format!("the receiver tells {weight} %, not {} %", intent.weight))
            }
            (None, _) => Verified::Unverified("the receiver does not tell which weight holds".to_owned()),
        }
    }
}

impl Router for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: true,
            header: self.settings.can("header"),
            cookie: self.settings.can("cookie"),
            user: self.settings.can("user"),
            mirror: self.settings.can("mirror"),
            scale: self.settings.can("scale"),
            atomic: true,
            verified_by: Some("the receiver's own word"),
        }
    }

    fn apply<'a>(
        &'a self,
        intent: &'a Intent,
        fence: &'a dyn Fence,
    ) -> BoxFuture<'a, Result<Applied, Fault>> {
        Box::pin(async move {
            fence.pass().await?;
            let answer = self.post("weight.set", &intent.key(), intent).await?;
            Ok(Applied {
                verified: answer.verified(intent),
                observed: Some(answer.observed()),
            })
        })
    }

    fn read<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<Observed, Fault>> {
        Box::pin(async move {
            if !self.settings.reads {
                return Ok(Observed::default());
            }
            let id = format!("{}:read:{}", intent.key(), clock::now().0);
            Ok(self.post("weight.read", &id, intent).await?.observed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::intent;

    #[test]
    fn answers_are_believed_as_far_as_they_go() {
        let asked = intent(1, 5).unwrap();
        let verified = |body: &str| told(200, body.as_bytes()).map(|a| a.verified(&asked));
        assert_eq!(verified(r#"{"weight": 5}"#), Ok(Verified::Verified));
        assert_eq!(
            verified(r#"{"weight": 5, "verified": true, "more": 1}"#),
            Ok(Verified::Verified)
        );
        let reason = |body: &str| verified(body).map(|v| v.reason().to_owned());
        assert_eq!(
            reason(r#"{"weight": 3}"#).as_deref(),
            Ok("the receiver tells 3 %, not 5 %")
        );
        assert_eq!(
            reason(r#"{"weight": 5, "verified": false, "reason": "two of three edges"}"#).as_deref(),
            Ok("two of three edges")
        );
        for silent in ["", "OK", "{}", "<html>"] {
            assert_eq!(
                reason(silent).as_deref(),
                Ok("the receiver does not tell which weight holds")
            );
        }
        assert!(matches!(told(200, br#"{"weight": 101}"#), Err(Fault::Refused(_))));
        assert!(
            matches!(told(409, b"older than 7"), Err(Fault::Conflict(why)) if why.ends_with("409: older than 7"))
        );
        assert!(matches!(told(503, b""), Err(Fault::Away(_))));
        assert!(matches!(told(302, b""), Err(Fault::Refused(_))));
        assert!(matches!(told(401, b"no"), Err(Fault::Refused(_))));
    }

    #[test]
    fn private_addresses_want_a_word_of_their_own() {
        let settings = |url: &str, allow_private| Settings {
            url: url.to_owned(),
            secret: Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            allow_private,
            can: vec!["header".to_owned()],
            ..Settings::default()
        };
        assert_eq!(
            settings("https://edge.example.com/x", false).problems(),
            Vec::<String>::new()
        );
        assert_eq!(
            settings("http://10.1.2.3:8080/x", true).problems(),
            Vec::<String>::new()
        );
        for (url, allow) in [
            ("http://edge.example.com/x", false),
            ("https://10.1.2.3/x", false),
            ("https://localhost/x", false),
            ("http://169.254.169.254/x", true),
        ] {
            assert_eq!(settings(url, allow).problems().len(), 1, "{url}");
        }
        let wrong = Settings {
            can: vec!["teleport".to_owned()],
            ..Settings::default()
        };
        assert_eq!(wrong.problems().len(), 3);
    }
}
