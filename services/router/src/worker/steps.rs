//! The steps of a worker: what the plan says, done.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Hold, Trouble, Worker};
use crate::fence::Gate;
use crate::plan::{self, Next, Situation, Why};
use crate::record::{Asked, Settled};
use crate::router::{Applied, Fault, Intent, Mark, Observed, Shares, Verified, epoch_of, number, refuse};

/// A refusal is not tried again before this: nothing changes by itself.
const REFUSED: Duration = Duration::from_secs(5);

impl Worker {
    /// One step; whether there may be another at once.
    pub(crate) async fn step(&mut self) -> bool {
        let (next, intent) = self.next();
        let Some(intent) = intent else {
            return false;
        };
        match next {
            Next::Stand | Next::Rest => false,
            Next::Read => self.read(&intent).await,
            Next::Apply(why) => self.apply(&intent, why).await,
            Next::Note(verified) => self.note(&intent, verified),
            Next::Report(mut drift) => {
                if drift.since.0 == 0 {
                    drift.since = self.now();
                }
                tracing::warn!(
                    route = self.terms.name,
                    weight = drift.weight,
                    wanted = drift.wanted,
                    by = drift.by,
                    "somebody else moved the weight"
                );
                self.record.drift = Some(drift);
                self.ask(&intent);
                self.changed();
                true
            }
        }
    }

    /// What the plan says next, and of which intent.
    fn next(&self) -> (Next, Option<Intent>) {
        let intent = self.intent();
        let seen = self.seen();
        let situation = Situation {
            tenure: self.tenure(),
            intent: intent.as_ref(),
            verifies: self.router.capabilities().verified_by.is_some(),
            observed: seen.as_ref(),
            record: &self.record,
        };
        (plan::next(&situation), intent)
    }

    /// Whether a change is due that need not wait.
    pub(super) fn is_to_change(&self) -> bool {
        let (next, intent) = self.next();
        matches!(next, Next::Apply(_)) && intent.is_some_and(|intent| !self.waits(&intent))
    }

    /// What was read, while it is fresh.
    fn seen(&self) -> Option<Observed> {
        let (at, seen) = self.looked.as_ref()?;
        (at.elapsed() < self.terms.check).then(|| seen.clone())
    }

    async fn read(&mut self, intent: &Intent) -> bool {
        if self.waits(intent) {
            return false;
        }
        // What was carried out last is looked for, not what is asked now.
        let settled = self.record.settled.as_ref().map(|settled| settled.intent.clone());
        let (kept, _) = refuse(self.router.as_ref(), settled.as_ref().unwrap_or(intent));
        let read = timeout(self.terms.patience, self.router.read(&kept));
        let read = tokio::select! {
            // A decision waits for no look.
            biased;
            () = self.lane.changed.notified() => return true,
            read = read => read,
        };
        match read.unwrap_or_else(|_| Err(Fault::Away("no answer in time".to_owned()))) {
            Ok(observed) => {
                self.look(observed);
                if self.is_outrun() {
                    return false;
                }
                self.calm();
                true
            }
            Err(fault) => {
                self.failed(intent, &fault);
                false
            }
        }
    }

    /// Adrift, a newer mark says that somebody else holds the route: he is not fought.
    fn is_outrun(&self) -> bool {
        let Hold::Adrift { epoch } = self.hold else {
            return false;
        };
        let mark = self.looked.as_ref().map(|(_, seen)| seen.mark);
        matches!(mark, Some(Mark::Write(theirs)) if epoch_of(theirs) > epoch)
    }

    async fn apply(&mut self, intent: &Intent, why: Why) -> bool {
        if self.waits(intent) {
            return false;
        }
        if matches!(self.hold, Hold::Adrift { .. }) && self.looked.is_none() {
            return self.read(intent).await;
        }
        if self.is_outrun() {
            return false;
        }
        self.writes += 1;
        let intent = &Intent {
            mark: number(intent.epoch, self.writes),
            ..intent.clone()
        };
        let kept = self.ask(intent);
        let router = std::sync::Arc::clone(&self.router);
        let gate = Gate {
            bus: &self.bus,
            claim: &self.claim,
            lane: &self.lane,
            adrift: matches!(self.hold, Hold::Adrift { .. }),
        };
        let applied = timeout(self.terms.patience, router.apply(&kept, &gate)).await;
        match applied.unwrap_or_else(|_| Err(Fault::Away("not carried out in time".to_owned()))) {
            Ok(applied) => self.applied(intent, &kept, applied, why).await,
            Err(Fault::Fenced(fenced)) => {
                tracing::info!(route = self.terms.name, why = %fenced, "stopped at the fence");
                self.looked = None;
                if self.claim.tenure().await.is_none() && matches!(self.hold, Hold::Held { .. }) {
                    self.lose();
                    return false;
                }
                // A newer decision: at once. A bus that is away: in a moment.
                self.trouble.until = Some(Instant::now() + Duration::from_millis(100));
                self.trouble.key = intent.key();
                true
            }
            Err(fault) => {
                // Half of it may be done.
                self.looked = None;
                self.failed(intent, &fault);
                false
            }
        }
    }

    async fn applied(&mut self, intent: &Intent, kept: &Intent, applied: Applied, why: Why) -> bool {
        let Applied { verified, observed } = applied;
        let holds = observed.as_ref().and_then(|seen| seen.holds(kept));
        let (weight, text) = (intent.weight, verified.reason().to_owned());
        tracing::info!(
            route = self.terms.name,
            weight,
            seq = intent.seq,
            epoch = intent.epoch,
            ?why,
            unverified = text,
            "carried out"
        );
        let held = holds != Some(false);
        if let Some(order) = &self.lane.course().order {
            self.record.settled = Some(Settled::new(intent, order, (verified, held), self.now()));
        }
        (self.record.drift, self.record.flips) = (None, self.record.flips + 1);
        match observed {
            Some(observed) => self.look(observed),
            None => self.looked = None,
        }
        self.changed();
        self.figures.flip(why);
        if held {
            self.calm();
        } else {
            self.failed(intent, &Fault::Away(text));
        }
        // Control waits for this: it is told before anything is saved.
        self.tell();
        held
    }

    fn note(&mut self, intent: &Intent, verified: Verified) -> bool {
        if let (Some(settled), Some(order)) = (&self.record.settled, &self.lane.course().order) {
            let mut noted = Settled::new(intent, order, (verified, true), self.now());
            // Under which it was written, not under which it is noted.
            (noted.intent.epoch, noted.intent.mark) = (settled.intent.epoch, settled.intent.mark);
            noted.intent.times = noted.intent.times.saturating_sub(1);
            self.record.settled = Some(noted);
        }
        self.ask(intent);
        if self.record.drift.take().is_some() {
            tracing::info!(route = self.terms.name, "the weight is back where it was set");
        }
        self.changed();
        true
    }

    /// Notes what is asked; answers what of it this router can do.
    fn ask(&mut self, intent: &Intent) -> Intent {
        let (kept, refused) = refuse(self.router.as_ref(), intent);
        self.record.asked = Some(Asked {
            intent: intent.clone(),
            refused,
            fault: String::new(),
        });
        kept
    }

    fn look(&mut self, observed: Observed) {
        let weight = observed.shares.and_then(Shares::weight);
        if weight != self.record.observed || observed.note != self.record.note {
            (self.record.observed, self.record.note) = (weight, observed.note.clone());
            self.changed();
        }
        let before = self
            .looked
            .as_ref()
            .map(|(_, seen)| (seen.stable, seen.candidate));
        if before.is_some_and(|before| before != (observed.stable, observed.candidate)) {
            // Control wants to know what can be taken.
            self.told = None;
        }
        self.looked = Some((Instant::now(), observed));
    }

    fn changed(&mut self) {
        self.unsaved = true;
        self.told = None;
    }

    /// Whether it is too early to try this one again.
    fn waits(&self, intent: &Intent) -> bool {
        let until = self.trouble.until.filter(|_| self.trouble.key == intent.key());
        until.is_some_and(|until| Instant::now() < until)
    }

    fn calm(&mut self) {
        if !self.trouble.fault.is_empty() {
            self.changed();
        }
        self.trouble = Trouble::default();
        if let Some(asked) = &mut self.record.asked {
            asked.fault.clear();
        }
    }

    fn failed(&mut self, intent: &Intent, fault: &Fault) {
        let key = intent.key();
        if self.trouble.key != key {
            self.trouble = Trouble {
                key,
                ..Trouble::default()
            };
        }
        self.trouble.failures += 1;
        let pause = match fault {
            Fault::Refused(_) => REFUSED,
            _ => plan::pause(self.trouble.failures),
        };
        self.trouble.until = Some(Instant::now() + pause);
        let text = fault.to_string();
        if self.trouble.fault != text {
            tracing::warn!(route = self.terms.name, fault = text, "not carried out");
            self.trouble.fault.clone_from(&text);
            let refused = self
                .record
                .asked
                .take()
                .map(|asked| asked.refused)
                .unwrap_or_default();
            self.record.asked = Some(Asked {
                intent: intent.clone(),
                refused,
                fault: text,
            });
            self.changed();
        }
        self.figures.fault();
    }
}
