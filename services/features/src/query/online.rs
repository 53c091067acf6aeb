//! Features by service or by name, as known now; and how fresh they are.

use std::time::Duration;

use auspex_algebra::Cell;
use auspex_algebra::distinct::hash;
use auspex_proto::wire::{
    FeatureCells, FeatureEntity, FreshnessResponse, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse,
    SourceFreshness,
};
use tonic::Status;

use super::{Answers, project};
use crate::definitions::Recipe;
use crate::offline::Vector;
use crate::online::Asked;
use crate::rows::entity;

/// How long a caller waits at most while the store is being read, after a start.
pub(super) const READY: Duration = Duration::from_secs(10);
/// The most entities one may ask for at once.
const AT_ONCE: usize = 1_000;

/// Who is asked about, the so-many-th; every key that is needed must be told. A number of the request that is none is not told.
pub(super) fn asked(recipe: &Recipe, entity: FeatureEntity, number: usize) -> Result<Asked, Status> {
    let request = entity.request.into_iter();
    let mut asked = Asked {
        keys: entity.keys.into_iter().collect(),
        request: request.filter(|(_, value)| value.is_finite()).collect(),
    };
    let wrong = |told: String| Status::invalid_argument(format!("entities[{number}].keys: {told}"));
    for key in recipe.keys() {
        match asked.keys.get(key) {
            None => return Err(wrong(format!("{key} is not told"))),
            Some(value) if value.is_empty() => return Err(wrong(format!("{key} is empty"))),
            Some(_) => {}
        }
    }
    // Keys that are not needed make no other entity.
    asked.keys.retain(|key, _| recipe.keys().contains(&key.as_str()));
    Ok(asked)
}

fn cells(cells: &[Cell]) -> FeatureCells {
    FeatureCells {
        values: cells.iter().map(|cell| cell.value).collect(),
        statuses: cells
            .iter()
            .map(|cell| crate::offline::number(cell.status))
            .collect(),
    }
}

impl Answers {
    pub(super) async fn online_features(
        &self,
        asked: GetOnlineFeaturesRequest,
    ) -> Result<GetOnlineFeaturesResponse, Status> {
        if !self.online.is_ready(READY).await {
            return Err(Status::unavailable(
                "the online store is being read; try again in a moment",
            ));
        }
        if !asked.revisions.is_empty() || asked.entities.len() > AT_ONCE {
            let told = format!("entities: at most {AT_ONCE} may be asked, and no revisions beside them");
            return Err(Status::invalid_argument(told));
        }
        let project = project(asked.project)?;
        let known = self.shelf.known();
        let recipe = self.recipe(&known, &asked.feature_service, &asked.features)?;
        if !asked.schema_hash.is_empty() && asked.schema_hash != recipe.schema_hash {
            let told = format!(
                "schema_hash: is {}, asked was {}",
                recipe.schema_hash, asked.schema_hash
            );
            return Err(Status::failed_precondition(told));
        }
        let at = self.house.now().0;
        let mut rows = Vec::with_capacity(asked.entities.len());
        for (number, entity) in asked.entities.into_iter().enumerate() {
            let who = self::asked(&recipe, entity, number)?;
            let found = self
                .online
                .read(&recipe, project.as_str(), &who, (at, asked.scaled));
            if self.offline.is_some() && recipe.sample > 0.0 && is_sampled(&who, recipe.sample) {
                self.log.note(served(
                    &recipe,
                    project.as_str(),
                    &who,
                    (at, asked.scaled),
                    &found,
                ));
            }
            rows.push(cells(&found));
        }
        Ok(GetOnlineFeaturesResponse {
            vectors: Vec::new(),
            names: recipe.names.clone(),
            rows,
            feature_service: recipe.service.clone(),
            schema_hash: recipe.schema_hash.clone(),
            as_of_ms: at,
        })
    }

    pub(super) fn standings(&self, project: &str) -> FreshnessResponse {
        let (now, known) = (self.house.now().0, self.shelf.known());
        let standings = self.online.standings().into_iter();
        let sources = standings
            .filter(|((of, _), _)| project.is_empty() || project == of)
            .map(|((project, source), standing)| {
                let age = (now - standing.newest).max(0);
                let views = known
                    .catalogue
                    .views
                    .values()
                    .filter(|view| view.source == source);
                let expired = views.filter(|view| view.view.ttl > 0 && age > view.view.ttl);
                SourceFreshness {
                    expired_views: expired.map(|view| view.name.clone()).collect(),
                    project,
                    source,
                    entities: standing.entities,
                    event_ms: standing.newest,
                    age_ms: age,
                }
            });
        FreshnessResponse {
            sources: sources.collect(),
        }
    }
}

/// By entity, so that all requests of one are kept or none.
#[allow(clippy::cast_precision_loss, reason = "a share needs no 64 bits")]
pub(crate) fn is_sampled(asked: &Asked, share: f64) -> bool {
    (hash(entity(asked.pairs()).as_bytes()) as f64) < share * u64::MAX as f64
}

pub(crate) fn served(
    recipe: &Recipe,
    project: &str,
    asked: &Asked,
    (at, scaled): (i64, bool),
    cells: &[Cell],
) -> Vector {
    Vector {
        service: recipe.service.clone(),
        project: project.to_owned(),
        keys: asked.keys.clone(),
        request: asked.request.clone(),
        at,
        scaled,
        values: cells
            .iter()
            .map(|cell| Some(cell.value).filter(|v| v.is_finite()))
            .collect(),
        statuses: cells
            .iter()
            .map(|cell| crate::offline::number(cell.status))
            .collect(),
    }
}
