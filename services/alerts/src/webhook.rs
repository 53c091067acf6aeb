//! Any receiver that speaks Standard Webhooks: JSON, signed with HMAC-SHA256 over id, time and body.

use std::time::Duration;

use auspex_chassis::Secret;
use auspex_proto::Alert;
use auspex_proto::alert::Status;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use url::Url;

use crate::outbound::Outbound;
use crate::outbox::DeliveryError;
use crate::receiver::Receiver;

/// One endpoint.
#[derive(Debug)]
pub struct Webhook {
    /// The way out.
    pub outbound: Outbound,
    /// The endpoint.
    pub url: Url,
    /// `whsec_` and the key in base64.
    pub secret: Secret,
    /// The least time between two messages.
    pub pace: Duration,
}

impl Receiver for Webhook {
    fn deliver<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<String, DeliveryError>> {
        Box::pin(async move {
            let id = alert.meta.id.to_string();
            let body = body(alert).to_string();
            let time = auspex_chassis::clock::now().0 / 1_000;
            let signature = sign(&self.secret, &id, time, &body)
                .ok_or_else(|| DeliveryError::Final("the secret is not whsec_ and base64".to_owned()))?;
            let headers = [
                ("webhook-id", id),
                ("webhook-timestamp", time.to_string()),
                ("webhook-signature", signature),
            ];
            let answer = self.outbound.post(&self.url, &headers, body.into_bytes()).await?;
            Ok(answer.status.to_string())
        })
    }

    fn pace(&self) -> Duration {
        self.pace
    }
}

fn body(alert: &Alert) -> serde_json::Value {
    let status = match alert.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
        Status::Notice => "notice",
    };
    let time = jiff::Timestamp::from_millisecond(alert.meta.time.0)
        .map(|t| t.to_string())
        .unwrap_or_default();
    let facts = alert
        .facts
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    json!({
        "type": format!("alert.{status}"),
        "timestamp": time,
        "data": {
            "project": alert.meta.project,
            "kind": alert.kind,
            "severity": alert.severity,
            "status": status,
            "dedup_key": alert.dedup_key,
            "title": alert.title,
            "text": alert.text,
            "service": alert.service,
            "rollout": alert.rollout,
            "causes": alert.causes,
            "facts": facts.collect::<Vec<_>>(),
        },
    })
}

/// The key behind a secret; `None` when it is not one.
#[must_use]
pub fn key(secret: &Secret) -> Option<Vec<u8>> {
    STANDARD
        .decode(secret.expose().strip_prefix("whsec_")?)
        .ok()
        .filter(|key| key.len() >= 24)
}

fn sign(secret: &Secret, id: &str, time: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The vector of the specification's own libraries.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signature.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert_eq!(key(&Secret::new("plain")), None);
    }
}
