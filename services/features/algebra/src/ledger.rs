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
