//! A change: the one event whose body is what the default model reads.

use serde::{Deserialize, Serialize};

use super::body::count;
use crate::id::Revision;
use crate::invalid::Invalid;
use crate::time::Timestamp;
use crate::wire;

/// How many touched paths an event keeps; `stats.files` tells the true number.
pub const MAX_PATHS: usize = 3_000;

/// A revision that is on its way to users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The head commit.
    pub revision: Revision,
    /// Empty when unknown.
    pub branch: String,
    /// Empty when unknown.
    pub author: String,
    /// First line of the message.
    pub title: String,
    /// Paths touched, at most [`MAX_PATHS`].
    pub paths: Vec<String>,
    /// What only a checkout can tell.
    pub stats: Option<ChangeStats>,
    /// When it was written; `None` when unknown.
    pub authored: Option<Timestamp>,
    /// How deeply nested what it adds is; `None` where nobody has looked at the lines.
    #[serde(default)]
    pub complexity: Option<ChangeComplexity>,
}

/// Indentation of the lines that a change adds to code, in levels: a cheap stand-in for how many branches enclose them. Of
/// [`ChangeStats`] and the model's schema it is no part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangeComplexity {
    /// Over all lines added.
    pub sum: f64,
    /// Of a line.
    pub mean: f64,
    /// Standard deviation over the lines.
    pub deviation: f64,
}

/// The Kamei features of a change. Every one may be unknown; units as in the model's manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ChangeStats {
    pub subsystems: Option<f64>,
    pub directories: Option<f64>,
    pub files: Option<f64>,
    pub entropy: Option<f64>,
    pub lines_added: Option<f64>,
    pub lines_deleted: Option<f64>,
    pub lines_before: Option<f64>,
    pub is_fix: Option<f64>,
    pub developers: Option<f64>,
    pub age_days: Option<f64>,
    pub unique_changes: Option<f64>,
    pub author_experience: Option<f64>,
    pub author_recent_experience: Option<f64>,
    pub author_subsystem_experience: Option<f64>,
}

impl Change {
    pub(super) fn from_wire(wire: wire::Change) -> Result<Self, Invalid> {
        if wire.paths.len() > MAX_PATHS {
            return Err(Invalid::new(
                "paths",
                format!("are {}, at most {MAX_PATHS} are allowed", wire.paths.len()),
            ));
        }
        Ok(Self {
            revision: Revision::new(wire.revision)?,
            branch: wire.branch,
            author: wire.author,
            title: wire.title,
            paths: wire.paths,
            stats: wire
                .stats
                .map(ChangeStats::from_wire)
                .transpose()
                .map_err(|f| f.within("stats"))?,
            authored: (wire.authored_ms != 0).then_some(Timestamp(wire.authored_ms)),
            complexity: wire
                .complexity
                .map(ChangeComplexity::from_wire)
                .transpose()
                .map_err(|f| f.within("complexity"))?,
        })
    }

    pub(super) fn to_wire(&self) -> wire::Change {
        wire::Change {
            revision: self.revision.to_string(),
            branch: self.branch.clone(),
            author: self.author.clone(),
            title: self.title.clone(),
            paths: self.paths.clone(),
            stats: self.stats.map(ChangeStats::to_wire),
            authored_ms: self.authored.map_or(0, |t| t.0),
            complexity: self.complexity.map(ChangeComplexity::to_wire),
        }
    }
}

impl ChangeComplexity {
    fn from_wire(wire: wire::ChangeComplexity) -> Result<Self, Invalid> {
        let levels = |value, name| Ok::<f64, Invalid>(count(Some(value), name)?.unwrap_or_default());
        Ok(Self {
            sum: levels(wire.sum, "sum")?,
            mean: levels(wire.mean, "mean")?,
            deviation: levels(wire.deviation, "deviation")?,
        })
    }

    fn to_wire(self) -> wire::ChangeComplexity {
        wire::ChangeComplexity {
            sum: self.sum,
            mean: self.mean,
            deviation: self.deviation,
        }
    }
}

macro_rules! stats {
    ($($field:ident),*) => {
        impl ChangeStats {
            fn from_wire(wire: wire::ChangeStats) -> Result<Self, Invalid> {
                Ok(Self { $($field: count(wire.$field, stringify!($field))?),* })
            }

            fn to_wire(self) -> wire::ChangeStats {
                wire::ChangeStats { $($field: self.$field),* }
            }

            /// Names and values, in the order of the `change-risk` schema.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, Option<f64>)> {
                vec![$((stringify!($field), self.$field)),*]
            }
        }
    };
}
stats!(
    subsystems,
    directories,
    files,
    entropy,
    lines_added,
    lines_deleted,
    lines_before,
    is_fix,
    developers,
    age_days,
    unique_changes,
    author_experience,
    author_recent_experience,
    author_subsystem_experience
);
