//! Recent scores by what they are about. Of two for the same thing, the one with the greatest cause sequence wins.

use auspex_proto::score::{Band, Mitigation};
use auspex_proto::{EntityKind, FactId, Score};
use serde::{Deserialize, Serialize};

use super::Sealed;

/// Most scores that are remembered.
pub const MOST: usize = 128;

/// Recent scores, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores(Vec<Sealed<Known>>);

/// What a rollout needs to know of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The score's id.
    pub id: FactId,
    /// The kind of thing it is about.
    pub kind: EntityKind,
    /// Which one.
    pub entity: String,
    /// The revision behind it.
    pub revision: String,
    /// The service, when known.
    pub service: Option<String>,
    /// P(failure).
    pub p_failure: f64,
    /// Its band.
    pub band: Band,
    /// Which model.
    pub model: String,
    /// Of which features.
    pub features: String,
    /// Sequence of the vector it was made from.
    pub cause: u64,
    /// It asks for a person's yes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// It asks for caution.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub caution: bool,
}

impl Known {
    /// The part of a score that matters here.
    #[must_use]
    pub fn of(score: &Score) -> Self {
        let asks = |what: Mitigation| score.mitigations.iter().any(|word| word == what.word());
        Self {
            id: score.meta.id.clone(),
            kind: score.entity.kind,
            entity: score.entity.id.clone(),
            revision: score.entity.revision.to_string(),
            service: score.entity.service.as_ref().map(ToString::to_string),
            p_failure: score.p_failure,
            band: score.band,
            model: score.model.clone(),
            features: score.schema_hash.clone(),
            cause: score.meta.cause,
            approval: asks(Mitigation::RequireManualApproval),
            caution: asks(Mitigation::EnableConservativeMode),
        }
    }

    /// Whether it may be about this service.
    #[must_use]
    pub fn fits(&self, service: &str) -> bool {
        self.service.as_deref().is_none_or(|mine| mine == service)
    }
}

impl Scores {
    /// Remembers a score; `false` when a newer one of the same thing, or this one, is known.
    pub fn note(&mut self, score: Known) -> bool {
        let same = |k: &Sealed<Known>| {
            k.kind == score.kind && k.entity == score.entity && k.service == score.service
        };
        if let Some(at) = self.0.iter().position(same) {
            if self.0.get(at).is_some_and(|known| known.cause >= score.cause) {
                return false;
            }
            self.0.remove(at);
        } else if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Sealed::new(score));
        true
    }

    /// The score of a deployment.
    #[must_use]
    pub fn of_deployment(&self, id: &str, service: &str) -> Option<&Known> {
        self.newest(|k| k.kind == EntityKind::Deployment && k.entity == id && k.fits(service))
    }

    /// The newest score of anything behind a revision.
    #[must_use]
    pub fn of_revision(&self, revision: &str, service: &str) -> Option<&Known> {
        self.newest(|k| !revision.is_empty() && k.revision == revision && k.fits(service))
    }

    fn newest(&self, fits: impl Fn(&Known) -> bool) -> Option<&Known> {
        let known = self.0.iter().map(|known| &**known);
        known.filter(|k| fits(k)).max_by_key(|k| k.cause)
    }
}
