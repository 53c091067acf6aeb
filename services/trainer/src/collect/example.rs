//! A moment at which a vector was served, before and after its outcome is known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bytes of a key's value; the streams of the feature store keep as many.
const MOST_KEY: usize = 128;

/// A vector without an outcome.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) at: i64,
    pub(super) values: Vec<f32>,
    pub(super) deployments: Vec<String>,
    pub(super) released: Option<i64>,
    pub(super) service: String,
    /// When the change was announced or deployed last; 0: nobody has told.
    pub(super) happened: i64,
    /// Whether a vector was served.
    pub(super) noted: bool,
    /// See [`Example::asked`].
    pub(super) asked: i64,
    /// See [`Example::keys`].
    pub(super) keys: BTreeMap<String, String>,
}

impl Waiting {
    pub(super) fn is_noted(&self) -> bool {
        self.noted || !self.values.is_empty()
    }

    pub(super) fn key(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.keys.insert(name.to_owned(), clipped(value));
        }
    }
}

fn clipped(text: &str) -> String {
    let end = text.floor_char_boundary(MOST_KEY);
    text.get(..end).unwrap_or_default().to_owned()
}

/// A vector with its outcome.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Example {
    /// When the vector was made.
    pub at: i64,
    /// When its outcome was known.
    pub known: i64,
    /// What became of it.
    pub failed: bool,
    /// Its values; NaN is missing. None where a feature store is asked.
    pub values: Vec<f32>,
    /// The moment to ask the feature store for, in milliseconds; 0: none was configured.
    pub asked: i64,
    /// Revision, and as far as known author, service and environment: whom to ask it about.
    pub keys: BTreeMap<String, String>,
}

impl Example {
    /// Bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let keys = self.keys.iter().map(|(name, value)| name.len() + value.len() + 4);
        5 * self.values.len() + 40 + keys.sum::<usize>()
    }
}
