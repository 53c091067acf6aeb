//! Watching all objects of a kind: a list, then what changes, again and again, whatever happens to the connection.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::client::{Cluster, of_kube, of_status};
use crate::fault::Fault;
use crate::place::Place;

/// Objects asked for at once: a page of them stays well below a megabyte.
const PAGE: usize = 200;
/// How long the server is asked to keep a watch open, seconds; it ends it then, and it is opened anew.
const OPEN_SECONDS: u64 = 240;
/// A watch on which nothing comes for this long beyond what was asked for is dead, though nobody says so.
const SILENT: Duration = Duration::from_secs(OPEN_SECONDS + 30);
/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// An object is so.
    Now(Value),
    /// It is gone; as it was last.
    Gone(Value),
    /// Everything that is there has been told: what was not is not there any more.
    Complete,
    /// It cannot be watched for now, and why; it goes on by itself.
    Blind(Fault),
}

/// Watches all objects at a place until nobody listens any more. A list that follows a gap is compared with what was told
/// before, so that what went away meanwhile is told as gone.
pub async fn watch(cluster: Cluster, all: Place, tell: mpsc::Sender<Seen>) {
    let mut known = BTreeMap::new();
    let mut failures = 0_u32;
    let mut version: Option<String> = None;
    while !tell.is_closed() {
        let step = match version.take() {
            None => list(&cluster, &all, &mut known, &tell).await,
            Some(from) => follow(&cluster, &all, &from, &mut known, &tell).await,
        };
        match step {
            Ok(next) => {
                failures = 0;
                version = Some(next);
            }
            // A version that the server has forgotten: list anew, at once.
            Err(Fault::Expired(text)) => tracing::debug!(%all, text, "a watch lists anew"),
            Err(fault) => {
                failures = failures.saturating_add(1);
                if tell.send(Seen::Blind(fault)).await.is_err() {
                    return;
                }
                let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(8));
                tokio::time::sleep(FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)).await;
            }
        }
    }
}

impl Cluster {
    /// Opens a watch from a version, and closes it: says whether the server still knows that version.
    ///
    /// # Errors
    /// [`Fault::Expired`] when it does not; others.
    pub async fn watch_from(&self, all: &Place, version: &str) -> Result<(), Fault> {
        let path = format!(
            "{}?watch=true&timeoutSeconds=1&resourceVersion={version}",
            all.path()
        );
        let events = self.events(&path).await?;
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if let WatchEvent::Error(status) = event.map_err(of_kube)? {
                return Err(of_status(&status));
            }
        }
        Ok(())
    }
}

/// Lists all, page by page, and tells what differs from what is known. Answers the version to watch from.
async fn list(
    cluster: &Cluster,
    all: &Place,
    known: &mut BTreeMap<String, Value>,
    tell: &mpsc::Sender<Seen>,
) -> Result<String, Fault> {
    let mut found = BTreeMap::new();
    let mut more = String::new();
    let version = loop {
        let mut path = format!("{}?limit={PAGE}", all.path());
        if !more.is_empty() {
            path = format!("{path}&continue={more}");
        }
        let page = cluster.ask(http::Method::GET, &path, None).await?;
        for object in page.get("items").and_then(Value::as_array).into_iter().flatten() {
            found.insert(uid(object), complete(object.clone(), all));
        }
        let text = |field: &str| {
            let found = page.pointer(&format!("/metadata/{field}"));
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        more = text("continue");
        if more.is_empty() {
            break text("resourceVersion");
        }
    };
    let gone: Vec<Value> = known
        .iter()
        .filter(|(uid, _)| !found.contains_key(*uid))
        .map(|(_, o)| o.clone())
        .collect();
    for object in gone {
        send(tell, Seen::Gone(object)).await?;
    }
    for (uid, object) in &found {
        if known
            .get(uid)
            .is_none_or(|last| revision(last) != revision(object))
        {
            send(tell, Seen::Now(object.clone())).await?;
        }
    }
    *known = found;
    send(tell, Seen::Complete).await?;
    Ok(version)
}

/// Follows changes from a version on, until the watch ends. Answers the version to go on from.
async fn follow(
    cluster: &Cluster,
    all: &Place,
    from: &str,
    known: &mut BTreeMap<String, Value>,
    tell: &mpsc::Sender<Seen>,
) -> Result<String, Fault> {
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={OPEN_SECONDS}&resourceVersion={from}",
        all.path()
    );
    let mut version = from.to_owned();
    let events = cluster.events(&path).await?;
    pin_mut!(events);
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(SILENT, events.next()) => next,
            () = tell.closed() => return Ok(version),
        };
        let event = match next {
            Err(_) => return Err(Fault::Away("a watch has gone silent".to_owned())),
            Ok(None) => return Ok(version),
            Ok(Some(event)) => event.map_err(of_kube)?,
        };
        let object = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let object = complete(object, all);
                known.insert(uid(&object), object.clone());
                send(tell, Seen::Now(object.clone())).await?;
                object
            }
            WatchEvent::Deleted(object) => {
                known.remove(&uid(&object));
                send(tell, Seen::Gone(object.clone())).await?;
                object
            }
            WatchEvent::Bookmark(bookmark) => {
                version = bookmark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(status) => return Err(of_status(&status)),
        };
        if let Some(next) = revision(&object) {
            next.clone_into(&mut version);
        }
    }
}

async fn send(tell: &mpsc::Sender<Seen>, seen: Seen) -> Result<(), Fault> {
    tell.send(seen)
        .await
        .map_err(|_| Fault::Away("nobody listens any more".to_owned()))
}

fn uid(object: &Value) -> String {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    uid.unwrap_or_default().to_owned()
}

fn revision(object: &Value) -> Option<&str> {
    object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
}

/// Objects in a list do not say what they are.
fn complete(mut object: Value, all: &Place) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields
            .entry("apiVersion")
            .or_insert_with(|| all.kind.api_version().into());
        fields.entry("kind").or_insert_with(|| all.kind.name.into());
    }
    object
}
