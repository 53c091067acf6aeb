//! The last score of each revision, and of each build, for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use auspex_chassis::{From, Group, House};
use auspex_proto::{Entity, EntityKind, Fact, FactKind, Project, Revision, Score};

/// Between two looks at a log that never pauses: who asks for a score of a moment ago is not kept waiting by it, and being woken by
/// each score would cost the path as much as another stage on it.
const BEAT: Duration = Duration::from_millis(50);
/// How many scores are kept: about 1 kB each, so 10 MB.
const CAPACITY: usize = 10_000;

/// What is asked about: a change and its deployments are one thing, a build is its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A revision.
    Revision(Revision),
    /// The id of a run.
    Run(String),
}

impl About {
    fn of(entity: &Entity) -> Self {
        match entity.kind {
            EntityKind::Change | EntityKind::Deployment => Self::Revision(entity.revision.clone()),
            EntityKind::Run => Self::Run(entity.id.clone()),
        }
    }
}

/// The last score by project and what it is about; the oldest in the log goes first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latest {
    scores: BTreeMap<(Project, About), Score>,
    by_cause: BTreeMap<(u64, Project, About), ()>,
}

impl Latest {
    /// Notes a score. Of two about the same the one with the greatest cause stays, in whatever order they come.
    pub fn note(&mut self, score: Score) {
        let key = (score.meta.project.clone(), About::of(&score.entity));
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
            let Some(((_, project, about), ())) = self.by_cause.pop_first() else {
                return;
            };
            self.scores.remove(&(project, about));
        }
    }

    /// The last score about this.
    #[must_use]
    pub fn get(&self, project: &Project, about: &About) -> Option<&Score> {
        self.scores.get(&(project.clone(), about.clone()))
    }
}

/// Follows the scores on the log.
///
/// # Errors
/// When the bus is away.
pub async fn follow(house: &House) -> anyhow::Result<Arc<RwLock<Latest>>> {
    let latest = Arc::<RwLock<Latest>>::default();
    let mut follow = house.follow(&[FactKind::Score], From::All).await?.in_beats(BEAT);
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
    use auspex_proto::{FactId, Meta, Timestamp};

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
        let revision = About::Revision(Revision::new("a").unwrap());
        let found = one.get(&Project::new("shop").unwrap(), &revision);
        assert_eq!(found.unwrap().meta.cause, 7);
    }

    #[test]
    fn a_build_is_asked_about_by_its_own_name() {
        let mut latest = Latest::default();
        latest.note(score("a", 3));
        let mut build = score("a", 9);
        (build.entity.kind, build.entity.id) = (EntityKind::Run, "run 7".to_owned());
        latest.note(build);
        let shop = Project::new("shop").unwrap();
        let cause = |about: &About| latest.get(&shop, about).map(|score| score.meta.cause);
        assert_eq!(cause(&About::Revision(Revision::new("a").unwrap())), Some(3));
        assert_eq!(cause(&About::Run("run 7".to_owned())), Some(9));
        assert_eq!(cause(&About::Run("a".to_owned())), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut latest = Latest::default();
        for cause in 0..=CAPACITY as u64 {
            latest.note(score(&format!("r{cause}"), cause));
        }
        let get = |r: &str| {
            latest
                .get(
                    &Project::new("shop").unwrap(),
                    &About::Revision(Revision::new(r).unwrap()),
                )
                .is_some()
        };
        assert!(!get("r0") && get("r1"));
        assert_eq!(latest.by_cause.len(), CAPACITY);
    }
}
