//! Facts for tests and benchmarks: whole, valid, and made in one place. A caller says what matters and keeps the rest:
//!
//! ```
//! use auspex_proto::{Decision, sample};
//! # fn main() -> Result<(), auspex_proto::Invalid> {
//! let head = sample::meta("decision-1", "acme/shop", 1)?;
//! let decision = Decision { weight: 20, ..sample::decision(head, "checkout")? };
//! assert_eq!(decision.rollout.as_str(), "checkout");
//! # Ok(())
//! # }
//! ```
//!
//! A field that a fact gains gets its value here, and nowhere else. Nothing on the path of real facts calls this.

use crate::alert::{Alert, Kind, Severity, Status};
use crate::decision::{Action, Decision, Mode, Phase, Reason, TrackTarget, Versions};
use crate::score::{Band, Score, Trial};
use crate::{
    Entity, EntityKind, FactId, Invalid, Meta, Project, Revision, RolloutName, ServiceName, Timestamp,
};

/// When all of it happens: 2023-11-14 22:13:20 UTC.
pub const TIME: Timestamp = Timestamp(1_700_000_000_000);

/// A head: of this id, in this project, derived from the fact at sequence `cause` (0: from outside), at [`TIME`].
///
/// # Errors
/// [`Invalid`] when the id or the project is none.
pub fn meta(id: &str, project: &str, cause: u64) -> Result<Meta, Invalid> {
    Ok(Meta {
        id: FactId::new(id)?,
        project: Project::new(project)?,
        time: TIME,
        cause,
        source: "sample".to_owned(),
    })
}

/// One side of a rollout, by its revision alone.
#[must_use]
pub fn track(revision: &str) -> TrackTarget {
    TrackTarget {
        revision: revision.to_owned(),
        url: String::new(),
    }
}

/// A decision that acts and asks for nothing: the first of a rollout named as its service, progressing at weight 0 from
/// revision `v1` to `v2`, P(failure) 0.1, no evidence yet.
///
/// # Errors
/// [`Invalid`] when the service's name is none.
pub fn decision(meta: Meta, service: &str) -> Result<Decision, Invalid> {
    Ok(Decision {
        meta,
        rollout: RolloutName::new(service)?,
        service: ServiceName::new(service)?,
        mode: Mode::Act,
        phase: Phase::Progressing,
        action: Action::Advance,
        reason: Reason::StepDone,
        reason_text: String::new(),
        weight: 0,
        previous_weight: 0,
        acts: true,
        prior: 0.1,
        prior_is_base_rate: false,
        posterior: 0.1,
        evidence: Vec::new(),
        harmed: 0,
        versions: Versions::default(),
        stable: track("v1"),
        candidate: track("v2"),
        number: 1,
        affinity: None,
        slo_ms: None,
        score: None,
        intent: None,
        step: None,
    })
}

/// A change's score by `change-risk@1`, in the band of its probability, its interval 0.1 to either side; nobody asked for
/// reasons, nothing was missing.
///
/// # Errors
/// [`Invalid`] when the revision is none.
pub fn score(meta: Meta, revision: &str, p_failure: f64) -> Result<Score, Invalid> {
    Ok(Score {
        meta,
        entity: Entity {
            kind: EntityKind::Change,
            id: revision.to_owned(),
            revision: Revision::new(revision)?,
            service: None,
        },
        p_failure,
        low: (p_failure - 0.1).max(0.0),
        high: (p_failure + 0.1).min(1.0),
        band: Band::of(p_failure, (0.3, 0.7)),
        model: "change-risk@1".to_owned(),
        schema_hash: String::new(),
        reasons: Vec::new(),
        missing: Vec::new(),
        mitigations: Vec::new(),
        trial: Trial::default(),
        recalibration: None,
    })
}

/// An alert of a rolled back rollout of `checkout`, an error, under this deduplication key; its title is the key and the
/// status. It names neither causes nor receivers.
#[must_use]
pub fn alert(meta: Meta, dedup_key: &str, status: Status) -> Alert {
    Alert {
        meta,
        kind: Kind::RolledBack,
        severity: Severity::Error,
        status,
        dedup_key: dedup_key.to_owned(),
        title: format!("{dedup_key} {status:?}"),
        text: "What: it was rolled back".to_owned(),
        service: ServiceName::new("checkout").ok(),
        rollout: "checkout".to_owned(),
        causes: Vec::new(),
        facts: Vec::new(),
        receivers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fact;

    #[test]
    fn what_is_made_here_reads_back_from_the_log() {
        let head = |id: &str| meta(id, "acme/shop", 7).unwrap();
        let facts = [
            Fact::Decision(decision(head("d"), "checkout").unwrap()),
            Fact::Score(score(head("s"), "abc123", 0.95).unwrap()),
            Fact::Alert(alert(head("a"), "acme/shop/checkout", Status::Firing)),
        ];
        for fact in facts {
            assert_eq!(Fact::decode(fact.kind(), &fact.encode()).unwrap(), fact);
        }
    }
}
