//! Instants as the log has them: unix milliseconds, never read from a clock here.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The next boundary of a grid of this width, strictly after this instant.
    #[must_use]
    pub fn next_boundary(self, width: Duration) -> Self {
        let width = millis(width).max(1);
        Self(self.0.div_euclid(width).saturating_add(1).saturating_mul(width))
    }

    /// The boundary at or before this instant.
    #[must_use]
    pub fn boundary(self, width: Duration) -> Self {
        let width = millis(width).max(1);
        Self(self.0.div_euclid(width).saturating_mul(width))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_on_the_grid_and_strictly_later() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp(1_000).next_boundary(second), Timestamp(2_000));
        assert_eq!(Timestamp(1_999).next_boundary(second), Timestamp(2_000));
        assert_eq!(Timestamp(-1).next_boundary(second), Timestamp(0));
        assert_eq!(Timestamp(1_999).boundary(second), Timestamp(1_000));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
