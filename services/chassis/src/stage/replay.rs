//! The same facts through a fresh verb: what law 2 is tested with, and how a policy is tried against the past.

use std::sync::Arc;

use auspex_proto::stage::Stage;
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Partition, Partitions, Timestamp, subject};

use super::slots::{Arrived, Slots, Which};
use crate::bus::{Bus, Reader, Start};
use crate::verb::Verb;

/// A fact with its place in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its sequence.
    pub seq: u64,
    /// Its stream time.
    pub time: Timestamp,
    /// Its subject.
    pub subject: String,
    /// Its deduplication key.
    pub message_id: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Logged {
    /// The whole log as it lies there now.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn read_all(bus: &Bus) -> anyhow::Result<Vec<Self>> {
        let stream = bus.js().get_stream(subject::FACTS).await?;
        let mut log = Vec::new();
        if stream.cached_info().state.messages == 0 {
            return Ok(log);
        }
        let mut reader = Reader::new(
            bus,
            subject::FACTS,
            vec![subject::FACTS_SUBJECTS.to_owned()],
            Start::At(1),
        );
        loop {
            let raw = reader.next().await?;
            let message_id = raw.header("Nats-Msg-Id").to_owned();
            log.push(Self {
                seq: raw.seq,
                time: raw.time,
                subject: raw.subject,
                message_id,
                payload: raw.payload.to_vec(),
            });
            if raw.behind == 0 {
                return Ok(log);
            }
        }
    }

    /// The fact.
    ///
    /// # Errors
    /// When it is none.
    pub fn fact(&self) -> Result<Fact, auspex_proto::Invalid> {
        Fact::decode(subject::parse(&self.subject)?.kind, &self.payload)
    }
}

/// A fresh verb that is fed a log.
pub struct Replay<V: Verb> {
    stage: Stage,
    partitions: Partitions,
    verb: Arc<V>,
}

impl<V: Verb> std::fmt::Debug for Replay<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("stage", &self.stage.name)
            .finish_non_exhaustive()
    }
}

impl<V: Verb> Replay<V> {
    /// A fresh verb of a stage.
    pub fn new(stage: Stage, partitions: Partitions, verb: V) -> Self {
        Self {
            stage,
            partitions,
            verb: Arc::new(verb),
        }
    }

    /// All facts the stage makes of this log, partition by partition, in order: (message id, bytes).
    ///
    /// # Errors
    /// When state cannot be encoded.
    pub fn outputs(&self, log: &[Logged]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut outputs = Vec::new();
        for partition in self.partitions.iter() {
            let at = (partition, self.partitions);
            let mut slots = Slots::new(self.stage, at, Arc::clone(&self.verb), Timestamp(0));
            for logged in log {
                let Ok(address) = subject::parse(&logged.subject) else {
                    continue;
                };
                let mine = address.partition == partition || address.partition == Partition::All;
                if !mine || !self.reads(address.kind) {
                    continue;
                }
                let Ok(fact) = logged.fact() else {
                    slots.now = slots.now.max(logged.time);
                    continue;
                };
                let (subject, payload) = (logged.subject.as_str(), logged.payload.as_slice());
                let message_id = logged.message_id.as_str();
                let message = Arrived {
                    seq: logged.seq,
                    fact: &fact,
                    subject,
                    message_id,
                    payload,
                    trace: "",
                };
                slots.absorb(logged.time, &message);
                anyhow::ensure!(
                    !slots.poisoned,
                    "{} panics on message {}",
                    self.stage.name,
                    logged.seq
                );
                for (key, _, _) in slots.take_unsaved(Which::All)?.values {
                    let sent = slots.get(&key).into_iter().flat_map(|slot| slot.unsent());
                    outputs.extend(
                        sent.filter(|o| o.is_fact())
                            .map(|o| (o.message_id().to_owned(), o.payload().to_vec())),
                    );
                }
            }
        }
        Ok(outputs)
    }

    fn reads(&self, kind: FactKind) -> bool {
        self.stage.reads.contains(&kind)
    }
}
