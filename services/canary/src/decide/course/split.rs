//! A split for a time; then the goal decides.

use auspex_judge::Direction;
use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, MetricEvidence, Reason};

use super::super::judge::Judged;
use super::super::rules::rollback;
use super::Said;
use crate::document::strategy::{Ab, Wins};
use crate::policy::Wish;
use crate::state::Rollout;

/// What the leg says: the split while it lasts, then who has won.
pub(super) fn said(rollout: &Rollout, split: &Ab, judged: &Judged, now: Timestamp, pushed: bool) -> Said {
    let share = split.split;
    if rollout.weight != share {
        let text = format!("{share} % get the candidate, for {}", split.duration);
        return Said::Wish(Wish::new(Action::Advance, share, Reason::SplitRuns, text));
    }
    if !pushed && rollout.dwelt(now) < split.duration.duration() {
        let text = format!("{share} % have the candidate, for {}", split.duration);
        return Said::Wish(Wish::new(Action::Hold, share, Reason::SplitRuns, text));
    }
    let (won, text) = outcome(rollout, split, judged);
    match (won, split.wins) {
        (_, Wins::Never) if !pushed => {
            let text = format!("{text}; a person reads it");
            Said::Wish(Wish::new(Action::Pause, share, Reason::SplitOver, text))
        }
        (true, _) => Said::Done(Reason::SplitOver, text),
        _ if pushed => Said::Done(Reason::SplitOver, text),
        // No data is neither a win nor a loss.
        _ if unknown(split, judged) => {
            let text = format!("{text}; a person decides");
            Said::Wish(Wish::new(Action::Pause, share, Reason::NoEvidence, text))
        }
        (false, _) => Said::Wish(rollback(Reason::SplitOver, text)),
    }
}

/// Whether there is nothing by which the split could be decided.
fn unknown(split: &Ab, judged: &Judged) -> bool {
    match &split.goal {
        Some(goal) => goal_of(goal, judged).is_none(),
        None => judged.none.is_some(),
    }
}

/// What is known of the goal; `None`: nothing.
fn goal_of<'a>(goal: &str, judged: &'a Judged) -> Option<&'a MetricEvidence> {
    let row = judged.evidence.iter().find(|row| row.metric == goal);
    row.filter(|row| row.verdict != "no_evidence")
}

/// Whether the candidate has won, and the goal's figures.
fn outcome(rollout: &Rollout, split: &Ab, judged: &Judged) -> (bool, String) {
    let Some(goal) = &split.goal else {
        return (judged.safe, format!("the split is over: {}", judged.figures));
    };
    let Some(row) = goal_of(goal, judged) else {
        let text = format!("the split is over, and too little is reported of {goal} to judge by");
        return (false, text);
    };
    let listed = rollout.terms.metrics.iter().find(|listed| &listed.name == goal);
    let better = match (row.difference, listed.and_then(|listed| listed.direction)) {
        // Where any change is worse nothing is better.
        (_, Some(Direction::Either)) => false,
        // Of counts the effect is how many times worse.
        (false, _) => row.high < 1.0,
        (true, Some(Direction::Decrease)) => row.low > 0.0,
        (true, Some(Direction::Increase)) => row.high < 0.0,
        (true, _) => false,
    };
    let (effect, low, high) = (row.effect, row.low, row.high);
    let figures = if row.difference {
        format!("{goal} {effect:.4} ({low:.4} to {high:.4}) of the candidate beside stable")
    } else {
        format!("{goal} {effect:.4} times as bad ({low:.4} to {high:.4}) in the candidate as in stable")
    };
    let (won, what) = match split.wins {
        Wins::NoWorse if row.verdict == "no_worse" => (true, "no worse"),
        Wins::Better | Wins::Never if better => (true, "better"),
        _ => (false, "not shown to be better"),
    };
    (won, format!("the split is over, {what}: {figures}"))
}
