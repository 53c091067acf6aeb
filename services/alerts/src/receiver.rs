//! What all receivers have in common: an alert goes in, a receipt or the reason of a failure comes back.

use std::time::Duration;

use auspex_proto::Alert;
use futures::future::BoxFuture;

use crate::outbox::DeliveryError;

/// Somebody who is told.
pub trait Receiver: Send + Sync + 'static {
    /// Tells of one alert, once. The receipt is what the provider gave to find the message by, for people.
    fn deliver<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<String, DeliveryError>>;

    /// The least time between two messages that the provider wants.
    fn pace(&self) -> Duration;
}
