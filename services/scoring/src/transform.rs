//! Vectors from the log become scores for the log.

use auspex_chassis::{Counter, Metrics, Reject, Transform};
use auspex_proto::score::Band;
use auspex_proto::{Fact, FactId, FeatureVector, Meta, Score};
use futures::future::BoxFuture;

use crate::pool::Pool;
use crate::runtime::Reasons;
use crate::score::Scored;

/// The stage's name, in ids and as the source of its facts.
const STAGE: &str = "scoring";

/// The stage: no state, order does not matter.
#[derive(Debug, Clone)]
pub struct ScoreVectors {
    pool: Pool,
    /// Name and version of the model, as in `change-risk@1`.
    model: String,
    figures: Figures,
}

/// Scores by band, and vectors that got none.
#[derive(Debug, Clone)]
struct Figures {
    low: Counter,
    medium: Counter,
    high: Counter,
    refused: Counter,
}

impl Figures {
    fn of(metrics: &Metrics) -> Self {
        let scores =
            |band| metrics.counter_with("auspex_scoring_scores_total", "Scores made.", &[("band", band)]);
        Self {
            low: scores("low"),
            medium: scores("medium"),
            high: scores("high"),
            refused: metrics.counter(
                "auspex_scoring_refused_total",
                "Vectors that could not be scored.",
            ),
        }
    }

    fn count(&self, band: Band) {
        match band {
            Band::Low => self.low.inc(),
            Band::Medium => self.medium.inc(),
            Band::High => self.high.inc(),
        }
    }
}

impl Transform for ScoreVectors {
    fn apply(&self, batch: Vec<(u64, Fact)>) -> BoxFuture<'_, Vec<Result<Vec<Fact>, Reject>>> {
        Box::pin(self.score(batch))
    }
}

impl ScoreVectors {
    /// Scores with these threads, under this model's name.
    #[must_use]
    pub fn new(pool: Pool, model: String, metrics: &Metrics) -> Self {
        let figures = Figures::of(metrics);
        Self { pool, model, figures }
    }

    /// One result per fact, in order.
    pub async fn score(&self, batch: Vec<(u64, Fact)>) -> Vec<Result<Vec<Fact>, Reject>> {
        let (mut results, mut places, mut vectors) =
            (Vec::with_capacity(batch.len()), Vec::new(), Vec::new());
        for (place, (seq, fact)) in batch.into_iter().enumerate() {
            match fact {
                Fact::Vector(vector) => {
                    places.push((place, seq));
                    vectors.push(vector);
                    results.push(Err(Reject("the run has failed".to_owned())));
                }
                other => results.push(Err(Reject(format!("{} is not a vector", other.kind().token())))),
            }
        }
        let scored = match self.pool.score(vectors, Reasons::WhenNotable).await {
            Ok(scored) => scored,
            Err(fault) => {
                tracing::error!(%fault, "scoring failed");
                return results;
            }
        };
        for ((place, seq), (vector, scored)) in places.into_iter().zip(scored) {
            let Some(result) = results.get_mut(place) else {
                continue;
            };
            *result = match scored {
                Ok(scored) => {
                    self.figures.count(scored.band);
                    Ok(vec![Fact::Score(fact(seq, vector, scored, &self.model))])
                }
                Err(fault) => {
                    self.figures.refused.inc();
                    Err(Reject(fault.to_string()))
                }
            };
        }
        results
    }
}

/// The Score that follows from a vector at this sequence of the log; 0 when it never stood there.
#[must_use]
pub fn fact(seq: u64, vector: FeatureVector, scored: Scored, model: &str) -> Score {
    Score {
        meta: Meta {
            id: FactId::derived(STAGE, seq, vector.meta.id.as_str(), 0),
            project: vector.meta.project,
            time: vector.meta.time,
            cause: seq,
            source: STAGE.to_owned(),
        },
        entity: vector.entity,
        p_failure: scored.p_failure,
        low: scored.low,
        high: scored.high,
        band: scored.band,
        model: model.to_owned(),
        schema_hash: vector.schema_hash,
        reasons: scored.reasons,
        missing: scored.missing,
        mitigations: Vec::new(),
        trial: Default::default(),
    }
}
