//! How much of an author has been seen since watching began. It is told to people and not to the model: the model learned
//! from the whole history of a repository.

use std::collections::BTreeMap;

use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::make_room;

/// How many authors are remembered; 20 bytes each.
const CAPACITY: usize = 2_000;

/// Authors by hash of their name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Authors(BTreeMap<u64, Author>);

/// Changes seen, and the time of the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Author(u32, Timestamp);

impl Authors {
    /// Counts a change; answers how many were seen before, and days since the newest of them.
    pub fn count(&mut self, author: u64, at: Timestamp) -> (u32, Option<f32>) {
        if !self.0.contains_key(&author) {
            make_room(&mut self.0, CAPACITY, |author| author.1);
        }
        let known = self.0.entry(author).or_default();
        let before = known.0;
        let gap = (before > 0).then(|| at.since(known.1).as_secs_f32() / 86_400.0);
        known.0 = before.saturating_add(1);
        known.1 = known.1.max(at);
        (before, gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_grows_and_the_quietest_is_forgotten() {
        let mut authors = Authors::default();
        let day = |n: i64| Timestamp(n * 86_400_000);
        assert_eq!(authors.count(1, day(0)), (0, None));
        assert_eq!(authors.count(1, day(3)), (1, Some(3.0)));
        assert_eq!(
            authors.count(1, day(1)),
            (2, Some(0.0)),
            "a late one is no step back"
        );
        for other in 2..=CAPACITY as u64 + 1 {
            authors.count(other, day(9));
        }
        assert_eq!(authors.0.len(), CAPACITY);
        assert_eq!(authors.count(1, day(10)), (0, None));
    }
}
