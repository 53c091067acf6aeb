//! The order in which the loop saves, publishes and moves its cursor, crashed at every point, taken over, and taken over from an
//! owner that goes on all the same: what comes of it is what comes of one owner that never crashes. And what is fenced stands on
//! the log once, in order, though the server has long forgotten what it was told before the owner stood still.

mod book;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auspex_proto::{Partition, Partitions, Timestamp, stage};
use proptest::prelude::*;

use self::book::{Book, Page, event, kind};
use self::server::{End, Entry, GONE, Server};
use super::slots::{Ages, Arrived, Slots, Unsaved, Which};
use super::under_way::Said;
use super::value::Value;
use crate::bus::Outgoing;
use crate::verb::Speech;

const PROJECTS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Keys, how far all is settled, and places.
type UnderWay = (Vec<String>, (u64, Timestamp), Vec<(String, u64)>);

struct Owner {
    slots: Slots<Book>,
    position: u64,
    settled: (u64, Timestamp),
    under_way: Option<UnderWay>,
    cursor: (u64, u64),
}

impl Owner {
    fn take(server: &mut Server, speech: Speech, poison: BTreeSet<u64>) -> Self {
        let at = (Partition::Number(0), Partitions::new(1).unwrap());
        let (revision, seq, now) = server.cursor;
        let verb = Arc::new(Book { speech });
        let mut slots = Slots::new(stage::FEATURES, at, verb, Timestamp(now));
        slots.poison = poison;
        for (key, (revision, value)) in &server.bucket {
            slots.load(key.clone(), *revision, value).unwrap();
        }
        let unsure: Vec<Outgoing> = slots
            .iter()
            .filter(|(_, slot)| slot.seq > seq || slot.owes)
            .flat_map(|(_, slot)| slot.outbox.iter().cloned())
            .collect();
        for message in unsure {
            server.publish(&Said::from(message)).unwrap();
        }
        Self {
            slots,
            position: seq,
            settled: (seq, Timestamp(now)),
            under_way: None,
            cursor: (revision, seq),
        }
    }

    fn absorb(&mut self, server: &Server, most: usize) {
        let position = self.position;
        for entry in server.log.iter().filter(|entry| entry.seq > position).take(most) {
            let message_id = entry.fact.message_id();
            let message = Arrived {
                seq: entry.seq,
                fact: &entry.fact,
                subject: "x",
                message_id: &message_id,
                payload: &[],
                trace: "",
            };
            self.position = entry.seq;
            self.slots.absorb(entry.time, &message);
        }
    }

    /// As the owner's own, but for a crash after so many effects.
    fn commit(&mut self, server: &mut Server, which: Which, mut left: usize) -> Result<(), End> {
        if self.slots.poisoned {
            return Err(End(std::mem::take(&mut self.slots.poison)));
        }
        let mut effect = || {
            left = left.checked_sub(1).ok_or(GONE)?;
            Ok(())
        };
        if self.slots.speaks() {
            self.land();
        }
        let mut places = Vec::new();
        let mut publish = |server: &mut Server, said: &Said| {
            let place = server.publish(said)?;
            places.push((said.message.subject().to_owned(), place));
            Ok(())
        };
        let (mut keys, said) = self.slots.speak();
        for said in &said {
            effect()?;
            publish(server, said)?;
        }
        let Unsaved { values, .. } = self.slots.take_unsaved(which).unwrap();
        let settled = self.slots.saved_to(self.position);
        if values.is_empty() && said.is_empty() {
            let none = || (Vec::new(), settled, Vec::new());
            self.under_way.get_or_insert_with(none).1 = settled;
            return Ok(());
        }
        let mut saved = Vec::new();
        for (key, revision, value) in values {
            effect()?;
            if server.bucket.get(&key).map_or(0, |(revision, _)| *revision) != revision {
                return Err(GONE);
            }
            server.revision += 1;
            server.bucket.insert(key.clone(), (server.revision, value));
            saved.push((key, server.revision));
        }
        self.land();
        let mut outgoing = Vec::new();
        for (key, revision) in saved {
            outgoing.extend(self.slots.saved(&key, revision));
            keys.push(key);
        }
        for said in outgoing {
            effect()?;
            publish(server, &said)?;
        }
        self.under_way = Some((keys, settled, places));
        Ok(())
    }

    fn land(&mut self) {
        if let Some((keys, settled, places)) = self.under_way.take() {
            self.slots.stands(places);
            keys.iter().for_each(|key| self.slots.acknowledged(key));
            self.settled = settled;
        }
    }

    fn move_cursor(&mut self, server: &mut Server) -> Result<(), End> {
        let (seq, now) = self.settled;
        if seq <= self.cursor.1 {
            return Ok(());
        }
        if server.cursor.0 != self.cursor.0 {
            return Err(GONE);
        }
        server.cursor = (server.cursor.0 + 1, seq, now.0);
        self.cursor = (server.cursor.0, seq);
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many messages, then what is urgent is saved; a crash after so many effects.
    Absorb(usize, usize),
    /// What is older than so many messages, at most so many keys.
    Bite(u64, usize, usize),
    All(usize),
    Land,
    Move,
    Crash,
    /// The owner stands still, somebody else takes over.
    Freeze,
    /// The one that stood still goes on.
    Thaw(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Most have no crash in them.
    let crash = || prop_oneof![4 => Just(usize::MAX), 1 => 0..6_usize];
    let step = prop_oneof![
        6 => (1..6_usize, crash()).prop_map(|(n, crash)| Step::Absorb(n, crash)),
        6 => (0..8_u64, 1..4_usize, crash()).prop_map(|(age, n, crash)| Step::Bite(age, n, crash)),
        1 => crash().prop_map(Step::All),
        3 => Just(Step::Land),
        3 => Just(Step::Move),
        1 => Just(Step::Crash),
        1 => Just(Step::Freeze),
        2 => (0..4_usize, crash()).prop_map(|(n, crash)| Step::Thaw(n, crash)),
    ];
    proptest::collection::vec(step, 1..60)
}

fn log() -> impl Strategy<Value = Vec<(usize, &'static str, u64, i64)>> {
    let kind = prop_oneof![
        8 => Just("x"), 4 => Just("say"), 2 => Just("still"), 2 => Just("two"), 1 => Just("every"), 1 => Just("hurry"),
        1 => Just("bad"), 1 => Just("nobody"),
    ];
    // Few panics: each is told on standard error.
    let kind = prop_oneof![40 => kind, 1 => Just("poison")];
    proptest::collection::vec((0..PROJECTS.len(), kind, 1..4_u64, 0..40_i64), 1..60)
}

/// A log whose places have gaps, and whose stream times go on or stand.
fn server(log: &[(usize, &'static str, u64, i64)]) -> Server {
    let (mut seq, mut server) = (0, Server::default());
    for (project, kind, gap, time) in log {
        seq += gap;
        let fact = event(PROJECTS[*project], (&format!("e{seq}"), 0), kind, String::new());
        let time = Timestamp(100 + i64::try_from(seq).unwrap() * 10 + time);
        server.log.push(Entry { seq, time, fact });
    }
    server
}

/// What one owner makes of it that never crashes, and knows the poison beforehand: what was said, and the states.
fn straight(server: &mut Server) -> (Words, BTreeMap<String, Page>) {
    let poison = server
        .log
        .iter()
        .filter(|entry| kind(&entry.fact) == "poison")
        .map(|entry| entry.seq)
        .collect();
    let mut owner = Owner::take(server, Speech::Saved, poison);
    for _ in 0..server.log.len() {
        owner.absorb(server, 1);
        owner.commit(server, Which::All, usize::MAX).unwrap();
        owner.land();
    }
    (words(server), states(server))
}

/// What was said, by its id.
type Words = BTreeMap<String, Vec<u8>>;

fn words(server: &Server) -> Words {
    let published = server.published.iter();
    published
        .map(|(id, (_, bytes))| (id.clone(), bytes.clone()))
        .collect()
}

fn speech() -> impl Strategy<Value = Speech> {
    prop_oneof![1 => Just(Speech::Saved), 1 => Just(Speech::First), 2 => Just(Speech::Fenced)]
}

fn states(server: &Server) -> BTreeMap<String, Page> {
    let state = |value: &[u8]| Value::<Page>::read(value).unwrap().state;
    let all = server.bucket.iter();
    all.map(|(key, (_, value))| (key.clone(), state(value))).collect()
}

fn step(owner: &mut Owner, server: &mut Server, step: &Step) -> Result<(), End> {
    match *step {
        Step::Absorb(most, crash) | Step::Thaw(most, crash) => {
            owner.absorb(server, most);
            owner.commit(server, Which::Urgent, crash)
        }
        Step::Bite(age, most, crash) => {
            let ages = Ages {
                seen: owner.position.saturating_sub(age),
                unseen: owner.position.saturating_sub(2 * age),
            };
            owner.commit(server, Which::Until(ages, most), crash)
        }
        Step::All(crash) => owner.commit(server, Which::All, crash),
        Step::Land => {
            owner.land();
            Ok(())
        }
        Step::Move => owner.move_cursor(server),
        Step::Crash | Step::Freeze => Err(GONE),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn crashes_and_takeovers_change_nothing(log in log(), steps in steps(), speech in speech()) {
        let (said, pages) = straight(&mut server(&log));
        let mut server = server(&log);
        let mut owner = Owner::take(&mut server, speech, BTreeSet::new());
        let mut frozen: Option<Owner> = None;
        for each in &steps {
            if let Step::Thaw(..) = each {
                server.forgetful = true;
                if let Some(mut woken) = frozen.take()
                    && step(&mut woken, &mut server, each).is_ok()
                    && woken.move_cursor(&mut server).is_ok()
                {
                    frozen = Some(woken);
                }
                server.forgetful = false;
            } else if let Err(end) = step(&mut owner, &mut server, each) {
                let next = Owner::take(&mut server, speech, end.0);
                let before = std::mem::replace(&mut owner, next);
                if matches!(each, Step::Freeze) {
                    frozen = Some(before);
                }
            }
        }
        // The rest, in peace: as often as there is poison it begins again.
        let end = server.log.last().map_or(0, |entry| entry.seq);
        for _ in 0..=3 * server.log.len() {
            owner.absorb(&server, usize::MAX);
            match owner.commit(&mut server, Which::All, usize::MAX) {
                Ok(()) => {
                    owner.land();
                    prop_assert_eq!(owner.settled.0, end.max(owner.position));
                    if owner.move_cursor(&mut server).is_ok() {
                        break;
                    }
                    owner = Owner::take(&mut server, speech, BTreeSet::new());
                }
                Err(fault) => owner = Owner::take(&mut server, speech, fault.0),
            }
        }
        prop_assert_eq!(server.cursor.1, end);
        prop_assert_eq!(states(&server), pages);
        prop_assert_eq!(words(&server), said);
    }
}
