//! A key as of now: what is saved of it and, absorbed on top, what the log holds of its project since.
//!
//! A verb is pure, so whoever asks may absorb by himself what the owner has not saved yet, or not even read. An answer so knows
//! whatever the log had taken when it was asked for, and its owner may save at leisure.

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind, Stream};
use auspex_proto::{Fact, Project, subject};
use serde::de::DeserializeOwned;

use super::slots::{Arrived, Slots};
use super::view::{Kept, View};
use super::{Post, cursor};
use crate::bus::{Bus, stream_time, timestamp};
use crate::verb::Verb;

/// The most facts of each kind that are absorbed for one answer: of a stage that is further behind it is older.
const MOST: usize = 512;

impl<S: DeserializeOwned> View<S> {
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
        let before = known(&slots, key);
        let kinds = stage.reads.iter();
        let filters = kinds.map(|kind| subject::facts_of_project(partition, *kind, project));
        for message in since(bus, filters.collect(), passed.max(before.seq) + 1).await? {
            absorb(&mut slots, &message);
            if slots.poisoned {
                return Ok(before);
            }
        }
        Ok(known(&slots, key))
    }
}

fn known<V: Verb>(slots: &Slots<V>, key: &str) -> Kept<V::State> {
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
    let stored = timestamp(message.time.unix_timestamp_nanos());
    slots.absorb(stream_time(stored, Some(&message.headers)), &arrived);
}

/// The next message on a subject from this sequence on; `None`: there is none. Of several copies the leader's is read: another may
/// not have what was acknowledged.
async fn next(bus: &Bus, log: &Stream<()>, filter: &str, from: u64) -> anyhow::Result<Option<StreamMessage>> {
    if bus.is_replicated() {
        return match log.get_first_raw_message_by_subject(filter, from).await {
            Ok(message) => Ok(Some(message)),
            Err(fault) if fault.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(fault) => Err(fault.into()),
        };
    }
    match log.direct_get_next_for_subject(filter, Some(from)).await {
        Ok(message) => Ok(Some(message)),
        Err(fault) if fault.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// What the log holds on these subjects from this sequence on, in order and without gaps.
async fn since(bus: &Bus, filters: Vec<String>, from: u64) -> anyhow::Result<Vec<StreamMessage>> {
    let log = bus.js().get_stream_no_info(subject::FACTS).await?;
    let (mut found, mut end) = (Vec::new(), u64::MAX);
    for filter in filters {
        let mut at = from;
        for read in 1.. {
            let Some(message) = next(bus, &log, &filter, at).await? else {
                break;
            };
            at = message.sequence + 1;
            found.push(message);
            if read == MOST {
                end = end.min(at);
                break;
            }
        }
    }
    found.retain(|message| message.sequence < end);
    found.sort_by_key(|message| message.sequence);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use auspex_proto::event::Body;
    use auspex_proto::{Event, FactId, Meta, ObservationBatch, Timestamp, stage};

    use super::*;
    use crate::testing::TestHouse;
    use crate::verb::{Input, Reject, Route};

    /// Remembers the places of what it has absorbed, and panics when told to.
    struct Places;

    impl Verb for Places {
        type State = Vec<u64>;

        fn route(&self, fact: &Fact) -> Route {
            Route::Key(fact.project().to_string())
        }

        fn absorb(&self, state: &mut Vec<u64>, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
            assert_ne!(input.fact.meta().source, "boom");
            state.push(input.seq);
            Ok(Vec::new())
        }
    }

    fn project() -> Project {
        Project::new("a").unwrap()
    }

    fn meta(id: u64, project: Project, source: &str) -> Meta {
        Meta {
            id: FactId::new(id.to_string()).unwrap(),
            project,
            time: Timestamp(1),
            cause: 0,
            source: source.to_owned(),
        }
    }

    fn event(meta: Meta) -> Fact {
        let body = Body::Other {
            kind: "x".to_owned(),
            json: String::new(),
        };
        Fact::Event(Event { meta, body })
    }

    fn observations(meta: Meta) -> Fact {
        Fact::Observations(ObservationBatch {
            meta,
            observations: Vec::new(),
            applied: Vec::new(),
            environment: String::new(),
        })
    }

    /// Puts them on the log, one after the other; where they stand.
    async fn publish(bus: &Bus, facts: impl IntoIterator<Item = Fact>) -> Vec<u64> {
        let mut places = Vec::new();
        for fact in facts {
            places.push(bus.publish(&fact).await.unwrap().sequence);
        }
        places
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_log_has_taken_is_known_though_nobody_has_saved_it() {
        let test = TestHouse::start().await.unwrap();
        let (bus, verb) = (test.house.bus(), Arc::new(Places));
        let view: View<Vec<u64>> = test.house.view(stage::FEATURES).await.unwrap();
        let now = async || view.now(&verb, &project()).await.unwrap();
        assert_eq!(
            now().await,
            Kept {
                seq: 0,
                state: Vec::new()
            }
        );
        let elsewhere = Project::new("b").unwrap();
        let facts = [
            event(meta(1, project(), "")),
            observations(meta(2, project(), "")),
            event(meta(3, elsewhere, "")),
            event(meta(4, project(), "")),
        ];
        let places = publish(bus, facts).await;
        let of_it = vec![places[0], places[1], places[3]];
        assert_eq!(
            now().await,
            Kept {
                seq: places[3],
                state: of_it.clone()
            },
            "in order"
        );
        // Once an owner saves, nothing is absorbed twice.
        let (house, stopping) = TestHouse::another(&test.settings).await.unwrap();
        house.run_verb(stage::FEATURES, Places).await.unwrap();
        let within = Duration::from_secs(20);
        let saved = view.at_least(&project(), "a", places[3], within).await.unwrap();
        assert_eq!(saved.unwrap().state, of_it);
        // How far all is saved is known in a moment, and not before it is.
        let settled = view.settled(&project(), places[3], within).await;
        assert!(settled.unwrap().is_some_and(|place| place >= 1));
        let beyond = view.settled(&project(), u64::MAX, Duration::ZERO).await;
        assert_eq!(beyond.unwrap(), None);
        assert!(stopping.finish(Duration::from_secs(5)).await.is_empty());
        let later = publish(bus, [observations(meta(5, project(), ""))]).await;
        let all = [of_it.clone(), later.clone()].concat();
        assert_eq!(
            now().await,
            Kept {
                seq: later[0],
                state: all
            }
        );
        // What the verb panics on ends it.
        publish(bus, [event(meta(6, project(), "boom"))]).await;
        assert_eq!(
            now().await,
            Kept {
                seq: places[3],
                state: of_it
            }
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_a_stage_far_behind_the_answer_is_older_and_has_no_gaps() {
        let test = TestHouse::start().await.unwrap();
        let bus = test.house.bus();
        let view: View<Vec<u64>> = test.house.view(stage::FEATURES).await.unwrap();
        let most = MOST as u64;
        let mut facts = vec![observations(meta(0, project(), ""))];
        facts.extend((1..most + 5).map(|id| event(meta(id, project(), ""))));
        facts.push(observations(meta(most + 5, project(), "")));
        let places = publish(bus, facts).await;
        let known = view.now(&Arc::new(Places), &project()).await.unwrap();
        assert_eq!(
            known.state,
            places[..=MOST],
            "the first, and so many of the other kind"
        );
    }
}
