//! What a segment is about: enough to pass it over unread.

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::event::Body;
use auspex_proto::wire::ArchivedFact;
use auspex_proto::{Fact, subject};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The most names that are listed; above it a segment has to be read. 512 take about 6 kB.
const MOST: usize = 512;

/// What a segment is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many facts of each kind.
    #[serde(default)]
    pub kinds: BTreeMap<String, u64>,
    /// Hashes of what it speaks of: rollouts, revisions, projects.
    #[serde(default)]
    pub marks: BTreeSet<String>,
    /// There were more than are listed.
    #[serde(default)]
    pub more: bool,
}

/// The mark of a rollout's name.
#[must_use]
pub fn rollout(name: &str) -> String {
    mark("rollout", name)
}

/// The mark of a revision.
#[must_use]
pub fn revision(name: &str) -> String {
    mark("revision", name)
}

/// The mark of a project.
#[must_use]
pub fn project(name: &str) -> String {
    mark("project", name)
}

/// 32 bits: a mark that another name shares only costs a reading.
fn mark(kind: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{kind}\n{name}").as_bytes());
    hex::encode(digest.get(..4).unwrap_or_default())
}

impl Summary {
    /// Takes a fact in.
    pub fn add(&mut self, record: &ArchivedFact) {
        let Ok(address) = subject::parse(&record.subject) else {
            *self.kinds.entry("other".to_owned()).or_default() += 1;
            return;
        };
        *self.kinds.entry(address.kind.token().to_owned()).or_default() += 1;
        if let Some(name) = subject::untoken(&address.project) {
            self.mark(project(&name));
        }
        if let Ok(fact) = Fact::decode(address.kind, &record.payload) {
            marks(&fact).into_iter().for_each(|mark| self.mark(mark));
        }
    }

    fn mark(&mut self, mark: String) {
        if self.marks.len() < MOST || self.marks.contains(&mark) {
            self.marks.insert(mark);
        } else {
            self.more = true;
        }
    }

    /// Whether it may speak of one of these.
    #[must_use]
    pub fn may_speak_of(&self, marks: &BTreeSet<String>) -> bool {
        self.more || !self.marks.is_disjoint(marks)
    }

    /// Whether it has facts of one of these kinds; of any when none are named.
    #[must_use]
    pub fn has(&self, kinds: &BTreeSet<String>) -> bool {
        kinds.is_empty() || kinds.iter().any(|kind| self.kinds.contains_key(kind))
    }
}

fn marks(fact: &Fact) -> Vec<String> {
    match fact {
        Fact::Decision(decision) => vec![
            rollout(decision.rollout.as_str()),
            revision(&decision.candidate.revision),
        ],
        Fact::Command(command) => vec![rollout(command.rollout.as_str())],
        Fact::Alert(alert) => vec![rollout(&alert.rollout)],
        Fact::Vector(vector) => vec![revision(vector.entity.revision.as_str())],
        Fact::Score(score) => vec![revision(score.entity.revision.as_str())],
        Fact::Event(event) => revision_of(&event.body).map(revision).into_iter().collect(),
        Fact::Observations(_) | Fact::Model(_) | Fact::Tick(_) => Vec::new(),
        #[allow(unreachable_patterns, reason = "kinds are added in proto first")]
        _ => Vec::new(),
    }
}

/// The revision that an event is about.
#[must_use]
pub fn revision_of(body: &Body) -> Option<&str> {
    let revision = match body {
        Body::Change(change) => Some(&change.revision),
        Body::Review(review) => review.merged_revision.as_ref().or(review.revision.as_ref()),
        Body::Run(run) => run.revision.as_ref(),
        Body::Deployment(deployment) => Some(&deployment.revision),
        Body::DeploymentStatus(status) => status.revision.as_ref(),
        _ => None,
    };
    revision.map(auspex_proto::Revision::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_any_more_has_to_be_read() {
        let mut summary = Summary::default();
        for n in 0..MOST {
            summary.mark(rollout(&format!("r{n}")));
        }
        let of = |name: &str| BTreeSet::from([rollout(name)]);
        assert!(summary.may_speak_of(&of("r7")) && !summary.may_speak_of(&of("other")));
        summary.mark(rollout("one more"));
        assert!(summary.more && summary.may_speak_of(&of("other")));
    }
}
