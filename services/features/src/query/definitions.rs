//! What is defined, and what an apply would do.

use auspex_algebra::Scale;
use auspex_proto::wire::{
    DefinitionChange, DefinitionsRequest, DefinitionsResponse, FeatureAbout, ListViewsResponse, ViewAbout,
};
use tonic::Status;

use super::{Answers, away};
use crate::definitions::{
    Catalogue, Change, Document, Fitted, Registered, Registry, Spec, ViewSpec, duration, formula, read,
};
use crate::shelf::Refused;

/// The most values that a scale is fitted to.
const FITTED_TO: usize = 20_000;

impl Answers {
    pub(super) fn list(&self) -> ListViewsResponse {
        let known = self.shelf.known();
        let about = |registered: &Registered| about(registered, &known.registry, &known.catalogue);
        ListViewsResponse {
            views: known.registry.all().map(about).collect(),
        }
    }

    pub(super) async fn define(
        &self,
        asked: DefinitionsRequest,
        apply: bool,
    ) -> Result<DefinitionsResponse, Status> {
        let (documents, problems) = read(&asked.documents);
        let wrong = |problems| {
            Ok(DefinitionsResponse {
                changes: Vec::new(),
                problems,
                applied: false,
            })
        };
        if !problems.is_empty() {
            return wrong(problems);
        }
        if documents.is_empty() && asked.remove.is_empty() {
            return Err(Status::invalid_argument("documents: hold no document"));
        }
        self.shelf.refresh().await.map_err(away)?;
        let known = self.shelf.known();
        // What is wrong is found before anything is fitted.
        let planned = known.registry.apply(&documents, &asked.remove, &Fitted::new());
        if let Err(problems) = planned {
            return wrong(problems);
        }
        let fitted = match self.fit(&known.registry, &documents).await? {
            Ok(fitted) => fitted,
            Err(problems) => return wrong(problems),
        };
        let changes = if apply {
            match self.shelf.apply(&documents, &asked.remove, &fitted).await {
                Ok(changes) => changes,
                Err(Refused::Wrong(problems)) => return wrong(problems),
                Err(Refused::Away(fault)) => return Err(away(fault)),
            }
        } else {
            match known.registry.apply(&documents, &asked.remove, &fitted) {
                Ok((_, changes)) => changes,
                Err(problems) => return wrong(problems),
            }
        };
        Ok(DefinitionsResponse {
            changes: changes.into_iter().map(change).collect(),
            problems: Vec::new(),
            applied: apply,
        })
    }

    /// Fits the scales of views that are new or mean something else.
    async fn fit(
        &self,
        registry: &Registry,
        documents: &[Document],
    ) -> Result<Result<Fitted, Vec<String>>, Status> {
        let (mut fitted, mut problems) = (Fitted::new(), Vec::new());
        for document in documents {
            let Spec::FeatureView(view) = &document.spec else {
                continue;
            };
            let before = registry.get(&document.key()).map(|r| r.document.meaning());
            let (Some(of), true) = (&view.normalisation, before != Some(document.meaning())) else {
                continue;
            };
            let Some(snapshot) = self.offline()?.kept(&of.snapshot).await.map_err(away)? else {
                problems.push(format!(
                    "{}: normalisation: there is no snapshot {}",
                    document.key(),
                    of.snapshot
                ));
                continue;
            };
            // As it would be served, without the scales themselves.
            let alone = registry.apply(std::slice::from_ref(document), &[], &Fitted::new());
            let Some(served) = alone
                .ok()
                .and_then(|(next, _)| Catalogue::of(&next).views.get(&document.metadata.name).cloned())
            else {
                problems.push(format!(
                    "{}: normalisation: apply what it reads first",
                    document.key()
                ));
                continue;
            };
            let span = (0, i64::MAX / 4);
            let sampled = self
                .offline()?
                .sample(&served, (&of.project, span), Some(&snapshot), FITTED_TO);
            let values = sampled.await.map_err(away)?;
            fitted.insert(document.metadata.name.clone(), scales(view, &values));
        }
        Ok(if problems.is_empty() {
            Ok(fitted)
        } else {
            Err(problems)
        })
    }
}

fn scales(view: &ViewSpec, values: &[Vec<f64>]) -> std::collections::BTreeMap<String, Scale> {
    let scale = |(feature, values): (&crate::definitions::FeatureSpec, &Vec<f64>)| {
        let method = feature.scale?;
        Some((feature.name.clone(), Scale::fit(method, values.iter().copied())))
    };
    view.features.iter().zip(values).filter_map(scale).collect()
}

fn change(change: Change) -> DefinitionChange {
    let (kind, name) = change.key.split_once('/').unwrap_or(("", &change.key));
    DefinitionChange {
        kind: kind.to_owned(),
        name: name.to_owned(),
        action: change.action.word().to_owned(),
        version: change.version,
        differences: change.differences,
        needs_backfill: change.needs_backfill,
    }
}

fn about(registered: &Registered, registry: &Registry, catalogue: &Catalogue) -> ViewAbout {
    let document = &registered.document;
    let name = &document.metadata.name;
    let mut about = ViewAbout {
        kind: document.spec.kind().to_owned(),
        name: name.clone(),
        version: registered.version,
        meaning_sha256: registered.meaning.clone(),
        builtin: registered.builtin,
        description: document.metadata.description.clone(),
        ..ViewAbout::default()
    };
    match &document.spec {
        Spec::Entity(_) => about.entities = vec![registry.join_key(name)],
        Spec::FeatureView(view) => {
            about.entities.clone_from(&view.entities);
            about.ttl_ms = duration(&view.ttl).unwrap_or_default();
            about.source = if view.source.push {
                "push".to_owned()
            } else {
                view.source.stream.clone()
            };
            about.features = view
                .features
                .iter()
                .map(|feature| FeatureAbout {
                    name: format!("{name}:{}", feature.name),
                    unit: feature.unit.clone(),
                    description: feature.description.clone(),
                    formula: formula(feature),
                })
                .collect();
        }
        Spec::OnDemandFeatureView(view) => {
            // The keys of all that it reads.
            if let Ok(recipe) = catalogue.recipe(std::slice::from_ref(name)) {
                about.entities = recipe.keys().into_iter().map(str::to_owned).collect();
            }
            about.features = view
                .features
                .iter()
                .map(|feature| FeatureAbout {
                    name: format!("{name}:{}", feature.name),
                    unit: feature.unit.clone(),
                    description: feature.description.clone(),
                    formula: feature.expression.clone(),
                })
                .collect();
        }
        Spec::FeatureService(_) => {
            if let Some(recipe) = catalogue.services.get(name) {
                about.entities = recipe.keys().into_iter().map(str::to_owned).collect();
                about.schema_hash.clone_from(&recipe.schema_hash);
                let feature = |name: &String| FeatureAbout {
                    name: name.clone(),
                    ..FeatureAbout::default()
                };
                about.features = recipe.names.iter().map(feature).collect();
            }
        }
    }
    about
}
