//! What a person sees while a script is played, and at its end.

use std::io::Write as _;
use std::time::Duration;

use auspex_proto::wire::{RolloutView, Score};
use serde_json::{Value, json};

use super::load::{Counts, Tally};
use super::receivers::{Inbox, Service};
use super::{Outcome, schedule, short};
use crate::cli::view;

/// How many reasons of a score are shown.
const REASONS: usize = 4;

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Line by line on standard output.
    Progress,
    /// Nothing: the end is enough.
    Nothing,
}

impl Show {
    /// Shows a line. A reader that has gone is no reason to stop.
    pub(super) fn line(self, text: &str) {
        if self == Self::Progress {
            writeln!(std::io::stdout(), "{text}").ok();
        }
    }
}

/// The risk, and why.
pub(super) fn risk(show: Show, known: &str, score: &Score) {
    let unknown = match score.missing.len() {
        0 => String::new(),
        1 => ", 1 feature unknown".to_owned(),
        many => format!(", {many} features unknown"),
    };
    show.line(&format!(
        "risk: P(failure) {:.2} (likely {:.2} to {:.2}) by {}, {known}{unknown}",
        score.p_failure, score.low, score.high, score.model
    ));
    for reason in score.reasons.iter().take(REASONS) {
        let value = if reason.value.is_finite() {
            reason.value.to_string()
        } else {
            "unknown".to_owned()
        };
        show.line(&format!(
            "      {} {value}: {:+.2} log-odds",
            reason.feature, reason.log_odds
        ));
    }
}

/// Where a rollout stands: the figures each time, the reason and the evidence when there is a new decision. Answers the
/// number of the decision, for the next call.
pub(super) fn progress(show: Show, since: Duration, view: &RolloutView, tally: Tally, told: u64) -> u64 {
    let last = view.last.clone().unwrap_or_default();
    show.line(&format!(
        "{:>5.1} s  weight {:>3} %  P(bad) {:.3}  candidate: {} requests, {} harmed",
        since.as_secs_f64(),
        view.weight,
        view.posterior,
        tally.requests,
        tally.bad,
    ));
    if last.revision_number != told {
        show.line(&format!(
            "         {}: {}",
            view::action(last.action).replace('_', " "),
            last.reason_text
        ));
        for metric in last.evidence.iter().filter(|metric| metric.candidate_total > 0) {
            show.line(&format!("         evidence on {}", view::evidence(metric)));
        }
    }
    last.revision_number
}

/// Messages that have arrived since the last look; answers how many there are now.
pub(super) fn messages(show: Show, inbox: &Inbox, shown: usize) -> usize {
    for message in inbox.messages.iter().skip(shown) {
        let to = match message.to {
            Service::Slack => "slack",
            Service::Trigger => "pagerduty incident",
            Service::Resolve => "pagerduty resolved",
            Service::Change => "pagerduty change",
        };
        show.line(&format!("         -> {to}: {}", message.title));
    }
    inbox.messages.len()
}

/// The summary of one script.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let seconds = outcome.seconds_to_decision;
    let notice = match outcome.schedule.seconds {
        Some(seconds) => format!("noticed after {seconds:.0} s"),
        None => "never noticed".to_owned(),
    };
    let told = if outcome.told {
        "Slack and PagerDuty know how it ended"
    } else {
        "NOT everybody knows how it ended"
    };
    let mut out = format!(
        "\n{}: {} {seconds:.1} s after the deployment was asked for\n\
         \x20 because                 {}\n\
         \x20 P(failure)              {:.2} before the first request\n\
         \x20 requests of all users   {} ({} unanswered)\n\
         \x20 harmed by the candidate {}\n\
         \x20 a schedule would have   harmed {} ({notice}; {})\n\
         \x20 messages delivered      {}; {told}\n",
        outcome.scenario,
        outcome.outcome.replace('_', " "),
        outcome.reason,
        outcome.p_failure,
        outcome.requests,
        outcome.unanswered,
        outcome.harmed_requests,
        outcome.schedule.harmed,
        schedule::RULE,
        outcome.alerts_delivered,
    );
    for fault in &outcome.faults {
        out.push_str(&format!("  REFUSED                 {fault}\n"));
    }
    out
}

/// Where a person looks next.
pub const NEXT: &str = "\nnext: `auspex demo --serve` keeps all of this running for you to play with; \
                        `auspex up` starts a mesh of your own; README.md has the first steps with your own service\n";

/// One script's end for programs.
#[must_use]
pub fn document(outcome: &Outcome) -> Value {
    json!({
        "scenario": outcome.scenario,
        "outcome": outcome.outcome,
        "p_failure": outcome.p_failure,
        "seconds_to_decision": outcome.seconds_to_decision,
        "requests": outcome.requests,
        "harmed_requests": outcome.harmed_requests,
        "schedule_would_have_harmed": outcome.schedule.harmed,
        "alerts_delivered": outcome.alerts_delivered,
        "reason": outcome.reason,
    })
}

/// What users got between two looks.
pub(super) fn traffic(before: &Counts, now: &Counts) -> String {
    let mut parts = Vec::new();
    for (revision, tally) in &now.versions {
        let old = before.of(revision);
        if tally.requests > old.requests {
            let (requests, bad) = (tally.requests - old.requests, tally.bad - old.bad);
            parts.push(format!(
                "{} answered {requests}, {bad} of them badly",
                short(revision)
            ));
        }
    }
    if now.unanswered > before.unanswered {
        parts.push(format!("nobody answered {}", now.unanswered - before.unanswered));
    }
    format!("users: {}", parts.join("; "))
}

/// A revision with a word about it.
pub(super) fn version(revision: &str, what: &str) -> String {
    format!("{} ({what})", short(revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::schedule::Figure;

    #[test]
    fn the_document_has_the_promised_fields_and_the_summary_says_what_is_computed() {
        let outcome = Outcome {
            scenario: "bad".to_owned(),
            outcome: "rolled_back".to_owned(),
            p_failure: 0.71,
            seconds_to_decision: 6.5,
            requests: 4_000,
            harmed_requests: 9,
            unanswered: 0,
            schedule: Figure {
                harmed: 300,
                seconds: Some(30.0),
            },
            alerts_delivered: 5,
            told: true,
            faults: Vec::new(),
            reason: "errors".to_owned(),
        };
        let document = document(&outcome);
        let mut keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let promised = [
            "alerts_delivered",
            "harmed_requests",
            "outcome",
            "p_failure",
            "reason",
            "requests",
            "scenario",
            "schedule_would_have_harmed",
            "seconds_to_decision",
        ];
        assert_eq!(keys, promised);
        let text = summary(&outcome);
        assert!(
            text.contains("rolled back 6.5 s after") && text.contains("computed from the observed rates"),
            "{text}"
        );
    }
}
