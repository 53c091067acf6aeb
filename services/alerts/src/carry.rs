//! Carries what the outbox asks for to its receivers: the errands of the stage `delivery`.
//!
//! What is due follows from the saved outbox alone; the result is written back into it. Beyond that, the process remembers
//! per receiver until when it is to be left alone, over all projects: a channel's limit counts everybody's messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auspex_chassis::metrics::Metrics;
use auspex_chassis::{DeadLetter, Errand, Errands, Settle};
use auspex_proto::{Alert, Fact, FactId, Partitions, Timestamp, stage};
use futures::FutureExt;

use crate::outbox::{Death, DeliveryError, Outbox, Policy};
use crate::receiver::{Receiver, Told};

/// What the loop may have looked at too early by a hair is offered again; older than this, it is under way.
const HAIR: Duration = Duration::from_millis(100);

/// Who carries.
#[derive(Clone)]
pub struct Carrier {
    receivers: BTreeMap<String, Arc<dyn Receiver>>,
    policy: Policy,
    /// The longest one attempt may take.
    limit: Duration,
    partitions: Partitions,
    metrics: Metrics,
    /// By receiver: nothing is sent before this.
    free_at: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier")
            .field("receivers", &self.receivers.keys())
            .finish_non_exhaustive()
    }
}

impl Carrier {
    /// One that carries to these receivers.
    #[must_use]
    pub fn new(
        receivers: BTreeMap<String, Arc<dyn Receiver>>,
        (policy, limit): (Policy, Duration),
        partitions: Partitions,
        metrics: Metrics,
    ) -> Self {
        Self {
            receivers,
            policy,
            limit,
            partitions,
            metrics,
            free_at: Arc::default(),
        }
    }

    fn free_at(&self, receiver: &str) -> Timestamp {
        let free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        free_at.get(receiver).copied().unwrap_or_default()
    }

    fn hold(&self, receiver: &str, until: Timestamp) {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let held = free_at.entry(receiver.to_owned()).or_default();
        *held = until.max(*held);
    }

    fn errand(&self, key: &str, receiver: &str, seq: u64, alert: Alert) -> Errand<Outbox> {
        let (carrier, receiver) = (self.clone(), receiver.to_owned());
        let lane = receiver.clone();
        let run = async move {
            let result = carrier.attempt(&receiver, &alert).await;
            let settle: Settle<Outbox> =
                Box::new(move |outbox, now| carrier.settle(outbox, (&receiver, seq), &result, now));
            settle
        };
        Errand {
            key: key.to_owned(),
            lane,
            run: run.boxed(),
        }
    }

    async fn attempt(&self, receiver: &str, alert: &Alert) -> Result<Told, DeliveryError> {
        let Some(to) = self.receivers.get(receiver) else {
            return Err(DeliveryError::Final(
                "no receiver is configured under this name".to_owned(),
            ));
        };
        let late = |_| {
            let reason = format!("no answer within {} s", self.limit.as_secs_f32());
            Err(DeliveryError::Retry { after: None, reason })
        };
        let result = tokio::time::timeout(self.limit, to.deliver(alert))
            .await
            .unwrap_or_else(late);
        if let Err(DeliveryError::Retry {
            after: Some(after), ..
        }) = &result
        {
            self.hold(receiver, auspex_chassis::clock::now() + *after);
        }
        result
    }

    fn settle(
        &self,
        outbox: &mut Outbox,
        (receiver, seq): (&str, u64),
        result: &Result<Told, DeliveryError>,
        now: Timestamp,
    ) -> Vec<DeadLetter> {
        let death = match result {
            Ok(Told::Taken(receipt)) => {
                outbox.delivered(receiver, seq, receipt, now);
                None
            }
            Ok(Told::NoPlace(why)) => {
                outbox.passed_over(receiver, seq, why, now);
                None
            }
            Err(why) => outbox.failed((receiver, seq), why, &self.policy, now),
        };
        let outcome = match (result, &death) {
            (Ok(Told::Taken(_)), _) => "delivered",
            (Ok(Told::NoPlace(_)), _) => "passed_over",
            (Err(_), Some(_)) => "dead",
            (Err(_), None) => "retried",
        };
        let labels = [("receiver", receiver), ("outcome", outcome)];
        self.metrics
            .counter_with(
                "auspex_delivery_attempts_total",
                "Attempts to deliver an alert.",
                &labels,
            )
            .inc();
        match result {
            Ok(Told::Taken(receipt)) => tracing::info!(receiver, seq, receipt, "delivered"),
            Ok(Told::NoPlace(why)) => tracing::info!(receiver, seq, why, "passed over"),
            Err(why) => tracing::warn!(receiver, seq, outcome, reason = %why, "not delivered"),
        }
        death.map(|death| self.letter(death, now)).into_iter().collect()
    }

    /// The letter holds the alert for the one receiver that did not get it, under an id of its own: retried, it goes
    /// nowhere else, and the outbox does not take it for a repeat.
    fn letter(&self, death: Death, now: Timestamp) -> DeadLetter {
        let mut alert = death.alert;
        alert.meta.id = FactId::derived(
            stage::DELIVERY.name,
            death.seq,
            &death.receiver,
            death.attempts as usize,
        );
        alert.receivers = vec![death.receiver.clone()];
        let fact = Fact::Alert(alert);
        DeadLetter {
            stage: stage::DELIVERY.name.to_owned(),
            subject: fact.subject(self.partitions),
            sequence: death.seq,
            message_id: fact.message_id(),
            reason: format!("{}: {}", death.receiver, death.reason),
            payload: fact.encode(),
            attempt: 0,
            time_ms: now.0,
        }
    }
}

impl Errands<Outbox> for Carrier {
    fn due(
        &self,
        key: &str,
        outbox: &Outbox,
        now: Timestamp,
        busy: &BTreeSet<(String, String)>,
    ) -> Vec<Errand<Outbox>> {
        let mut errands = Vec::new();
        for receiver in outbox.receivers() {
            if busy.contains(&(key.to_owned(), receiver.to_owned())) || self.free_at(receiver) > now {
                continue;
            }
            if let Some((seq, alert)) = outbox.next(receiver, now) {
                let pace = self
                    .receivers
                    .get(receiver)
                    .map_or(Duration::ZERO, |to| to.pace());
                self.hold(receiver, now + pace);
                errands.push(self.errand(key, receiver, seq, alert.clone()));
            }
        }
        errands
    }

    fn next_at(&self, outbox: &Outbox, now: Timestamp) -> Option<Timestamp> {
        let wakes = outbox
            .receivers()
            .filter_map(|r| Some(outbox.wake(r)?.max(self.free_at(r))));
        wakes.filter(|at| *at + HAIR > now).min()
    }
}
