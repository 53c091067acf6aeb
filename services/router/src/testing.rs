//! For tests of adapters: intents, and fences that are open or closed.

use std::sync::atomic::{AtomicUsize, Ordering};

use auspex_proto::{FactId, Invalid, RolloutName};
use futures::future::BoxFuture;

use crate::router::{Fence, Fenced, Intent};

/// An intent of a weight and nothing else.
///
/// # Errors
/// None: its names are valid.
pub fn intent(seq: u64, weight: u8) -> Result<Intent, Invalid> {
    Ok(Intent {
        decision: FactId::new(format!("d{seq}"))?,
        seq,
        epoch: 3,
        mark: 3,
        times: 0,
        rollout: RolloutName::new("r")?,
        stable_revision: "1".to_owned(),
        candidate_revision: "2".to_owned(),
        weight,
        cohorts: Vec::new(),
        mirror: 0,
        stable: None,
        candidate: None,
        swapped: false,
        insists: false,
        suspended: false,
    })
}

/// A fence that is always open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Fence for Open {
    fn pass(&self) -> BoxFuture<'_, Result<(), Fenced>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A fence that closes after it was passed so many times.
#[derive(Debug)]
pub struct ClosesAfter(AtomicUsize);

impl ClosesAfter {
    /// After so many times.
    #[must_use]
    pub fn new(times: usize) -> Self {
        Self(AtomicUsize::new(times))
    }
}

impl Fence for ClosesAfter {
    fn pass(&self) -> BoxFuture<'_, Result<(), Fenced>> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        let result = left.map(drop).map_err(|_| Fenced("the claim is lost".to_owned()));
        Box::pin(std::future::ready(result))
    }
}
