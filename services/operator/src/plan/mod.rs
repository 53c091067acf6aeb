//! What to do, from what is. Pure.

pub mod adopt;
pub mod alive;
pub mod intake;
pub mod status;

use auspex_proto::wire;
use serde_json::Value;

pub use self::intake::Wanted;
use crate::kinds::{self, annotation};

/// What to do next for one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing.
    Rest,
    /// Begin it, and write what came of that.
    Start(wire::Command),
    /// Ask it what its annotation says, and write what came of that.
    Ask(wire::Command),
    /// Write this status.
    Write(Value),
}

/// What is known of one object.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// It, as the API server told it last.
    pub object: &'a Value,
    /// What control says of its rollout; `None`: it knows none.
    pub view: Option<&'a wire::RolloutView>,
    /// How long ago its status was written last by this process; `None`: never, or long ago.
    pub written: Option<std::time::Duration>,
}

/// What holds for all objects.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The project of objects that name none; empty: their namespace.
    pub project: &'a str,
    /// How long a status waits in which only numbers have moved.
    pub quiet: std::time::Duration,
    /// The time to write into conditions, RFC 3339.
    pub stamp: &'a str,
}

/// What to do next for one object.
#[must_use]
pub fn next(known: &Known<'_>, terms: &Terms<'_>) -> Next {
    let object = known.object;
    let wanted = match intake::read(object, terms.project) {
        Ok(wanted) => wanted,
        Err(problem) => return write(known, status::refused(object, &problem, terms.stamp), terms),
    };
    let begun = object
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64);
    // One that is over may be that of an object of the same name which is gone. One that is under way was begun by this
    // object, and the status was never written; if not, control would refuse a second one.
    let over = known
        .view
        .is_none_or(|view| view.ended_ms > 0 || status::is_over(view));
    if begun != Some(wanted.generation) && over {
        return Next::Start(wanted.start());
    }
    if let Some(ask) = annotation(object, kinds::ASK)
        && object.pointer("/status/asked").and_then(Value::as_str) != Some(ask)
        && known.view.is_some()
    {
        return match wanted.ask(ask) {
            Ok(command) => Next::Ask(command),
            Err(problem) => {
                let mut asked = status::of(object, &wanted, known.view, terms.stamp);
                status::note_ask(&mut asked, ask, &problem);
                write(known, asked, terms)
            }
        };
    }
    // Control remembers the last ended rollouts only: what was written of an older one stays.
    match known.view {
        None => Next::Rest,
        view => write(known, status::of(object, &wanted, view, terms.stamp), terms),
    }
}

/// Writes a status that says something new: at once when a word changes, seldom when only numbers move.
fn write(known: &Known<'_>, status: Value, terms: &Terms<'_>) -> Next {
    let last = known.object.get("status").unwrap_or(&Value::Null);
    if *last == status {
        return Next::Rest;
    }
    let quiet = known.written.is_some_and(|ago| ago < terms.quiet);
    if quiet && status::words(last) == status::words(&status) {
        return Next::Rest;
    }
    Next::Write(status)
}

#[cfg(test)]
mod tests;
