//! JSON patches (RFC 6902): a change of some fields that tests what it builds on.
//!
//! The server applies a patch to the object as it is then, not as it was read. So a patch changes what it names and nothing
//! else, whoever has edited the rest meanwhile; and when what it tests has changed, the server refuses it as a whole.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Change {
    /// The value there must be this one.
    Test {
        /// JSON pointer.
        path: String,
        /// What must be there.
        value: Value,
    },
    /// Puts a value in the place of the one there.
    Replace {
        /// JSON pointer.
        path: String,
        /// The new one.
        value: Value,
    },
    /// Puts a value where there is none; in a list, before what stands there.
    Add {
        /// JSON pointer.
        path: String,
        /// The new one.
        value: Value,
    },
    /// Takes a value away.
    Remove {
        /// JSON pointer.
        path: String,
    },
}

/// Operations, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch(pub Vec<Change>);

impl Patch {
    /// Requires a value.
    pub fn test(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        let (path, value) = (path.into(), value.into());
        self.0.push(Change::Test { path, value });
    }

    /// Replaces a value.
    pub fn replace(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        let (path, value) = (path.into(), value.into());
        self.0.push(Change::Replace { path, value });
    }

    /// Adds a value.
    pub fn add(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        let (path, value) = (path.into(), value.into());
        self.0.push(Change::Add { path, value });
    }

    /// Removes a value.
    pub fn remove(&mut self, path: impl Into<String>) {
        self.0.push(Change::Remove { path: path.into() });
    }

    /// Whether it changes nothing: tests alone need not be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|change| matches!(change, Change::Test { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_written_as_the_standard_says() {
        let mut patch = Patch::default();
        patch.test("/spec/http/0/name", "primary");
        assert!(patch.is_empty());
        patch.replace("/spec/http/0/route/1/weight", 25);
        patch.remove("/spec/http/1");
        assert!(!patch.is_empty());
        let text = serde_json::to_string(&patch).unwrap();
        assert_eq!(
            text,
            r#"[{"op":"test","path":"/spec/http/0/name","value":"primary"},{"op":"replace","path":"/spec/http/0/route/1/weight","value":25},{"op":"remove","path":"/spec/http/1"}]"#
        );
    }
}
