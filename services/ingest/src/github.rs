//! The door for GitHub's webhooks. A delivery proves itself by its signature, over the bytes as they came.

use auspex_chassis::Secret;
use auspex_proto::{FactId, Invalid};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::figures::Figures;
use crate::intake::{Answer, Intake, aside};
use crate::normalize::{self, Delivery, GITHUB, form_payload};
use crate::refusal::Refusal;

/// What the door needs; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    intake: Intake,
    figures: Figures,
    lock: Lock,
}

/// Who may come in.
#[derive(Debug, Clone)]
struct Lock {
    secrets: Vec<Secret>,
    /// Without a secret: everybody, instead of nobody.
    insecure: bool,
}

impl Door {
    pub(crate) fn new(intake: &Intake, config: &Config) -> Self {
        let secrets = [&config.github_secret, &config.github_previous_secret];
        Self {
            figures: Figures::new(intake.house.metrics(), GITHUB),
            intake: intake.clone(),
            lock: Lock {
                secrets: secrets.into_iter().filter(|s| !s.is_empty()).cloned().collect(),
                insecure: config.insecure_webhooks,
            },
        }
    }

    async fn take(&self, request: Request) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        self.intake.welcome(&parts)?;
        let form = is_form(&parts.headers)?;
        let held = self.intake.read(&parts.headers, body).await?;
        let text = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (event, id, signature) = (
            text("x-github-event"),
            text("x-github-delivery"),
            text("x-hub-signature-256"),
        );
        let fact_id = fact_id(&id, &held.bytes);
        let (lock, projects, received) = (
            self.lock.clone(),
            self.intake.projects.clone(),
            self.intake.house.now(),
        );
        let (bytes, kind) = (held.bytes.clone(), event.clone());
        let normalized = aside(held.bytes.len(), move || {
            if !lock.opens(&signature, &bytes) {
                return Err(Refusal::Unauthorized);
            }
            if event.is_empty() {
                return Err(Refusal::Invalid(Invalid::new("X-GitHub-Event", "is missing")));
            }
            let body = if form {
                form_payload(&bytes).map_err(Refusal::Invalid)?.into()
            } else {
                bytes
            };
            let delivery = Delivery {
                event: &event,
                id: &id,
                body: &body,
            };
            normalize::github(&delivery, &projects, received).map_err(Refusal::Invalid)
        });
        let answer = match normalized.await? {
            Ok(normalized) => self.intake.admit(&self.figures, &fact_id, normalized).await,
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(refusal) => Err(self
                .intake
                .bury(&format!("{GITHUB} {kind}"), &fact_id, &held.bytes, refusal)
                .await),
        }
    }
}

/// `POST /webhooks/github`
pub(crate) async fn deliver(State(door): State<Door>, request: Request) -> Response {
    match door.take(request).await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => {
            door.figures.other(refusal.outcome());
            refusal.into_response()
        }
    }
}

/// The delivery's id as a fact's. Without one, what is refused is told apart by what it says.
fn fact_id(delivery: &str, body: &[u8]) -> FactId {
    if delivery.is_empty() {
        return FactId::outside(GITHUB, &hex::encode(Sha256::digest(body)));
    }
    FactId::outside(GITHUB, delivery)
}

/// GitHub sends JSON, or a form with the JSON in a field: as the hook was set up.
fn is_form(headers: &HeaderMap) -> Result<bool, Refusal> {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    match media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "application/json" => Ok(false),
        "application/x-www-form-urlencoded" => Ok(true),
        _ => Err(Refusal::Unsupported(
            "content-type must be application/json or application/x-www-form-urlencoded".to_owned(),
        )),
    }
}

impl Lock {
    /// Whether one of the secrets made this signature. The comparison takes the same time wherever they differ.
    fn opens(&self, signature: &str, body: &Bytes) -> bool {
        if self.secrets.is_empty() {
            return self.insecure;
        }
        let Some(given) = signature
            .strip_prefix("sha256=")
            .and_then(|text| hex::decode(text).ok())
        else {
            return false;
        };
        // All are tried, so that time does not tell which one fits.
        let fits = |secret: &Secret| {
            signed(secret.expose().as_bytes(), body).is_some_and(|mac| mac.verify_slice(&given).is_ok())
        };
        self.secrets.iter().filter(|secret| fits(secret)).count() > 0
    }
}

fn signed(secret: &[u8], body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(body);
    Some(mac)
}

/// The header that GitHub would send with this body: for those who play GitHub.
#[must_use]
pub fn signature(secret: &Secret, body: &[u8]) -> String {
    let mac = signed(secret.expose().as_bytes(), body);
    let digest = mac
        .map(|mac| hex::encode(mac.finalize().into_bytes()))
        .unwrap_or_default();
    format!("sha256={digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(secrets: &[&str], insecure: bool) -> Lock {
        Lock {
            secrets: secrets.iter().map(|s| Secret::new(*s)).collect(),
            insecure,
        }
    }

    #[test]
    fn the_vector_that_github_publishes() {
        let vector = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secret = "It's a Secret to Everybody";
        let body = Bytes::from_static(b"Hello, World!");
        assert_eq!(signature(&Secret::new(secret), &body), vector);
        assert!(lock(&[secret], false).opens(vector, &body));
        assert!(
            lock(&["new one", secret], false).opens(vector, &body),
            "the one before, while it is rotated"
        );
        assert!(!lock(&[secret], false).opens(vector, &Bytes::from_static(b"Hello, World")));
        assert!(
            !lock(&["another"], true).opens(vector, &body),
            "with a secret nobody comes in unsigned"
        );
        for wrong in [
            "",
            "sha256=",
            "sha256=zz",
            &vector[7..],
            "sha1=757107ea",
            &vector[..70],
        ] {
            assert!(!lock(&[secret], true).opens(wrong, &body), "{wrong}");
        }
    }

    #[test]
    fn without_a_secret_nobody_comes_in_unless_told_so() {
        assert!(!lock(&[], false).opens("", &Bytes::new()));
        assert!(lock(&[], true).opens("", &Bytes::new()));
    }
}
