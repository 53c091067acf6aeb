//! A barrier behind what was told: it is passed once whoever owns the store's partition has saved all of it, and it was read here.
//!
//! What one entity has come to is saved when it has waited long enough, not when something is told behind it: that a row can be read
//! says nothing of rows of others that were told before it. How far the owner has saved everything does.

use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::View;
use auspex_proto::Project;
use tokio::time::{Instant, sleep};

use crate::online::Online;
use crate::store::State;

/// Waits until what was told can be read.
#[derive(Debug, Clone)]
pub struct Barrier {
    states: View<State>,
    online: Arc<Online>,
}

impl Barrier {
    /// As the store's states are saved and read.
    #[must_use]
    pub fn new(states: View<State>, online: &Arc<Online>) -> Self {
        Self {
            states,
            online: Arc::clone(online),
        }
    }

    /// Whether everything of a project up to this place in the log can be read; waits for it until then.
    pub async fn passed(&self, project: &Project, seq: u64, until: Instant) -> bool {
        loop {
            let within = until.saturating_duration_since(Instant::now());
            match self.states.settled(project, seq, within).await {
                Ok(Some(place)) => return self.online.has_read(place, until).await,
                Ok(None) => return false,
                Err(fault) if within.is_zero() => {
                    tracing::warn!(
                        fault = format!("{fault:#}"),
                        "how far the store is saved is not known"
                    );
                    return false;
                }
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }
}
