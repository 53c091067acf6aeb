//! Builds that are asked for: what the store knows of each at that moment becomes its vector, and so a model of builds scores
//! it by itself.
//!
//! [`crate::extract`] tells, once for each attempt, that a build is asked for, in rows of their own, which stand on the log behind
//! everything that was told before: once the store is [known](crate::barrier) to have come so far, it knows that too. The vector is
//! made of a question to the store, not by a verb: it is a fact, like a score, and nobody makes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::{Counter, Reject, Transform};
use auspex_proto::rows::FeatureRows;
use auspex_proto::stage::BUILDS;
use auspex_proto::vector::{Feature, Status};
use auspex_proto::{Entity, EntityKind, Fact, FactId, FeatureVector, Meta, Project, Revision, Timestamp};
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::barrier::Barrier;
use crate::definitions::Recipe;
use crate::offline::Log;
use crate::online::{Asked, Online};
use crate::query::Answers;
use crate::query::online::{is_sampled, served};
use crate::rows::keys;
use crate::shelf::Shelf;

/// How long a build waits for the store at most: it knows what was told before within a second, when it is well.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is told so much later than it happened, in milliseconds, is of a past that is played in: it is asked about as of then.
const PLAYED_IN: i64 = 3_600_000;
/// What is asked about where nobody has told: the trainer asks the same of it.
const UNKNOWN: &str = "?";

/// The stage.
#[derive(Debug, Clone)]
pub struct Builds {
    service: String,
    online: Arc<Online>,
    barrier: Barrier,
    shelf: Arc<Shelf>,
    /// Where served vectors are kept by sample; none without an offline store.
    log: Option<Arc<Log>>,
    made: Counter,
    late: Counter,
}

/// A build that is asked for, as its row tells.
#[derive(Debug, Clone, PartialEq)]
struct Begun<'a> {
    rows: &'a FeatureRows,
    run_id: String,
    revision: String,
    asked: Asked,
    /// As of when: the time of the log, in a past that is played in that of the event.
    at: i64,
}

impl<'a> Begun<'a> {
    /// `None`: it tells of none.
    fn of(rows: &'a FeatureRows) -> Option<Self> {
        let row = rows.rows.first()?;
        let texts = rows.shape.columns.iter().filter(|column| column.text);
        let texts = texts.map(|column| column.name.as_str()).zip(&row.texts);
        let told: Vec<(&str, &str)> = texts
            .filter_map(|(name, text)| Some((name, text.as_deref()?)))
            .collect();
        let text = |name: &str| told.iter().find(|(n, _)| *n == name).map(|(_, text)| *text);
        let project = rows.meta.project.as_str();
        let mut asked = Asked {
            keys: keys(&row.entity).into_iter().collect(),
            ..Asked::default()
        };
        let own = ["revision", "author"].map(|key| (key, text(key).unwrap_or(UNKNOWN)));
        for (key, value) in own.into_iter().chain([("project", project)]) {
            asked.keys.insert(key.to_owned(), value.to_owned());
        }
        let played_in = row.created.0.saturating_sub(row.event.0) > PLAYED_IN;
        Some(Self {
            rows,
            run_id: text("build")?.to_owned(),
            revision: text("revision").unwrap_or(UNKNOWN).to_owned(),
            asked,
            at: if played_in { row.event.0 } else { row.created.0 },
        })
    }

    /// Whom a service is asked about: what it needs beside is of nobody.
    fn asked(&self, recipe: &Recipe) -> Asked {
        let known = |key: &str| self.asked.keys.get(key).map_or(UNKNOWN, String::as_str);
        let keys = recipe.keys().into_iter();
        Asked {
            keys: keys.map(|key| (key.to_owned(), known(key).to_owned())).collect(),
            ..Asked::default()
        }
    }
}

impl Builds {
    /// Serves vectors of this feature service.
    #[must_use]
    pub fn of(answers: &Answers, service: &str) -> Self {
        let metrics = answers.house.metrics();
        Self {
            service: service.to_owned(),
            online: Arc::clone(&answers.online),
            barrier: answers.barrier.clone(),
            shelf: Arc::clone(&answers.shelf),
            log: answers.offline.is_some().then(|| Arc::clone(&answers.log)),
            made: metrics.counter(
                "auspex_features_builds_total",
                "Vectors of builds that were asked for.",
            ),
            late: metrics.counter(
                "auspex_features_builds_late_total",
                "Of these, vectors made before the store knew all that had been told.",
            ),
        }
    }

    async fn serve(&self, batch: Vec<(u64, Fact)>) -> Vec<Result<Vec<Fact>, Reject>> {
        let end = Instant::now() + PATIENCE;
        let known = self.shelf.known();
        let Some(recipe) = known.catalogue.services.get(&self.service) else {
            tracing::warn!(
                service = self.service,
                "features.builds names no feature service that was applied: builds have no vector"
            );
            return batch.iter().map(|_| Ok(Vec::new())).collect();
        };
        let unknown = match self.online.is_ready(PATIENCE).await {
            true => self.unknown(&batch, end).await,
            false => projects(&batch).into_keys().collect(),
        };
        let one = |begun: Option<Begun<'_>>| -> Result<Vec<Fact>, Reject> {
            let begun = begun.ok_or_else(|| Reject("it tells of no build".to_owned()))?;
            self.made.inc();
            if unknown.contains(&begun.rows.meta.project) {
                self.late.inc();
            }
            Ok(vec![Fact::Vector(self.vector(recipe, &begun)?)])
        };
        batch.iter().map(begun).map(one).collect()
    }

    /// Waits until the store knows what was told before; the projects of which it does not by then.
    async fn unknown<'a>(&self, batch: &'a [(u64, Fact)], end: Instant) -> BTreeSet<&'a Project> {
        let mut unknown = BTreeSet::new();
        for (project, seq) in projects(batch) {
            if !self.barrier.passed(project, seq, end).await {
                unknown.insert(project);
            }
        }
        unknown
    }

    fn vector(&self, recipe: &Recipe, begun: &Begun<'_>) -> Result<FeatureVector, Reject> {
        let project = &begun.rows.meta.project;
        let asked = begun.asked(recipe);
        let cells = self
            .online
            .read(recipe, project.as_str(), &asked, (begun.at, false));
        if let Some(log) = self
            .log
            .as_ref()
            .filter(|_| recipe.sample > 0.0 && is_sampled(&asked, recipe.sample))
        {
            log.note(served(
                recipe,
                project.as_str(),
                &asked,
                (begun.at, false),
                &cells,
            ));
        }
        // A default stands in the place of what is not there: so it is learned from, too.
        let feature = |(name, cell): (&String, &auspex_algebra::Cell)| match cell.value.is_finite() {
            true => Feature::present(name.as_str(), cell.value),
            false => Feature::absent(name.as_str(), status(cell.status)),
        };
        // By the event behind it: one that is told again, however late, is the same vector.
        let cause = begun.rows.meta.cause;
        Ok(FeatureVector {
            meta: Meta {
                id: FactId::derived(BUILDS.name, cause, project.as_str(), 0),
                project: project.clone(),
                time: Timestamp(begun.at),
                cause,
                source: BUILDS.name.to_owned(),
            },
            entity: Entity {
                kind: EntityKind::Run,
                id: begun.run_id.clone(),
                revision: Revision::new(begun.revision.clone())?,
                service: None,
            },
            feature_service: recipe.service.clone(),
            schema_hash: recipe.schema_hash.clone(),
            features: recipe.names.iter().zip(&cells).map(feature).collect(),
            context: Vec::new(),
            wants_reasons: false,
        })
    }
}

fn begun((_, fact): &(u64, Fact)) -> Option<Begun<'_>> {
    match fact {
        Fact::Rows(rows) => Begun::of(rows),
        _ => None,
    }
}

/// The last place in the log at which each project tells of a build.
fn projects(batch: &[(u64, Fact)]) -> BTreeMap<&Project, u64> {
    let mut last = BTreeMap::new();
    // What is delivered once more stands behind what came after it.
    for (seq, fact) in batch {
        let at: &mut u64 = last.entry(fact.project()).or_default();
        *at = (*at).max(*seq);
    }
    last
}

fn status(status: auspex_algebra::Status) -> Status {
    match status {
        auspex_algebra::Status::Present => Status::Present,
        auspex_algebra::Status::Null => Status::Null,
        auspex_algebra::Status::NotFound => Status::NotFound,
        auspex_algebra::Status::Expired => Status::Expired,
    }
}

impl Transform for Builds {
    fn apply(&self, batch: Vec<(u64, Fact)>) -> BoxFuture<'_, Vec<Result<Vec<Fact>, Reject>>> {
        Box::pin(self.serve(batch))
    }
}
