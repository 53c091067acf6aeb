//! The plans at work, and what was heard of rollouts for those that come later.

use std::collections::BTreeMap;

use auspex_argo::plan::Document;
use auspex_chassis::Claim;
use auspex_proto::Project;
use auspex_proto::decision::{Action, Decision};
use tokio::sync::mpsc;

use crate::record::Record;
use crate::worker::{Shown, Word};

/// Most rollouts whose decisions are remembered for a plan that comes later.
const MOST: usize = 1_000;
/// How long a plan whose rollout nobody has heard of is kept when there is no room, in milliseconds: the log forgets decisions.
const UNHEARD_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Most decisions of one rollout that are kept for a plan that comes later.
const MOST_HEARD: usize = 400;

/// Project and rollout.
pub(super) type Key = (Project, String);

/// A plan at work.
pub(super) struct Line {
    pub(super) version: u64,
    pub(super) words: mpsc::UnboundedSender<Word>,
    pub(super) shown: Shown,
    pub(super) plan: Document,
    pub(super) put_ms: i64,
    pub(super) claim: Claim<Record>,
    pub(super) stop: Box<dyn Fn() + Send + Sync>,
}

/// All of them, and what was heard of rollouts.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) lines: BTreeMap<Key, Line>,
    /// Decisions of rollouts since they began, so that a plan that comes later knows where its rollout stands.
    pub(super) heard: BTreeMap<Key, Vec<(Decision, u64)>>,
    /// The log has been read to its end.
    pub(super) live: bool,
}

impl Inner {
    /// Which plan goes first where there is no room: the one that has been over the longest, else the oldest that nobody speaks
    /// of any more.
    pub(super) fn dispensable(&self, now_ms: i64) -> Option<Key> {
        let stands = self.lines.iter().filter_map(|(key, line)| {
            let stand = line.shown.lock().ok()?;
            Some((key, line.put_ms, stand.over, stand.seq))
        });
        let old = |put_ms: i64| self.live && now_ms.saturating_sub(put_ms) > UNHEARD_MS;
        let going = stands.filter(|(_, put_ms, over, seq)| *over || (*seq == 0 && old(*put_ms)));
        let first = going.min_by_key(|(_, put_ms, over, seq)| (!*over, *seq, *put_ms));
        first.map(|(key, ..)| key.clone())
    }

    /// Keeps a decision as far as it says something new of the steps.
    pub(super) fn keep(&mut self, key: &Key, decision: &Decision, seq: u64) {
        let heard = self.heard.entry(key.clone()).or_default();
        if decision.action == Action::Start {
            heard.clear();
        }
        let same = |(last, _): &(Decision, u64)| {
            (last.action, last.phase, last.reason, last.weight, last.step)
                == (
                    decision.action,
                    decision.phase,
                    decision.reason,
                    decision.weight,
                    decision.step,
                )
        };
        if !heard.last().is_some_and(same) {
            if heard.len() >= MOST_HEARD {
                // How it began and where it stands now count.
                heard.remove(1);
            }
            // Neither the evidence nor its words say anything of the steps.
            let kept = Decision {
                evidence: Vec::new(),
                reason_text: String::new(),
                intent: None,
                ..decision.clone()
            };
            heard.push((kept, seq));
        }
        if self.heard.len() > MOST {
            // One that is over goes first, then the one of which nobody has spoken the longest.
            let others = self.heard.iter().filter(|(other, _)| *other != key);
            let rank =
                |heard: &[(Decision, u64)]| heard.last().map(|(last, seq)| (!last.phase.is_terminal(), *seq));
            let first = others.min_by_key(|(_, heard)| rank(heard));
            if let Some(first) = first.map(|(other, _)| other.clone()) {
                self.heard.remove(&first);
            }
        }
    }
}
