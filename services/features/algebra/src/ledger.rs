//! All that is kept of one entity by one source.

use std::collections::BTreeMap;

use crate::hop::Resolution;
use crate::partial::Hop;
use crate::row::{Row, Shape};
use crate::tile::{Latest, Tile};

/// The latest row of an entity and its tiles.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// The latest row; `None` before the first.
    pub latest: Option<Latest>,
    tiles: BTreeMap<(Resolution, i64), Tile>,
}

impl Ledger {
    /// Absorbs a row, as the keys of a store would one by one.
    pub fn absorb(&mut self, shape: &Shape, row: &Row) {
        self.absorb_where(shape, row, |_, _| true);
    }

    /// The same, into the tiles that are told by their width and start.
    pub(crate) fn absorb_where(
        &mut self,
        shape: &Shape,
        row: &Row,
        mut wanted: impl FnMut(Resolution, i64) -> bool,
    ) {
        self.latest.get_or_insert_default().absorb(shape, row);
        for resolution in shape.resolutions() {
            let start = resolution.tile_start(row.event);
            if !wanted(resolution, start) {
                continue;
            }
            self.tiles
                .entry((resolution, start))
                .or_insert_with(|| Tile::new(resolution, start))
                .absorb(shape, row);
        }
    }

    /// Puts a tile in its place.
    pub fn put(&mut self, tile: Tile) {
        self.tiles.insert((tile.resolution, tile.start), tile);
    }

    /// Forgets tiles that no window reaches at this time.
    pub fn forget(&mut self, now: i64) {
        self.tiles.retain(|_, tile| tile.over_at() > now);
    }

    /// How many tiles it holds.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.tiles.len()
    }

    /// The ids that the tile which begins then remembers, in no order.
    #[must_use]
    pub fn remembered(&self, resolution: Resolution, start: i64) -> &[u64] {
        self.tiles
            .get(&(resolution, start))
            .map_or(&[], |tile| tile.ids())
    }

    /// Whether a row that happened and became known then, of this id, has been absorbed: to absorb it again would change nothing. Of a
    /// tile with more than [`IDS`](crate::tile::IDS) rows the last so many are known.
    #[must_use]
    pub fn holds(&self, shape: &Shape, (event, created, id): (i64, i64, u64)) -> bool {
        let latest = self.latest.as_ref();
        latest.is_some_and(|latest| latest.order >= (event, created, id))
            && shape.resolutions().all(|resolution| {
                self.remembered(resolution, resolution.tile_start(event))
                    .contains(&id)
            })
    }

    /// What lies in the hops from `start`, which is a hop's, to this moment.
    #[must_use]
    pub fn window(&self, shape: &Shape, resolution: Resolution, start: i64, at: i64) -> Hop {
        let mut window = Hop::default();
        for (_, hop) in self.hops(resolution, start, at) {
            window.merge(shape, hop);
        }
        window
    }

    /// The hops that begin within `start..=at`, in order.
    pub fn hops(&self, resolution: Resolution, start: i64, at: i64) -> impl Iterator<Item = (i64, &Hop)> {
        let first = (resolution, resolution.tile_start(start));
        self.tiles
            .range(first..=(resolution, at))
            .flat_map(|(_, tile)| tile.hops())
            .filter(move |(begins, _)| *begins >= start && *begins <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Value;

    #[test]
    fn a_row_is_held_once_each_of_its_places_has_it() {
        let shape = Shape {
            hops: [true, false, true],
            ..Shape::default()
        };
        let row = |event, id| Row {
            event,
            created: event + 10,
            id,
            values: Vec::<Value>::new(),
        };
        let (old, new) = (row(1_000, 1), row(2_000, 2));
        let holds = |ledger: &Ledger, row: &Row| ledger.holds(&shape, (row.event, row.created, row.id));
        let mut ledger = Ledger::default();
        assert!(!holds(&ledger, &old));
        ledger.absorb_where(&shape, &new, |resolution, _| resolution == Resolution::ALL[0]);
        assert!(!holds(&ledger, &new), "one of its tiles lacks it");
        ledger.absorb(&shape, &new);
        assert!(holds(&ledger, &new));
        assert!(!holds(&ledger, &old), "what happened later does not stand for it");
        ledger.absorb(&shape, &old);
        assert!(holds(&ledger, &old) && holds(&ledger, &new));
        let mut late = ledger.clone();
        late.latest = None;
        assert!(!holds(&late, &new), "nor tiles alone");
    }
}
