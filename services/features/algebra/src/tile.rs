//! What is stored of an entity under one key: its latest row, or the hops of one tile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hop::{DAY, Resolution};
use crate::partial::Hop;
use crate::row::{Row, Shape};

/// How many rows of a tile are remembered by their ids; a repeat that comes later than so many others counts again.
pub const IDS: usize = 1_024;

/// The latest row of an entity: one compare-and-set on (event, created).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latest {
    /// When it happened, when it was known, which row; of equal times the row with the greater id stays.
    #[serde(rename = "o")]
    pub order: (i64, i64, u64),
    /// Its numbers by column; NaN where it has none, or a text.
    #[serde(rename = "v")]
    pub numbers: Vec<f64>,
    /// How long it is remembered, milliseconds; 0: for good.
    #[serde(rename = "k")]
    pub memory: i64,
}

impl Latest {
    /// Absorbs a row: what happened later wins, a correction of the same event wins by when it became known. Answers
    /// whether it has.
    pub fn absorb(&mut self, shape: &Shape, row: &Row) -> bool {
        let order = (row.event, row.created, row.id);
        self.memory = shape.memory;
        if !self.is_empty() && order <= self.order {
            return false;
        }
        self.order = order;
        self.numbers = row
            .values
            .iter()
            .map(|v| v.number().unwrap_or(f64::NAN))
            .collect();
        true
    }

    /// Whether no row has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order == (0, 0, 0) && self.numbers.is_empty()
    }

    /// From when nobody asks for it any more; `None`: never.
    #[must_use]
    pub fn over_at(&self) -> Option<i64> {
        (self.memory > 0).then(|| self.order.0.saturating_add(forgotten_after(self.memory)))
    }
}

/// After how long a row whose time to live is this is forgotten: until then it is expired, after it not found. So online, where
/// it is gone, and offline, where it lies for good, say the same.
#[must_use]
pub fn forgotten_after(ttl: i64) -> i64 {
    ttl.saturating_mul(2).saturating_add(DAY)
}

/// The hops of one tile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    /// Width of its hops.
    #[serde(rename = "r")]
    pub resolution: Resolution,
    /// Where it begins, milliseconds.
    #[serde(rename = "t")]
    pub start: i64,
    /// By number within the tile, 0..24.
    #[serde(rename = "h")]
    pub hops: BTreeMap<u8, Hop>,
    /// The last rows absorbed, by id: a ring.
    #[serde(rename = "i")]
    ids: Vec<u64>,
    #[serde(rename = "j")]
    next: usize,
}

impl Tile {
    /// An empty one.
    #[must_use]
    pub fn new(resolution: Resolution, start: i64) -> Self {
        Self {
            resolution,
            start,
            hops: BTreeMap::new(),
            ids: Vec::new(),
            next: 0,
        }
    }

    /// Absorbs a row of its time; answers whether it is new.
    pub fn absorb(&mut self, shape: &Shape, row: &Row) -> bool {
        if self.resolution.tile_start(row.event) != self.start || !self.admit(row.id) {
            return false;
        }
        let number = (row.event - self.start).div_euclid(self.resolution.hop());
        let hop = self
            .hops
            .entry(u8::try_from(number).unwrap_or_default())
            .or_default();
        hop.add(shape, row);
        true
    }

    fn admit(&mut self, id: u64) -> bool {
        // The newest first: a repeat follows soon.
        if self.ids.iter().rev().any(|held| *held == id) {
            return false;
        }
        if self.ids.len() < IDS {
            self.ids.push(id);
        } else if let Some(slot) = self.ids.get_mut(self.next) {
            *slot = id;
        }
        self.next = (self.next + 1) % IDS;
        true
    }

    /// The ids of its last rows, in no order: all of them while they are at most [`IDS`].
    #[must_use]
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Its hops with where they begin.
    pub fn hops(&self) -> impl Iterator<Item = (i64, &Hop)> {
        let (start, width) = (self.start, self.resolution.hop());
        self.hops
            .iter()
            .map(move |(number, hop)| (start + i64::from(*number) * width, hop))
    }

    /// From when no window reaches into it any more.
    #[must_use]
    pub fn over_at(&self) -> i64 {
        self.resolution.over_at(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Value;

    fn row(event: i64, created: i64, id: u64) -> Row {
        Row {
            event,
            created,
            id,
            values: vec![Value::Number(1.0)],
        }
    }

    #[test]
    fn an_older_event_never_overwrites_and_a_correction_does() {
        let shape = Shape {
            memory: 30,
            ..Shape::default()
        };
        let mut latest = Latest::default();
        assert!(latest.absorb(&shape, &row(100, 100, 1)));
        assert!(!latest.absorb(&shape, &row(50, 300, 2)), "older");
        assert!(!latest.absorb(&shape, &row(100, 100, 1)), "the same");
        assert!(latest.absorb(&shape, &row(100, 200, 3)), "corrected");
        assert_eq!(latest.order, (100, 200, 3));
        assert_eq!(latest.over_at(), Some(100 + 60 + DAY));
    }

    #[test]
    fn a_row_counts_once_in_its_own_hop() {
        let shape = Shape::default();
        let mut tile = Tile::new(Resolution::Hour, 0);
        let hour = Resolution::Hour.hop();
        assert!(tile.absorb(&shape, &row(hour + 1, hour + 1, 7)));
        assert!(!tile.absorb(&shape, &row(hour + 1, hour + 9, 7)), "a repeat");
        assert!(
            !tile.absorb(&shape, &row(24 * hour, 24 * hour, 8)),
            "of another tile"
        );
        assert_eq!(
            tile.hops()
                .map(|(start, hop)| (start, hop.rows))
                .collect::<Vec<_>>(),
            [(hour, 1)]
        );
        for id in 100..100 + 2 * IDS as u64 {
            tile.absorb(&shape, &row(0, 0, id));
        }
        assert_eq!(tile.ids.len(), IDS, "bounded");
    }
}
