//! What every fact carries, and what a vector or a score is about.

use serde::{Deserialize, Serialize};

use crate::id::{FactId, Project, Revision, ServiceName};
use crate::invalid::{Invalid, required};
use crate::time::Timestamp;
use crate::wire;

/// The head of every fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Unique within the fact's kind.
    pub id: FactId,
    /// To which order it belongs.
    pub project: Project,
    /// When it happened, as its source says.
    pub time: Timestamp,
    /// The sequence of the fact it was derived from; 0: from outside.
    pub cause: u64,
    /// Who says so.
    pub source: String,
}

impl Meta {
    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(meta: Option<wire::Meta>) -> Result<Self, Invalid> {
        let meta = required(meta, "meta")?;
        let of = |fault: Invalid| fault.within("meta");
        if meta.source.len() > 1024 {
            return Err(Invalid::new("meta.source", "is longer than 1,024 bytes"));
        }
        Ok(Self {
            id: FactId::new(meta.id).map_err(of)?,
            project: Project::new(meta.project).map_err(of)?,
            time: Timestamp(meta.time_ms),
            cause: meta.cause_seq,
            source: meta.source,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> Option<wire::Meta> {
        Some(wire::Meta {
            id: self.id.to_string(),
            project: self.project.to_string(),
            time_ms: self.time.0,
            cause_seq: self.cause,
            source: self.source.clone(),
        })
    }
}

/// The kind of thing a vector or a score is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityKind {
    /// A revision.
    Change,
    /// A CI run.
    Run,
    /// A deployment.
    Deployment,
}

/// What a vector or a score is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its kind.
    pub kind: EntityKind,
    /// Its id among its kind: the revision, the run, the deployment.
    pub id: String,
    /// The revision behind it.
    pub revision: Revision,
    /// The service it will run as, when known.
    pub service: Option<ServiceName>,
}

impl Entity {
    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(entity: Option<wire::Entity>) -> Result<Self, Invalid> {
        let entity = required(entity, "entity")?;
        let kind = match wire::EntityKind::try_from(entity.kind) {
            Ok(wire::EntityKind::Change) => EntityKind::Change,
            Ok(wire::EntityKind::Run) => EntityKind::Run,
            Ok(wire::EntityKind::Deployment) => EntityKind::Deployment,
            _ => {
                return Err(Invalid::new(
                    "entity.kind",
                    format!("{} is not a kind of entity", entity.kind),
                ));
            }
        };
        Ok(Self {
            kind,
            id: FactId::new(entity.id).map_err(|f| f.within("entity"))?.into(),
            revision: Revision::new(entity.revision).map_err(|f| f.within("entity"))?,
            service: optional_service(entity.service)?,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> Option<wire::Entity> {
        let kind = match self.kind {
            EntityKind::Change => wire::EntityKind::Change,
            EntityKind::Run => wire::EntityKind::Run,
            EntityKind::Deployment => wire::EntityKind::Deployment,
        };
        Some(wire::Entity {
            kind: kind.into(),
            id: self.id.clone(),
            revision: self.revision.to_string(),
            service: self.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        })
    }
}

/// A service name that may be left empty.
pub(crate) fn optional_service(text: String) -> Result<Option<ServiceName>, Invalid> {
    if text.is_empty() {
        Ok(None)
    } else {
        ServiceName::new(text).map(Some)
    }
}

/// A revision that may be left empty.
pub(crate) fn optional_revision(text: String) -> Result<Option<Revision>, Invalid> {
    if text.is_empty() {
        Ok(None)
    } else {
        Revision::new(text).map(Some)
    }
}

/// The text of an optional name: empty when there is none.
pub(crate) fn text<T: ToString>(name: Option<&T>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}
