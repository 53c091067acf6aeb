//! The stage that writes rows down. It shares one durable consumer among replicas; a fact is acknowledged when its rows lie in
//! a file, so that some may lie in two, and none in no file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::{Reject, Transform};
use auspex_proto::Fact;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify, watch};

use super::{Offline, Stored};
use crate::rows;

/// How long rows are gathered before they are written, and how many are enough: few large files are better than many small.
const GATHER: Duration = Duration::from_secs(2);
const ENOUGH: usize = 20_000;
/// Batches that may be under way at once: when all wait, nothing more will come.
const WAITING: usize = 4;

type Facts = Vec<(u64, Fact)>;

/// Writes rows down.
#[derive(Debug, Clone)]
pub struct Writer {
    offline: Offline,
    gathered: Arc<Mutex<Gathered>>,
    enough: Arc<Notify>,
}

#[derive(Debug)]
struct Gathered {
    facts: Facts,
    rows: usize,
    batches: usize,
    /// Turns true when what is gathered here is written.
    written: watch::Sender<bool>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            facts: Vec::new(),
            rows: 0,
            batches: 0,
            written: watch::channel(false).0,
        }
    }
}

impl Writer {
    /// Into this store.
    #[must_use]
    pub fn new(offline: Offline) -> Self {
        Self {
            offline,
            gathered: Arc::default(),
            enough: Arc::default(),
        }
    }

    async fn write(&self, batch: Facts) {
        let mut gathered = self.gathered.lock().await;
        let leads = gathered.batches == 0;
        gathered.batches += 1;
        gathered.rows += batch.iter().map(|(_, fact)| count(fact)).sum::<usize>();
        gathered.facts.extend(batch);
        let mut written = gathered.written.subscribe();
        if gathered.rows >= ENOUGH || gathered.batches >= WAITING {
            self.enough.notify_one();
        }
        drop(gathered);
        if !leads {
            written.wait_for(|written| *written).await.ok();
            return;
        }
        // Whoever comes first waits for the others, and writes for all of them.
        tokio::time::timeout(GATHER, self.enough.notified()).await.ok();
        let gathered = std::mem::take(&mut *self.gathered.lock().await);
        self.write_all(&gathered.facts).await;
        gathered.written.send_replace(true);
    }

    /// Writes, trying again until it is done: what is not written is not acknowledged.
    async fn write_all(&self, facts: &[(u64, Fact)]) {
        let mut pause = Duration::from_millis(200);
        while let Err(fault) = put(&self.offline, facts).await {
            tracing::warn!(fault = format!("{fault:#}"), "rows are not written yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }
}

fn count(fact: &Fact) -> usize {
    match fact {
        Fact::Rows(batch) => batch.rows.len(),
        _ => 0,
    }
}

async fn put(offline: &Offline, facts: &[(u64, Fact)]) -> anyhow::Result<()> {
    let mut sources: BTreeMap<(&str, &str, String), (auspex_algebra::Shape, Vec<Stored>)> = BTreeMap::new();
    for (seq, fact) in facts {
        let Fact::Rows(batch) = fact else { continue };
        let shape = rows::shape(&batch.shape);
        let key = (batch.meta.project.as_str(), batch.source.as_str(), shape.digest());
        let (_, stored) = sources.entry(key).or_insert_with(|| (shape, Vec::new()));
        stored.extend(batch.rows.iter().map(|row| Stored {
            entity: row.entity.clone(),
            row: rows::row(&batch.shape, row),
            seq: *seq,
        }));
    }
    for ((project, source, _), (shape, stored)) in sources {
        offline.put(project, source, &shape, &stored).await?;
    }
    Ok(())
}

impl Transform for Writer {
    fn apply(&self, batch: Facts) -> BoxFuture<'_, Vec<Result<Vec<Fact>, Reject>>> {
        async move {
            let count = batch.len();
            self.write(batch).await;
            (0..count).map(|_| Ok(Vec::new())).collect()
        }
        .boxed()
    }
}
