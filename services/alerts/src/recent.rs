//! A bounded memory: the newest so many things, by name.

use serde::{Deserialize, Serialize};

/// At most `N` named things; the one touched longest ago makes room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recent<T, const N: usize> {
    /// Oldest touch first.
    items: Vec<(String, T)>,
}

impl<T, const N: usize> Default for Recent<T, N> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T, const N: usize> Recent<T, N> {
    /// The thing of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.items.iter().find(|(n, _)| n == name).map(|(_, item)| item)
    }

    /// The thing of this name, to change it where it is.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.items
            .iter_mut()
            .find(|(n, _)| n == name)
            .map(|(_, item)| item)
    }

    /// Puts a thing in as the newest; gives back what had to leave: at most one, and never the one put in.
    pub fn put(&mut self, name: &str, item: T) -> Option<(String, T)> {
        self.items.retain(|(n, _)| n != name);
        self.items.push((name.to_owned(), item));
        (self.items.len() > N.max(1)).then(|| self.items.remove(0))
    }

    /// Changes the thing of this name, made anew when absent, and makes it the newest.
    pub fn touch(&mut self, name: &str, change: impl FnOnce(&mut T))
    where
        T: Default,
    {
        let mut item = self.remove(name).unwrap_or_default();
        change(&mut item);
        drop(self.put(name, item));
    }

    /// Takes the thing of this name out.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let at = self.items.iter().position(|(n, _)| n == name)?;
        Some(self.items.remove(at).1)
    }

    /// All, oldest touch first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &T)> {
        self.items.iter().map(|(name, item)| (name.as_str(), item))
    }

    /// How many there are, at most `N`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_touched_longest_ago_makes_room() {
        let mut recent = Recent::<u8, 2>::default();
        assert_eq!(recent.put("a", 1), None);
        assert_eq!(recent.put("b", 2), None);
        recent.touch("a", |n| *n += 10);
        assert_eq!(recent.put("c", 3), Some(("b".to_owned(), 2)));
        assert_eq!(recent.get("a"), Some(&11));
        assert_eq!(recent.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["a", "c"]);
    }
}
