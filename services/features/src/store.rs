//! The verb of the store: rows become what each entity has come to, one key for its latest row and one for each tile.
//!
//! A fact of rows names its own shape, so that nothing but the state and the fact decides what follows. Rows may come in any
//! order, and twice.

use std::collections::BTreeSet;

use auspex_algebra::{Latest, Resolution, Tile};
use auspex_chassis::{Input, Reject, Route, Verb};
use auspex_proto::rows::{FeatureRow, FeatureRows};
use auspex_proto::{Fact, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rows;

/// What lies under one key. A tile holds at most 24 hops of at most 256 columns, of which few keep sketches; the latest row
/// takes 9 bytes a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Nothing.
    #[default]
    #[serde(rename = "e")]
    Empty,
    /// The latest row.
    #[serde(rename = "l")]
    Latest(Latest),
    /// Hops.
    #[serde(rename = "t")]
    Tile(Tile),
}

/// The stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Store;

const LATEST: &str = "latest";

/// The name of all that one source keeps of one entity; its keys go on with `/` and a tile.
#[must_use]
pub fn account(project: &str, source: &str, digest: &str, entity: &str) -> String {
    format!("{project}/{source}@{digest}/{entity}")
}

/// The account that a key belongs to.
#[must_use]
pub fn account_of(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(account, _)| account)
}

fn tile_name(resolution: Resolution, event: i64) -> String {
    format!("{}{}", resolution.letter(), event.div_euclid(resolution.tile()))
}

fn resolutions(batch: &FeatureRows) -> impl Iterator<Item = Resolution> {
    Resolution::ALL
        .into_iter()
        .zip(batch.shape.hops)
        .filter_map(|(resolution, kept)| kept.then_some(resolution))
}

/// The entity and the tile that a key speaks of, when it is a key of this fact's.
fn place_of<'a>(key: &'a str, batch: &FeatureRows) -> Option<(&'a str, &'a str)> {
    let (account, tile) = key.rsplit_once('/')?;
    // project / source @ digest / entity: all rows of a fact share what comes before the entity.
    let head = batch.meta.project.as_str().len() + batch.source.len() + 11;
    Some((account.get(head..)?, tile))
}

impl Verb for Store {
    type State = State;

    fn route(&self, fact: &Fact) -> Route {
        let Fact::Rows(batch) = fact else {
            return Route::Nobody;
        };
        let digest = rows::shape(&batch.shape).digest();
        let mut keys = BTreeSet::new();
        for row in &batch.rows {
            let account = account(batch.meta.project.as_str(), &batch.source, &digest, &row.entity);
            for resolution in resolutions(batch) {
                keys.insert(format!("{account}/{}", tile_name(resolution, row.event.0)));
            }
            keys.insert(format!("{account}/{LATEST}"));
        }
        Route::Keys(keys.into_iter().collect())
    }

    fn absorb(&self, state: &mut State, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        if let Fact::Rows(batch) = input.fact
            && let Some((entity, tile)) = place_of(input.key, batch)
        {
            for row in batch.rows.iter().filter(|row| row.entity == entity) {
                absorb_row(state, batch, row, tile);
            }
        }
        Ok(Vec::new())
    }

    fn is_over(&self, state: &State, now: Timestamp) -> bool {
        match state {
            State::Empty => true,
            State::Latest(latest) => latest.over_at().is_some_and(|over| over <= now.0),
            State::Tile(tile) => tile.over_at() <= now.0,
        }
    }

    fn rebuilds(&self) -> bool {
        true
    }
}

fn absorb_row(state: &mut State, batch: &FeatureRows, row: &FeatureRow, tile: &str) {
    if tile == LATEST {
        if *state == State::Empty {
            *state = State::Latest(Latest::default());
        }
        if let State::Latest(latest) = state {
            let memory = batch
                .shape
                .memory
                .map_or(0, |m| i64::try_from(m.as_millis()).unwrap_or(i64::MAX));
            let shape = auspex_algebra::Shape {
                memory,
                ..auspex_algebra::Shape::default()
            };
            latest.absorb(&shape, &rows::row(&batch.shape, row));
        }
        return;
    }
    let mine = |resolution: &Resolution| tile_name(*resolution, row.event.0) == tile;
    let Some(resolution) = resolutions(batch).find(mine) else {
        return;
    };
    if *state == State::Empty {
        *state = State::Tile(Tile::new(resolution, resolution.tile_start(row.event.0)));
    }
    if let State::Tile(tile) = state {
        tile.absorb(&rows::shape(&batch.shape), &rows::row(&batch.shape, row));
    }
}

#[cfg(test)]
mod tests {
    use auspex_algebra::{Column, Keep, Row, Shape, Value};
    use auspex_proto::{FactId, Meta, Project};

    use super::*;

    fn batch(entities: &[&str]) -> FeatureRows {
        let column = Column {
            name: "a".to_owned(),
            text: false,
            keep: Keep::RANGE,
            half_life: 0,
        };
        let shape = Shape {
            columns: vec![column],
            hops: [true, false, false],
            memory: 1_000,
        };
        let row = |(id, entity): (u64, &&str)| {
            let row = Row {
                event: 50,
                created: 60,
                id,
                values: vec![Value::Number(2.0)],
            };
            rows::wire_row(&shape, (*entity).to_owned(), &row)
        };
        FeatureRows {
            meta: Meta {
                id: FactId::new("1").unwrap(),
                project: Project::new("acme/shop").unwrap(),
                time: Timestamp(60),
                cause: 0,
                source: "test".to_owned(),
            },
            source: "orders".to_owned(),
            shape: rows::wire_shape(&shape),
            rows: (0_u64..).zip(entities).map(row).collect(),
        }
    }

    #[test]
    fn each_key_takes_its_own_rows_alone() {
        // One name ends with the other.
        let fact = Fact::Rows(batch(&["path=a/service=x", "service=x", "service=x"]));
        let Route::Keys(keys) = Store.route(&fact) else {
            panic!("rows go to keys")
        };
        assert_eq!(keys.len(), 4, "{keys:?}");
        let counts: Vec<u64> = keys
            .iter()
            .map(|key| {
                let mut state = State::default();
                let input = Input {
                    key,
                    fact: &fact,
                    seq: 9,
                    now: Timestamp(60),
                };
                Store.absorb(&mut state, &input).unwrap();
                let once = state.clone();
                Store.absorb(&mut state, &input).unwrap();
                assert_eq!(state, once, "twice is once");
                match state {
                    State::Tile(tile) => tile.hops().map(|(_, hop)| hop.rows).sum(),
                    State::Latest(latest) => u64::from(!latest.is_empty()),
                    State::Empty => 0,
                }
            })
            .collect();
        assert_eq!(counts, [1, 1, 1, 2]);
        assert!(keys.iter().all(|key| key.starts_with("acme/shop/orders@")));
        assert!(account_of(&keys[0]).ends_with("/path=a/service=x"));
    }

    #[test]
    fn a_key_is_over_when_nobody_can_ask_for_it() {
        let latest = State::Latest(Latest {
            order: (1_000, 1_000, 1),
            numbers: vec![1.0],
            memory: 1_000,
        });
        assert!(!Store.is_over(&latest, Timestamp(4_000)));
        assert!(Store.is_over(&latest, Timestamp(3_000 + 86_400_000)));
        assert!(Store.is_over(&State::Empty, Timestamp(0)));
    }
}
