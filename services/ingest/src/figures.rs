//! Figures of the doors: what came, from where, what became of it, and when the last of it came.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use auspex_chassis::{Counter, Gauge, Metrics};
use auspex_proto::Timestamp;

/// As many kinds of ignored events have a figure of their own; more are counted as `other`.
const MAX_KINDS: usize = 128;

/// The figures of one door.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    metrics: Metrics,
    source: &'static str,
    kinds: Arc<Mutex<BTreeSet<String>>>,
    accepted: Counter,
    duplicate: Counter,
    last: Gauge,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics, source: &'static str) -> Self {
        Self {
            metrics: metrics.clone(),
            source,
            kinds: Arc::default(),
            accepted: events(metrics, source, "accepted"),
            duplicate: events(metrics, source, "duplicate"),
            last: metrics.gauge_with(
                "auspex_ingest_last_event_timestamp_seconds",
                "When the source's last event was acknowledged, in unix seconds: an old one means that the source is silent.",
                &[("source", source)],
            ),
        }
    }

    /// One fact is on the log.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn acknowledged(&self, duplicate: bool, now: Timestamp) {
        if duplicate {
            &self.duplicate
        } else {
            &self.accepted
        }
        .inc();
        self.last.set(now.0 as f64 / 1_000.0);
    }

    /// Something else became of it: `refused`, `unauthorized` and so on; a word of the code's, never of the sender's.
    pub(crate) fn other(&self, outcome: &'static str) {
        events(&self.metrics, self.source, outcome).inc();
    }

    /// Accepted, and nothing to us.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn ignored(&self, kind: &str, now: Timestamp) {
        self.other("ignored");
        self.last.set(now.0 as f64 / 1_000.0);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() < MAX_KINDS {
            kinds.insert(kind.to_owned());
        }
        let kind = if kinds.contains(kind) { kind } else { "other" };
        self.metrics
            .counter_with(
                "auspex_ingest_ignored_total",
                "Events that bear on nothing here, by kind.",
                &[("source", self.source), ("kind", kind)],
            )
            .inc();
    }
}

fn events(metrics: &Metrics, source: &str, outcome: &str) -> Counter {
    metrics.counter_with(
        "auspex_ingest_events_total",
        "What came, by source and what became of it.",
        &[("source", source), ("outcome", outcome)],
    )
}
