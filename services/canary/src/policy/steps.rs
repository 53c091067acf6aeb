//! Weights and pauses in order, in Argo's semantics: `setWeight` is done when the weight is there, a pause when its time has
//! passed or a person says so; after the last step the candidate gets everything, unless there was nothing to judge by.

use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Reason};
use serde::{Deserialize, Serialize};

use super::{Sight, Wish};
use crate::document::Step;

/// Where the steps stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// The step that is not done yet, from 0.
    pub index: usize,
    /// Since when, by the watched clock.
    pub since: Timestamp,
    /// It is a pause without an end, and has said so: a person may let it go on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// A person has resumed it.
    pub released: bool,
    /// The weight with which its steps began: what the legs before have reached. Due until the first `setWeight`.
    pub base: u8,
}

impl Cursor {
    fn next(self, now: Timestamp) -> Self {
        Self {
            index: self.index + 1,
            since: now,
            asks: false,
            released: false,
            ..self
        }
    }

    /// A person lets it go on. A pause that has not begun, behind a gate say, is still to come, and one with a length still lasts
    /// that long.
    pub fn release(&mut self) {
        self.released = self.asks;
    }
}

/// What the step at the cursor wishes.
#[must_use]
pub fn wish(steps: &[Step], cursor: Cursor, sight: &Sight<'_>) -> (Cursor, Option<Wish>) {
    let mut cursor = cursor;
    // A person's push ends the step at hand, whatever it is.
    if sight.pushed && cursor.index < steps.len() {
        cursor = cursor.next(sight.watched);
    }
    // A weight that was taken back (no capacity) is due again.
    let done = steps.iter().take(cursor.index).rev();
    let due = done
        .filter_map(|step| step.set_weight)
        .next()
        .unwrap_or(cursor.base);
    let ahead = steps.get(cursor.index).and_then(|step| step.set_weight);
    if sight.weight != due && ahead.is_none() {
        let text = format!("weight {due} % is due again");
        return (
            cursor,
            Some(Wish::new(Action::Advance, due, Reason::StepDone, text)),
        );
    }
    while let Some(step) = steps.get(cursor.index) {
        let label = format!("step {} of {}", cursor.index + 1, steps.len());
        match (step.set_weight, &step.pause) {
            (Some(weight), _) if sight.weight != weight => {
                let text = format!("{label}: weight {weight} %");
                return (
                    cursor,
                    Some(Wish::new(Action::Advance, weight, Reason::StepDone, text)),
                );
            }
            (None, Some(pause)) => match pause.duration {
                None if cursor.released => {}
                None => {
                    cursor.asks = true;
                    let text = match step.analysis.as_str() {
                        "" => format!("{label}: pause until resumed or promoted"),
                        name => format!("{label}: pause until the analysis {name} has succeeded"),
                    };
                    return (
                        cursor,
                        Some(Wish::new(Action::Pause, sight.weight, Reason::StepWait, text)),
                    );
                }
                Some(span) if sight.watched.since(cursor.since) < span.duration() => {
                    let text = format!("{label}: pause of {span} at {} %", sight.weight);
                    return (
                        cursor,
                        Some(Wish::new(Action::Hold, sight.weight, Reason::StepWait, text)),
                    );
                }
                Some(_) => {}
            },
            _ => {}
        }
        cursor = cursor.next(sight.watched);
    }
    (cursor, Some(end(steps.len(), sight)))
}

fn end(steps: usize, sight: &Sight<'_>) -> Wish {
    match sight.none {
        Some(why) if !sight.pushed => {
            let text = format!("all {steps} steps are done, and there is nothing to judge by: {why}");
            Wish::new(Action::Hold, sight.weight, Reason::NoEvidence, text)
        }
        _ => {
            let text = format!("all {steps} steps are done; {}", sight.figures);
            Wish::new(Action::Promote, 100, Reason::StepDone, text)
        }
    }
}
