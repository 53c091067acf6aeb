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
    acks: Option<BoxFuture<'static, Result<(), Fault>>>,
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
}

impl UnderWay {
    /// Sends these, in order.
    pub(super) async fn send(bus: &Bus, outgoing: Vec<Outgoing>, arrived: Arrived) -> Self {
        if outgoing.is_empty() {
            return Self {
                acks: None,
                arrived,
                bytes: 0,
            };
        }
        let bytes = outgoing.iter().map(Outgoing::size).sum();
        let sent = send_all(bus, outgoing).await;
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
            acks.await?;
        }
        (self.acks, self.bytes) = (None, 0);
        Ok(std::mem::take(&mut self.arrived))
    }
}

type Sent = Vec<(Outgoing, Result<Pending, PublishError>)>;

async fn send_all(bus: &Bus, outgoing: Vec<Outgoing>) -> Sent {
    let mut sent = Vec::with_capacity(outgoing.len());
    for message in outgoing {
        if !message.is_fact() {
            tracing::warn!(id = message.message_id(), "dead letter");
        }
        let pending = bus.send(&message).await;
        sent.push((message, pending));
    }
    sent
}

/// What can never be published becomes a dead letter: one of them must not stop the rest.
async fn receive_all(bus: &Bus, sent: Sent) -> Result<(), Fault> {
    for (message, pending) in sent {
        let receipt = match pending {
            Ok(pending) => pending.receipt().await,
            Err(fault) => Err(fault),
        };
        match receipt {
            Ok(_) => {}
            Err(fault @ PublishError::TooLarge { .. }) => {
                tracing::error!(%fault, "an output can never be published");
                bus.dead_letter(&message.obituary(&fault.to_string()))
                    .await
                    .map_err(|f| Fault::Transient(f.into()))?;
            }
            Err(fault) => return Err(Fault::Transient(fault.into())),
        }
    }
    Ok(())
}

/// Publishes all and waits for all.
pub(super) async fn publish(bus: &Bus, outgoing: Vec<Outgoing>) -> Result<(), Fault> {
    receive_all(bus, send_all(bus, outgoing).await).await
}
