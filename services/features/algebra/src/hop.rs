//! Hops: how finely the tail of a window moves.

use serde::{Deserialize, Serialize};

/// One second, in milliseconds.
pub const SECOND: i64 = 1_000;
/// One minute.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour.
pub const HOUR: i64 = 60 * MINUTE;
/// One day.
pub const DAY: i64 = 24 * HOUR;

/// How many hops lie in a tile.
pub const HOPS: i64 = 24;
/// How far back the seasonal normal looks: four weeks of hours.
pub const SEASON: i64 = 28 * DAY;
/// The longest window.
pub const LONGEST: i64 = 400 * DAY;

/// The width of a hop. The shorter a window, the finer its tail moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resolution {
    /// Five minutes: windows below 12 hours.
    #[serde(rename = "m")]
    Fine,
    /// One hour: windows below 12 days, and the season.
    #[serde(rename = "h")]
    Hour,
    /// One day: longer windows.
    #[serde(rename = "d")]
    Day,
}

impl Resolution {
    /// All, the finest first.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Hour, Self::Day];

    /// The one whose hops a window of this length moves by.
    #[must_use]
    pub fn of(window: i64) -> Self {
        if window < 12 * HOUR {
            Self::Fine
        } else if window < 12 * DAY {
            Self::Hour
        } else {
            Self::Day
        }
    }

    /// Width of a hop, milliseconds.
    #[must_use]
    pub fn hop(self) -> i64 {
        match self {
            Self::Fine => 5 * MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// Width of a tile, milliseconds.
    #[must_use]
    pub fn tile(self) -> i64 {
        self.hop() * HOPS
    }

    /// The longest window that is read from it.
    #[must_use]
    pub fn reach(self) -> i64 {
        match self {
            Self::Fine => 12 * HOUR,
            Self::Hour => SEASON,
            Self::Day => LONGEST,
        }
    }

    /// The start of the hop that holds this time.
    #[must_use]
    pub fn hop_start(self, at: i64) -> i64 {
        at.div_euclid(self.hop()).saturating_mul(self.hop())
    }

    /// The start of the tile that holds this time.
    #[must_use]
    pub fn tile_start(self, at: i64) -> i64 {
        at.div_euclid(self.tile()).saturating_mul(self.tile())
    }

    /// Where a window of this length begins that ends at `at`: at a hop's start, at most a hop earlier than asked for.
    #[must_use]
    pub fn window_start(self, at: i64, window: i64) -> i64 {
        self.hop_start(at.saturating_sub(window))
    }

    /// From when no window reaches into a tile any more.
    #[must_use]
    pub fn over_at(self, tile_start: i64) -> i64 {
        tile_start
            .saturating_add(self.tile())
            .saturating_add(self.reach())
            .saturating_add(self.hop())
    }

    /// Its letter in a key.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Fine => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_window_moves_finely() {
        assert_eq!(Resolution::of(12 * HOUR - 1), Resolution::Fine);
        assert_eq!(Resolution::of(12 * HOUR), Resolution::Hour);
        assert_eq!(Resolution::of(12 * DAY - 1), Resolution::Hour);
        assert_eq!(Resolution::of(12 * DAY), Resolution::Day);
    }

    #[test]
    fn the_tail_begins_at_a_hop_and_the_head_at_the_moment() {
        let at = 10 * HOUR + 7 * MINUTE;
        assert_eq!(Resolution::Fine.window_start(at, HOUR), 9 * HOUR + 5 * MINUTE);
        assert_eq!(Resolution::Fine.window_start(-1, 0), -5 * MINUTE);
        assert_eq!(Resolution::Hour.tile_start(DAY + 5), DAY);
    }

    #[test]
    fn a_tile_is_over_when_the_longest_window_has_left_it() {
        for resolution in Resolution::ALL {
            let over = resolution.over_at(0);
            assert!(resolution.window_start(over, resolution.reach()) >= resolution.tile());
        }
    }
}
