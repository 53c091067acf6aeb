//! Kubernetes' IntOrString: a number, or a text that becomes one when arguments are put in.

use serde::{Deserialize, Serialize};

/// A whole number, or a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A text, such as `"5"` or `"{{args.count}}"`.
    Text(String),
}

impl IntOrString {
    /// Its value; a text that is no number is 0, as Kubernetes has it.
    #[must_use]
    pub fn value(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            Self::Text(text) => crate::expr::whole(text).unwrap_or(0),
        }
    }
}

/// The value of one that may be absent.
#[must_use]
pub fn value(field: Option<&IntOrString>) -> i64 {
    field.map_or(0, IntOrString::value)
}
