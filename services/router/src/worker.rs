//! One route at work: takes the claim, does what the plan says next, tells what came of it.

mod steps;

use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::{Bus, Claim, House, Lost, Stop};
use auspex_proto::Timestamp;
use tokio::time::{Instant, sleep_until};

use crate::course::{Control, Slots};
use crate::figures::Figures;
use crate::lane::Lane;
use crate::plan::Tenure;
use crate::record::{Face, Record};
use crate::report::Reporter;
use crate::router::{Intent, Observed, Router};

/// While a rollout is on trial it is told at least this often: control forgets routers after 10 s.
const TELL: Duration = Duration::from_secs(3);
/// The longest pause between two looks at the clock.
const LONGEST: Duration = Duration::from_secs(1);

/// What a route's work depends on.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) name: String,
    pub(crate) slots: Slots,
    pub(crate) face: Face,
    pub(crate) check: Duration,
    /// All exchanges of one change together.
    pub(crate) patience: Duration,
}

/// One route at work.
pub(crate) struct Worker {
    pub(crate) house: House,
    pub(crate) bus: Bus,
    pub(crate) terms: Terms,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) claim: Claim<Record>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) reporter: Reporter,
    pub(crate) figures: Figures,
    pub(crate) hold: Hold,
    pub(crate) record: Record,
    /// What is kept is not saved yet.
    pub(crate) unsaved: bool,
    pub(crate) looked: Option<(Instant, Observed)>,
    pub(crate) trouble: Trouble,
    pub(crate) told: Option<Instant>,
    /// How often this process has written.
    pub(crate) writes: u64,
}

/// Whether this process holds the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Not; tried again at this time.
    None { again: Instant },
    /// Since then, under this epoch.
    Held { epoch: u64, since: Instant },
    /// It held it last, and the bus is away: nobody can tell.
    Adrift { epoch: u64 },
}

/// Failures in a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble {
    pub(crate) failures: u32,
    /// Of which intent: another one is tried at once.
    pub(crate) key: String,
    pub(crate) until: Option<Instant>,
    pub(crate) fault: String,
}

impl Worker {
    /// Works until told to stop, then gives the claim up.
    pub(crate) async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        loop {
            let next = tokio::select! {
                () = stop.requested() => break,
                next = self.round() => next,
            };
            tokio::select! {
                () = stop.requested() => break,
                () = self.lane.changed.notified() => {}
                () = sleep_until(next) => {}
            }
        }
        self.claim.release().await;
        Ok(())
    }

    /// One round: the claim, then steps until there is nothing to do. When to look again.
    async fn round(&mut self) -> Instant {
        // A change confirms the claim itself: it does not wait for another word of the server before.
        if !self.is_urgent().await {
            self.hold().await;
        }
        if self.hold.is_none() {
            self.figures.stand();
            return self.wake();
        }
        // Far more than any course needs: a plan that does not come to rest must not keep the process busy.
        for _ in 0..16 {
            if !self.step().await {
                break;
            }
        }
        self.save().await;
        self.tell();
        self.figures
            .show(&self.record, self.looked.as_ref().map(|(_, seen)| seen));
        self.wake()
    }

    /// Whether something is to be changed at once, and the claim's last word is young enough for that.
    async fn is_urgent(&self) -> bool {
        let tenure = self.claim.tenure().await;
        let young = tenure.is_some_and(|(_, word)| word < self.bus.lease() / 2);
        young && matches!(self.hold, Hold::Held { .. }) && self.is_to_change()
    }

    /// Takes the claim, or renews it in time.
    async fn hold(&mut self) {
        let lease = self.bus.lease();
        match self.hold {
            Hold::None { again } if Instant::now() < again => {}
            Hold::None { .. } => self.take().await,
            Hold::Held { epoch, .. } => {
                let fresh = self.claim.tenure().await;
                if fresh.is_some_and(|(_, word)| word < lease / 4) {
                    return;
                }
                match self.claim.confirm().await {
                    Ok(()) => {}
                    Err(Lost::Unknown(_)) if fresh.is_some() => {}
                    Err(Lost::Unknown(why)) => {
                        tracing::warn!(route = self.terms.name, why, "the claim cannot be confirmed");
                        self.hold = Hold::Adrift { epoch };
                        self.looked = None;
                    }
                    Err(Lost::Gone) => self.lose(),
                }
            }
            Hold::Adrift { .. } => match self.claim.confirm().await {
                // What was done meanwhile stands in no record: begin anew, under an epoch of its own.
                Ok(()) => {
                    self.claim.release().await;
                    self.lose();
                }
                Err(Lost::Gone) => self.lose(),
                Err(Lost::Unknown(_)) => {}
            },
        }
    }

    async fn take(&mut self) {
        let again = Instant::now() + self.bus.lease() / 4;
        self.hold = Hold::None { again };
        let kept = match self.claim.take().await {
            Ok(Some(kept)) => kept,
            Ok(None) => return,
            Err(fault) => {
                tracing::debug!(route = self.terms.name, fault = format!("{fault:#}"), "no claim");
                return;
            }
        };
        // What this process knows may be old: it may have been paused, or cut off. The log is asked.
        let course = self.lane.course();
        match self.bus.last_decision(&course.project, &course.service).await {
            Ok(Some((seq, decision))) => {
                self.lane.absorb(&decision, seq);
            }
            Ok(None) => {}
            Err(fault) => {
                tracing::warn!(
                    route = self.terms.name,
                    fault = format!("{fault:#}"),
                    "the log cannot be asked"
                );
                self.claim.release().await;
                return;
            }
        }
        tracing::info!(route = self.terms.name, epoch = kept.epoch, "the route is ours");
        self.record = kept.record;
        self.unsaved = self.record.face != self.terms.face;
        self.record.face = self.terms.face.clone();
        (self.looked, self.told, self.trouble) = (None, None, Trouble::default());
        self.hold = Hold::Held {
            epoch: kept.epoch,
            since: Instant::now(),
        };
    }

    pub(crate) fn lose(&mut self) {
        tracing::info!(route = self.terms.name, "the route is another's, or nobody's");
        self.hold = Hold::None {
            again: Instant::now(),
        };
        (self.looked, self.unsaved) = (None, false);
    }

    /// Keeps what has changed.
    pub(crate) async fn save(&mut self) {
        if !self.unsaved || !matches!(self.hold, Hold::Held { .. }) {
            return;
        }
        self.record.at = self.house.now();
        match self.claim.save(self.record.clone()).await {
            Ok(()) => self.unsaved = false,
            Err(Lost::Gone) => self.lose(),
            Err(Lost::Unknown(why)) => tracing::warn!(route = self.terms.name, why, "not saved yet"),
        }
    }

    /// Tells control what holds: at once after a change, and again and again while it is on trial.
    pub(crate) fn tell(&mut self) {
        if !matches!(self.hold, Hold::Held { .. }) {
            return;
        }
        let course = self.lane.course();
        let on_trial = course
            .order
            .as_ref()
            .is_some_and(|order| !order.phase.is_terminal());
        let due = match self.told {
            None => true,
            Some(told) => on_trial && told.elapsed() >= TELL,
        };
        if due && course.order.is_some() {
            let seen = self.looked.as_ref().map(|(_, seen)| seen);
            self.reporter.tell(&course, &self.record, seen, self.house.now());
            self.told = Some(Instant::now());
        }
    }

    pub(crate) fn tenure(&self) -> Tenure {
        match self.hold {
            Hold::None { .. } => Tenure::None,
            Hold::Held { epoch, since } => Tenure::Held {
                epoch,
                young: since.elapsed() < self.bus.lease(),
            },
            Hold::Adrift { .. } => Tenure::Held {
                epoch: 0,
                young: false,
            },
        }
    }

    /// What is to hold now. Adrift, nothing but the watchdog's word does.
    pub(crate) fn intent(&self) -> Option<Intent> {
        let Tenure::Held { epoch, .. } = self.tenure() else {
            return None;
        };
        let watchdog = self.terms.face.watchdog_ms;
        let control = Control {
            watchdog: (watchdog > 0).then(|| Duration::from_millis(watchdog)),
            silence: Some(self.lane.silence()),
            stable_is_short: self.looked.as_ref().is_some_and(|(_, seen)| is_short(seen)),
        };
        let settled = self.record.settled.as_ref();
        let intent = self
            .lane
            .course()
            .intent(epoch, settled, control, self.terms.slots)?;
        let adrift = matches!(self.hold, Hold::Adrift { .. });
        (!adrift || intent.suspended).then_some(intent)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.house.now()
    }

    fn wake(&self) -> Instant {
        let now = Instant::now();
        let mut at = now + LONGEST.min(self.terms.check);
        match self.hold {
            Hold::None { again } => at = again.max(now + Duration::from_millis(10)),
            _ => {
                if let Some(until) = self.trouble.until {
                    at = at.min(until.max(now + Duration::from_millis(10)));
                }
            }
        }
        at
    }
}

/// Whether stable is known to be unable to take everything, while the candidate serves.
fn is_short(seen: &Observed) -> bool {
    let short = seen.stable.is_some_and(|stable| stable.percent < 100);
    short && seen.candidate.is_none_or(|candidate| candidate.percent > 0)
}

impl Hold {
    pub(crate) fn is_none(self) -> bool {
        matches!(self, Self::None { .. })
    }
}
