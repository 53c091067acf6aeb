//! Alerts about rollouts: rolled back, promoted, held.

use auspex_proto::Decision;
use auspex_proto::alert::{Cause, Kind, Severity};
use auspex_proto::decision::{Action, Phase, Reason};

use super::risk::Risk;
use super::{Desk, Draft};
use crate::diagnose::{self, Case};
use crate::state::RolloutNote;
use crate::words::{count, key, line, percent, short, span};

impl Desk<'_> {
    pub(super) fn decided(&mut self, decision: &Decision) {
        let name = decision.rollout.as_str();
        if self
            .state
            .rollouts
            .get(name)
            .is_some_and(|run| run.knows(decision))
        {
            return;
        }
        self.begin(decision);
        let revision = decision.candidate.revision.as_str();
        let service = Some(&decision.service);
        self.raise_pending(&Risk {
            revision,
            service,
            rollout: name,
        });
        self.state.note_first(decision);
        if self.state.rollouts.get(name).is_none_or(|run| run.ended) {
            return;
        }
        if decision.action == Action::RollBack || decision.phase == Phase::RolledBack {
            self.rolled_back(decision);
            self.end(decision, "rolled back");
        } else if decision.action == Action::Promote || decision.phase == Phase::Promoted {
            self.promoted(decision);
            self.end(decision, "promoted");
        } else if matches!(decision.action, Action::Advance | Action::Resume | Action::Start) {
            self.moves_on(decision, "The rollout goes on.");
        } else {
            self.held(decision);
        }
    }

    /// A run of a rollout begins with its start, or with the first decision seen of another revision.
    fn begin(&mut self, decision: &Decision) {
        let known = self.state.rollouts.get(decision.rollout.as_str());
        let same = known.is_some_and(|run| run.revision == decision.candidate.revision);
        if same && decision.action != Action::Start {
            return;
        }
        let mut run = RolloutNote {
            service: decision.service.to_string(),
            revision: decision.candidate.revision.clone(),
            started: decision.meta.time,
            last: known.map_or(0, |run| run.last),
            told: known.map(|run| run.told.clone()).unwrap_or_default(),
            ..RolloutNote::default()
        };
        run.tell(decision);
        drop(self.state.rollouts.put(decision.rollout.as_str(), run));
    }

    fn end(&mut self, decision: &Decision, how: &str) {
        self.moves_on(decision, &format!("The rollout was {how}."));
        // In `observe` and `gate` another controller decides: the revision's fate is open until the rollout is over.
        if decision.acts || decision.phase.is_terminal() {
            self.settle_risk(
                &decision.candidate.revision,
                &format!("Its rollout {} was {how}.", decision.rollout),
            );
        }
        self.state
            .note_usual(decision.service.as_str(), &decision.evidence);
        if let Some(run) = self.state.rollouts.get_mut(decision.rollout.as_str()) {
            run.ended = true;
            run.tell(decision);
        }
    }

    fn rolled_back(&mut self, decision: &Decision) {
        let (service, revision) = (&decision.service, &decision.candidate.revision);
        let causes = diagnose::causes(&Case {
            state: self.state,
            revision,
            service: service.as_str(),
            decision: Some(decision),
            now: self.input.now,
        });
        let asked = matches!(decision.reason, Reason::Commanded | Reason::Superseded);
        let severity = match (decision.acts, asked) {
            (true, true) => Severity::Info,
            (false, _) => Severity::Warning,
            (true, false) if self.rules.critical.contains(service.as_str()) => Severity::Critical,
            (true, false) => Severity::Error,
        };
        let verb = if decision.acts {
            "Rolled back"
        } else {
            "Would have rolled back"
        };
        let mut path = vec![
            service.as_str(),
            "rollout",
            decision.rollout.as_str(),
            revision.as_str(),
        ];
        path.extend((!decision.acts).then_some("would"));
        let draft = Draft {
            kind: Kind::RolledBack,
            severity,
            key: key(self.project, &path),
            title: format!(
                "{verb}: {service} {}, {}",
                short(revision),
                line(&decision.reason_text, 120)
            ),
            text: self.account(decision, &causes),
            service: Some(service),
            rollout: decision.rollout.as_str(),
            causes,
            facts: self.numbers(decision),
        };
        // What somebody asked for needs nobody's attention until it is resolved.
        if asked {
            self.notice(draft);
        } else {
            // A run that is rolled back again is a new trouble under the same key.
            self.fire(draft, revision, &decision.meta.id.to_string(), decision.acts);
        }
    }

    fn promoted(&mut self, decision: &Decision) {
        let (service, revision) = (&decision.service, &decision.candidate.revision);
        let verb = if decision.acts {
            "Promoted"
        } else {
            "Would have promoted"
        };
        let draft = Draft {
            kind: Kind::Promoted,
            severity: Severity::Info,
            key: key(
                self.project,
                &[service.as_str(), "promoted", decision.rollout.as_str(), revision],
            ),
            title: format!("{verb}: {service} {}", short(revision)),
            text: format!(
                "{}\nNext: `auspex rollout get {}`",
                line(&decision.reason_text, 400),
                decision.rollout
            ),
            service: Some(service),
            rollout: decision.rollout.as_str(),
            causes: Vec::new(),
            facts: self.numbers(decision),
        };
        self.notice(draft);
        let over = format!("{service} {} was promoted.", short(revision));
        self.resolve(
            |open| {
                open.kind == Kind::RolledBack
                    && open.service == service.as_str()
                    && (decision.acts || !open.acted)
            },
            &over,
        );
    }

    /// Held for a person, or for want of signs. In `observe` nobody is kept waiting.
    fn held(&mut self, decision: &Decision) {
        if decision.mode == auspex_proto::decision::Mode::Observe {
            return;
        }
        let pauses = decision.action == Action::Pause || decision.phase == Phase::Paused;
        let (because, what) = match decision.reason {
            Reason::SilentCandidate => ("silent", "its candidate reports nothing"),
            Reason::NoCapacity => ("capacity", "its candidate has not enough capacity"),
            Reason::RiskRaised => ("risk", "its risk has risen"),
            Reason::Deadline => ("deadline", "it took longer than it may"),
            Reason::Commanded if decision.action == Action::Pause => ("commanded", "somebody paused it"),
            Reason::Commanded => return,
            _ if pauses => ("paused", "it waits for a person"),
            _ => return,
        };
        let draft = Draft {
            kind: Kind::Held,
            severity: if because == "commanded" {
                Severity::Info
            } else {
                Severity::Warning
            },
            key: held_key(self, decision),
            title: format!(
                "Held: {} {}, {what}",
                decision.service,
                short(&decision.candidate.revision)
            ),
            text: format!(
                "What: {}\nAuspex: keeps the candidate at {} % of the traffic.\nNext: `auspex rollout get {r}`, then \
                 `auspex rollout promote {r}` or `auspex rollout abort {r}`",
                line(&decision.reason_text, 400),
                decision.weight,
                r = decision.rollout,
            ),
            service: Some(&decision.service),
            rollout: decision.rollout.as_str(),
            causes: Vec::new(),
            facts: self.numbers(decision),
        };
        if because == "commanded" {
            self.notice(draft);
        } else {
            self.fire(draft, &decision.candidate.revision, because, true);
        }
        self.tell(decision);
    }

    fn moves_on(&mut self, decision: &Decision, text: &str) {
        let rollout = decision.rollout.as_str();
        let before = self.out.len();
        self.resolve(|open| open.kind == Kind::Held && open.rollout == rollout, text);
        if self.out.len() > before {
            self.tell(decision);
        }
    }

    fn tell(&mut self, decision: &Decision) {
        if let Some(run) = self.state.rollouts.get_mut(decision.rollout.as_str()) {
            run.tell(decision);
        }
    }

    /// What happened, why, what it cost, what was done, what to do next.
    fn account(&self, decision: &Decision, causes: &[Cause]) -> String {
        let candidate = short(&decision.candidate.revision);
        let stable = match decision.stable.revision.as_str() {
            "" => "stable".to_owned(),
            revision => format!("stable ({})", short(revision)),
        };
        let done = if decision.acts {
            format!(
                "moved all traffic back to {stable} at once; it will not try this revision again by itself."
            )
        } else {
            format!(
                "did not act (mode {:?}); it would have moved all traffic back to {stable}.",
                decision.mode
            )
        };
        format!(
            "What: {candidate} of {} at {} % of the traffic: {}\n{}Impact: {} in {}.\nAuspex: {done}\n\
             Next: `auspex rollout get {}`",
            decision.service,
            decision.previous_weight,
            line(&decision.reason_text, 300),
            why(causes),
            count(decision.harmed, "request harmed", "requests harmed"),
            span(self.seconds(decision)),
            decision.rollout,
        )
    }

    fn seconds(&self, decision: &Decision) -> u64 {
        let run = self.state.rollouts.get(decision.rollout.as_str());
        run.map_or(0, |run| decision.meta.time.since(run.started).as_secs())
    }

    fn numbers(&self, decision: &Decision) -> Vec<(&'static str, String)> {
        let base = if decision.prior_is_base_rate {
            " (base rate)"
        } else {
            ""
        };
        let mut facts = vec![
            ("service", decision.service.to_string()),
            ("revision", decision.candidate.revision.clone()),
            ("stable", decision.stable.revision.clone()),
            ("p_failure before", format!("{}{base}", percent(decision.prior))),
            ("p_failure now", percent(decision.posterior)),
            (
                "weight",
                format!("{} % to {} %", decision.previous_weight, decision.weight),
            ),
            ("harmed", count(decision.harmed, "request", "requests")),
            ("after", span(self.seconds(decision))),
            ("reason", word(decision.reason)),
            ("policy", decision.versions.policy.clone()),
            ("model", decision.versions.model.clone()),
        ];
        facts.retain(|(_, value)| !value.is_empty());
        facts
    }
}

/// A reason as everything else says it, and as the runbook is headed.
fn word(reason: Reason) -> String {
    let name = reason.to_wire().as_str_name();
    name.strip_prefix("REASON_CODE_").unwrap_or(name).to_lowercase()
}

fn held_key(desk: &Desk<'_>, decision: &Decision) -> String {
    let path = [
        decision.service.as_str(),
        "rollout",
        decision.rollout.as_str(),
        "held",
    ];
    key(desk.project, &path)
}

/// The causes as lines of a text; nothing when there are none.
pub(super) fn why(causes: &[Cause]) -> String {
    let mut text = String::new();
    for (n, cause) in causes.iter().take(3).enumerate() {
        let head = if n == 0 { "Why: " } else { "     " };
        let share = percent(cause.weight);
        text.push_str(&format!(
            "{head}{}. {} ({share}): {}\n",
            n + 1,
            cause.what,
            cause.detail
        ));
    }
    text
}
