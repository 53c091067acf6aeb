//! Questions about the past: the same algebra as online, over rows that lie in files.

use std::collections::{BTreeMap, BTreeSet};

use auspex_algebra::hop::DAY;
use auspex_algebra::tile::forgotten_after;
use auspex_algebra::{Cell, Known, Row, Status, join};

use super::{Offline, Snapshot, Wanted, Whose};
use crate::definitions::{Recipe, Served};
use crate::online::{Asked, entity_of};

/// Who is asked about, and when.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// Who.
    pub asked: Asked,
    /// As of, milliseconds.
    pub at: i64,
    /// What stood beside it and is no join key, as a target does: it is handed through.
    pub beside: BTreeMap<String, String>,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// How answers are made.
    pub recipe: &'a Recipe,
    /// Of which project.
    pub project: &'a str,
    /// Of whom, and when.
    pub labels: &'a [Labels],
    /// What may be seen.
    pub known: Known,
    /// Only rows that were known so long before, milliseconds; 0 for all.
    pub lag: i64,
    /// From which files; all there are when `None`.
    pub snapshot: Option<&'a Snapshot>,
    /// Whether values are scaled.
    pub scaled: bool,
}

/// The cells of each label, in order.
pub type Answer = Vec<Vec<Cell>>;

/// How far back a view can look from a moment.
fn reach(view: &Served) -> i64 {
    let window = view
        .view
        .features
        .iter()
        .map(|feature| feature.window)
        .max()
        .unwrap_or_default();
    let season = view
        .view
        .features
        .iter()
        .any(|f| f.aggregate == auspex_algebra::Aggregate::Deviation);
    let season = if season {
        auspex_algebra::hop::SEASON + DAY
    } else {
        0
    };
    match view.view.ttl {
        0 => i64::MAX,
        ttl => forgotten_after(ttl).max(window + DAY).max(season),
    }
}

/// A large question is answered beside the mesh's own work: now and then others have their turn.
async fn breathe(number: usize) {
    if number % 512 == 511 {
        tokio::task::yield_now().await;
    }
}

impl Offline {
    /// Answers: one row of cells for each label, whatever is known.
    ///
    /// # Errors
    /// When files cannot be read.
    pub async fn ask(&self, question: Question<'_>) -> anyhow::Result<Answer> {
        let mut parts: Vec<Vec<Vec<Cell>>> = vec![Vec::new(); question.labels.len()];
        for view in &question.recipe.parts {
            let cells = self.part(view, &question).await?;
            parts
                .iter_mut()
                .zip(cells)
                .for_each(|(parts, cells)| parts.push(cells));
        }
        let mut answer = Vec::with_capacity(parts.len());
        for (place, (label, parts)) in question.labels.iter().zip(parts).enumerate() {
            let request = &label.asked.request;
            answer.push(question.recipe.assemble(&parts, request, question.scaled));
            breathe(place).await;
        }
        Ok(answer)
    }

    async fn part(&self, view: &Served, question: &Question<'_>) -> anyhow::Result<Vec<Vec<Cell>>> {
        let mut entities: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, label) in question.labels.iter().enumerate() {
            if let Some(entity) = entity_of(view, &label.asked) {
                entities.entry(entity).or_default().push(place);
            }
        }
        let at = |place: &usize| question.labels.get(*place).map_or(0, |label| label.at);
        let times = || entities.values().flatten().map(at);
        let absent = vec![Cell::absent(Status::NotFound); view.names.len()];
        let mut answers = vec![absent; question.labels.len()];
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Ok(answers);
        };
        let names: BTreeSet<String> = entities.keys().cloned().collect();
        let wanted = Wanted {
            project: question.project,
            source: &view.source,
            shape: &view.shape,
            events: (first.saturating_sub(reach(view)), last),
            whose: Whose::These(&names),
        };
        let stored = self.rows(&wanted, question.snapshot).await?;
        let mut accounts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for stored in stored {
            let mut row = stored.row;
            row.created = row.created.saturating_add(question.lag);
            accounts.entry(stored.entity).or_default().push(row);
        }
        let (none, views) = (Vec::new(), [view.view.clone()]);
        for (number, (entity, places)) in entities.iter().enumerate() {
            breathe(number).await;
            let rows = accounts.get(entity).unwrap_or(&none);
            let times: Vec<i64> = places.iter().map(at).collect();
            let found = join(&view.shape, &views, rows, &times, question.known);
            for (place, mut cells) in places.iter().zip(found) {
                if let (Some(slot), Some(cells)) = (answers.get_mut(*place), cells.pop()) {
                    *slot = cells;
                }
            }
        }
        Ok(answers)
    }

    /// Values of each of a recipe's own features at moments when its rows happened, at most so many, spread evenly: what scales are
    /// fitted to and drift is looked for in. NaN where a value is not there. Arithmetic is left out.
    ///
    /// # Errors
    /// When files cannot be read.
    pub async fn sample(
        &self,
        view: &Served,
        (project, events): (&str, (i64, i64)),
        snapshot: Option<&Snapshot>,
        most: usize,
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        let back = (events.0.saturating_sub(reach(view)), events.1);
        let wanted = Wanted {
            project,
            source: &view.source,
            shape: &view.shape,
            events: back,
            whose: Whose::All,
        };
        let keys: BTreeSet<&str> = view.keys.iter().map(String::as_str).collect();
        let mine = |entity: &str| {
            let own = crate::rows::keys(entity);
            own.len() == keys.len() && own.iter().all(|(key, _)| keys.contains(key.as_str()))
        };
        let mut accounts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut moments: Vec<(String, i64)> = Vec::new();
        for stored in self.rows(&wanted, snapshot).await? {
            if !mine(&stored.entity) {
                continue;
            }
            // When it was known: a late row is seen late.
            let seen = stored.row.created.max(stored.row.event);
            if stored.row.event >= events.0 && seen <= events.1 {
                moments.push((stored.entity.clone(), seen));
            }
            accounts.entry(stored.entity).or_default().push(stored.row);
        }
        let every = moments.len().div_ceil(most.max(1)).max(1);
        let mut asked: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (entity, at) in moments.into_iter().step_by(every) {
            asked.entry(entity).or_default().push(at);
        }
        let mut values = vec![Vec::new(); view.names.len()];
        let views = [view.view.clone()];
        for (entity, times) in asked {
            let rows = accounts.get(&entity).map(Vec::as_slice).unwrap_or_default();
            for cells in join(&view.shape, &views, rows, &times, Known::Then)
                .into_iter()
                .flatten()
            {
                for (values, cell) in values.iter_mut().zip(cells) {
                    values.push(cell.present().unwrap_or(f64::NAN));
                }
            }
        }
        Ok(values)
    }
}
