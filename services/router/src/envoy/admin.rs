//! What Envoy's admin address answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use auspex_proto::report::Capacity;
use serde_json::Value;
use url::Url;

use crate::router::{Fault, Seen};

/// Runtime values, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runtime(BTreeMap<String, String>);

/// Figures, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stats(BTreeMap<String, u64>);

/// What the last looks found: requests of both tracks by admin address and cluster, figures by admin address.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: Mutex<BTreeMap<String, [u64; 2]>>,
    last: Mutex<BTreeMap<Url, Stats>>,
}

/// The expression that picks the figures of these clusters.
pub(super) fn filter(clusters: &[&str]) -> String {
    let plain = |name: &&str| {
        let mut out = String::new();
        for c in name.chars() {
            if !c.is_ascii_alphanumeric() && c != '_' && c != '-' {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    let names: Vec<String> = clusters.iter().map(plain).collect();
    format!(
        "^cluster\\.({})\\.(upstream_rq_total|membership_healthy|membership_total)$",
        names.join("|")
    )
}

impl Runtime {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let value: Value = serde_json::from_str(text).map_err(|f| unread("/runtime", &f))?;
        let entries = value.get("entries").and_then(Value::as_object);
        let entries = entries.ok_or_else(|| Fault::Away("Envoy's /runtime has no entries".to_owned()))?;
        let last = |v: &Value| v.get("final_value").and_then(Value::as_str).map(str::to_owned);
        let known = entries
            .iter()
            .filter_map(|(key, v)| Some((key.clone(), last(v)?)));
        Ok(Self(known.collect()))
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key)?.parse().ok()
    }
}

impl Stats {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let value: Value = serde_json::from_str(text).map_err(|f| unread("/stats", &f))?;
        let stats = value.get("stats").and_then(Value::as_array);
        let one = |stat: &Value| {
            let name = stat.get("name")?.as_str()?.to_owned();
            Some((name, stat.get("value")?.as_u64()?))
        };
        Ok(Self(stats.into_iter().flatten().filter_map(one).collect()))
    }

    fn of(&self, cluster: &str, figure: &str) -> Option<u64> {
        self.0.get(&format!("cluster.{cluster}.{figure}")).copied()
    }

    /// What the endpoints of a cluster that Envoy holds healthy can take: all of them are taken to be able to take everything.
    pub(super) fn capacity(&self, cluster: &str) -> Option<Capacity> {
        let (ready, wanted) = (
            self.of(cluster, "membership_healthy")?,
            self.of(cluster, "membership_total")?,
        );
        let percent = (ready * 100).checked_div(wanted).unwrap_or(0);
        Some(Capacity {
            percent: u8::try_from(percent).unwrap_or(100).min(100),
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
        })
    }
}

impl Counts {
    /// The figures of the last look.
    pub(super) fn last(&self, admin: &Url) -> Option<Stats> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(admin).cloned()
    }

    pub(super) fn keep(&self, admin: &Url, stats: &Stats) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(admin.clone(), stats.clone());
    }

    /// What the tracks got since the last look; `None` at the first one, and after a restart.
    pub(super) fn since(&self, admin: &Url, clusters: (&str, &str), stats: &Stats) -> Option<Seen> {
        let now = [
            stats.of(clusters.0, "upstream_rq_total")?,
            stats.of(clusters.1, "upstream_rq_total")?,
        ];
        // With the names, for places change roles.
        let key = format!("{admin} {}", clusters.1);
        let mut counts = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counts.insert(key, now)?;
        Some(Seen {
            stable: now[0].checked_sub(before[0])?,
            candidate: now[1].checked_sub(before[1])?,
        })
    }
}

fn unread(what: &str, fault: &serde_json::Error) -> Fault {
    Fault::Away(format!("Envoy's {what} cannot be read: {fault}"))
}
