//! PagerDuty, by the Events API v2: alerts open and close incidents, deployments become change events.
//!
//! PagerDuty drops an end without a beginning and opens a new incident for a beginning after an end, so the order per
//! deduplication key is everything; the outbox keeps it. An answer of 202 means taken, not yet seen.

use std::time::Duration;

use auspex_chassis::Secret;
use auspex_proto::Alert;
use auspex_proto::alert::{Kind, Severity, Status};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use url::Url;

use crate::outbound::Outbound;
use crate::outbox::DeliveryError;
use crate::receiver::{Receiver, Told};
use crate::words::clip;

/// PagerDuty's limits, in bytes to be safe: the summary, and the whole body less room for its head.
const MAX_SUMMARY: usize = 1_024;
const MAX_BODY: usize = 500 * 1024;

/// One integration of one service.
#[derive(Debug)]
pub struct PagerDuty {
    /// The way out.
    pub outbound: Outbound,
    /// Where alerts go: `/v2/enqueue`.
    pub alerts: Url,
    /// Where changes go: `/v2/change/enqueue`.
    pub changes: Url,
    /// The integration's key.
    pub routing_key: Secret,
    /// PagerDuty takes about 120 calls a minute and key.
    pub pace: Duration,
}

impl Receiver for PagerDuty {
    fn deliver<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<Told, DeliveryError>> {
        Box::pin(async move {
            let Some(event) = event(alert) else {
                let why = "nothing was sent: PagerDuty is told of what fires or ends, and of deployments";
                return Ok(Told::NoPlace(why.to_owned()));
            };
            let (url, mut body) = match event {
                Event::Alert(body) => (&self.alerts, body),
                Event::Change(body) => (&self.changes, body),
            };
            body.insert("routing_key".to_owned(), self.routing_key.expose().into());
            let answer = self
                .outbound
                .post(url, &[], Value::Object(body).to_string().into_bytes())
                .await?;
            let receipt = format!("{}: {}", answer.status, clip(&answer.body, 120));
            Ok(Told::Taken(receipt))
        })
    }

    fn pace(&self) -> Duration {
        self.pace
    }
}

/// What PagerDuty is told, but for the routing key.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An incident opens or closes.
    Alert(Map<String, Value>),
    /// Something changed.
    Change(Map<String, Value>),
}

/// The event of an alert; `None`: PagerDuty has no place for it.
#[must_use]
pub fn event(alert: &Alert) -> Option<Event> {
    match (alert.status, alert.kind) {
        (Status::Firing, _) => Some(Event::Alert(trigger(alert))),
        (Status::Resolved, _) => {
            let body = json!({"event_action": "resolve", "dedup_key": alert.dedup_key});
            Some(Event::Alert(object(body)))
        }
        (Status::Notice, Kind::Deployment) => Some(Event::Change(change(alert))),
        (Status::Notice, _) => None,
    }
}

fn trigger(alert: &Alert) -> Map<String, Value> {
    let body = |details: Value| {
        object(json!({
            "event_action": "trigger",
            "dedup_key": alert.dedup_key,
            "client": "Auspex",
            "payload": {
                "summary": summary(alert),
                "source": source(alert),
                "severity": severity(alert.severity),
                "timestamp": time(alert),
                "component": alert.service.as_ref().map(ToString::to_string),
                "group": alert.meta.project.as_str(),
                "class": alert.kind,
                "custom_details": details,
            },
        }))
    };
    let whole = body(details(alert));
    if Value::Object(whole.clone()).to_string().len() <= MAX_BODY {
        return whole;
    }
    body(json!({"text": clip(&alert.text, 4_096), "left out": "causes and facts: too long"}))
}

fn change(alert: &Alert) -> Map<String, Value> {
    let facts = alert.facts.iter().take(40);
    let facts: Map<String, Value> = facts
        .map(|(n, v)| (clip(n, 256), clip(v, 1_024).into()))
        .collect();
    object(json!({
        "payload": {
            "summary": summary(alert),
            "source": source(alert),
            "timestamp": time(alert),
            "custom_details": facts,
        },
    }))
}

fn details(alert: &Alert) -> Value {
    let causes: Vec<Value> = alert
        .causes
        .iter()
        .map(|c| json!({"what": c.what, "share": (c.weight * 100.0).round() / 100.0, "detail": c.detail}))
        .collect();
    let facts: Map<String, Value> = alert
        .facts
        .iter()
        .map(|(n, v)| (n.clone(), v.as_str().into()))
        .collect();
    json!({"text": alert.text, "causes": causes, "facts": facts, "rollout": alert.rollout})
}

fn summary(alert: &Alert) -> String {
    clip(&alert.title, MAX_SUMMARY)
}

fn source(alert: &Alert) -> String {
    alert
        .service
        .as_ref()
        .map_or_else(|| alert.meta.project.to_string(), ToString::to_string)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn time(alert: &Alert) -> Option<String> {
    jiff::Timestamp::from_millisecond(alert.meta.time.0)
        .ok()
        .map(|time| time.to_string())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::alert;

    #[test]
    fn a_matter_opens_and_closes_under_one_key() {
        let Some(Event::Alert(opens)) = event(&alert(Status::Firing)) else {
            panic!("no alert")
        };
        let Some(Event::Alert(closes)) = event(&alert(Status::Resolved)) else {
            panic!("no alert")
        };
        assert_eq!(
            (&opens["event_action"], &closes["event_action"]),
            (&json!("trigger"), &json!("resolve"))
        );
        assert_eq!(opens["dedup_key"], closes["dedup_key"]);
        let payload = &opens["payload"];
        assert_eq!(payload["severity"], "error");
        assert_eq!(payload["source"], "checkout");
        assert_eq!(payload["class"], "rolled_back");
        assert_eq!(payload["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(payload["custom_details"]["causes"][0]["share"], 1.0);
        assert_eq!(payload["custom_details"]["facts"]["harmed"], "7 requests");
    }

    #[test]
    fn a_deployment_is_a_change_and_other_notices_are_not_for_pagers() {
        let mut notice = alert(Status::Notice);
        assert_eq!(event(&notice), None);
        notice.kind = Kind::Deployment;
        let Some(Event::Change(change)) = event(&notice) else {
            panic!("no change")
        };
        assert_eq!(change["payload"]["summary"], "Rolled back: checkout v2");
    }

    #[test]
    fn limits_hold_whatever_is_said() {
        let mut long = alert(Status::Firing);
        long.title = "é".repeat(3_000);
        long.facts = vec![("n".to_owned(), "\u{1}".repeat(100_000)); 10];
        let Some(Event::Alert(event)) = event(&long) else {
            panic!("no alert")
        };
        assert!(event["payload"]["summary"].as_str().unwrap().len() <= 1_024);
        assert!(Value::Object(event).to_string().len() < 512 * 1024);
    }
}
