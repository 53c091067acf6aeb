//! Slack, by incoming webhook.
//!
//! A webhook answers the plain text `ok` and no handle of the message, so nothing can be edited later: the end of a matter
//! is a message of its own.

use std::time::Duration;

use auspex_proto::Alert;
use auspex_proto::alert::{Severity, Status};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use url::Url;

use crate::outbound::Outbound;
use crate::outbox::DeliveryError;
use crate::receiver::{Receiver, Told};

/// Slack's limits, in characters: a section's text, a header, a field; fields per section. All blocks together may have
/// about 13,000; ours have at most 3,000 + 150 + 10 x 400.
const MAX_SECTION: usize = 3_000;
const MAX_HEADER: usize = 150;
const MAX_FIELD: usize = 400;
const MAX_FIELDS: usize = 10;
/// What a webhook answers, with status 200 or 4xx, when repeating cannot help.
const FINAL: [&str; 14] = [
    "invalid_payload",
    "invalid_token",
    "user_not_found",
    "channel_not_found",
    "channel_is_archived",
    "action_prohibited",
    "posting_to_general_channel_denied",
    "no_service",
    "no_service_id",
    "no_team",
    "team_disabled",
    "no_active_hooks",
    "too_many_attachments",
    "no_text",
];

/// One incoming webhook.
#[derive(Debug)]
pub struct Slack {
    /// The way out.
    pub outbound: Outbound,
    /// The webhook's URL, which is its secret.
    pub url: Url,
    /// Slack takes one message per second and channel.
    pub pace: Duration,
}

impl Receiver for Slack {
    fn deliver<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<Told, DeliveryError>> {
        Box::pin(async move {
            let body = message(alert).to_string().into_bytes();
            let answer = self.outbound.post(&self.url, &[], body).await?;
            if answer.body == "ok" {
                return Ok(Told::Taken("ok".to_owned()));
            }
            // Anything else at status 200 is a failure.
            let said = format!("answered {:?}", crate::words::line(&answer.body, 100));
            if FINAL.iter().any(|word| answer.body.contains(word)) {
                Err(DeliveryError::Final(said))
            } else {
                Err(DeliveryError::Retry {
                    after: None,
                    reason: said,
                })
            }
        })
    }

    fn pace(&self) -> Duration {
        self.pace
    }
}

/// The message: blocks for those who see them, text for notifications.
#[must_use]
pub fn message(alert: &Alert) -> Value {
    let title = format!("{} {}", mark(alert), alert.title);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": clip(&title, MAX_HEADER), "emoji": false}}),
    ];
    if !alert.text.is_empty() {
        blocks.push(json!({"type": "section", "text": mrkdwn(&escape(&alert.text, MAX_SECTION))}));
    }
    let fields: Vec<Value> = alert
        .facts
        .iter()
        .take(MAX_FIELDS)
        .map(|(name, value)| {
            mrkdwn(&format!(
                "*{}*\n{}",
                escape(name, 60),
                escape(value, MAX_FIELD - 70)
            ))
        })
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    let foot = format!(
        "{} | {}",
        escape(alert.meta.project.as_str(), 200),
        escape(&alert.dedup_key, 300)
    );
    blocks.push(json!({"type": "context", "elements": [mrkdwn(&foot)]}));
    json!({
        "text": escape(&title, MAX_SECTION),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// `verbatim`: names and links in it stay text, so that a commit message can call nobody.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn mark(alert: &Alert) -> &'static str {
    match (alert.status, alert.severity) {
        (Status::Resolved, _) => "\u{2705}",
        (Status::Notice, _) => "\u{2139}\u{fe0f}",
        (Status::Firing, Severity::Critical | Severity::Error) => "\u{1f534}",
        (Status::Firing, Severity::Warning) => "\u{1f7e0}",
        (Status::Firing, Severity::Info) => "\u{1f535}",
    }
}

/// At most so many characters.
fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Escapes what Slack would read as a mention, a link or markup of its own; at most so many characters afterwards, never
/// cut within an escape.
fn escape(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars() {
        let mut single = [0; 4];
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut single),
        };
        length += piece.chars().count();
        if length >= max {
            out.push('…');
            break;
        }
        out.push_str(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::alert;

    #[test]
    fn a_commit_message_calls_nobody() {
        let mut alert = alert(Status::Firing);
        alert.title = "<!channel> & <@U1> <https://evil.example|click>".to_owned();
        alert.text.clone_from(&alert.title);
        alert.facts = vec![("change".to_owned(), alert.title.clone())];
        let message = message(&alert);
        let text = message["text"].as_str().unwrap();
        assert_eq!(
            text,
            "\u{1f534} &lt;!channel&gt; &amp; &lt;@U1&gt; &lt;https://evil.example|click&gt;"
        );
        for block in message["blocks"].as_array().unwrap() {
            let shown = block.to_string();
            assert!(block["type"] == "header" || !shown.contains("<!"), "{shown}");
        }
        assert_eq!(message["blocks"][0]["text"]["type"], "plain_text");
        assert_eq!(message["blocks"][1]["text"]["verbatim"], true);
    }

    proptest! {
        #[test]
        fn limits_hold_whatever_is_said(text in "[<>&a-zé\n]{0,4000}", facts in 0_usize..20) {
            let mut alert = alert(Status::Firing);
            alert.title.clone_from(&text);
            alert.facts = vec![(text.clone(), text.clone()); facts];
            alert.text = text;
            let message = message(&alert);
            let length = |value: &Value| value.as_str().unwrap().chars().count();
            let blocks = message["blocks"].as_array().unwrap();
            prop_assert!(length(&blocks[0]["text"]["text"]) <= 150);
            let mut total = 0;
            for block in blocks {
                total += block.to_string().chars().count();
                if block["type"] == "section" && block.get("text").is_some() {
                    prop_assert!(length(&block["text"]["text"]) <= 3_000);
                }
                for field in block["fields"].as_array().unwrap_or(&Vec::new()) {
                    prop_assert!(length(&field["text"]) <= 2_000);
                }
            }
            prop_assert!(blocks.len() <= 50 && total <= 13_000, "{}", total);
        }
    }
}
