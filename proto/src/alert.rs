//! Something a person should know, with its cause ranking.

use serde::{Deserialize, Serialize};

use crate::id::ServiceName;
use crate::invalid::{Invalid, probability};
use crate::meta::{Meta, optional_service, text};
use crate::wire;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// It goes on.
    Firing,
    /// It is over.
    Resolved,
    /// Neither: something happened.
    Notice,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kind {
    HighRisk,
    RolledBack,
    Promoted,
    Held,
    Deployment,
    Model,
}

/// One possible cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// In a few words.
    pub what: String,
    /// Its share of the explanation, 0..=1.
    pub weight: f64,
    /// With its numbers.
    pub detail: String,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The head.
    pub meta: Meta,
    /// What it is about.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// Whether it goes on.
    pub status: Status,
    /// Equal for all alerts of one matter, 1 to 255 bytes.
    pub dedup_key: String,
    /// One line.
    pub title: String,
    /// A few lines.
    pub text: String,
    /// Whose.
    pub service: Option<ServiceName>,
    /// Of which rollout; empty when of none.
    pub rollout: String,
    /// Most likely first.
    pub causes: Vec<Cause>,
    /// Names and values to show beside the text.
    pub facts: Vec<(String, String)>,
    /// To whom it was routed.
    pub receivers: Vec<String>,
}

macro_rules! mapped {
    ($type:ident, $wire:ident, $field:literal, { $($name:ident),* }) => {
        impl $type {
            fn from_wire(value: i32) -> Result<Self, Invalid> {
                match wire::$wire::try_from(value) {
                    $(Ok(wire::$wire::$name) => Ok(Self::$name),)*
                    _ => Err(Invalid::new($field, format!("{value} is not known"))),
                }
            }

            fn to_wire(self) -> wire::$wire {
                match self {
                    $(Self::$name => wire::$wire::$name,)*
                }
            }
        }
    };
}
mapped!(Severity, Severity, "severity", { Info, Warning, Error, Critical });
mapped!(Status, AlertStatus, "status", { Firing, Resolved, Notice });
mapped!(Kind, AlertKind, "kind", { HighRisk, RolledBack, Promoted, Held, Deployment, Model });

impl Alert {
    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(wire: wire::Alert) -> Result<Self, Invalid> {
        if wire.dedup_key.is_empty() || wire.dedup_key.len() > 255 {
            return Err(Invalid::new("dedup_key", "is not 1 to 255 bytes long"));
        }
        let cause = |c: wire::Cause| {
            Ok(Cause {
                what: c.what,
                weight: probability(c.weight, "causes.weight")?,
                detail: c.detail,
            })
        };
        Ok(Self {
            meta: Meta::from_wire(wire.meta)?,
            kind: Kind::from_wire(wire.kind)?,
            severity: Severity::from_wire(wire.severity)?,
            status: Status::from_wire(wire.status)?,
            dedup_key: wire.dedup_key,
            title: wire.title,
            text: wire.text,
            service: optional_service(wire.service)?,
            rollout: wire.rollout,
            causes: wire.causes.into_iter().map(cause).collect::<Result<_, _>>()?,
            facts: wire.facts.into_iter().map(|f| (f.name, f.value)).collect(),
            receivers: wire.receivers,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Alert {
        let cause = |c: &Cause| wire::Cause {
            what: c.what.clone(),
            weight: c.weight,
            detail: c.detail.clone(),
        };
        let fact = |(name, value): &(String, String)| wire::Fact {
            name: name.clone(),
            value: value.clone(),
        };
        wire::Alert {
            meta: self.meta.to_wire(),
            kind: self.kind.to_wire().into(),
            severity: self.severity.to_wire().into(),
            status: self.status.to_wire().into(),
            dedup_key: self.dedup_key.clone(),
            title: self.title.clone(),
            text: self.text.clone(),
            service: text(self.service.as_ref()),
            rollout: self.rollout.clone(),
            causes: self.causes.iter().map(cause).collect(),
            facts: self.facts.iter().map(fact).collect(),
            receivers: self.receivers.clone(),
        }
    }
}
