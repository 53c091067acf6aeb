//! What to do next for one route, given what is asked, what was seen and who holds the claim. Pure.
//!
//! What was *settled* is kept over holders: so a successor tells a flip that was cut short (it goes on) from a weight that
//! somebody else has moved since (it is reported, and left).

use std::time::Duration;

use auspex_proto::report::Drift;

use crate::record::{Record, Settled};
use crate::router::{Intent, Mark, Observed, Shares, Verified};

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a data plane that is back is brought up to date within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
    /// Whether this router can say that a weight holds at the data plane itself.
    pub verifies: bool,
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
    /// It was not read back as it was written.
    Again,
    /// The data plane has forgotten: it was reloaded or restarted.
    Forgotten,
    /// What stands there was written by us and is in no record: by an earlier holder after it had lost the claim, or before
    /// it could keep it.
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
    if observed.mark == Mark::Missing {
        return Next::Apply(Why::Forgotten);
    }
    match observed.holds(intent) {
        Some(true) => holds(settled, intent, situation),
        None => rest(settled, intent),
        Some(false) => differs(settled, observed, record, young),
    }
}

fn rest(settled: &Settled, intent: &Intent) -> Next {
    if settled.intent.decision == intent.decision {
        Next::Rest
    } else {
        // The same is asked anew: it is answered for under the new decision's name.
        Next::Note(settled.verified.clone())
    }
}

fn holds(settled: &Settled, intent: &Intent, situation: &Situation<'_>) -> Next {
    let verified = if situation.verifies {
        Verified::Verified
    } else {
        settled.verified.clone()
    };
    if settled.held && settled.verified == verified && situation.record.drift.is_none() {
        rest(settled, intent)
    } else {
        Next::Note(verified)
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
        Mark::Write(number) => number == settled.intent.mark,
    };
    if shares.is(intent.weight) || shares.is(settled.intent.weight) || !ours {
        return Next::Apply(Why::Asked);
    }
    left(settled, observed, record)
}

fn differs(settled: &Settled, observed: &Observed, record: &Record, young: bool) -> Next {
    match observed.mark {
        Mark::Write(number) if number != settled.intent.mark => return Next::Apply(Why::LateWrite),
        Mark::Unkept if young && record.drift.is_none() => return Next::Apply(Why::CutShort),
        Mark::Unkept | Mark::Missing | Mark::Write(_) => {}
    }
    if !settled.held && record.drift.is_none() {
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
