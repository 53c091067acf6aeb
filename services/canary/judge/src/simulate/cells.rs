//! What the table holds: every condition under which a healthy candidate tempts, and every change that must be found.

mod bad;
mod healthy;

use super::series::{Bite, Pattern, SeriesScene};
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

/// A healthy series with at least four weeks before it where it has weeks, and 240 points after the change.
const fn series(pattern: Pattern) -> SeriesScene {
    SeriesScene {
        pattern,
        phi: 0.8,
        heavy: false,
        days: if matches!(pattern, Pattern::Weeks) { 28 } else { 5 },
        after: 240,
        bite: Bite::Never,
    }
}

/// Every cell of the table, in its order.
#[must_use]
pub fn cells() -> Vec<Cell> {
    healthy::cells().into_iter().chain(bad::cells()).collect()
}
