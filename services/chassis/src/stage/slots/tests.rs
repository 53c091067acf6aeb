use auspex_proto::command::Ask;
use auspex_proto::event::Body;
use auspex_proto::{Command, Event, FactId, Meta, Project, RolloutName, stage};

use super::*;
use crate::stage::under_way::Said;
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

/// A command, whose answer somebody waits for.
fn pause() -> Fact {
    Fact::Command(Command {
        meta: meta(),
        rollout: RolloutName::new("r").unwrap(),
        actor: String::new(),
        note: String::new(),
        ask: Ask::Pause,
    })
}

/// Slots of a stage that counts, whose log stood at this time.
fn quiet(time: Timestamp) -> Slots<Quiet> {
    let at = (Partition::Number(0), Partitions::new(1).unwrap());
    Slots::new(stage::CANARY, at, std::sync::Arc::new(Quiet), time)
}

fn absorb(slots: &mut Slots<Quiet>, seq: u64, fact: &Fact) {
    absorb_at(slots, (seq, Timestamp(1)), fact);
}

fn absorb_at<V: Verb>(slots: &mut Slots<V>, (seq, time): (u64, Timestamp), fact: &Fact) {
    let message = Arrived {
        seq,
        fact,
        subject: "",
        message_id: "one",
        payload: &[],
        trace: "",
    };
    slots.absorb(time, &message);
}

#[test]
fn what_nobody_waits_for_is_saved_later_and_only_then_settled() {
    let mut slots = quiet(Timestamp(0));
    absorb(&mut slots, 1, &other("a"));
    assert!(slots.take_unsaved(Which::Urgent).unwrap().values.is_empty());
    assert_eq!(slots.saved_to(1).0, 0, "the cursor may not pass it");
    let saved = slots.take_unsaved(Which::All).unwrap().values;
    assert_eq!(saved.len(), 1);
    assert_eq!(slots.saved_to(1).0, 1);
    assert_eq!(Value::<u64>::read(&saved[0].2).unwrap().seq, 1);
}

#[test]
fn a_command_is_saved_at_once_since_somebody_waits_for_its_answer() {
    let mut slots = quiet(Timestamp(0));
    absorb(&mut slots, 1, &pause());
    assert_eq!(slots.take_unsaved(Which::Urgent).unwrap().values.len(), 1);
    assert_eq!(slots.saved_to(1).0, 1);
}

/// An event of a project, which nobody waits for.
fn other(project: &str) -> Fact {
    let meta = Meta {
        project: Project::new(project).unwrap(),
        ..meta()
    };
    let body = Body::Other {
        kind: "x".to_owned(),
        json: String::new(),
    };
    Fact::Event(Event { meta, body })
}

/// Of age up to here, whoever looks.
fn both(seq: u64) -> Ages {
    Ages {
        seen: seq,
        unseen: seq,
    }
}

fn keys(unsaved: Unsaved) -> Vec<String> {
    unsaved.values.into_iter().map(|(key, _, _)| key).collect()
}

#[test]
fn a_bite_takes_what_has_waited_longest_and_the_cursor_follows() {
    let mut slots = quiet(Timestamp(5));
    for (seq, time, project) in [
        (3, 10, "c"),
        (4, 20, "a"),
        (6, 30, "b"),
        (7, 40, "c"),
        (9, 50, "d"),
    ] {
        absorb_at(&mut slots, (seq, Timestamp(time)), &other(project));
    }
    assert_eq!(
        slots.saved_to(9),
        (2, Timestamp(5)),
        "with the time before the first that waits"
    );
    assert_eq!(
        keys(slots.take_unsaved(Which::Until(both(6), 2)).unwrap()),
        ["c", "a"]
    );
    assert_eq!(slots.saved_to(9), (5, Timestamp(20)));
    // What is absorbed after it was saved waits anew, behind all others.
    absorb_at(&mut slots, (10, Timestamp(60)), &other("a"));
    assert_eq!(keys(slots.take_unsaved(Which::Until(both(6), 2)).unwrap()), ["b"]);
    assert_eq!(slots.saved_to(10), (8, Timestamp(40)));
    assert_eq!(slots.touched(), 2);
    assert_eq!(keys(slots.take_unsaved(Which::All).unwrap()), ["d", "a"]);
    assert_eq!(slots.saved_to(10), (10, Timestamp(60)));
}

#[test]
fn what_nobody_looks_at_waits_longer_and_holds_the_cursor_so_long() {
    let at = (Partition::Number(0), Partitions::new(1).unwrap());
    let mut slots = Slots::new(stage::CANARY, at, std::sync::Arc::new(Unseen), Timestamp(0));
    for (seq, project) in [(1, "hidden"), (2, "shown"), (3, "hidden"), (4, "shown too")] {
        absorb_at(&mut slots, (seq, Timestamp(10)), &other(project));
    }
    let ages = |seen, unseen| Ages { seen, unseen };
    assert!(slots.is_due(ages(2, 0)) && !slots.is_due(ages(1, 0)));
    assert_eq!(
        keys(slots.take_unsaved(Which::Until(ages(4, 0), 1)).unwrap()),
        ["shown"]
    );
    assert!(slots.is_due(ages(4, 0)), "a part was left");
    assert_eq!(
        keys(slots.take_unsaved(Which::Until(ages(4, 0), 8)).unwrap()),
        ["shown too"]
    );
    assert!(!slots.is_due(ages(4, 0)) && slots.is_due(ages(4, 1)));
    assert_eq!(slots.saved_to(4).0, 0, "the cursor may not pass it");
    // The longest waiting comes first, whoever looks.
    absorb_at(&mut slots, (5, Timestamp(10)), &other("shown"));
    let bite = |slots: &mut Slots<Unseen>| keys(slots.take_unsaved(Which::Until(both(9), 1)).unwrap());
    assert_eq!(bite(&mut slots), ["hidden"]);
    assert_eq!(slots.saved_to(5).0, 4);
    assert_eq!(bite(&mut slots), ["shown"]);
    assert_eq!(slots.saved_to(5).0, 5);
}

#[test]
fn what_somebody_may_look_at_waits_no_longer_for_what_nobody_did_before() {
    let at = (Partition::Number(0), Partitions::new(1).unwrap());
    let mut slots = Slots::new(stage::CANARY, at, std::sync::Arc::new(Unseen), Timestamp(0));
    let ages = |seen, unseen| Ages { seen, unseen };
    for (seq, time) in [(1, 10), (2, 20), (3, 30)] {
        absorb_at(&mut slots, (seq, Timestamp(time)), &other("every other"));
    }
    assert_eq!(
        slots.saved_to(3),
        (0, Timestamp(0)),
        "the first of either kind holds the cursor"
    );
    assert!(slots.is_due(ages(2, 0)), "at its own age");
    assert_eq!(
        keys(slots.take_unsaved(Which::Until(ages(2, 0), 8)).unwrap()),
        ["every other"]
    );
    assert_eq!(slots.saved_to(3).0, 3, "with all that came before and after");
    assert!(!slots.is_due(both(9)));
}

/// Counts, and shows it unless its key says otherwise, always or every other time.
struct Unseen;

impl Verb for Unseen {
    type State = (u64, bool);

    fn route(&self, fact: &Fact) -> Route {
        Route::Key(fact.project().to_string())
    }

    fn absorb(&self, state: &mut (u64, bool), input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let count = state.0 + 1;
        let is_shown = match input.key {
            "hidden" => false,
            "every other" => count.is_multiple_of(2),
            _ => true,
        };
        *state = (count, is_shown);
        Ok(Vec::new())
    }

    fn is_seen(&self, (_, shown): &(u64, bool), _: &Fact) -> bool {
        *shown
    }
}

#[test]
fn what_is_urgent_is_in_every_bite_and_holds_the_cursor_no_longer() {
    let mut slots = quiet(Timestamp(0));
    absorb(&mut slots, 1, &other("a"));
    absorb(&mut slots, 2, &other("b"));
    absorb(&mut slots, 3, &pause());
    assert_eq!(keys(slots.take_unsaved(Which::Until(both(0), 8)).unwrap()), ["a"]);
    assert_eq!(slots.saved_to(3).0, 1);
    // An errand's result is in no message of the log.
    slots.settle(
        "a",
        |count, _| {
            *count += 1;
            Vec::new()
        },
        Timestamp(2),
    );
    assert_eq!(keys(slots.take_unsaved(Which::Urgent).unwrap()), ["a"]);
    assert_eq!(keys(slots.take_unsaved(Which::All).unwrap()), ["b"]);
    assert_eq!(slots.saved_to(3).0, 3);
}

/// Says each event back.
struct Echo(Speech);

impl Verb for Echo {
    type State = u64;

    fn route(&self, fact: &Fact) -> Route {
        Route::Key(fact.project().to_string())
    }

    fn absorb(&self, state: &mut u64, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        *state += 1;
        Ok(vec![input.fact.clone()])
    }

    fn speech(&self) -> Speech {
        self.0
    }
}

fn echo(speech: Speech) -> Slots<Echo> {
    let at = (Partition::Number(0), Partitions::new(1).unwrap());
    Slots::new(
        stage::FEATURES,
        at,
        std::sync::Arc::new(Echo(speech)),
        Timestamp(0),
    )
}

fn absorb_echo(slots: &mut Slots<Echo>, seq: u64, fact: &Fact) {
    absorb_at(slots, (seq, Timestamp(1)), fact);
}

#[test]
fn who_speaks_first_is_saved_later_with_what_is_still_under_way() {
    let mut slots = echo(Speech::First);
    let absorb = |slots: &mut Slots<Echo>, seq: u64, project: &str| absorb_echo(slots, seq, &other(project));
    absorb(&mut slots, 1, "a");
    absorb(&mut slots, 2, "b");
    absorb(&mut slots, 3, "a");
    assert!(slots.take_unsaved(Which::Urgent).unwrap().values.is_empty());
    let (spoke, said) = slots.speak();
    assert_eq!(
        (spoke, said.len()),
        (vec!["a".to_owned(), "b".to_owned(), "a".to_owned()], 3)
    );
    assert!(!slots.speaks() && slots.speak().1.is_empty());
    assert_eq!(slots.saved_to(3).0, 0, "said, and not saved");
    // Said and not acknowledged: whoever takes over from what is saved says it again.
    let outbox = |unsaved: Unsaved| {
        let (key, _, value) = unsaved.values.into_iter().next().unwrap();
        (key, Value::<u64>::read(&value).unwrap().outbox.len())
    };
    slots.acknowledged("b");
    assert_eq!(
        outbox(slots.take_unsaved(Which::Until(both(1), 1)).unwrap()),
        ("a".to_owned(), 2)
    );
    assert!(slots.saved("a", 7).is_empty(), "it is not sent twice");
    slots.acknowledged("a");
    assert_eq!(
        outbox(slots.take_unsaved(Which::All).unwrap()),
        ("b".to_owned(), 0)
    );
    assert_eq!(slots.saved_to(3).0, 3);
    absorb(&mut slots, 4, "a");
    assert_eq!(slots.speak().1.len(), 1, "only what is new");
}

#[test]
fn what_comes_behind_a_dead_letter_waits_with_it_for_the_save() {
    for speech in [Speech::First, Speech::Fenced] {
        let mut slots = echo(speech);
        slots.poison.insert(1);
        absorb_echo(&mut slots, 1, &other("a"));
        absorb_echo(&mut slots, 2, &other("a"));
        assert!(slots.speaks() && slots.speak().1.is_empty());
        assert_eq!(keys(slots.take_unsaved(Which::Urgent).unwrap()), ["a"]);
        let facts: Vec<bool> = slots
            .saved("a", 1)
            .iter()
            .map(|said| said.message.is_fact())
            .collect();
        assert_eq!(facts, [false, true], "in their order");
    }
}

#[test]
fn what_is_fenced_goes_out_before_its_save_once_the_place_before_it_is_known() {
    let mut slots = echo(Speech::Fenced);
    let land = |slots: &mut Slots<Echo>, places: Vec<(String, u64)>| {
        slots.acknowledged("a");
        slots.stands(places);
    };
    let subject = |said: &Said| said.message.subject().to_owned();
    // The first waits for the save.
    absorb_echo(&mut slots, 1, &other("a"));
    assert!(slots.speaks() && slots.speak().1.is_empty());
    assert_eq!(keys(slots.take_unsaved(Which::Urgent).unwrap()), ["a"]);
    let first = slots.saved("a", 1);
    assert_eq!(first.len(), 1);
    land(&mut slots, vec![(subject(&first[0]), 41)]);
    // The next does not: it is heard first, and saved with the next bite, whatever its age.
    absorb_echo(&mut slots, 2, &other("a"));
    let (spoke, said) = slots.speak();
    assert_eq!((spoke.len(), said.len(), said[0].after), (1, 1, Some(41)));
    assert!(slots.take_unsaved(Which::Urgent).unwrap().values.is_empty() && slots.has_spoken());
    assert_eq!(slots.saved_to(2).0, 1);
    assert_eq!(keys(slots.take_unsaved(Which::Until(both(0), 0)).unwrap()), ["a"]);
    assert!(!slots.has_spoken());
    assert!(slots.saved("a", 2).is_empty(), "it is not sent twice");
    // Until it is acknowledged the next save keeps it.
    absorb_echo(&mut slots, 3, &pause());
    assert!(
        !slots.speaks(),
        "who commands may look at the state as soon as there is an answer"
    );
    let (_, _, value) = slots.take_unsaved(Which::Urgent).unwrap().values.remove(0);
    assert_eq!(Value::<u64>::read(&value).unwrap().outbox.len(), 2);
    let commanded = slots.saved("a", 3);
    assert_eq!((commanded.len(), commanded[0].after), (1, None));
    // An echo of what the server was told before has the place of the first time.
    land(
        &mut slots,
        vec![
            (subject(&first[0]), 43),
            (subject(&first[0]), 41),
            (subject(&commanded[0]), 42),
        ],
    );
    // Of two only the first could name its place.
    absorb_echo(&mut slots, 4, &other("a"));
    absorb_echo(&mut slots, 5, &other("a"));
    assert!(slots.speak().1.is_empty());
    assert_eq!(keys(slots.take_unsaved(Which::Urgent).unwrap()), ["a"]);
    let both = slots.saved("a", 4);
    assert_eq!((both.len(), both[0].after, both[1].after), (2, None, None));
    land(&mut slots, Vec::new());
    absorb_echo(&mut slots, 6, &other("a"));
    assert_eq!(slots.speak().1[0].after, Some(43));
    // What waits for its save is fenced where it stands alone.
    slots.take_unsaved(Which::All).unwrap();
    slots.saved("a", 5);
    land(&mut slots, Vec::new());
    absorb_echo(&mut slots, 7, &pause());
    slots.take_unsaved(Which::Urgent).unwrap();
    assert_eq!(slots.saved("a", 6)[0].after, Some(42));
}
