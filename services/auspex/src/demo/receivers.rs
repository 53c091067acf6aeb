//! Local stand-ins for Slack and PagerDuty, which check what they get as the real ones do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The path of the incoming webhook.
pub const SLACK_PATH: &str = "/services/T0DEMO/B0DEMO/demo";
/// The integration key that PagerDuty knows.
pub const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
/// Most blocks that Slack takes in a message.
const MOST_BLOCKS: usize = 50;

/// Who got a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A message to the channel.
    Slack,
    /// An incident opened or updated.
    Trigger,
    /// An incident closed.
    Resolve,
    /// A change event.
    Change,
}

/// One accepted message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who got it.
    pub to: Service,
    /// What a person reads first.
    pub title: String,
    /// All of it.
    pub body: Value,
}

/// What has arrived.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inbox {
    /// In order of arrival.
    pub messages: Vec<Message>,
    /// What was wrong with what arrived; refused as the real ones would.
    pub faults: Vec<String>,
    /// By PagerDuty's deduplication key: whether an incident is open.
    open: BTreeMap<String, bool>,
}

impl Inbox {
    /// Messages to one kind of receiver that speak of this revision.
    pub fn about<'a>(&'a self, to: Service, revision: &'a str) -> impl Iterator<Item = &'a Message> {
        let speaks =
            move |message: &&Message| message.to == to && message.body.to_string().contains(revision);
        self.messages.iter().filter(speaks)
    }

    fn accept(&mut self, checked: Result<Message, String>) -> Result<(), String> {
        let checked = checked.and_then(|message| {
            let again = self
                .messages
                .iter()
                .any(|old| old.to == message.to && old.body == message.body);
            if again {
                Err(format!(
                    "{:?} got the same message twice: {}",
                    message.to, message.title
                ))
            } else {
                Ok(message)
            }
        });
        match checked {
            Ok(message) => {
                self.messages.push(message);
                Ok(())
            }
            Err(fault) => {
                self.faults.push(fault.clone());
                Err(fault)
            }
        }
    }

    /// An incident is closed only after it was opened.
    fn in_order(&mut self, message: Message) -> Result<Message, String> {
        let key = text(&message.body, "/dedup_key").unwrap_or_default();
        let open = self.open.entry(key.clone()).or_insert(false);
        match message.to {
            Service::Resolve if !*open => Err(format!("pagerduty: {key} is resolved and was not open")),
            Service::Resolve => {
                *open = false;
                Ok(message)
            }
            _ => {
                *open = true;
                Ok(message)
            }
        }
    }
}

/// Running receivers; they end with this value.
#[derive(Debug)]
pub struct Receivers {
    address: SocketAddr,
    inbox: Shared,
    task: JoinHandle<()>,
}

type Shared = Arc<Mutex<Inbox>>;

impl Receivers {
    /// Starts both on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let inbox = Shared::default();
        let router = Router::new()
            .route(SLACK_PATH, post(on_message))
            .route("/v2/enqueue", post(on_alert))
            .route("/v2/change/enqueue", post(on_change))
            .with_state(Arc::clone(&inbox));
        let task = tokio::spawn(async move {
            // It serves until it is aborted.
            axum::serve(listener, router).await.ok();
        });
        Ok(Self { address, inbox, task })
    }

    /// Where they are.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived so far.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        lock(&self.inbox).clone()
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inbox: &Shared) -> std::sync::MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn on_message(State(inbox): State<Shared>, Json(body): Json<Value>) -> (StatusCode, String) {
    match lock(&inbox).accept(slack(body)) {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(_) => (StatusCode::BAD_REQUEST, "invalid_payload".to_owned()),
    }
}

async fn on_alert(State(inbox): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut inbox = lock(&inbox);
    let checked = alert(body).and_then(|message| inbox.in_order(message));
    answered(inbox.accept(checked))
}

async fn on_change(State(inbox): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    answered(lock(&inbox).accept(change(body)))
}

fn answered(accepted: Result<(), String>) -> (StatusCode, Json<Value>) {
    match accepted {
        Ok(()) => (
            StatusCode::ACCEPTED,
            Json(json!({"status": "success", "message": "Event processed"})),
        ),
        Err(fault) => (
            StatusCode::BAD_REQUEST,
            Json(json!({"status": "invalid event", "errors": [fault]})),
        ),
    }
}

fn text(body: &Value, pointer: &str) -> Option<String> {
    body.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// Text at a path, of at most so many characters.
fn needed(body: &Value, who: &str, pointer: &str, most: usize) -> Result<String, String> {
    match text(body, pointer) {
        Some(found) if found.chars().count() <= most => Ok(found),
        Some(_) => Err(format!("{who}: {pointer} is longer than {most}")),
        None => Err(format!("{who}: {pointer} is missing")),
    }
}

fn slack(body: Value) -> Result<Message, String> {
    let title = needed(&body, "slack", "/text", 3_000)?;
    let blocks = body
        .get("blocks")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if blocks.is_empty() || blocks.len() > MOST_BLOCKS {
        return Err(format!(
            "slack: {} blocks, wanted 1 to {MOST_BLOCKS}",
            blocks.len()
        ));
    }
    for block in &blocks {
        let most = if block.get("type").and_then(Value::as_str) == Some("header") {
            150
        } else {
            3_000
        };
        if let Some(text) = block.get("text") {
            needed(text, "slack", "/text", most)?;
        }
    }
    Ok(Message {
        to: Service::Slack,
        title,
        body,
    })
}

fn alert(body: Value) -> Result<Message, String> {
    let who = "pagerduty";
    if text(&body, "/routing_key").as_deref() != Some(ROUTING_KEY) {
        return Err(format!("{who}: /routing_key is unknown"));
    }
    let key = needed(&body, who, "/dedup_key", 255)?;
    match text(&body, "/event_action").as_deref() {
        Some("trigger") => {
            let title = needed(&body, who, "/payload/summary", 1_024)?;
            needed(&body, who, "/payload/source", 1_024)?;
            let severity = needed(&body, who, "/payload/severity", 16)?;
            if !["critical", "error", "warning", "info"].contains(&severity.as_str()) {
                return Err(format!("{who}: /payload/severity is {severity}"));
            }
            Ok(Message {
                to: Service::Trigger,
                title,
                body,
            })
        }
        Some("resolve") => Ok(Message {
            to: Service::Resolve,
            title: key,
            body,
        }),
        other => Err(format!("{who}: /event_action is {other:?}")),
    }
}

fn change(body: Value) -> Result<Message, String> {
    let who = "pagerduty";
    if text(&body, "/routing_key").as_deref() != Some(ROUTING_KEY) {
        return Err(format!("{who}: /routing_key is unknown"));
    }
    let title = needed(&body, who, "/payload/summary", 1_024)?;
    needed(&body, who, "/payload/timestamp", 64)?;
    Ok(Message {
        to: Service::Change,
        title,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(key: &str) -> Value {
        json!({
            "routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": key,
            "payload": {"summary": "Rolled back: shop abc", "source": "shop", "severity": "error"},
        })
    }

    fn resolve(key: &str) -> Value {
        json!({"routing_key": ROUTING_KEY, "event_action": "resolve", "dedup_key": key})
    }

    fn take(inbox: &mut Inbox, body: Value) -> Result<(), String> {
        let checked = alert(body).and_then(|message| inbox.in_order(message));
        inbox.accept(checked)
    }

    #[test]
    fn an_incident_is_closed_only_after_it_was_opened() {
        let mut inbox = Inbox::default();
        assert!(take(&mut inbox, resolve("a")).is_err());
        assert!(take(&mut inbox, trigger("a")).is_ok());
        assert!(take(&mut inbox, resolve("b")).is_err());
        assert!(take(&mut inbox, resolve("a")).is_ok());
        assert_eq!((inbox.messages.len(), inbox.faults.len()), (2, 2));
    }

    #[test]
    fn what_the_real_ones_would_refuse_is_refused() {
        let mut wrong = trigger("a");
        wrong["payload"]["severity"] = "bad".into();
        assert!(alert(wrong).unwrap_err().contains("severity"));
        let mut unknown = trigger("a");
        unknown["routing_key"] = "x".into();
        assert!(alert(unknown).unwrap_err().contains("routing_key"));
        assert!(slack(json!({"text": "hello"})).unwrap_err().contains("blocks"));
        let long = json!({"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "y".repeat(151)}}]});
        assert!(slack(long).unwrap_err().contains("longer than 150"));
    }

    #[test]
    fn the_same_message_twice_is_a_fault() {
        let mut inbox = Inbox::default();
        let body = json!({"text": "Promoted: shop abc", "blocks": [{"type": "divider"}]});
        assert!(inbox.accept(slack(body.clone())).is_ok());
        assert!(inbox.accept(slack(body)).is_err());
        assert_eq!(inbox.about(Service::Slack, "abc").count(), 1);
        assert_eq!(inbox.about(Service::Slack, "def").count(), 0);
    }

    #[tokio::test]
    async fn they_answer_as_the_real_ones_do() {
        let receivers = Receivers::open().await.unwrap();
        let client = reqwest::Client::new();
        let url = receivers.url();
        let post = |path: &str, body: Value| client.post(format!("{url}{path}")).json(&body).send();
        let good = json!({"text": "hello", "blocks": [{"type": "divider"}]});
        let answer = post(SLACK_PATH, good).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (200, "ok")
        );
        assert_eq!(post(SLACK_PATH, json!({})).await.unwrap().status().as_u16(), 400);
        assert_eq!(
            post("/v2/enqueue", trigger("a")).await.unwrap().status().as_u16(),
            202
        );
        assert_eq!(receivers.inbox().messages.len(), 2);
    }
}
