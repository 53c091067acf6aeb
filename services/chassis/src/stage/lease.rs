//! Who owns which partition: leases in a bucket whose `max_age` is the lease time.
//!
//! A lease is created, and renewed by revision with plain updates (a per-key TTL would be lost on the first update). Replicas
//! count each other and take no more than their share. A lease only decides who *works*; that a stale owner does no harm is
//! the compare-and-set's doing.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::kv;
use auspex_proto::stage::Stage;
use auspex_proto::{Partition, Partitions, subject};

use crate::bus::{Bus, is_stale, snapshot};

/// The leases of one stage in one process.
pub(super) struct Leases {
    bus: Bus,
    store: kv::Store,
    stage: Stage,
    instance: String,
    partitions: Partitions,
    held: BTreeMap<Partition, u64>,
    /// Consecutive rounds in which the server could not be reached, by partition.
    pub(super) period: Duration,
}

/// What a round of the leases changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) gained: Vec<Partition>,
    pub(super) lost: Vec<Partition>,
    /// More than this replica's share: to be released when their owners have ended.
    pub(super) surplus: Vec<Partition>,
}

impl Leases {
    pub(super) async fn new(
        bus: &Bus,
        stage: Stage,
        instance: &str,
        lease: Duration,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            bus: bus.clone(),
            store: bus.lay_out_leases().await?,
            stage,
            instance: instance.to_owned(),
            partitions: bus.partitions(),
            held: BTreeMap::new(),
            period: lease / 4,
        })
    }

    /// Renews what is held, gives up what is too much, takes what is free and due.
    pub(super) async fn round(&mut self) -> Changes {
        let mut changes = Changes::default();
        self.renew(&mut changes).await;
        // What was found out before the server went away still holds.
        if let Err(fault) = self.share_out(&mut changes).await {
            tracing::debug!(
                stage = self.stage.name,
                fault = format!("{fault:#}"),
                "no round of leases"
            );
        }
        changes
    }

    async fn share_out(&mut self, changes: &mut Changes) -> anyhow::Result<()> {
        let share = self.share().await?;
        let surplus = self.held.len().saturating_sub(share);
        changes.surplus = self.held.keys().rev().take(surplus).copied().collect();
        if self.held.len() < share {
            let taken = self.taken().await?;
            for partition in self.partitions.iter().filter(|p| !taken.contains(p)) {
                if self.held.len() >= share {
                    break;
                }
                let key = subject::post(self.stage.name, partition);
                if let Ok(revision) = self.store.create(key, self.instance.clone().into()).await {
                    self.held.insert(partition, revision);
                    changes.gained.push(partition);
                }
            }
        }
        Ok(())
    }

    async fn renew(&mut self, changes: &mut Changes) {
        for (partition, revision) in self.held.clone() {
            let key = subject::post(self.stage.name, partition);
            match self
                .store
                .update(&key, self.instance.clone().into(), revision)
                .await
            {
                Ok(revision) => {
                    self.held.insert(partition, revision);
                }
                Err(fault) if is_stale(&fault) => {
                    self.held.remove(&partition);
                    changes.lost.push(partition);
                }
                // The server is away: for everybody. Whoever comes first afterwards has it.
                Err(fault) => tracing::debug!(%partition, %fault, "lease not renewed"),
            }
        }
    }

    /// How many partitions each replica may hold: all of them, shared out evenly.
    async fn share(&mut self) -> anyhow::Result<usize> {
        let me = subject::member(self.stage.name, &self.instance);
        if self.store.put(&me, "".into()).await.is_err() {
            // The bucket is in memory: a server that was restarted has forgotten it.
            self.store = self.bus.lay_out_leases().await?;
            self.store.put(&me, "".into()).await?;
        }
        let members = snapshot(&self.bus, subject::LEASES, &subject::members(self.stage.name))
            .await?
            .len();
        Ok(usize::from(self.partitions.count()).div_ceil(members.max(1)))
    }

    async fn taken(&self) -> anyhow::Result<Vec<Partition>> {
        let pattern = subject::posts(self.stage.name);
        let entries = snapshot(&self.bus, subject::LEASES, &pattern).await?;
        let held: Vec<String> = entries.into_iter().map(|entry| entry.key).collect();
        Ok(self
            .partitions
            .iter()
            .filter(|p| held.contains(&subject::post(self.stage.name, *p)))
            .collect())
    }

    /// Gives a partition up, once nobody here works on it.
    pub(super) async fn release(&mut self, partition: Partition) {
        if let Some(revision) = self.held.remove(&partition) {
            let key = subject::post(self.stage.name, partition);
            self.store.delete_expect_revision(key, Some(revision)).await.ok();
        }
    }

    /// Gives everything up, so that another replica can take over at once.
    pub(super) async fn release_all(&mut self) {
        for partition in self.held.keys().copied().collect::<Vec<_>>() {
            self.release(partition).await;
        }
        let me = subject::member(self.stage.name, &self.instance);
        self.store.delete(me).await.ok();
    }
}
