//! Following the newest facts without keeping anything: routers, gRPC caches, the console.

use std::time::Duration;

use auspex_proto::subject::{self, Address, FactKind};
use auspex_proto::{Fact, Partition, Timestamp};
use futures::StreamExt;

use crate::bus::{Bus, Reader, Start};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the newest fact of each subject, then everything new.
    LastPerSubject,
    /// With what comes from now on.
    New,
    /// With the oldest there is.
    All,
}

/// A fact as it is followed.
#[derive(Debug, Clone)]
pub struct Followed {
    /// Its sequence.
    pub seq: u64,
    /// Its stream time.
    pub time: Timestamp,
    /// Its place.
    pub address: Address,
    /// It.
    pub fact: Fact,
    /// How many more there are at this moment: 0 when it is the newest.
    pub behind: u64,
}

/// An endless reading of facts; it survives absences of the server.
pub struct Follow {
    reader: Reader,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow").finish_non_exhaustive()
    }
}

impl Follow {
    pub(crate) fn new(bus: &Bus, kinds: &[FactKind], from: From) -> Self {
        let filters = kinds
            .iter()
            .map(|kind| subject::facts_everywhere(*kind))
            .collect();
        let start = match from {
            From::LastPerSubject => Start::LastPerSubject,
            From::New => Start::New,
            From::All => Start::At(1),
        };
        Self {
            reader: Reader::new(bus, subject::FACTS, filters, start),
        }
    }

    /// Rests so long whenever it has read all there is, before it waits for more: who reads many facts and is in no hurry need not
    /// be woken by each. What comes after a pause is read at once, and a backlog without rest.
    #[must_use]
    pub fn in_beats(self, beat: Duration) -> Self {
        Self {
            reader: self.reader.in_beats(beat),
        }
    }

    /// The next fact. What cannot be decoded is passed over: a stateful stage has made a dead letter of it.
    ///
    /// # Errors
    /// When the log has been replaced under the reader.
    pub async fn next(&mut self) -> anyhow::Result<Followed> {
        loop {
            let raw = self.reader.next().await?;
            let Ok(address) = subject::parse(&raw.subject) else {
                continue;
            };
            match Fact::decode(address.kind, &raw.payload) {
                Ok(fact) => {
                    return Ok(Followed {
                        seq: raw.seq,
                        time: raw.time,
                        address,
                        fact,
                        behind: raw.behind,
                    });
                }
                Err(fault) => tracing::warn!(seq = raw.seq, %fault, "passed over"),
            }
        }
    }
}

/// The heartbeats of control.
#[derive(Debug)]
pub struct Pulses {
    subscription: async_nats::Subscriber,
    bus: Bus,
}

impl Pulses {
    pub(crate) async fn new(bus: &Bus) -> anyhow::Result<Self> {
        Ok(Self {
            subscription: bus.client().subscribe(subject::pulses()).await?,
            bus: bus.clone(),
        })
    }

    /// The next heartbeat, by its partition.
    pub async fn next(&mut self) -> Partition {
        loop {
            match self.subscription.next().await {
                Some(message) => {
                    let number = message
                        .subject
                        .rsplit_once(".p")
                        .and_then(|(_, n)| n.parse().ok());
                    if let Some(number) = number {
                        return Partition::Number(number);
                    }
                }
                // The client gave the subscription up: ask again.
                None => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    if let Ok(subscription) = self.bus.client().subscribe(subject::pulses()).await {
                        self.subscription = subscription;
                    }
                }
            }
        }
    }
}
