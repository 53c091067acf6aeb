//! Vectors from the log become scores for the log.

use auspex_chassis::{Counter, Metrics, Reject, Transform};
use auspex_proto::score::Band;
use auspex_proto::{EntityKind, Fact, FeatureVector};
use futures::future::BoxFuture;

use crate::runtime::Reasons;
use crate::schemas::Schemas;
use crate::serving::{Serving, fact};

/// The stage: no state, order does not matter.
#[derive(Debug, Clone)]
pub struct ScoreVectors {
    serving: Serving,
    schemas: Schemas,
    figures: Figures,
}

/// Scores by band, and vectors that got none.
#[derive(Debug, Clone)]
struct Figures {
    low: Counter,
    medium: Counter,
    high: Counter,
    refused: Counter,
    unread: Counter,
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
            unread: metrics.counter(
                "auspex_scoring_unread_total",
                "Vectors of builds that no version reads.",
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
    /// Scores with what is served, and notes which schemas there are.
    #[must_use]
    pub fn new(serving: Serving, schemas: Schemas, metrics: &Metrics) -> Self {
        Self {
            serving,
            schemas,
            figures: Figures::of(metrics),
        }
    }

    /// Builds are served before there is a model of them, for one to be learned from: that is no fault.
    fn passes_over(&self, vector: &FeatureVector) -> bool {
        vector.entity.kind == EntityKind::Run && self.serving.table().is_deaf(vector)
    }

    /// One result per fact, in order.
    pub async fn score(&self, batch: Vec<(u64, Fact)>) -> Vec<Result<Vec<Fact>, Reject>> {
        let (mut results, mut places, mut vectors) =
            (Vec::with_capacity(batch.len()), Vec::new(), Vec::new());
        for (place, (seq, fact)) in batch.into_iter().enumerate() {
            match fact {
                Fact::Vector(vector) => {
                    self.schemas.note(&vector.feature_service, &vector.schema_hash);
                    if self.passes_over(&vector) {
                        self.figures.unread.inc();
                        results.push(Ok(Vec::new()));
                        continue;
                    }
                    places.push((place, seq));
                    vectors.push((seq, vector));
                    results.push(Err(Reject("the run has failed".to_owned())));
                }
                other => results.push(Err(Reject(format!("{} is not a vector", other.kind().token())))),
            }
        }
        let dealt = self.serving.score(vectors, Reasons::WhenNotable).await;
        for ((place, seq), dealt) in places.into_iter().zip(dealt) {
            let Some(result) = results.get_mut(place) else {
                continue;
            };
            *result = match dealt.given {
                Ok(given) => {
                    self.figures.count(given.scored.band);
                    Ok(vec![Fact::Score(fact(seq, dealt.vector, given))])
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
