//! The fence of a route: asked right before each change outside.

use std::time::Instant;

use auspex_chassis::{Bus, Claim, Lost};
use futures::future::BoxFuture;

use crate::course::Outcome;
use crate::lane::Lane;
use crate::record::Record;
use crate::router::{Fence, Fenced};

/// Asks the server for the claim and the log for a newer decision.
pub(crate) struct Gate<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) claim: &'a Claim<Record>,
    pub(crate) lane: &'a Lane,
    /// The watchdog of the last holder, while the bus is away: it brings traffic back to stable and nothing else, so nobody
    /// need be asked who cannot be asked.
    pub(crate) adrift: bool,
}

impl Gate<'_> {
    /// An answer is good for the moment: one that came long after the question, for this process was paused, is asked for
    /// again.
    async fn ask(&self) -> Result<(), Fenced> {
        for _ in 0..3 {
            let begun = Instant::now();
            self.ask_once().await?;
            if self.adrift || begun.elapsed() < self.bus.lease() / 4 {
                return Ok(());
            }
        }
        Err(Fenced(
            "this process is too slow to be sure of anything".to_owned(),
        ))
    }

    async fn ask_once(&self) -> Result<(), Fenced> {
        let course = self.lane.course();
        let (claim, last) = tokio::join!(
            self.claim.confirm(),
            self.bus.last_decision(&course.project, &course.service)
        );
        match claim {
            Ok(()) => {}
            Err(Lost::Unknown(_)) if self.adrift => return Ok(()),
            Err(lost) => return Err(Fenced(lost.to_string())),
        }
        match last {
            Ok(Some((seq, decision))) if self.lane.absorb(&decision, seq) == Outcome::Followed => Err(
                Fenced(format!("a newer decision is in the log: {}", decision.meta.id)),
            ),
            Ok(_) => Ok(()),
            Err(_) if self.adrift => Ok(()),
            Err(fault) => Err(Fenced(format!("the log cannot be asked: {fault:#}"))),
        }
    }
}

impl Fence for Gate<'_> {
    fn pass(&self) -> BoxFuture<'_, Result<(), Fenced>> {
        Box::pin(self.ask())
    }
}
