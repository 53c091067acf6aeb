//! Why training did not do what it was asked.

use thiserror::Error;

/// A training run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// What was asked, or the table, makes no sense.
    #[error("{field}: {reason}")]
    Invalid {
        /// The option, column or file.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It makes sense and could not be done.
    #[error("{0}")]
    Failed(String),
}

/// An input that cannot be used.
pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Fault {
    Fault::Invalid {
        field: field.into(),
        reason: reason.into(),
    }
}

/// A thing that could not be done.
pub(crate) fn failed(reason: impl std::fmt::Display) -> Fault {
    Fault::Failed(reason.to_string())
}
