//! What has been sent and is not acknowledged yet.
//!
//! The loop goes on absorbing and saving meanwhile, but sends nothing after it: so the order on the log is kept. What is
//! under way stays in its keys' outboxes until it has arrived, whatever is saved in between, and the cursor does not pass it.

use auspex_proto::Timestamp;
use futures::future::BoxFuture;

use super::Fault;
use crate::bus::{Bus, Outgoing, Pending, PublishError};

/// The outboxes of one save, on their way.
#[derive(Default)]
pub(super) struct UnderWay {
    acks: Option<BoxFuture<'static, Result<Places, Fault>>>,
    arrived: Arrived,
    /// Bytes that the keys' outboxes hold because of it.
    pub(super) bytes: usize,
}

/// What is true once all of it has arrived.
#[derive(Default)]
pub(super) struct Arrived {
    /// Whose outboxes have arrived.
    pub(super) keys: Vec<String>,
    /// How far everything is absorbed, saved and published, and the time of the log there; `None`: no further than before.
    pub(super) settled: Option<(u64, Timestamp)>,
    /// Where in the log what has arrived stands, by its subject.
    pub(super) places: Places,
}

/// Subjects, and where on the log what went there stands.
pub(crate) type Places = Vec<(String, u64)>;

/// Something to be sent.
#[derive(Debug)]
pub(crate) struct Said {
    pub(super) message: Outgoing,
    /// It is to be refused where anything was put behind this on its subject.
    pub(super) after: Option<u64>,
}

impl From<Outgoing> for Said {
    fn from(message: Outgoing) -> Self {
        Self { message, after: None }
    }
}

/// What has been sent, and nobody knows yet what became of it.
pub(super) type Sent = Vec<(Outgoing, Result<Pending, PublishError>)>;

impl UnderWay {
    /// These have been sent; this is true once they have arrived.
    pub(super) fn of(bus: &Bus, sent: Sent, arrived: Arrived) -> Self {
        if sent.is_empty() {
            return Self {
                acks: None,
                arrived,
                bytes: 0,
            };
        }
        let bytes = sent.iter().map(|(message, _)| message.size()).sum();
        let bus = bus.clone();
        Self {
            acks: Some(Box::pin(async move { receive_all(&bus, sent).await })),
            arrived,
            bytes,
        }
    }

    /// Messages up to here left nothing to save: they are settled with it.
    pub(super) fn goes_on_to(&mut self, here: Option<(u64, Timestamp)>) {
        self.arrived.settled = here.or(self.arrived.settled);
    }

    /// Whether there is anything to wait for or to note.
    pub(super) fn is_open(&self) -> bool {
        self.acks.is_some() || self.arrived.settled.is_some()
    }

    /// Resolves when all has arrived. May be dropped and asked again.
    pub(super) async fn arrive(&mut self) -> Result<Arrived, Fault> {
        if let Some(acks) = &mut self.acks {
            self.arrived.places = acks.await?;
        }
        (self.acks, self.bytes) = (None, 0);
        Ok(std::mem::take(&mut self.arrived))
    }
}

/// Sends these, in order.
pub(super) async fn send(bus: &Bus, said: Vec<Said>) -> Sent {
    let mut sent = Vec::with_capacity(said.len());
    for Said { message, after } in said {
        if !message.is_fact() {
            tracing::warn!(id = message.message_id(), "dead letter");
        }
        let pending = match after {
            Some(last) => bus.send_after(&message, last).await,
            None => bus.send(&message).await,
        };
        sent.push((message, pending));
    }
    sent
}

/// Where they stand. What can never be published becomes a dead letter: one of them must not stop the rest.
async fn receive_all(bus: &Bus, sent: Sent) -> Result<Places, Fault> {
    let mut places = Vec::with_capacity(sent.len());
    for (message, pending) in sent {
        let receipt = match pending {
            Ok(pending) => pending.receipt().await,
            Err(fault) => Err(fault),
        };
        match receipt {
            Ok(receipt) => places.push((message.into_subject(), receipt.sequence)),
            Err(fault @ PublishError::TooLarge { .. }) => {
                tracing::error!(%fault, "an output can never be published");
                bus.dead_letter(&message.obituary(&fault.to_string()))
                    .await
                    .map_err(|f| Fault::Transient(f.into()))?;
            }
            Err(fault) => return Err(Fault::Transient(fault.into())),
        }
    }
    Ok(places)
}

/// Publishes all and waits for all.
pub(super) async fn publish(bus: &Bus, outgoing: Vec<Outgoing>) -> Result<(), Fault> {
    let said = outgoing.into_iter().map(Said::from).collect();
    receive_all(bus, send(bus, said).await).await.map(drop)
}
