//! The last score of each revision, for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use auspex_chassis::{From, Group, House};
use auspex_proto::{Fact, FactKind, Project, Revision, Score};

/// How many scores are kept: about 1 kB each, so 10 MB.
const CAPACITY: usize = 10_000;

/// The last score by project and revision; the oldest in the log goes first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latest {
    scores: BTreeMap<(Project, Revision), Score>,
    by_cause: BTreeMap<(u64, Project, Revision), ()>,
}

impl Latest {
    /// Notes a score. Of two for the same revision the one with the greatest cause stays, in whatever order they come.
    pub fn note(&mut self, score: Score) {
        let key = (score.meta.project.clone(), score.entity.revision.clone());
        let cause = |score: &Score| (score.meta.cause, key.0.clone(), key.1.clone());
        if let Some(old) = self.scores.get(&key) {
            if old.meta.cause > score.meta.cause {
                return;
            }
            self.by_cause.remove(&cause(old));
        }
        self.by_cause.insert(cause(&score), ());
        self.scores.insert(key, score);
        while self.scores.len() > CAPACITY {
            let Some(((_, project, revision), ())) = self.by_cause.pop_first() else {
                return;
            };
            self.scores.remove(&(project, revision));
        }
    }

    /// The last score of a revision.
    #[must_use]
    pub fn get(&self, project: &Project, revision: &Revision) -> Option<&Score> {
        self.scores.get(&(project.clone(), revision.clone()))
    }
}

/// Follows the scores on the log.
///
/// # Errors
/// When the bus is away.
pub async fn follow(house: &House) -> anyhow::Result<Arc<RwLock<Latest>>> {
    let latest = Arc::<RwLock<Latest>>::default();
    let mut follow = house.follow(&[FactKind::Score], From::All).await?;
    let noted = Arc::clone(&latest);
    house.spawn("latest scores", Group::Work, move |stop| async move {
        loop {
            let next = tokio::select! {
                () = stop.requested() => return Ok(()),
                next = follow.next() => next?,
            };
            if let Fact::Score(score) = next.fact {
                noted.write().unwrap_or_else(PoisonError::into_inner).note(score);
            }
        }
    });
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use auspex_proto::score::Band;
    use auspex_proto::{Entity, EntityKind, FactId, Meta, Timestamp};

    use super::*;

    fn score(revision: &str, cause: u64) -> Score {
        Score {
            meta: Meta {
                id: FactId::derived("scoring", cause, revision, 0),
                project: Project::new("shop").unwrap(),
                time: Timestamp(0),
                cause,
                source: String::new(),
            },
            entity: Entity {
                kind: EntityKind::Change,
                id: revision.to_owned(),
                revision: Revision::new(revision).unwrap(),
                service: None,
            },
            p_failure: 0.5,
            low: 0.1,
            high: 0.9,
            band: Band::Medium,
            model: String::new(),
            schema_hash: String::new(),
            reasons: Vec::new(),
            missing: Vec::new(),
            mitigations: Vec::new(),
            trial: Default::default(),
            recalibration: None,
        }
    }

    #[test]
    fn the_greatest_cause_wins_in_any_order() {
        let (mut one, mut other) = (Latest::default(), Latest::default());
        for cause in [3, 7, 5] {
            one.note(score("a", cause));
        }
        for cause in [7, 5, 3] {
            other.note(score("a", cause));
        }
        assert_eq!(one, other);
        let found = one.get(&Project::new("shop").unwrap(), &Revision::new("a").unwrap());
        assert_eq!(found.unwrap().meta.cause, 7);
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut latest = Latest::default();
        for cause in 0..=CAPACITY as u64 {
            latest.note(score(&format!("r{cause}"), cause));
        }
        let get = |r: &str| {
            latest
                .get(&Project::new("shop").unwrap(), &Revision::new(r).unwrap())
                .is_some()
        };
        assert!(!get("r0") && get("r1"));
        assert_eq!(latest.by_cause.len(), CAPACITY);
    }
}
