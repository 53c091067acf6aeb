//! How far a partition has been absorbed, published and forgotten; and in which log.

use async_nats::jetstream::kv;
use auspex_proto::{Timestamp, subject};
use serde::{Deserialize, Serialize};

use super::{Fault, Post};
use crate::bus::{Bus, Outgoing, is_stale, timestamp};

/// The time of the first message that a cursor has not passed; `None` when it has passed all.
pub(crate) async fn lag(
    stream: &async_nats::jetstream::stream::Stream,
    cursor: &[u8],
    stage: &auspex_proto::stage::Stage,
    partition: auspex_proto::Partition,
) -> anyhow::Result<Option<Timestamp>> {
    let saved: Saved = rmp_serde::from_slice(cursor)?;
    crate::gate::oldest(stream, saved.seq, subjects(stage, partition).into_iter()).await
}

/// Everything that the owner of a partition absorbs: its own facts, and those that bear on all.
pub(crate) fn subjects(
    stage: &auspex_proto::stage::Stage,
    partition: auspex_proto::Partition,
) -> Vec<String> {
    let mut subjects = stage.subjects(partition);
    subjects.extend(stage.subjects(auspex_proto::Partition::All));
    subjects
}

/// Where a cursor stands in the log of this creation time: in another log nowhere.
pub(crate) fn place(cursor: &[u8], created: Timestamp) -> anyhow::Result<u64> {
    let saved: Saved = rmp_serde::from_slice(cursor)?;
    Ok(if saved.created == created { saved.seq } else { 0 })
}

/// How far everything of a post is saved, and the time of the log there.
pub(super) async fn passed(bus: &Bus, post: Post) -> anyhow::Result<(u64, Timestamp)> {
    let store = bus.bucket(subject::CURSORS).await?;
    let cursor = store.get(subject::post(post.stage.name, post.partition)).await?;
    let saved: Option<Saved> = cursor.map(|cursor| rmp_serde::from_slice(&cursor)).transpose()?;
    Ok(saved.map_or((0, Timestamp(0)), |saved| (saved.seq, saved.now)))
}

/// A position in the log.
pub(super) struct Cursor {
    store: kv::Store,
    key: String,
    revision: u64,
    /// The last message that is absorbed, saved and published.
    pub(super) seq: u64,
    /// The time of the log there.
    pub(super) now: Timestamp,
    /// When the log was created: a sequence means nothing in another log.
    pub(super) created: Timestamp,
    /// When the bucket of states was created.
    states: Timestamp,
    /// Dead letters of messages that have no key: published before the cursor passes them.
    pub(super) owes: Vec<Outgoing>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    seq: u64,
    now: Timestamp,
    created: Timestamp,
    #[serde(default)]
    states: Option<Timestamp>,
}

/// When the bucket of a stage's states was created.
async fn states_of(bus: &Bus, post: &Post) -> anyhow::Result<Timestamp> {
    let bucket = bus.stream_of(&subject::state_bucket(post.stage.name)).await?;
    Ok(timestamp(bucket.cached_info().created.unix_timestamp_nanos()))
}

impl Cursor {
    /// Reads the cursor of a post.
    ///
    /// A cursor beyond the log's end, or of another log, is fatal: going on would skip or repeat facts without a trace.
    /// Where the states were lost that it belongs to, a stage that rebuilds begins at the log's beginning.
    pub(super) async fn load(bus: &Bus, post: &Post, rebuilds: bool) -> Result<Self, Fault> {
        let store = bus.bucket(subject::CURSORS).await?;
        let key = subject::post(post.stage.name, post.partition);
        let stream = bus
            .js()
            .get_stream(subject::FACTS)
            .await
            .map_err(|f| Fault::Transient(f.into()))?;
        let (created, last) = (
            timestamp(stream.cached_info().created.unix_timestamp_nanos()),
            stream.cached_info().state.last_sequence,
        );
        let entry = store
            .entry(key.as_str())
            .await
            .map_err(|f| Fault::Transient(f.into()))?;
        let states = states_of(bus, post).await.map_err(Fault::Transient)?;
        let fresh = || Saved {
            seq: 0,
            now: Timestamp(0),
            created,
            states: Some(states),
        };
        let (revision, mut saved) = match entry.filter(|e| e.operation == kv::Operation::Put) {
            Some(entry) => (entry.revision, rmp_serde::from_slice(&entry.value)?),
            None => (0, fresh()),
        };
        if saved.created != created {
            return Err(Fault::Fatal(anyhow::anyhow!(
                "cursor {key} belongs to a log created at {}, this one was created at {created}: \
                 it has been replaced; run `auspex recover`",
                saved.created
            )));
        }
        if saved.seq > last {
            return Err(Fault::Fatal(anyhow::anyhow!(
                "cursor {key} stands at {}, the log ends at {last}: facts have been lost; run `auspex recover`",
                saved.seq
            )));
        }
        if rebuilds && saved.states.is_some_and(|before| before != states) {
            tracing::warn!(key, "the states were lost; absorbing the log from its beginning");
            saved = fresh();
        }
        Ok(Self {
            states,
            store,
            key,
            revision,
            seq: saved.seq,
            now: saved.now,
            created,
            owes: Vec::new(),
        })
    }

    /// Moves forward, when there is something to move.
    pub(super) async fn move_to(&mut self, seq: u64, now: Timestamp) -> Result<(), Fault> {
        if seq <= self.seq {
            return Ok(());
        }
        let value = rmp_serde::to_vec_named(&Saved {
            seq,
            now,
            created: self.created,
            states: Some(self.states),
        })?;
        match self
            .store
            .update(self.key.as_str(), value.into(), self.revision)
            .await
        {
            Ok(revision) => {
                (self.revision, self.seq, self.now) = (revision, seq, now);
                Ok(())
            }
            Err(fault) if is_stale(&fault) => {
                Err(Fault::Lost(format!("cursor {} has a newer owner", self.key)))
            }
            Err(fault) => Err(Fault::Transient(fault.into())),
        }
    }
}
