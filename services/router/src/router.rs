//! What every router is: a data plane outside that splits one service's traffic between stable and candidate.
//!
//! An adapter says what it can do, carries an intent out, and reads back what holds. It decides nothing: what to do next is
//! [`crate::plan`]'s. Before *each* change outside it passes the fence, so that a process that was paused, or has lost its
//! claim, changes nothing with what it knew before.

use std::fmt;

use auspex_proto::intent::{By, Cohort, Scale};
use auspex_proto::report::Capacity;
use auspex_proto::{FactId, RolloutName};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A data plane outside. One adapter serves one service at one data plane (or at several that must agree).
pub trait Router: Send + Sync + fmt::Debug + 'static {
    /// What it is called in configuration and in answers: `envoy`, `haproxy`, `webhook`, ...
    fn kind(&self) -> &'static str;

    /// What it can do, as it is configured.
    fn capabilities(&self) -> Capabilities;

    /// Why it cannot tell this cohort, as the places are now, though it tells others of its kind; `None`: it can.
    fn cannot(&self, cohort: &Cohort, swapped: bool) -> Option<String> {
        let _ = (cohort, swapped);
        None
    }

    /// Carries the intent out, and reads back whether it holds. `fence.pass()` is awaited right before each change outside;
    /// its refusal ends the work at once, whatever is half done: whoever holds the claim goes on from what he reads.
    ///
    /// What the intent asks beyond [`Capabilities`] is left out by the caller, which says so.
    ///
    /// # Errors
    /// [`Fault`]; the caller tries again when that can help.
    fn apply<'a>(&'a self, intent: &'a Intent, fence: &'a dyn Fence)
    -> BoxFuture<'a, Result<Applied, Fault>>;

    /// What holds now, whoever brought it about. `intent`: what was carried out last, for which place is whose
    /// ([`Intent::swapped`]) and what should hold beside the weight.
    ///
    /// # Errors
    /// [`Fault`]; nothing is known then.
    fn read<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<Observed, Fault>>;
}

/// Asked right before each change outside.
pub trait Fence: Send + Sync {
    /// Whether this process still may: its claim is confirmed at the server, and no newer decision is in the log.
    fn pass(&self) -> BoxFuture<'_, Result<(), Fenced>>;
}

/// The fence is closed: whatever was planned is void.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Fenced(pub String);

/// What is to hold at one data plane: a decision's weight and wishes, as far as they concern it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// By which decision; also the key under which a receiver drops repeats.
    pub decision: FactId,
    /// The decision's sequence in the log: of two intents the one with the greater sequence wins.
    pub seq: u64,
    /// Of the claim under which it is carried out: it grows with every new holder.
    pub epoch: u64,
    /// The number of this write: it grows with every write of ours, whoever holds the claim ([`number`]). A data plane that
    /// can keep a mark keeps this one, so that a write of ours that stands in no record is told from somebody else's change.
    pub mark: u64,
    /// How often the same was carried out before, by the same decision: a data plane has forgotten it, or a watchdog has
    /// come in between.
    pub times: u32,
    /// Of which rollout.
    pub rollout: RolloutName,
    /// The version that is stable; empty when unknown.
    pub stable_revision: String,
    /// The version on trial; empty when unknown.
    pub candidate_revision: String,
    /// The candidate's share, 0..=100, of everybody who is in no cohort.
    pub weight: u8,
    /// Who has a track of their own, whatever the weight is; the first that fits counts.
    pub cohorts: Vec<Cohort>,
    /// Percent of requests of which the candidate gets a copy, 0..=100.
    pub mirror: u8,
    /// What stable is to be able to take; `None`: it is left alone.
    pub stable: Option<Scale>,
    /// What the candidate is to be able to take; `None`: it is left alone.
    pub candidate: Option<Scale>,
    /// The two places of the route have changed roles: what is configured as `candidate` serves stable, since it was
    /// promoted, and the new candidate stands where `stable` is configured.
    pub swapped: bool,
    /// A person, or the end of the rollout, asks for it: it is carried out whatever somebody else has set meanwhile.
    pub insists: bool,
    /// Control is gone, and traffic is to go back to stable until it returns.
    pub suspended: bool,
}

/// What a router can do, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Split traffic at all; what only scales does not.
    pub weights: bool,
    /// Send those with a header to a track of their own.
    pub header: bool,
    /// Send those with a cookie to a track of their own.
    pub cookie: bool,
    /// Send a share of users, told by a hash, to a track of their own.
    pub user: bool,
    /// Give the candidate copies of requests.
    pub mirror: bool,
    /// Set the size of the workloads.
    pub scale: bool,
    /// Whether both shares change in one step; otherwise there are two, and the raise comes first.
    pub atomic: bool,
    /// How a weight is verified, in a few words; `None`: it cannot be.
    pub verified_by: Option<&'static str>,
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whether it holds at the data plane.
    pub verified: Verified,
    /// What was read there afterwards; `None`: it does not tell.
    pub observed: Option<Observed>,
}

/// Whether a weight holds at the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verified {
    /// It was read back there.
    Verified,
    /// It was not, and why.
    Unverified(String),
}

/// What holds at the data plane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// How traffic is split; `None`: it does not tell, or its parts disagree (see `note`).
    pub shares: Option<Shares>,
    /// What the last write of ours left there.
    pub mark: Mark,
    /// Whether what is intended beside the weight holds (cohorts, copies, sizes); `None`: it does not tell.
    pub beside: Option<bool>,
    /// What the ready instances of stable can take; `None`: it does not tell.
    pub stable: Option<Capacity>,
    /// What those of the candidate can take; `None`: it does not tell.
    pub candidate: Option<Capacity>,
    /// What both tracks got since the last look; `None`: it does not tell.
    pub seen: Option<Seen>,
    /// Who changed it last, where the data plane knows; empty: it does not.
    pub by: String,
    /// What a person should know beside this; empty: nothing.
    pub note: String,
}

/// The number of the write that a data plane has seen last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// It keeps none.
    #[default]
    Unkept,
    /// It would keep one, and has none: it was never written, or has forgotten (a reload, a restart).
    Missing,
    /// This one.
    Write(u64),
}

/// Requests since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Of stable.
    pub stable: u64,
    /// Of the candidate.
    pub candidate: u64,
}

/// Weights as a data plane has them: only their ratio counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// Of stable.
    pub stable: u32,
    /// Of the candidate.
    pub candidate: u32,
}

/// Why an adapter could not do it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The fence was closed: not a fault of the data plane.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// Out of reach, or busy: to be tried again.
    #[error("{0}")]
    Away(String),
    /// It will not, as things are: a name it does not know, a permission it denies. Tried again too, but seldom.
    #[error("{0}")]
    Refused(String),
    /// Somebody wrote first: read again, then see.
    #[error("{0}")]
    Conflict(String),
}

impl Shares {
    /// Of a weight, out of 100.
    #[must_use]
    pub fn of(weight: u8) -> Self {
        let candidate = u32::from(weight.min(100));
        Self {
            stable: 100 - candidate,
            candidate,
        }
    }

    /// The candidate's share in percent, rounded; but 0 and 100 only when one side gets nothing. `None`: neither gets any.
    #[must_use]
    pub fn weight(self) -> Option<u8> {
        let (candidate, sum) = (u64::from(self.candidate), self.sum());
        match (candidate, sum) {
            (_, 0) => None,
            (0, _) => Some(0),
            (c, s) if c == s => Some(100),
            (c, s) => u8::try_from(((c * 200 + s) / (s * 2)).clamp(1, 99)).ok(),
        }
    }

    /// Whether these are exactly this weight.
    #[must_use]
    pub fn is(self, weight: u8) -> bool {
        self.sum() > 0 && u64::from(self.candidate) * 100 == u64::from(weight) * self.sum()
    }

    fn sum(self) -> u64 {
        u64::from(self.stable) + u64::from(self.candidate)
    }
}

/// One answer for several data planes that must agree. What is not as intended decides: no report may hide it.
#[must_use]
pub fn agree(all: &[Observed], intent: &Intent) -> Observed {
    let off = |o: &&Observed| o.holds(intent) != Some(true);
    let Some(worst) = all.iter().find(off).or(all.first()) else {
        return Observed::default();
    };
    let mut one = worst.clone();
    if all.iter().any(|o| o.shares != one.shares) {
        let weight = |o: &Observed| o.shares.and_then(Shares::weight);
        let each = all
            .iter()
            .map(|o| weight(o).map_or("?".to_owned(), |w| w.to_string()));
        one.note = format!("they are at {} %", each.collect::<Vec<_>>().join(", "));
    }
    let least = |a: Mark, b: Mark| match (a, b) {
        (Mark::Missing, _) | (_, Mark::Missing) => Mark::Missing,
        (Mark::Write(a), Mark::Write(b)) => Mark::Write(a.min(b)),
        (Mark::Unkept, other) | (other, Mark::Unkept) => other,
    };
    one.mark = all.iter().map(|o| o.mark).reduce(least).unwrap_or_default();
    one.stable = all.iter().filter_map(|o| o.stable).min_by_key(|c| c.percent);
    one.candidate = all.iter().filter_map(|o| o.candidate).min_by_key(|c| c.percent);
    one.seen = all.iter().filter_map(|o| o.seen).reduce(|a, b| Seen {
        stable: a.stable + b.stable,
        candidate: a.candidate + b.candidate,
    });
    one
}

impl Verified {
    /// By what was read back.
    #[must_use]
    pub fn by(observed: &Observed, intent: &Intent) -> Self {
        match (observed.holds(intent), observed.shares.and_then(Shares::weight)) {
            (Some(true), _) => Self::Verified,
            (Some(false), Some(weight)) if weight != intent.weight => {
                Self::Unverified(format!("read back {weight} %, not {} %", intent.weight))
            }
            (Some(false), _) => Self::Unverified("read back something else than was set".to_owned()),
            (None, _) => Self::Unverified("nothing can be read back".to_owned()),
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        *self == Self::Verified
    }

    /// Why it is not known to hold; empty when it does.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Verified => "",
            Self::Unverified(reason) => reason,
        }
    }
}

/// The number of the `count`-th write under an epoch.
#[must_use]
pub fn number(epoch: u64, count: u64) -> u64 {
    (epoch << 20) | (count & 0xF_FFFF)
}

/// The epoch under which a write was made.
#[must_use]
pub fn epoch_of(number: u64) -> u64 {
    number >> 20
}

impl Intent {
    /// Under which a receiver drops repeats: the decision's id, as long as nothing came in between.
    #[must_use]
    pub fn key(&self) -> String {
        let suspended = if self.suspended { ":suspended" } else { "" };
        match self.times {
            0 => format!("{}{suspended}", self.decision),
            times => format!("{}{suspended}:{times}", self.decision),
        }
    }
}

impl Capabilities {
    /// Every ability beside weights, by name.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let all = [
            (self.header, "header"),
            (self.cookie, "cookie"),
            (self.user, "user"),
            (self.mirror, "mirror"),
            (self.scale, "scale"),
        ];
        let able = all.into_iter().filter(|(can, _)| *can);
        able.map(|(_, name)| name.to_owned()).collect()
    }
}

/// The intent without what a router cannot do, and that by name.
#[must_use]
pub fn refuse(router: &dyn Router, intent: &Intent) -> (Intent, Vec<String>) {
    let (can, kind) = (router.capabilities(), router.kind());
    let mut kept = intent.clone();
    let mut refused = Vec::new();
    if can.weights {
        kept.cohorts
            .retain(|cohort| match unable(router, (&can, intent.swapped), cohort) {
                Some(why) => {
                    refused.push(format!("{kind} cannot route cohort {:?}: {why}", cohort.name));
                    false
                }
                None => true,
            });
        if kept.mirror > 0 && !can.mirror {
            refused.push(format!(
                "{kind} cannot mirror ({} %) as it is configured",
                kept.mirror
            ));
            kept.mirror = 0;
        }
    } else {
        (kept.cohorts, kept.mirror) = (Vec::new(), 0);
    }
    if !can.scale {
        // Sizes are left alone without a word: they are another's business.
        (kept.stable, kept.candidate) = (None, None);
    }
    (kept, refused)
}

fn unable(router: &dyn Router, (can, swapped): (&Capabilities, bool), cohort: &Cohort) -> Option<String> {
    let (able, by) = match &cohort.by {
        By::Header(_) => (can.header, "header"),
        By::Cookie(_) => (can.cookie, "cookie"),
        By::User(_) => (can.user, "hash of user"),
    };
    if able {
        router.cannot(cohort, swapped)
    } else {
        Some(format!("not by {by}, as it is configured"))
    }
}

#[cfg(test)]
mod tests;
