//! What happened outside, in the words of its source, becomes events in ours.
//!
//! Pure: bytes and the time of arrival go in as values, events come out. An event's time is its sender's; the time of
//! arrival is the last resort of a payload that has none. Ids are hashes of the sender's own, so a delivery that comes
//! twice is the same fact twice.
//!
//! *Invariants*: whatever comes out can be read back from the log; a payload is mapped, ignored by a name that says why,
//! or refused naming the field; nothing here panics, whatever the payload.

mod cdevents;
mod cloudevents;
mod field;
mod github;
mod projects;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use auspex_proto::event::Body;
use auspex_proto::{Event, FactId, Invalid, Meta, Project, Timestamp};

pub use self::cloudevents::{Envelope, binary, cloudevent, structured};
pub use self::github::{Delivery, form_payload, github};
pub use self::projects::Projects;

/// The source of what GitHub delivers.
pub const GITHUB: &str = "github";

/// How many paths a change keeps: as many as its wire type says.
pub const MAX_PATHS: usize = 3_000;

/// How many bytes of paths a change keeps, beside their number: a change of 3,000 long paths would not fit the bus.
pub const MAX_PATH_BYTES: usize = 384 * 1024;

/// How long a text that people read may get, in bytes.
const MAX_TEXT: usize = 512;

/// What a payload turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalized {
    /// What it means, in the order in which it has to enter the log. Never empty.
    Event(Vec<Event>),
    /// Nothing to us; `kind` says which nothing, from a small fixed set of words per source.
    Ignored {
        /// As in `star`, `push.tag`.
        kind: String,
    },
}

impl Normalized {
    fn ignored(kind: impl Into<String>) -> Self {
        Self::Ignored { kind: kind.into() }
    }
}

/// What every event of one payload has in common.
struct Head {
    source: String,
    id: String,
    project: Project,
    time: Timestamp,
}

impl Head {
    /// The `index`-th event of the payload, checked as a reader of the log will check it.
    fn event(&self, index: usize, body: Body) -> Result<Event, Invalid> {
        let id = match index {
            0 => FactId::outside(&self.source, &self.id),
            // No source has a line feed in its ids: no other payload can have this one.
            more => FactId::outside(&self.source, &format!("{}\n{more}", self.id)),
        };
        let event = Event {
            meta: Meta {
                id,
                project: self.project.clone(),
                time: self.time,
                cause: 0,
                source: self.source.clone(),
            },
            body,
        };
        Event::from_wire(event.to_wire())
    }
}

/// The first line, cut to what people read.
pub(crate) fn title(text: &str) -> String {
    short(text.lines().next().unwrap_or_default().trim())
}

/// A text cut at a character's border.
fn short(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// Each path once, in order, as many as an event keeps.
pub(crate) fn fitting_paths(paths: BTreeSet<&str>) -> Vec<String> {
    let mut room = MAX_PATH_BYTES;
    let fits = |path: &&str| {
        // Four bytes are what the wire puts around a path.
        room = room.saturating_sub(path.len() + 4);
        room > 0
    };
    paths
        .into_iter()
        .take(MAX_PATHS)
        .take_while(fits)
        .map(str::to_owned)
        .collect()
}
