//! What a stage does outside: asked for by its state, run by the loop, the result written back into the state and saved.
//!
//! The state says what is still to be done, so a crash repeats at most the errands that were under way: at most one duplicate.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use auspex_proto::Timestamp;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use crate::bus::DeadLetter;

/// The errands of a stage. What is due follows from the state alone.
pub trait Errands<S>: Send + Sync + 'static {
    /// What is to be run now for a key, leaving out lanes in `busy`, which holds (key, lane) of what is under way.
    fn due(&self, key: &str, state: &S, now: Timestamp, busy: &BTreeSet<(String, String)>) -> Vec<Errand<S>>;

    /// When to ask again; `None`: when the state changes.
    fn next_at(&self, state: &S, now: Timestamp) -> Option<Timestamp>;
}

/// Writes an errand's result into the state; what can never be done comes back as dead letters.
pub type Settle<S> = Box<dyn FnOnce(&mut S, Timestamp) -> Vec<DeadLetter> + Send>;

/// One errand. At most one runs per key and lane.
pub struct Errand<S> {
    /// The key it belongs to.
    pub key: String,
    /// Its lane: what must stay in order shares one.
    pub lane: String,
    /// The deed; it must end by itself, within a time of its own.
    pub run: BoxFuture<'static, Settle<S>>,
}

impl<S> std::fmt::Debug for Errand<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand")
            .field("key", &self.key)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

/// An errand that is done.
pub(super) struct Done<S> {
    key: String,
    lane: String,
    settle: Settle<S>,
}

/// An errand under way.
struct Trip<S>(Errand<S>);

impl<S> Future for Trip<S> {
    type Output = Done<S>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done<S>> {
        self.0.run.as_mut().poll(context).map(|settle| Done {
            key: std::mem::take(&mut self.0.key),
            lane: std::mem::take(&mut self.0.lane),
            settle,
        })
    }
}

/// What is under way, and who is to be asked next. A key is asked when it has been saved, and when it said it wants to be asked
/// again: never because of what happens to another.
pub(super) struct Book<S> {
    errands: Arc<dyn Errands<S>>,
    running: FuturesUnordered<Trip<S>>,
    busy: BTreeSet<(String, String)>,
    asked: BTreeSet<String>,
    /// When to ask whom again, both ways.
    wakes: BTreeSet<(Timestamp, String)>,
    wake_of: BTreeMap<String, Timestamp>,
}

impl<S: 'static> Book<S> {
    pub(super) fn new(errands: Arc<dyn Errands<S>>) -> Self {
        Self {
            errands,
            running: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            asked: BTreeSet::new(),
            wakes: BTreeSet::new(),
            wake_of: BTreeMap::new(),
        }
    }

    /// Has these keys asked next time.
    pub(super) fn ask(&mut self, keys: impl IntoIterator<Item = String>) {
        self.asked.extend(keys);
    }

    /// Starts what is due of those who are to be asked. `saved` gives a key's state when all of it is saved: another is asked
    /// once it has been.
    pub(super) fn start<'a>(&mut self, now: Timestamp, saved: impl Fn(&str) -> Option<&'a S>) {
        while let Some((at, key)) = self.wakes.pop_first() {
            if at > now {
                self.wakes.insert((at, key));
                break;
            }
            self.asked.insert(key);
        }
        for key in std::mem::take(&mut self.asked) {
            if let Some(at) = self.wake_of.remove(&key) {
                self.wakes.remove(&(at, key.clone()));
            }
            let Some(state) = saved(&key) else {
                continue;
            };
            for errand in self.errands.due(&key, state, now, &self.busy) {
                self.busy.insert((errand.key.clone(), errand.lane.clone()));
                self.running.push(Trip(errand));
            }
            if let Some(at) = self.errands.next_at(state, now) {
                self.wakes.insert((at, key.clone()));
                self.wake_of.insert(key, at);
            }
        }
    }

    /// How long until somebody is to be asked again.
    pub(super) fn next_in(&self, now: Timestamp) -> Option<Duration> {
        let (earliest, _) = self.wakes.first()?;
        Some(earliest.since(now).max(Duration::from_millis(5)))
    }

    /// The next errand that is done; never, while none is under way.
    pub(super) async fn done(&mut self) -> Done<S> {
        match self.running.next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Whether none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Frees the lane of what is done. The key, and what is to be written into its state.
    pub(super) fn close(&mut self, done: Done<S>) -> (String, Settle<S>) {
        let Done { key, lane, settle } = done;
        self.busy.remove(&(key.clone(), lane));
        (key, settle)
    }
}

#[cfg(test)]
mod tests;
