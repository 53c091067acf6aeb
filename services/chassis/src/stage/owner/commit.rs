//! Saving and publishing: steps 3 and 4 of the loop.

use std::time::Instant;

use auspex_proto::subject;

use super::Owner;
use crate::bus::is_stale;
use crate::stage::Fault;
use crate::stage::slots::{Unsaved, Which};
use crate::stage::under_way::{self, Arrived as Landed, Said, Sent, UnderWay};
use crate::verb::Verb;

/// What fits without asking, in bytes: a server takes 1 MB unless told otherwise, and nobody tells it less than this.
const ALWAYS_FITS: usize = 32 * 1_024;

impl<V: Verb> Owner<V> {
    /// Steps 3 and 4.
    pub(super) async fn commit(&mut self, which: Which) -> Result<(), Fault> {
        if self.slots.poisoned {
            return Err(Fault::Poisoned(std::mem::take(&mut self.slots.poison)));
        }
        if self.slots.speaks() {
            // What it follows on the log has to stand there first.
            let landed = self.under_way.arrive().await?;
            self.land(landed);
        }
        let (mut keys, mut sent) = self.speak().await;
        let Unsaved {
            values,
            keys: saved_keys,
        } = self.slots.take_unsaved(which)?;
        if let Some((key, _, value)) = values.iter().max_by_key(|(_, _, value)| value.len()) {
            self.must_fit(key, value.len())?;
        }
        // What is left for later holds the cursor back.
        let settled = Some(self.slots.saved_to(self.position));
        if values.is_empty() && self.cursor.owes.is_empty() && sent.is_empty() {
            self.under_way.goes_on_to(settled);
            self.ask(saved_keys);
            return Ok(());
        }
        let bucket = &self.bucket;
        let partition = self.post.partition;
        let saves = values.into_iter().map(|(key, revision, value)| async move {
            let saved = bucket
                .update(subject::state_key(partition, &key), value.into(), revision)
                .await;
            (key, saved)
        });
        let (saved, landed) = futures::join!(futures::future::join_all(saves), self.under_way.arrive());
        self.land(landed?);
        let owed = std::mem::take(&mut self.cursor.owes);
        let mut said: Vec<Said> = owed.into_iter().map(Said::from).collect();
        for (key, saved) in saved {
            let revision = saved.map_err(|fault| match is_stale(&fault) {
                true => Fault::Lost(format!("key {key} has a newer owner")),
                false => Fault::Transient(anyhow::anyhow!("saving key {key}: {fault}")),
            })?;
            said.extend(self.slots.saved(&key, revision));
            keys.push(key);
        }
        sent.extend(under_way::send(&self.bus, said).await);
        let landed = Landed {
            keys,
            settled,
            ..Landed::default()
        };
        self.under_way = UnderWay::of(&self.bus, sent, landed);
        self.ask(saved_keys);
        Ok(())
    }

    /// Sends what does not wait for a save, and says of which keys.
    async fn speak(&mut self) -> (Vec<String>, Sent) {
        let (keys, said) = self.slots.speak();
        if self.slots.has_spoken() {
            self.aging.spoke(Instant::now());
        }
        let sent = under_way::send(&self.bus, said).await;
        if !sent.is_empty() {
            // The connection's task stands next in this thread's line, and nobody else may take it: it writes before the states
            // are encoded, not after.
            tokio::task::yield_now().await;
        }
        (keys, sent)
    }

    /// Nobody could ever save what the bus does not take: going on would repeat this for ever.
    fn must_fit(&self, key: &str, bytes: usize) -> Result<(), Fault> {
        // Asking copies all that the server says of itself.
        if bytes <= ALWAYS_FITS {
            return Ok(());
        }
        let (stage, server) = (self.post.stage.name, self.bus.client().server_info());
        let limit = server.max_payload.saturating_sub(1_024);
        if bytes <= limit {
            return Ok(());
        }
        Err(Fault::Fatal(anyhow::anyhow!(
            "{stage}: key {key} has grown to {bytes} bytes, the bus takes {limit}"
        )))
    }
}
