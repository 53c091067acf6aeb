//! What the table holds: every condition under which a healthy candidate tempts, and every change that must be found.

mod bad;
mod healthy;

use super::table::{Cell, Kind, Play};
use super::values::{Scene, Story};

fn cell(name: impl Into<String>, kind: Kind) -> Cell {
    Cell {
        name: name.into(),
        kind,
    }
}

fn found(play: Play, least: f64) -> Kind {
    Kind::Found {
        play,
        least,
        most: None,
        ceiling: None,
    }
}

/// Two hundred and forty points of a story without history.
fn scene(story: Story, phi: f64) -> Scene {
    Scene {
        story,
        phi,
        heavy: false,
        history: 0,
        points: 240,
    }
}

/// Every cell of the table, in its order.
#[must_use]
pub fn cells() -> Vec<Cell> {
    healthy::cells().into_iter().chain(bad::cells()).collect()
}
