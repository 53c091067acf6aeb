//! What is still to be delivered to whom: the second verb, and the state machine of delivery.
//!
//! The promise: an alert reaches each of its receivers at least once, or ends as a dead letter with a reason, or as passed
//! over where the receiver has no place for such an alert. Of one deduplication key, a receiver hears things in their order;
//! a beginning that is still waiting when its end arrives is squashed, for nobody needs to be woken for what is over. A
//! receiver that wants to be left alone for a while holds its own lane, and a message that fails holds its own key: nobody
//! else waits.
//!
//! Pure: sending is an errand of the shell (`carry.rs`), whose result comes back as [`Outbox::delivered`] or
//! [`Outbox::failed`]. At most one message per lane is under way, so a crash repeats at most that one.

mod ask;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use auspex_proto::alert::Status;
use auspex_proto::seen::Seen;
use auspex_proto::{Alert, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::queue::Queue;
use crate::words::{clip, hash};

/// Bytes of alerts that wait, above which no further beginning or notice is taken; an end still is, up to the second
/// limit, because it was promised. Both keep the state well below the 1 MB of one value.
const FULL: usize = 384 * 1024;
const FULL_FOR_ENDS: usize = 512 * 1024;
/// The most deliveries that wait, over all lanes.
const MAX_WAITING: usize = 512;
/// How many past deliveries are remembered for people to look at.
const MAX_DONE: usize = 96;
/// The longest note, in bytes.
const MAX_NOTE: usize = 160;

/// All deliveries of one project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outbox {
    seen: Seen,
    /// By sequence in the log; kept while any lane waits for it.
    alerts: BTreeMap<u64, Alert>,
    /// By receiver.
    lanes: BTreeMap<String, Lane>,
    /// Oldest first, at most 96.
    done: VecDeque<Done>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Lane {
    /// Nothing is sent before this.
    held_until: Timestamp,
    /// In the order of the log.
    waiting: VecDeque<Waiting>,
}

/// A delivery that has not ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// The alert's sequence in the log.
    pub seq: u64,
    /// Attempts so far.
    pub attempts: u32,
    /// Since when, by the log.
    pub queued: Timestamp,
    /// Not tried again before this.
    pub not_before: Timestamp,
    /// Why the last attempt failed.
    pub note: String,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The receiver has it.
    Delivered,
    /// It never will; there is a dead letter.
    Dead,
    /// It was over before it was sent.
    Squashed,
    /// The receiver has no place for it: nothing was sent.
    PassedOver,
}

/// A delivery that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// To whom.
    pub receiver: String,
    /// How it ended.
    pub end: End,
    /// As it stood in its lane; the note is the provider's receipt, or the reason.
    pub was: Waiting,
    /// When it ended.
    pub at: Timestamp,
    /// What, without text, causes and facts.
    pub alert: Alert,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Trying again cannot help.
    #[error("{0}")]
    Final(String),
    /// Trying again may help.
    #[error("{reason}")]
    Retry {
        /// What the receiver asked for; its lane is held that long.
        after: Option<Duration>,
        /// In a few words.
        reason: String,
    },
}

/// How failures are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// After the first failure.
    pub first: Duration,
    /// The longest pause; each is twice the one before, up to this.
    pub longest: Duration,
    /// After this long the delivery is given up.
    pub horizon: Duration,
}

/// A delivery that is given up: the makings of its dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Death {
    /// To whom it was to go.
    pub receiver: String,
    /// The alert's sequence in the log.
    pub seq: u64,
    /// The whole alert.
    pub alert: Alert,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

impl Outbox {
    /// Queues an alert for each of its receivers; a repeat is ignored.
    ///
    /// # Errors
    /// When too much waits; nothing is changed then.
    pub fn enqueue(&mut self, seq: u64, alert: &Alert, now: Timestamp) -> Result<(), String> {
        let over = alert.status == Status::Resolved;
        let limit = if over { FULL_FOR_ENDS } else { FULL };
        // What the end squashes makes room for it.
        let bytes: usize = self
            .alerts
            .values()
            .filter(|a| !(over && squashes(alert, a)))
            .map(size)
            .sum();
        let waiting: usize = self.lanes.values().map(|lane| lane.waiting.len()).sum();
        let spare = if over { 0 } else { MAX_WAITING / 4 };
        if bytes + size(alert) > limit || waiting + alert.receivers.len() > MAX_WAITING - spare {
            return Err(format!(
                "the outbox is full: {waiting} deliveries wait, with {bytes} bytes of alerts"
            ));
        }
        if !self.seen.admit(&alert.meta.id) {
            return Ok(());
        }
        let receivers: BTreeSet<&String> = alert.receivers.iter().collect();
        for receiver in receivers {
            if over {
                self.squash(receiver, alert, now);
            }
            let lane = self.lanes.entry(receiver.clone()).or_default();
            lane.waiting.push_back(Waiting {
                seq,
                queued: now,
                ..Waiting::default()
            });
        }
        self.alerts.insert(seq, alert.clone());
        Ok(())
    }

    /// Beginnings that still wait are over: they are not told.
    fn squash(&mut self, receiver: &str, end: &Alert, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(receiver) else {
            return;
        };
        let alerts = &self.alerts;
        let (gone, stay): (VecDeque<Waiting>, VecDeque<Waiting>) = std::mem::take(&mut lane.waiting)
            .into_iter()
            .partition(|w| alerts.get(&w.seq).is_some_and(|alert| squashes(end, alert)));
        lane.waiting = stay;
        for was in gone {
            self.finish(receiver, was, End::Squashed, now);
        }
    }

    /// The receiver has it.
    pub fn delivered(&mut self, receiver: &str, seq: u64, receipt: &str, now: Timestamp) {
        if let Some(mut was) = self.take(receiver, seq) {
            was.attempts = was.attempts.saturating_add(1);
            was.note = clip(receipt, MAX_NOTE);
            self.finish(receiver, was, End::Delivered, now);
            return;
        }
        // Its end arrived while it was under way: it was told all the same.
        let squashed = self
            .done
            .iter_mut()
            .find(|d| d.receiver == receiver && d.was.seq == seq);
        if let Some(done) = squashed {
            (done.end, done.at) = (End::Delivered, now);
        }
    }

    /// The receiver has no place for it, and why.
    pub fn passed_over(&mut self, receiver: &str, seq: u64, why: &str, now: Timestamp) {
        if let Some(mut was) = self.take(receiver, seq) {
            was.note = clip(why, MAX_NOTE);
            self.finish(receiver, was, End::PassedOver, now);
        }
    }

    /// An attempt failed. What is given up comes back, to become a dead letter.
    pub fn failed(
        &mut self,
        at: (&str, u64),
        why: &DeliveryError,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Death> {
        let (receiver, seq) = at;
        let lane = self.lanes.get_mut(receiver)?;
        if let DeliveryError::Retry {
            after: Some(after), ..
        } = why
        {
            lane.held_until = lane.held_until.max(now + *after);
        }
        let held_until = lane.held_until;
        let waiting = lane.waiting.iter_mut().find(|w| w.seq == seq)?;
        waiting.attempts = waiting.attempts.saturating_add(1);
        waiting.note = clip(&why.to_string(), MAX_NOTE);
        let next = now + pause(waiting, policy);
        // What the receiver asked for counts, but "at once", said over and over, would be a hot loop for a day.
        let next = if matches!(why, DeliveryError::Retry { after: Some(_), .. }) {
            held_until.max(now + policy.first)
        } else {
            next
        };
        let reason = match why {
            DeliveryError::Final(reason) => reason.clone(),
            DeliveryError::Retry { reason, .. } if next.since(waiting.queued) > policy.horizon => {
                format!(
                    "given up after {}: {reason}",
                    crate::words::count(waiting.attempts.into(), "attempt", "attempts")
                )
            }
            DeliveryError::Retry { .. } => {
                waiting.not_before = next;
                return None;
            }
        };
        let alert = self.alerts.get(&seq)?.clone();
        let was = self.take(receiver, seq)?;
        let attempts = was.attempts;
        self.finish(receiver, was, End::Dead, now);
        Some(Death {
            receiver: receiver.to_owned(),
            seq,
            alert,
            reason,
            attempts,
        })
    }

    /// Holds a lane until then, as a receiver's pace asks for.
    pub fn hold(&mut self, receiver: &str, until: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(receiver) {
            lane.held_until = lane.held_until.max(until);
        }
    }

    fn take(&mut self, receiver: &str, seq: u64) -> Option<Waiting> {
        let lane = self.lanes.get_mut(receiver)?;
        let at = lane.waiting.iter().position(|w| w.seq == seq)?;
        lane.waiting.remove(at)
    }

    fn finish(&mut self, receiver: &str, was: Waiting, end: End, now: Timestamp) {
        let seq = was.seq;
        if let Some(alert) = self.alerts.get(&seq) {
            let alert = Alert {
                text: String::new(),
                causes: Vec::new(),
                facts: Vec::new(),
                receivers: Vec::new(),
                ..alert.clone()
            };
            self.done.push_back(Done {
                receiver: receiver.to_owned(),
                end,
                was,
                at: now,
                alert,
            });
        }
        while self.done.len() > MAX_DONE {
            drop(self.done.pop_front());
        }
        if !self
            .lanes
            .values()
            .any(|lane| lane.waiting.iter().any(|w| w.seq == seq))
        {
            drop(self.alerts.remove(&seq));
        }
    }
}

/// Whether this end makes telling of that alert pointless.
fn squashes(end: &Alert, earlier: &Alert) -> bool {
    earlier.status == Status::Firing && earlier.dedup_key == end.dedup_key
}

fn size(alert: &Alert) -> usize {
    let texts = [
        &alert.dedup_key,
        &alert.title,
        &alert.text,
        &alert.rollout,
        &alert.meta.source,
    ];
    let causes: usize = alert
        .causes
        .iter()
        .map(|c| c.what.len() + c.detail.len() + 24)
        .sum();
    let facts: usize = alert
        .facts
        .iter()
        .map(|(name, value)| name.len() + value.len() + 8)
        .sum();
    let receivers: usize = alert.receivers.iter().map(|r| r.len() + 4).sum();
    // Names and ids of the head have at most 256 bytes each.
    1_024 + causes + facts + receivers + texts.iter().map(|text| text.len()).sum::<usize>()
}

/// The pause before the next attempt: doubling, with up to a fifth more or less by a hash, so that many do not come back
/// at once and the same attempt always waits the same.
fn pause(waiting: &Waiting, policy: &Policy) -> Duration {
    let doubled = policy
        .first
        .saturating_mul(1 << waiting.attempts.saturating_sub(1).min(20));
    let pause = doubled.min(policy.longest);
    let spread = hash(&format!("{}:{}", waiting.seq, waiting.attempts)) % 401;
    let share = 0.8 + crate::state::float(spread) / 1_000.0;
    pause.mul_f64(share)
}
