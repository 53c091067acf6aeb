//! Running a stateful stage: leases decide who owns which partition, one loop per partition does the work.

mod aging;
mod cursor;
mod errands;
mod fences;
mod lease;
mod now;
mod owner;
mod replay;
mod slot;
mod slots;
mod ticks;
mod under_way;
mod unsaved;
mod value;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auspex_proto::Partition;
use auspex_proto::stage::Stage;
use tokio::task::JoinHandle;

pub(crate) use self::cursor::{lag, place, subjects};
pub use self::errands::{Errand, Errands, Settle};
pub use self::replay::{Logged, Replay};
use self::under_way::Said;
pub use self::view::{Changed, Kept, View, Watch};
use crate::bus::Bus;
use crate::shutdown::Stop;
use crate::verb::Verb;

/// A partition of a stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post {
    pub(crate) stage: Stage,
    pub(crate) partition: Partition,
}

/// Publishes all, does something else meanwhile, and waits for all.
pub(crate) async fn publish_all(
    bus: &Bus,
    outgoing: Vec<crate::bus::Outgoing>,
    meanwhile: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let sent = under_way::send(bus, outgoing.into_iter().map(Said::from).collect()).await;
    let mut under_way = under_way::UnderWay::of(bus, sent, under_way::Arrived::default());
    meanwhile.await?;
    match under_way.arrive().await {
        Ok(_) => Ok(()),
        Err(Fault::Transient(fault) | Fault::Fatal(fault)) => Err(fault),
        Err(Fault::Lost(_) | Fault::Poisoned(_)) => anyhow::bail!("not published"),
    }
}

/// Why an owner stops.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Begin again at the saved state.
    Transient(anyhow::Error),
    /// Somebody else owns it now.
    Lost(String),
    /// Begin again, and step over these messages.
    Poisoned(BTreeSet<u64>),
    /// Nobody may go on until a person has looked.
    Fatal(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Fault {
    fn from(fault: E) -> Self {
        Self::Transient(fault.into())
    }
}

/// Everything a stage runs with.
pub(crate) struct Runner<V: Verb> {
    pub(crate) bus: Bus,
    pub(crate) stage: Stage,
    pub(crate) instance: String,
    pub(crate) lease: Duration,
    pub(crate) verb: Arc<V>,
    pub(crate) errands: Option<Arc<dyn Errands<V::State>>>,
}

struct Owned {
    task: JoinHandle<anyhow::Result<()>>,
    stop: Box<dyn Fn() + Send + Sync>,
}

impl<V: Verb> Runner<V> {
    /// Takes leases and works on them until told to stop.
    pub(crate) async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let mut leases = lease::Leases::new(&self.bus, self.stage, &self.instance, self.lease).await?;
        let mut owned: BTreeMap<Partition, Owned> = BTreeMap::new();
        let mut rounds = tokio::time::interval(leases.period);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                _ = rounds.tick() => {}
            }
            let changes = leases.round().await;
            for partition in changes.lost.iter().chain(&changes.surplus) {
                if let Some(owned) = owned.remove(partition) {
                    tracing::info!(stage = self.stage.name, %partition, "lease lost or given up");
                    end(owned).await?;
                }
            }
            for partition in changes.surplus {
                leases.release(partition).await;
            }
            for partition in changes.gained {
                tracing::debug!(stage = self.stage.name, %partition, "lease gained");
                owned.insert(partition, self.own(partition));
            }
            let finished =
                |(partition, owned): (&Partition, &Owned)| owned.task.is_finished().then_some(*partition);
            for partition in owned.iter().filter_map(finished).collect::<Vec<_>>() {
                if let Some(owned) = owned.remove(&partition) {
                    // A fault here is one that nobody may go on with: the process goes down with its reason.
                    owned.task.await??;
                }
                // Somebody else has written: whoever has the lease in the next round goes on.
                leases.release(partition).await;
            }
        }
        // All are told before one is waited for: their last errands end beside each other.
        owned.values().for_each(|owned| (owned.stop)());
        for owned in owned.into_values() {
            end(owned).await?;
        }
        leases.release_all().await;
        Ok(())
    }

    fn own(&self, partition: Partition) -> Owned {
        let (give_stop, stop) = Stop::pair();
        let (bus, verb, errands) = (self.bus.clone(), Arc::clone(&self.verb), self.errands.clone());
        let post = Post {
            stage: self.stage,
            partition,
        };
        Owned {
            task: tokio::spawn(work(bus, post, verb, errands, stop)),
            stop: Box::new(give_stop),
        }
    }
}

async fn end(owned: Owned) -> anyhow::Result<()> {
    (owned.stop)();
    owned.task.await?
}

/// Owns a partition until told to stop or somebody else has written in it, beginning again after every other error.
async fn work<V: Verb>(
    bus: Bus,
    post: Post,
    verb: Arc<V>,
    errands: Option<Arc<dyn Errands<V::State>>>,
    stop: Stop,
) -> anyhow::Result<()> {
    let mut attempt = 0;
    let mut poison = BTreeSet::new();
    while !stop.is_requested() {
        let begun = tokio::time::Instant::now();
        let taken = tokio::select! {
            () = stop.requested() => return Ok(()),
            taken = owner::Owner::take(&bus, post, Arc::clone(&verb), errands.clone(), poison.clone()) => taken,
        };
        let ended = match taken {
            Ok(owner) => Box::pin(owner.run(stop.clone())).await,
            Err(fault) => Err(fault),
        };
        match ended {
            Ok(()) => return Ok(()),
            Err(Fault::Fatal(fault)) => return Err(fault),
            Err(Fault::Poisoned(found)) => poison = found,
            Err(Fault::Lost(why)) => {
                tracing::info!(stage = post.stage.name, partition = %post.partition, why, "giving up");
                return Ok(());
            }
            Err(Fault::Transient(fault)) => {
                tracing::warn!(stage = post.stage.name, partition = %post.partition, fault = format!("{fault:#}"), "beginning again");
            }
        }
        attempt = if begun.elapsed() > Duration::from_secs(10) {
            0
        } else {
            attempt + 1
        };
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(owner::pause(attempt)) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
