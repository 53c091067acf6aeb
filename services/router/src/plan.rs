//! What to do next for one route, given what is asked, what was seen and who holds the claim. Pure.
//!
//! What was *settled* is kept over holders: so a successor tells a flip that was cut short (it goes on) from a weight that
//! somebody else has moved since (it is reported, and left).

use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::decision::Phase;
use auspex_proto::report::Drift;
use serde::{Deserialize, Serialize};

use crate::course::Order;
use crate::router::{Intent, Mark, Observed, Shares, Verified};

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a data plane that is back is brought up to date within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is kept of a route over its holders. Below 4 kB, less its cohorts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// How many holders there have been.
    pub epoch: u64,
    /// Who held the claim last.
    pub holder: String,
    /// The last intent that was carried out in full.
    pub settled: Option<Settled>,
    /// Somebody else's change that has been found and left.
    pub drift: Option<Drift>,
    /// What the last decision asked that this router cannot do.
    pub refused: Vec<String>,
    /// Why the last intent could not be carried out; empty: it could.
    pub fault: String,
    /// What is to hold: of the last intent, percent.
    pub asked: u8,
    /// What was read at the data plane last, percent; `None`: it does not tell, or was never read.
    pub observed: Option<u8>,
    /// When this was written.
    pub at: Timestamp,
    /// How many intents have been carried out, over all holders.
    pub flips: u64,
}

/// An intent that was carried out in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// It; its decision is the last of those that asked the same.
    pub intent: Intent,
    /// Where the rollout stood.
    pub phase: Phase,
    /// Whether it was read back at the data plane.
    pub verified: Verified,
    /// When.
    pub at: Timestamp,
}

/// Who may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// Another process, or nobody.
    None,
    /// This one.
    Held {
        /// The claim's epoch.
        epoch: u64,
        /// It is younger than one lease: an earlier holder may have been cut short.
        young: bool,
    },
}

/// All that a step depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Who may act.
    pub tenure: Tenure,
    /// What is to hold.
    pub intent: Option<&'a Intent>,
    /// What was read since the last change of ours; `None`: not read since, or too long ago.
    pub observed: Option<&'a Observed>,
    /// What is kept.
    pub record: &'a Record,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Stand by: somebody else acts.
    Stand,
    /// Nothing, until something happens or it is time to look again.
    Rest,
    /// Look what holds.
    Read,
    /// Carry the intent out.
    Apply(Why),
    /// It holds: keep that.
    Note(Verified),
    /// Somebody else moved it: say so, and leave it.
    Report(Drift),
}

/// Why an intent is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is not what was settled.
    Asked,
    /// It could not be verified.
    Again,
    /// The data plane has forgotten: it was reloaded or restarted.
    Forgotten,
    /// An earlier holder wrote after it had lost the claim.
    LateWrite,
    /// An earlier holder may have been cut short.
    CutShort,
}

/// What to do next.
#[must_use]
pub fn next(situation: &Situation<'_>) -> Next {
    let Tenure::Held { young, .. } = situation.tenure else {
        return Next::Stand;
    };
    let (record, observed) = (situation.record, situation.observed);
    let (Some(intent), Some(settled)) = (situation.intent, &record.settled) else {
        return situation.intent.map_or(Next::Rest, |_| Next::Apply(Why::Asked));
    };
    if record.drift.is_some() && intent.insists && intent.decision != settled.intent.decision {
        return Next::Apply(Why::Asked);
    }
    if !settled.is(intent) {
        return if settled.rises_to(intent) {
            rise(settled, intent, observed, record)
        } else {
            Next::Apply(Why::Asked)
        };
    }
    let Some(observed) = observed else {
        return Next::Read;
    };
    match observed.holds(intent) {
        Some(true) if settled.verified.is_verified() && record.drift.is_none() => settled.rest(intent),
        Some(true) => Next::Note(Verified::Verified),
        None => settled.rest(intent),
        Some(false) => differs(settled, observed, record, young),
    }
}

/// More is given to the candidate only where things are as they were left: somebody may just have taken it away.
fn rise(settled: &Settled, intent: &Intent, observed: Option<&Observed>, record: &Record) -> Next {
    let Some(observed) = observed else {
        return Next::Read;
    };
    let Some(shares) = observed.shares else {
        return Next::Apply(Why::Asked);
    };
    let ours = match observed.mark {
        Mark::Unkept => true,
        Mark::Missing => false,
        Mark::Epoch(epoch) => epoch == settled.intent.epoch,
    };
    if shares.is(intent.weight) || shares.is(settled.intent.weight) || !ours {
        return Next::Apply(Why::Asked);
    }
    left(settled, observed, record)
}

fn differs(settled: &Settled, observed: &Observed, record: &Record, young: bool) -> Next {
    match observed.mark {
        Mark::Missing => return Next::Apply(Why::Forgotten),
        Mark::Epoch(epoch) if epoch != settled.intent.epoch => return Next::Apply(Why::LateWrite),
        Mark::Unkept if young && record.drift.is_none() => return Next::Apply(Why::CutShort),
        Mark::Unkept | Mark::Epoch(_) => {}
    }
    if !settled.verified.is_verified() && record.drift.is_none() {
        return Next::Apply(Why::Again);
    }
    left(settled, observed, record)
}

fn left(settled: &Settled, observed: &Observed, record: &Record) -> Next {
    let weight = observed.shares.and_then(Shares::weight).unwrap_or(0);
    match &record.drift {
        Some(known) if known.weight == weight && known.by == observed.by => Next::Rest,
        known => Next::Report(Drift {
            weight,
            wanted: settled.intent.weight,
            since: known.as_ref().map(|known| known.since).unwrap_or_default(),
            by: observed.by.clone(),
        }),
    }
}

/// The order in which two shares that cannot change at once are written: what grows comes first, so that at no time neither
/// track takes anything.
#[must_use]
pub fn order(now: Shares, wanted: Shares) -> Vec<Write> {
    let (stable, candidate) = (Write::Stable(wanted.stable), Write::Candidate(wanted.candidate));
    let writes = if wanted.candidate > now.candidate || wanted.stable < now.stable {
        [candidate, stable]
    } else {
        [stable, candidate]
    };
    let changes = |write: &Write| match *write {
        Write::Stable(share) => share != now.stable,
        Write::Candidate(share) => share != now.candidate,
    };
    writes.into_iter().filter(changes).collect()
}

/// One of two shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Stable's.
    Stable(u32),
    /// The candidate's.
    Candidate(u32),
}

/// How long to wait after so many failures in a row.
#[must_use]
pub fn pause(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

impl Settled {
    /// An intent that has just been carried out.
    #[must_use]
    pub fn new(intent: &Intent, order: &Order, verified: Verified, at: Timestamp) -> Self {
        Self {
            intent: intent.clone(),
            phase: order.phase,
            verified,
            at,
        }
    }

    /// Whether the intent asks for what was settled, by whatever decision.
    #[must_use]
    pub fn is(&self, intent: &Intent) -> bool {
        let mine = &self.intent;
        mine.rollout == intent.rollout
            && mine.weight == intent.weight
            && mine.cohorts == intent.cohorts
            && mine.mirror == intent.mirror
            && mine.stable == intent.stable
            && mine.candidate == intent.candidate
            && mine.swapped == intent.swapped
            && mine.suspended == intent.suspended
    }

    /// Whether the intent gives the candidate more, in the ordinary course of the same rollout.
    fn rises_to(&self, intent: &Intent) -> bool {
        let mine = &self.intent;
        mine.rollout == intent.rollout
            && mine.swapped == intent.swapped
            && !mine.suspended
            && !intent.insists
            && intent.weight > mine.weight
            && self.verified.is_verified()
    }

    fn rest(&self, intent: &Intent) -> Next {
        if self.intent.decision == intent.decision {
            Next::Rest
        } else {
            // The same is asked anew: it is answered for under the new decision's name.
            Next::Note(self.verified.clone())
        }
    }
}

impl Observed {
    /// Whether what was seen is what is intended; `None`: it does not tell.
    #[must_use]
    pub fn holds(&self, intent: &Intent) -> Option<bool> {
        match (self.shares, self.beside) {
            (None, beside) => beside,
            (Some(shares), beside) => Some(shares.is(intent.weight) && beside.unwrap_or(true)),
        }
    }
}

#[cfg(test)]
mod tests;
