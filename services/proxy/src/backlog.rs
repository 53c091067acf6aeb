//! Reports on their way to the bus: in order, each until it is there, bounded while the bus is away.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auspex_chassis::{Bus, Counter, PublishError};
use auspex_proto::Fact;
use tokio::sync::Notify;

/// Two minutes of one project's reports: what is older would not be counted any more.
pub(crate) const CAPACITY: usize = 120;

/// Between two attempts while the bus is away.
const PAUSE: Duration = Duration::from_millis(500);

/// A bounded queue; when it is full the oldest go.
#[derive(Debug)]
pub(crate) struct Backlog {
    facts: Mutex<VecDeque<Fact>>,
    more: Notify,
    dropped: Counter,
}

impl Backlog {
    pub(crate) fn new(dropped: Counter) -> Self {
        Self {
            facts: Mutex::default(),
            more: Notify::new(),
            dropped,
        }
    }

    pub(crate) fn push(&self, fact: Fact) {
        let mut facts = self.facts();
        if facts.len() >= CAPACITY {
            facts.pop_front();
            self.dropped.inc();
        }
        facts.push_back(fact);
        drop(facts);
        self.more.notify_one();
    }

    /// Publishes for as long as it is polled.
    pub(crate) async fn publish(&self, bus: &Bus) {
        loop {
            self.drain(bus).await;
            self.more.notified().await;
        }
    }

    /// Publishes until nothing is left. A report keeps its id, so that one that arrived without our knowing is no second one.
    pub(crate) async fn drain(&self, bus: &Bus) {
        while let Some(fact) = self.first() {
            match bus.publish(&fact).await {
                Ok(_) => self.remove(&fact),
                Err(PublishError::TooLarge { bytes, limit }) => {
                    tracing::error!(bytes, limit, "a report is too large for the bus");
                    self.dropped.inc();
                    self.remove(&fact);
                }
                Err(fault) => {
                    tracing::debug!(%fault, "a report waits");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn first(&self) -> Option<Fact> {
        self.facts().front().cloned()
    }

    /// Unless it has been dropped meanwhile.
    fn remove(&self, fact: &Fact) {
        let mut facts = self.facts();
        if facts
            .front()
            .is_some_and(|first| first.meta().id == fact.meta().id)
        {
            facts.pop_front();
        }
    }

    fn facts(&self) -> MutexGuard<'_, VecDeque<Fact>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use auspex_chassis::Metrics;
    use auspex_proto::{FactId, Meta, ObservationBatch, Project, Timestamp};

    use super::*;

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let dropped = Metrics::default().counter("dropped", "");
        let backlog = Backlog::new(dropped.clone());
        for n in 0..CAPACITY + 3 {
            let meta = Meta {
                id: FactId::new(n.to_string()).unwrap(),
                project: Project::new("p").unwrap(),
                time: Timestamp(0),
                cause: 0,
                source: String::new(),
            };
            backlog.push(Fact::Observations(ObservationBatch {
                meta,
                observations: Vec::new(),
                applied: Vec::new(),
                environment: String::new(),
            }));
        }
        assert_eq!((backlog.facts().len(), dropped.get()), (CAPACITY, 3));
        let first = backlog.first().unwrap();
        assert_eq!(first.meta().id.as_str(), "3");
        backlog.remove(&first);
        backlog.remove(&first);
        assert_eq!(
            backlog.facts().len(),
            CAPACITY - 1,
            "another one is not removed in its place"
        );
    }
}
