//! What definitions come to when they are served: names, places and shapes, looked up once.

use std::collections::BTreeMap;
use std::sync::Arc;

use auspex_algebra::hop::HOUR;
use auspex_algebra::{Column, Expression, Feature, Keep, Resolution, Scale, Shape, View};
use auspex_proto::vector::schema_hash;

use super::document::{FeatureSpec, OnDemandFeature, Spec, ViewSpec};
use super::registry::{Registered, Registry};
use super::words::{aggregate, duration};
use crate::streams;

/// A view as it is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Join keys, sorted.
    pub keys: Vec<String>,
    /// The stream, or the view itself.
    pub source: String,
    /// Whether rows are pushed to it.
    pub pushed: bool,
    /// What rows look like.
    pub shape: Shape,
    /// The shape's digest.
    pub digest: String,
    /// How it is read.
    pub view: View,
    /// Names of its features.
    pub names: Vec<String>,
    /// How each is scaled.
    pub scales: Vec<Option<Scale>>,
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Of a part (see [`Recipe::parts`]), by the feature's place in its view.
    Feature(usize, usize),
    /// Arithmetic; what stands in its place when it is not there.
    Expression(Expression, Option<f64>),
}

/// How an answer is made: of which views and in what order.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// `name@version` of a service; empty when asked by features.
    pub service: String,
    /// Names of the outputs, as in `orders__amount`.
    pub names: Vec<String>,
    /// Views that are read.
    pub parts: Vec<Arc<Served>>,
    /// In order.
    pub outputs: Vec<Output>,
    /// Of the names.
    pub schema_hash: String,
    /// Share of answers that is kept, 0..=1.
    pub sample: f64,
    /// Whether an output is made of the request too: then it cannot be kept.
    pub wants_request: bool,
}

/// Everything that can be served.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    /// Views by name.
    pub views: BTreeMap<String, Arc<Served>>,
    /// Arithmetic by name.
    pub on_demand: BTreeMap<String, Vec<OnDemandFeature>>,
    /// Services by name.
    pub services: BTreeMap<String, Arc<Recipe>>,
}

/// The shape of a view's rows: its stream's, or what is pushed and what its features need kept of it.
#[must_use]
pub fn shape_of(view: &ViewSpec) -> Option<Shape> {
    if !view.source.stream.is_empty() {
        return streams::named(&view.source.stream).map(streams::Stream::shape);
    }
    let mut shape = Shape {
        memory: duration(&view.ttl).unwrap_or_default(),
        ..Shape::default()
    };
    for column in &view.columns {
        shape.columns.push(Column {
            name: column.name.clone(),
            text: column.kind == "text",
            keep: Keep::default(),
            half_life: 0,
        });
    }
    for feature in &view.features {
        let (Ok(aggregate), Ok(window)) = (aggregate(&feature.aggregate), duration(&feature.window)) else {
            continue;
        };
        for resolution in aggregate.resolution(window).into_iter() {
            let place = Resolution::ALL.iter().position(|r| *r == resolution);
            if let Some(kept) = place.and_then(|place| shape.hops.get_mut(place)) {
                *kept = true;
            }
        }
        let name = column_name(feature);
        if let Some(column) = shape.columns.iter_mut().find(|column| column.name == name) {
            column.keep = column.keep.and(aggregate.keeps());
            if aggregate == auspex_algebra::Aggregate::Ewma {
                column.half_life = duration(&feature.half_life)
                    .ok()
                    .filter(|ms| *ms > 0)
                    .unwrap_or(6 * HOUR);
            }
        }
    }
    Some(shape)
}

pub(super) fn column_name(feature: &FeatureSpec) -> &str {
    if feature.column.is_empty() {
        &feature.name
    } else {
        &feature.column
    }
}

fn served(registry: &Registry, name: &str, registered: &Registered, view: &ViewSpec) -> Option<Served> {
    let shape = shape_of(view)?;
    let feature = |feature: &FeatureSpec| {
        Some(Feature {
            column: shape.place(column_name(feature)),
            aggregate: aggregate(&feature.aggregate).ok()?,
            window: duration(&feature.window).ok()?,
            default: feature.default,
        })
    };
    let mut keys: Vec<String> = view
        .entities
        .iter()
        .map(|entity| registry.join_key(entity))
        .collect();
    keys.sort();
    let ttl = duration(&view.ttl).ok()?;
    Some(Served {
        name: name.to_owned(),
        version: registered.version,
        keys,
        pushed: view.source.push,
        source: if view.source.push {
            name.to_owned()
        } else {
            view.source.stream.clone()
        },
        digest: shape.digest(),
        view: View {
            // A stream forgets; a view of it cannot remember longer.
            ttl: if ttl == 0 { shape.memory } else { ttl },
            features: view.features.iter().map(feature).collect::<Option<_>>()?,
        },
        names: view.features.iter().map(|feature| feature.name.clone()).collect(),
        scales: view
            .features
            .iter()
            .map(|feature| registered.scales.get(&feature.name).copied())
            .collect(),
        shape,
    })
}

impl Catalogue {
    /// From what is registered, with what comes with the program. What cannot be served, because what it reads is gone, is
    /// left out.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let mut catalogue = Self::default();
        for registered in registry.all() {
            let name = &registered.document.metadata.name;
            match &registered.document.spec {
                Spec::FeatureView(view) => {
                    let served = served(registry, name, registered, view);
                    catalogue
                        .views
                        .extend(served.map(|served| (name.clone(), Arc::new(served))));
                }
                Spec::OnDemandFeatureView(view) => {
                    catalogue.on_demand.insert(name.clone(), view.features.clone());
                }
                Spec::Entity(_) | Spec::FeatureService(_) => {}
            }
        }
        for registered in registry.all() {
            if let Spec::FeatureService(service) = &registered.document.spec {
                let name = &registered.document.metadata.name;
                if let Ok(mut recipe) = catalogue.recipe(&service.features) {
                    recipe.service = format!("{name}@{}", registered.version);
                    recipe.sample = service.sample.clamp(0.0, 1.0);
                    catalogue.services.insert(name.clone(), Arc::new(recipe));
                }
            }
        }
        catalogue
    }

    /// What of these there is not, in words; `None`: all are there.
    #[must_use]
    pub fn missing(&self, references: &[String]) -> Option<String> {
        references.iter().find_map(|reference| {
            let (view, feature) = match reference.split_once(':') {
                Some((view, feature)) => (view, Some(feature)),
                None => (reference.as_str(), None),
            };
            let of_view = self.views.get(view).map(|served| {
                let has = |wanted: &str| served.names.iter().any(|name| name == wanted);
                feature.is_none_or(has)
            });
            let of_arithmetic = || {
                let features = self.on_demand.get(view)?;
                let has = |wanted: &str| features.iter().any(|feature| feature.name == wanted);
                Some(feature.is_none_or(has))
            };
            match of_view.or_else(of_arithmetic) {
                Some(true) => None,
                Some(false) => Some(format!(
                    "view {view} has no feature {}",
                    feature.unwrap_or_default()
                )),
                None => Some(format!("there is no view {view}")),
            }
        })
    }

    /// How to answer for these: `orders` is all of a view, `orders:amount` one feature.
    ///
    /// # Errors
    /// In words, naming what there is not.
    pub fn recipe(&self, references: &[String]) -> Result<Recipe, String> {
        let mut recipe = Recipe {
            service: String::new(),
            names: Vec::new(),
            parts: Vec::new(),
            outputs: Vec::new(),
            schema_hash: String::new(),
            sample: 0.0,
            wants_request: false,
        };
        for reference in references {
            let (view, feature) = match reference.split_once(':') {
                Some((view, feature)) => (view, Some(feature)),
                None => (reference.as_str(), None),
            };
            if let Some(served) = self.views.get(view) {
                add_view(&mut recipe, served, feature)?;
            } else if let Some(features) = self.on_demand.get(view) {
                self.add_arithmetic(&mut recipe, view, features, feature)?;
            } else {
                return Err(format!("there is no view {view}"));
            }
        }
        if recipe.names.is_empty() {
            return Err("no features are asked for".to_owned());
        }
        let mut sorted: Vec<&String> = recipe.names.iter().collect();
        sorted.sort();
        if let Some([one, _]) = sorted.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(format!("{one} is asked for twice"));
        }
        recipe.schema_hash = schema_hash(recipe.names.iter().map(String::as_str));
        Ok(recipe)
    }

    fn add_arithmetic(
        &self,
        recipe: &mut Recipe,
        view: &str,
        features: &[OnDemandFeature],
        wanted: Option<&str>,
    ) -> Result<(), String> {
        let mut found = false;
        for feature in features
            .iter()
            .filter(|f| wanted.is_none_or(|wanted| wanted == f.name))
        {
            found = true;
            let expression = Expression::parse(&feature.expression).map_err(|wrong| wrong.to_string())?;
            for name in expression.names() {
                match name.split_once(':') {
                    Some((other, part)) => {
                        let served = self
                            .views
                            .get(other)
                            .ok_or_else(|| format!("there is no view {other}"))?;
                        place(served, part)?;
                        part_of(recipe, served);
                    }
                    None => recipe.wants_request = true,
                }
            }
            recipe.names.push(format!("{view}__{}", feature.name));
            recipe
                .outputs
                .push(Output::Expression(expression, feature.default));
        }
        match (found, wanted) {
            (false, Some(wanted)) => Err(format!("view {view} has no feature {wanted}")),
            _ => Ok(()),
        }
    }
}

fn place(served: &Served, feature: &str) -> Result<usize, String> {
    let found = served.names.iter().position(|name| name == feature);
    found.ok_or_else(|| format!("view {} has no feature {feature}", served.name))
}

fn part_of(recipe: &mut Recipe, served: &Arc<Served>) -> usize {
    let found = recipe.parts.iter().position(|part| part.name == served.name);
    found.unwrap_or_else(|| {
        recipe.parts.push(Arc::clone(served));
        recipe.parts.len() - 1
    })
}

fn add_view(recipe: &mut Recipe, served: &Arc<Served>, feature: Option<&str>) -> Result<(), String> {
    let part = part_of(recipe, served);
    let places = match feature {
        Some(feature) => vec![place(served, feature)?],
        None => (0..served.names.len()).collect(),
    };
    for place in places {
        let name = served.names.get(place).map_or("", String::as_str);
        recipe.names.push(format!("{}__{name}", served.name));
        recipe.outputs.push(Output::Feature(part, place));
    }
    Ok(())
}
