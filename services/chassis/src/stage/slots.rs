//! The states of one partition, and what absorbing a message does to them. Pure: the loop and the replay share it.

mod speaking;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use auspex_proto::stage::Stage;
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Partition, Partitions, Timestamp};

use super::fences::Fences;
use super::slot::{Digest, Slot};
use super::unsaved::Touched;
pub(crate) use super::unsaved::{Ages, Which};
use super::value::{self, Value};
use crate::bus::{DeadLetter, Outgoing};
use crate::telemetry::Trace;
use crate::verb::{Input, Route, Speech, Verb};

/// One message of the log, decoded.
pub(crate) struct Arrived<'a> {
    pub(crate) seq: u64,
    pub(crate) fact: &'a Fact,
    pub(crate) subject: &'a str,
    pub(crate) message_id: &'a str,
    pub(crate) payload: &'a [u8],
    /// Its trace header; empty when it begins a trace of its own.
    pub(crate) trace: &'a str,
}

/// What is to be saved.
#[derive(Default)]
pub(crate) struct Unsaved {
    /// Keys, the revisions they must still have, and their values.
    pub(crate) values: Vec<(String, u64, Vec<u8>)>,
    /// All keys that were looked at: once the values are saved, the bucket knows what their owner knows.
    pub(crate) keys: Vec<String>,
}

/// All keys of a partition, as one stage knows them.
pub(crate) struct Slots<V: Verb> {
    stage: Stage,
    partition: Partition,
    partitions: Partitions,
    verb: std::sync::Arc<V>,
    /// Each in a place of its own: within the tree they would leave half of its nodes empty.
    keys: BTreeMap<String, Box<Slot<V::State>>>,
    touched: Touched,
    due: BTreeSet<(Timestamp, String)>,
    /// The time of the log: the greatest stream time so far.
    pub(crate) now: Timestamp,
    /// The last message that was looked at, and the time of the log before it.
    last: (u64, Timestamp),
    /// Messages that made the verb panic: stepped over, with a dead letter each.
    pub(crate) poison: BTreeSet<u64>,
    /// Keys with something to publish that may not have to wait for the save, in the order in which it came.
    speaking: Vec<String>,
    fences: Fences,
    /// Whether one has just been found: nothing absorbed since the last save may be saved.
    pub(crate) poisoned: bool,
    /// Outbox bytes of the messages absorbed since the last save.
    pub(crate) outbox_bytes: usize,
}

impl<V: Verb> Slots<V> {
    pub(crate) fn new(
        stage: Stage,
        at: (Partition, Partitions),
        verb: std::sync::Arc<V>,
        now: Timestamp,
    ) -> Self {
        Self {
            stage,
            partition: at.0,
            partitions: at.1,
            verb,
            keys: BTreeMap::new(),
            touched: Touched::default(),
            due: BTreeSet::new(),
            now,
            last: (0, now),
            outbox_bytes: 0,
            speaking: Vec::new(),
            fences: Fences::default(),
            poison: BTreeSet::new(),
            poisoned: false,
        }
    }

    /// Puts a saved value in its place.
    pub(crate) fn load(&mut self, key: String, revision: u64, value: &[u8]) -> anyhow::Result<()> {
        let Value {
            seq,
            state,
            outbox,
            owes,
        } = Value::<V::State>::read(value)?;
        let slot = Slot {
            saved: Digest::of(&rmp_serde::to_vec_named(&state)?),
            state,
            seq,
            sent_before: outbox.len(),
            under_way: 0,
            outbox,
            revision,
            owes,
            touched: false,
            due: None,
        };
        // A key that is saved while the bucket is read may come twice.
        if let Some(due) = self
            .keys
            .insert(key.clone(), Box::new(slot))
            .and_then(|before| before.due)
        {
            self.due.remove(&(due, key.clone()));
        }
        self.schedule(&key);
        Ok(())
    }

    /// Lets time pass to a message's stream time, and absorbs it. Returns whether any key changed hands with it.
    pub(crate) fn absorb(&mut self, time: Timestamp, message: &Arrived<'_>) {
        self.last = (message.seq, self.now);
        self.now = self.now.max(time);
        let keys: Vec<String> = match self.verb.route(message.fact) {
            // A tick is for those who wait for it: whom it does not concern it does not wake.
            Route::Every if message.fact.kind() == FactKind::Tick => {
                self.waiting_until(self.now, message.fact)
            }
            Route::Every => self.keys.keys().cloned().collect(),
            Route::Key(key) => vec![key],
            Route::Keys(keys) => keys,
            Route::Nobody => Vec::new(),
        };
        // After a panic nothing is absorbed over the half-absorbed state: the owner begins again at the saved one.
        for key in keys {
            if self.poisoned {
                return;
            }
            self.absorb_into(key, message);
        }
    }

    fn waiting_until(&self, now: Timestamp, fact: &Fact) -> Vec<String> {
        let until = match fact {
            Fact::Tick(tick) => tick.boundary.max(now),
            _ => now,
        };
        self.due
            .iter()
            .take_while(|(at, _)| *at <= until)
            .map(|(_, key)| key.clone())
            .collect()
    }

    fn absorb_into(&mut self, key: String, message: &Arrived<'_>) {
        let slot = self
            .keys
            .entry(key.clone())
            .or_insert_with(|| Box::new(Slot::empty()));
        if slot.seq >= message.seq {
            return;
        }
        if self.poison.contains(&message.seq) {
            let letter = self.dead_letter(message, format!("{} panicked on it", self.stage.name));
            self.put_out(&key, message, vec![letter]);
            return;
        }
        let input = Input {
            key: &key,
            fact: message.fact,
            seq: message.seq,
            now: self.now,
        };
        let verb = &self.verb;
        let state = &mut slot.state;
        let absorbed = std::panic::catch_unwind(AssertUnwindSafe(|| verb.absorb(state, &input)));
        let outgoing: Vec<Outgoing> = match absorbed {
            Ok(Ok(facts)) if facts.is_empty() => Vec::new(),
            Ok(Ok(facts)) => {
                let trace = Trace::of(message.trace, message.message_id);
                let out = |fact| Outgoing::fact(fact, self.partitions, Some(&trace));
                facts.iter().map(out).collect()
            }
            Ok(Err(reject)) => vec![self.dead_letter(message, reject.0)],
            Err(_) => {
                // A half-absorbed state is not trusted: the owner begins again at the saved one, and steps over this message.
                self.poison.insert(message.seq);
                self.poisoned = true;
                return;
            }
        };
        self.put_out(&key, message, outgoing);
    }

    fn put_out(&mut self, key: &str, message: &Arrived<'_>, outgoing: Vec<Outgoing>) {
        let Some(slot) = self.keys.get_mut(key) else {
            return;
        };
        slot.touch();
        slot.seq = message.seq;
        let is_seen = self.verb.is_seen(&slot.state, message.fact);
        self.touched.note(key, (message.seq, self.last.1), is_seen);
        let (says, is_urgent) = (!outgoing.is_empty(), self.verb.is_urgent(message.fact));
        // A dead letter may come twice to nobody's use: it waits for the save.
        let speech = match self.verb.speech() {
            speech if !is_urgent && outgoing.iter().all(Outgoing::is_fact) => speech,
            _ => Speech::Saved,
        };
        if is_urgent || (says && speech == Speech::Saved) {
            self.touched.hurry(key);
        }
        if says && speech != Speech::Saved {
            self.speaking.push(key.to_owned());
        }
        self.outbox_bytes += outgoing.iter().map(Outgoing::size).sum::<usize>();
        slot.outbox.extend(outgoing);
        self.schedule(key);
    }

    /// Lets the shell change a key's state, as when an errand is done.
    pub(crate) fn settle(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut V::State, Timestamp) -> Vec<DeadLetter>,
        at: Timestamp,
    ) {
        let partition = self.partition;
        let Some(slot) = self.keys.get_mut(key) else {
            return;
        };
        let letters = change(&mut slot.state, at);
        slot.touch();
        slot.owes |= !letters.is_empty();
        slot.outbox.extend(
            letters
                .iter()
                .map(|letter| Outgoing::dead_letter(letter, partition)),
        );
        self.schedule(key);
        // No message of the log would make it again: it is saved at once.
        self.touched.note(key, (self.last.0 + 1, self.now), true);
        self.touched.hurry(key);
    }

    fn dead_letter(&self, message: &Arrived<'_>, reason: String) -> Outgoing {
        let letter = DeadLetter {
            stage: self.stage.name.to_owned(),
            subject: message.subject.to_owned(),
            sequence: message.seq,
            message_id: message.message_id.to_owned(),
            reason,
            payload: message.payload.to_vec(),
            attempt: 0,
            time_ms: self.now.0,
        };
        Outgoing::dead_letter(&letter, self.partition)
    }

    fn schedule(&mut self, key: &str) {
        let Some(slot) = self.keys.get_mut(key) else {
            return;
        };
        let due = self.verb.due(&slot.state);
        if due != slot.due {
            if let Some(old) = slot.due {
                self.due.remove(&(old, key.to_owned()));
            }
            if let Some(new) = due {
                self.due.insert((new, key.to_owned()));
            }
            slot.due = due;
        }
    }

    /// The earliest time at which a key waits for a tick.
    pub(crate) fn earliest_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The values to save now: keys whose state changed or that have something new to publish. A change that nobody waits
    /// for may be saved later, as long as the cursor does not pass it: the log still holds what made it.
    pub(crate) fn take_unsaved(&mut self, which: Which) -> anyhow::Result<Unsaved> {
        let mut unsaved = Unsaved::default();
        let mut state = Vec::new();
        for key in self.touched.take(which) {
            let Some(slot) = self.keys.get_mut(&key) else {
                continue;
            };
            slot.touched = false;
            state.clear();
            // As most are, so that it need not grow four times.
            state.reserve(16 * 1_024);
            rmp_serde::encode::write_named(&mut state, &slot.state)?;
            let now = Digest::of(&state);
            if now != slot.saved || !slot.unsent().is_empty() {
                let value = value::write(slot.seq, &state, &slot.outbox, slot.owes)?;
                unsaved.values.push((key.clone(), slot.revision, value));
                slot.saved = now;
            }
            unsaved.keys.push(key);
        }
        self.outbox_bytes = 0;
        Ok(unsaved)
    }

    /// Up to which message everything is saved or on its way to be, and the time of the log there. `here` is the last one absorbed.
    pub(crate) fn saved_to(&mut self, here: u64) -> (u64, Timestamp) {
        self.touched.saved_to().unwrap_or((here, self.now))
    }

    /// Whether any change is of age.
    pub(crate) fn is_due(&mut self, ages: Ages) -> bool {
        self.touched.is_due(ages)
    }

    /// Notes that all that was under way for a key has arrived.
    pub(crate) fn acknowledged(&mut self, key: &str) {
        if let Some(slot) = self.keys.get_mut(key) {
            slot.arrived();
        }
    }

    /// Whether any key has published what its state does not know of yet, and is to be saved shortly.
    pub(crate) fn has_spoken(&self) -> bool {
        self.touched.has_spoken()
    }

    /// How many keys have been absorbed into since the last save.
    pub(crate) fn touched(&self) -> usize {
        self.touched.len()
    }

    /// Keys that nobody will ask for any more and that owe nothing, with their revisions.
    pub(crate) fn over(&self, most: usize) -> Vec<(String, u64)> {
        let idle =
            |slot: &Slot<V::State>| !slot.touched && !slot.owes && slot.under_way + slot.unsent().len() == 0;
        let over = |slot: &Slot<V::State>| {
            slot.revision > 0 && idle(slot) && self.verb.is_over(&slot.state, self.now)
        };
        let keys = self.keys.iter().filter(|(_, slot)| over(slot));
        keys.map(|(key, slot)| (key.clone(), slot.revision))
            .take(most)
            .collect()
    }

    /// Forgets a key.
    pub(crate) fn forget(&mut self, key: &str) {
        if let Some(due) = self.keys.remove(key).and_then(|slot| slot.due) {
            self.due.remove(&(due, key.to_owned()));
        }
    }

    /// A key's slot.
    pub(crate) fn get(&self, key: &str) -> Option<&Slot<V::State>> {
        self.keys.get(key).map(|slot| &**slot)
    }

    /// All keys and their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Slot<V::State>)> {
        self.keys.iter().map(|(key, slot)| (key, &**slot))
    }
}

#[cfg(test)]
mod tests;
