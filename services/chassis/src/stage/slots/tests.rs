use auspex_proto::command::Ask;
use auspex_proto::event::Body;
use auspex_proto::{Command, Event, FactId, Meta, Project, RolloutName, stage};

use super::*;
use crate::verb::Reject;

/// Counts, and says nothing.
struct Quiet;

impl Verb for Quiet {
    type State = u64;

    fn route(&self, fact: &Fact) -> Route {
        Route::Key(fact.project().to_string())
    }

    fn absorb(&self, state: &mut u64, _input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        *state += 1;
        Ok(Vec::new())
    }
}

fn meta() -> Meta {
    Meta {
        id: FactId::new("one").unwrap(),
        project: Project::new("a").unwrap(),
        time: Timestamp(1),
        cause: 0,
        source: String::new(),
    }
}

fn absorb(slots: &mut Slots<Quiet>, seq: u64, fact: &Fact) {
    let message = Arrived {
        seq,
        fact,
        subject: "",
        message_id: "one",
        payload: &[],
        trace: "",
    };
    slots.absorb(Timestamp(1), &message);
}

#[test]
fn what_nobody_waits_for_is_saved_later_and_only_then_settled() {
    let at = (Partition::Number(0), Partitions::new(1).unwrap());
    let mut slots = Slots::new(stage::CANARY, at, std::sync::Arc::new(Quiet), Timestamp(0));
    let body = Body::Other {
        kind: "x".to_owned(),
        json: String::new(),
    };
    absorb(&mut slots, 1, &Fact::Event(Event { meta: meta(), body }));
    assert!(slots.take_unsaved(Which::Urgent).unwrap().values.is_empty());
    assert!(slots.has_unsaved(), "the cursor may not pass it");
    let saved = slots.take_unsaved(Which::All).unwrap().values;
    assert_eq!(saved.len(), 1);
    assert!(!slots.has_unsaved());
    assert_eq!(Value::<u64>::read(&saved[0].2).unwrap().seq, 1);
}

#[test]
fn a_command_is_saved_at_once_since_somebody_waits_for_its_answer() {
    let at = (Partition::Number(0), Partitions::new(1).unwrap());
    let mut slots = Slots::new(stage::CANARY, at, std::sync::Arc::new(Quiet), Timestamp(0));
    let command = Command {
        meta: meta(),
        rollout: RolloutName::new("r").unwrap(),
        actor: String::new(),
        note: String::new(),
        ask: Ask::Pause,
    };
    absorb(&mut slots, 1, &Fact::Command(command));
    assert_eq!(slots.take_unsaved(Which::Urgent).unwrap().values.len(), 1);
    assert!(!slots.has_unsaved());
}
