//! Why a value is not what it claims to be: the field and the reason, for a person to read.

use thiserror::Error;

/// A value that a domain type refuses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// Path of the field at fault, as in `event.change.revision`.
    pub field: String,
    /// What is wrong with it, lowercase, one line.
    pub reason: String,
}

impl Invalid {
    /// Names the field and the reason.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The same fault of a field that is called otherwise where it stands.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        Self::new(field, self.reason)
    }

    /// The same fault seen from the message that holds the field.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self {
            field: format!("{parent}.{}", self.field),
            reason: self.reason,
        }
    }
}

/// A required message field, or the fault that it is missing.
pub(crate) fn required<T>(value: Option<T>, field: &str) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "is missing"))
}

/// A number that must be finite.
pub(crate) fn finite(value: f64, field: &str) -> Result<f64, Invalid> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Invalid::new(field, format!("{value} is not a finite number")))
    }
}

/// A number that must be a probability, 0..=1.
pub(crate) fn probability(value: f64, field: &str) -> Result<f64, Invalid> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Invalid::new(field, format!("{value} is not within 0..=1")))
    }
}

/// A percentage, 0..=100.
pub(crate) fn percent(value: u32, field: &str) -> Result<u8, Invalid> {
    u8::try_from(value)
        .ok()
        .filter(|v| *v <= 100)
        .ok_or_else(|| Invalid::new(field, format!("{value} is not within 0..=100")))
}
