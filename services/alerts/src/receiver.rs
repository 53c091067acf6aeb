//! What all receivers have in common: an alert goes in, what became of it or the reason of a failure comes back.

use std::time::Duration;

use auspex_proto::Alert;
use futures::future::BoxFuture;

use crate::outbox::DeliveryError;

/// What became of an alert that nothing went wrong with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The receiver has it; with what the provider gave to find the message by, for people.
    Taken(String),
    /// The receiver has no place for such an alert, and why: nothing was sent.
    NoPlace(String),
}

/// Somebody who is told.
pub trait Receiver: Send + Sync + 'static {
    /// Tells of one alert, once.
    fn deliver<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<Told, DeliveryError>>;

    /// The least time between two messages that the provider wants.
    fn pace(&self) -> Duration;
}
