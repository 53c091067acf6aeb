//! What bears on a rollout, and who asked or decided: questions to facts, answered fact by fact.

use std::collections::BTreeSet;

use auspex_proto::wire::{ArchivedFact, AuditEntry};
use auspex_proto::{Command, Decision, Fact, Model, subject};
use serde::Serialize;

use crate::archive::summary;

/// The fact in a record; `None` when it cannot be read.
#[must_use]
pub fn fact(record: &ArchivedFact) -> Option<Fact> {
    let address = subject::parse(&record.subject).ok()?;
    Fact::decode(address.kind, &record.payload).ok()
}

/// A rollout, and what is learnt about it on a first way through: its projects, revisions, service and time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    name: String,
    projects: BTreeSet<String>,
    revisions: BTreeSet<String>,
    services: BTreeSet<String>,
    from_ms: Option<i64>,
    to_ms: i64,
}

impl Rollout {
    /// A rollout by name; of any project when that is empty.
    #[must_use]
    pub fn named(project: &str, name: &str) -> Self {
        let projects = Some(project.to_owned()).filter(|p| !p.is_empty());
        Self {
            name: name.to_owned(),
            projects: projects.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The marks by which segments are found that speak of it, or of its revisions.
    #[must_use]
    pub fn marks(&self) -> BTreeSet<String> {
        let revisions = self.revisions.iter().map(|r| summary::revision(r));
        revisions.chain([summary::rollout(&self.name)]).collect()
    }

    /// Learns from a fact; `asked` is the project that was asked for, empty when none was.
    pub fn learn(&mut self, record: &ArchivedFact, asked: &str) {
        let Some(fact) = fact(record) else { return };
        let project = fact.project().as_str();
        if !asked.is_empty() && project != asked {
            return;
        }
        match &fact {
            Fact::Decision(decision) if decision.rollout.as_str() == self.name => {
                self.services.insert(decision.service.to_string());
                if !decision.candidate.revision.is_empty() {
                    self.revisions.insert(decision.candidate.revision.clone());
                }
            }
            Fact::Command(command) if command.rollout.as_str() == self.name => {}
            _ => return,
        }
        self.projects.insert(project.to_owned());
        self.from_ms.get_or_insert(record.time_ms);
        self.to_ms = record.time_ms;
    }

    /// The projects that have a rollout of that name.
    #[must_use]
    pub fn projects(&self) -> &BTreeSet<String> {
        &self.projects
    }

    /// Whether there is such a rollout.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.from_ms.is_some()
    }

    /// Whether a fact bears on it.
    #[must_use]
    pub fn concerns(&self, record: &ArchivedFact, observations: bool) -> bool {
        let Some(fact) = fact(record) else { return false };
        if !self.projects.contains(fact.project().as_str()) {
            return false;
        }
        let revision = |revision: &str| self.revisions.contains(revision);
        match &fact {
            Fact::Decision(decision) => decision.rollout.as_str() == self.name,
            Fact::Command(command) => command.rollout.as_str() == self.name,
            Fact::Alert(alert) => alert.rollout == self.name,
            Fact::Vector(vector) => revision(vector.entity.revision.as_str()),
            Fact::Score(score) => revision(score.entity.revision.as_str()),
            Fact::Event(event) => summary::revision_of(&event.body).is_some_and(revision),
            Fact::Observations(batch) if observations => {
                let within =
                    self.from_ms.is_some_and(|from| record.time_ms >= from) && record.time_ms <= self.to_ms;
                let ours = |service: &str| self.services.contains(service);
                within
                    && (batch.observations.iter().any(|o| ours(o.service.as_str()))
                        || batch.applied.iter().any(|a| ours(a.service.as_str())))
            }
            _ => false,
        }
    }
}

/// Which entries of the audit are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Of which project; empty: all.
    pub project: String,
    /// Of which rollout; empty: all, and models.
    pub rollout: String,
    /// By whom; empty: everybody, and decisions.
    pub actor: String,
}

/// The kinds of facts that the audit is about.
pub const AUDITED: [&str; 3] = ["command", "decision", "model"];

impl Audit {
    /// The marks by which segments are found.
    #[must_use]
    pub fn marks(&self) -> Option<BTreeSet<String>> {
        if !self.rollout.is_empty() {
            return Some(BTreeSet::from([summary::rollout(&self.rollout)]));
        }
        let project = Some(&self.project).filter(|p| !p.is_empty());
        project.map(|project| BTreeSet::from([summary::project(project)]))
    }

    /// What a fact says about who asked or decided, when that is wanted.
    #[must_use]
    pub fn entry(&self, record: &ArchivedFact) -> Option<AuditEntry> {
        let fact = fact(record)?;
        let entry = match &fact {
            Fact::Command(command) => command_entry(command),
            Fact::Decision(decision) => decision_entry(decision),
            Fact::Model(model) => model_entry(model),
            _ => return None,
        };
        let entry = AuditEntry {
            sequence: record.sequence,
            time_ms: record.time_ms,
            project: fact.project().to_string(),
            ..entry
        };
        let wanted = |wish: &str, is: &str| wish.is_empty() || wish == is;
        let all = wanted(&self.project, &entry.project)
            && wanted(&self.rollout, &entry.rollout)
            && wanted(&self.actor, &entry.actor);
        all.then_some(entry)
    }
}

fn command_entry(command: &Command) -> AuditEntry {
    AuditEntry {
        rollout: command.rollout.to_string(),
        what: word(&command.ask),
        actor: command.actor.clone(),
        note: command.note.clone(),
        ..AuditEntry::default()
    }
}

fn decision_entry(decision: &Decision) -> AuditEntry {
    AuditEntry {
        rollout: decision.rollout.to_string(),
        service: decision.service.to_string(),
        what: word(&decision.action),
        actor: "auspex".to_owned(),
        note: decision.reason_text.clone(),
        reason: word(&decision.reason),
        model: decision.versions.model.clone(),
        policy: decision.versions.policy.clone(),
        features: decision.versions.features.clone(),
        weight: decision.weight.into(),
        p_failure: decision.prior,
        score_id: decision
            .score
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        acts: decision.acts,
        decided: true,
        ..AuditEntry::default()
    }
}

fn model_entry(model: &Model) -> AuditEntry {
    AuditEntry {
        what: "model".to_owned(),
        actor: model.actor.clone(),
        note: model.note.clone(),
        reason: model.alias.clone(),
        model: format!("{}@{}", model.name, model.version),
        features: model.schema_hash.clone(),
        ..AuditEntry::default()
    }
}

/// The name of a variant as documents have it: `RollBack` is `roll_back`.
fn word(variant: &impl Serialize) -> String {
    let name = match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let mut word = String::new();
    for (n, c) in name.chars().enumerate() {
        if c.is_uppercase() && n > 0 {
            word.push('_');
        }
        word.extend(c.to_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_have_the_words_of_documents() {
        assert_eq!(word(&auspex_proto::decision::Action::RollBack), "roll_back");
        assert_eq!(
            word(&auspex_proto::command::Ask::Promote { full: true }),
            "promote"
        );
        assert_eq!(word(&auspex_proto::command::Ask::Abort), "abort");
    }
}
