//! A key as of now: what is saved of it and, absorbed on top, what the log holds of its project since.
//!
//! A verb is pure, so whoever asks may absorb by himself what the owner has not saved yet, or not even read. An answer so knows
//! whatever the log had taken when it was asked for, and its owner may save at leisure.

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use auspex_proto::{Fact, Project, Timestamp, subject};
use serde::de::DeserializeOwned;

use super::slots::{Arrived, Slots};
use super::view::{Kept, View};
use super::{Post, cursor};
use crate::bus::{Bus, timestamp};
use crate::logbook::Origin;
use crate::verb::Verb;

/// The most facts of each kind that are absorbed for one answer: of a stage that is further behind it is older.
const MOST: usize = 512;

impl<S: DeserializeOwned + Clone + Default> View<S> {
    /// A project's state as of now, by the verb that makes it: for one that keeps a key per project, and absorbs into it the facts of
    /// that project alone. A message on which the verb panics ends it: what was saved before is then the answer.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn now<V: Verb<State = S>>(&self, verb: &Arc<V>, project: &Project) -> anyhow::Result<Kept<S>> {
        let (bus, stage, key) = (self.bus(), self.stage(), project.as_str());
        let partition = bus.partitions().of(project);
        // First how far all is saved, then what is: so nothing is between them.
        let (passed, at) = cursor::passed(bus, Post { stage, partition }).await?;
        let saved = self.saved(project, key).await?;
        let mut slots = Slots::new(stage, (partition, bus.partitions()), Arc::clone(verb), at);
        if let Some(value) = &saved {
            slots.load(key.to_owned(), 0, value)?;
        }
        let before = kept(&slots, key);
        let kinds = stage.reads.iter();
        let filters = kinds.map(|kind| subject::facts_of_project(partition, *kind, project));
        for message in since(bus, filters.collect(), passed.max(before.seq) + 1).await? {
            absorb(&mut slots, &message);
            if slots.poisoned {
                return Ok(before);
            }
        }
        Ok(kept(&slots, key))
    }
}

fn kept<V: Verb>(slots: &Slots<V>, key: &str) -> Kept<V::State> {
    let slot = slots.get(key);
    Kept {
        seq: slot.map_or(0, |slot| slot.seq),
        state: slot.map(|slot| slot.state.clone()).unwrap_or_default(),
    }
}

/// As the owner does; what cannot be read is for its dead letters.
fn absorb<V: Verb>(slots: &mut Slots<V>, message: &StreamMessage) {
    let subject = message.subject.as_str();
    let fact = subject::parse(subject).and_then(|address| Fact::decode(address.kind, &message.payload));
    let Ok(fact) = fact else { return };
    let arrived = Arrived {
        seq: message.sequence,
        fact: &fact,
        subject,
        message_id: "",
        payload: &message.payload,
        trace: "",
    };
    slots.absorb(time(message), &arrived);
}

/// A fact that was put back passed when it passed, not when it was put back.
fn time(message: &StreamMessage) -> Timestamp {
    let origin = message.headers.get(subject::ORIGIN_HEADER);
    let origin = origin.and_then(|origin| Origin::parse(origin.as_str()));
    let stored = || timestamp(message.time.unix_timestamp_nanos());
    origin.map_or_else(stored, |origin| origin.time)
}

/// What the log holds on these subjects from this sequence on, in order and without gaps.
async fn since(bus: &Bus, filters: Vec<String>, from: u64) -> anyhow::Result<Vec<StreamMessage>> {
    let log = bus.js().get_stream_no_info(subject::FACTS).await?;
    let (mut found, mut end) = (Vec::new(), u64::MAX);
    for filter in filters {
        let mut next = from;
        for read in 1.. {
            let message = match log.direct_get_next_for_subject(filter.as_str(), Some(next)).await {
                Ok(message) => message,
                Err(fault) if fault.kind() == DirectGetErrorKind::NotFound => break,
                Err(fault) => return Err(fault.into()),
            };
            next = message.sequence + 1;
            found.push(message);
            if read == MOST {
                end = end.min(next);
                break;
            }
        }
    }
    found.retain(|message| message.sequence < end);
    found.sort_by_key(|message| message.sequence);
    Ok(found)
}
