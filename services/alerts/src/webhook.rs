//! Any receiver that speaks Standard Webhooks: JSON, signed with HMAC-SHA256 over id, time and body.

use std::time::Duration;

use auspex_chassis::Secret;
use auspex_chassis::outbound::signature::sign;
use auspex_proto::Alert;
use auspex_proto::alert::Status;
use futures::future::BoxFuture;
use serde_json::json;
use url::Url;

use crate::outbound::Outbound;
use crate::outbox::DeliveryError;
use crate::receiver::{Receiver, Told};

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
    fn deliver<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<Told, DeliveryError>> {
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
            Ok(Told::Taken(answer.status.to_string()))
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
