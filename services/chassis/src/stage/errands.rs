//! What a stage does outside: asked for by its state, run by the loop, the result written back into the state and saved.
//!
//! The state says what is still to be done, so a crash repeats at most the errands that were under way: at most one duplicate.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};

use auspex_proto::Timestamp;
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

pub(super) struct Done<S> {
    pub(super) key: String,
    pub(super) settle: Settle<S>,
}

/// An errand under way.
pub(super) struct Trip<S>(pub(super) Errand<S>);

pub(super) type Running<S> = FuturesUnordered<Trip<S>>;

impl<S> Future for Trip<S> {
    type Output = Done<S>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done<S>> {
        self.0.run.as_mut().poll(context).map(|settle| Done {
            key: self.0.key.clone(),
            settle,
        })
    }
}
