//! What was served, by sample: kept beside the rows, to be compared with what they give for the same entity and moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Offline;

/// The most that waits to be written; beyond it the sample has gaps.
const MOST: usize = 10_000;

/// One vector that was served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// `name@version`.
    pub service: String,
    /// Of which project.
    pub project: String,
    /// Join keys.
    pub keys: BTreeMap<String, String>,
    /// What came with the request.
    pub request: BTreeMap<String, f64>,
    /// When, milliseconds.
    pub at: i64,
    /// Whether scaled.
    pub scaled: bool,
    /// The values; none where there was none.
    pub values: Vec<Option<f64>>,
    /// Their statuses, as wire numbers.
    pub statuses: Vec<u8>,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Vector>>);

impl Log {
    /// Notes one.
    pub fn note(&self, vector: Vector) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push(vector);
        }
    }

    /// Writes what waits; what cannot be written now waits on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn flush(&self, offline: &Offline, instance: &str, now: i64) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = waiting
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()?;
        let instance = auspex_proto::token::token(instance);
        let written = offline
            .put_text(&format!("served/{now:015}-{instance}.jsonl"), lines.join("\n"))
            .await;
        if written.is_err() {
            waiting.into_iter().for_each(|vector| self.note(vector));
        }
        written
    }
}

impl Offline {
    /// What was served since.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn served(&self, project: &str, since: i64) -> anyhow::Result<Vec<Vector>> {
        let mut found = Vec::new();
        for name in self.names("served").await? {
            let written = name
                .strip_prefix("served/")
                .and_then(|n| n.split('-').next()?.parse::<i64>().ok());
            if written.is_none_or(|written| written < since) {
                continue;
            }
            let bytes = self.bytes(&name).await?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                let vector: Vector = match serde_json::from_str(line) {
                    Ok(vector) => vector,
                    // One of them must not hide all others.
                    Err(fault) => {
                        tracing::warn!(name, %fault, "a vector that was served cannot be read");
                        continue;
                    }
                };
                if vector.at >= since && vector.project == project {
                    found.push(vector);
                }
            }
        }
        Ok(found)
    }

    /// Takes away what was served before.
    ///
    /// # Errors
    /// When it cannot be taken away.
    pub async fn forget_served(&self, before: i64) -> anyhow::Result<()> {
        for name in self.names("served").await? {
            let written = name
                .strip_prefix("served/")
                .and_then(|n| n.split('-').next()?.parse::<i64>().ok());
            if written.is_some_and(|written| written < before) {
                self.remove(&name).await?;
            }
        }
        Ok(())
    }
}
