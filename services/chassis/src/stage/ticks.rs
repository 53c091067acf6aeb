//! Writing time into the log: by the owner of a partition, at fixed boundaries, only while somebody waits for it.

use std::time::Duration;

use auspex_proto::subject::{self, FactKind};
use auspex_proto::{Fact, FactId, Meta, Partition, Project, Tick, Timestamp};

use super::Fault;
use crate::bus::{Bus, Outgoing, PublishError};

/// The grid of boundaries.
const GRID: Duration = Duration::from_secs(1);

/// Writes the ticks of one partition.
pub(super) struct Ticker {
    partition: Partition,
    /// The sequence of the newest tick: the next one must follow it, so a stale owner is refused.
    last_seq: u64,
    last: Option<Timestamp>,
}

impl Ticker {
    pub(super) async fn new(bus: &Bus, partition: Partition) -> Result<Self, Fault> {
        let mut ticker = Self {
            partition,
            last_seq: 0,
            last: None,
        };
        ticker.look_up(bus).await?;
        Ok(ticker)
    }

    async fn look_up(&mut self, bus: &Bus) -> Result<(), Fault> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind::NoMessageFound;
        let stream = bus
            .js()
            .get_stream_no_info(subject::FACTS)
            .await
            .map_err(|f| Fault::Transient(f.into()))?;
        match stream
            .get_last_raw_message_by_subject(&subject::ticks(self.partition))
            .await
        {
            Ok(message) => {
                self.last_seq = message.sequence;
                if let Ok(Fact::Tick(tick)) = Fact::decode(FactKind::Tick, &message.payload) {
                    self.last = Some(tick.boundary);
                }
                Ok(())
            }
            Err(fault) if fault.kind() == NoMessageFound => Ok(()),
            Err(fault) => Err(Fault::Transient(fault.into())),
        }
    }

    /// Notes a tick that came back from the log.
    pub(super) fn seen(&mut self, seq: u64, boundary: Timestamp) {
        if seq > self.last_seq {
            self.last_seq = seq;
            self.last = Some(boundary);
        }
    }

    /// How long until the next tick is to be written; `None` while nobody waits.
    pub(super) fn next_in(&self, due: Option<Timestamp>) -> Option<Duration> {
        let now = crate::clock::now();
        let earliest = due?.max(self.last.map_or(Timestamp(0), |last| last + GRID));
        // The first boundary at or after what is waited for.
        let boundary = (earliest - Duration::from_millis(1)).next_boundary(GRID);
        Some(boundary.since(now))
    }

    /// Writes the newest boundary that has passed. After a gap that is one tick, not a burst.
    pub(super) async fn write(&mut self, bus: &Bus, due: Option<Timestamp>) -> Result<(), Fault> {
        let boundary = crate::clock::now().boundary(GRID);
        if due.is_none_or(|due| due > boundary) || self.last.is_some_and(|last| boundary <= last) {
            return Ok(());
        }
        let tick = Fact::Tick(Tick {
            meta: Meta {
                id: FactId::derived(
                    "tick",
                    u64::try_from(boundary.0).unwrap_or_default(),
                    &self.partition.to_string(),
                    0,
                ),
                project: Project::all(),
                time: boundary,
                cause: 0,
                source: "canary".to_owned(),
            },
            boundary,
            previous: self.last,
        });
        let ttl = FactKind::Tick.lifetime();
        let id = format!("tick:{}:{}", self.partition, boundary.0);
        let outgoing = Outgoing::raw(
            subject::ticks(self.partition),
            id,
            FactKind::Tick.token(),
            ttl,
            tick.encode(),
        );
        let sent = match bus.send_after(&outgoing, self.last_seq).await {
            Ok(pending) => pending.receipt().await,
            Err(fault) => Err(fault),
        };
        match sent {
            Ok(receipt) => {
                self.seen(receipt.sequence, boundary);
                self.last = Some(boundary);
                Ok(())
            }
            // The newest tick may have expired, or a newer owner has written: look once; a second refusal comes from CAS.
            Err(PublishError::Stale) => {
                let before = self.last_seq;
                self.last_seq = 0;
                self.look_up(bus).await?;
                if self.last_seq > before {
                    Err(Fault::Lost("a newer owner writes the ticks".to_owned()))
                } else {
                    Ok(())
                }
            }
            Err(fault) => Err(Fault::Transient(fault.into())),
        }
    }
}
