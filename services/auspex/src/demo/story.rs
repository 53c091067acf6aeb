//! The scenarios: what CI tells of a change, and how the version behaves that it brings. The two are independent: tests
//! swap them.

use auspex_proto::event::ChangeStats;

use super::shop::Habits;

/// A change as its author and CI know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// First line of the commit message.
    pub title: String,
    /// Who wrote it.
    pub author: String,
    /// Files it touches.
    pub paths: Vec<String>,
    /// What the checkout tells of it.
    pub stats: ChangeStats,
}

/// What is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// What to call it.
    pub name: String,
    /// What CI tells.
    pub change: Change,
    /// How the version behaves.
    pub candidate: Habits,
}

/// A scenario of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A risky change with a regression.
    Bad,
    /// A small change without one.
    Good,
}

impl Scenario {
    /// Its script.
    #[must_use]
    pub fn script(self) -> Script {
        match self {
            Self::Bad => Script {
                name: "bad".to_owned(),
                change: risky(),
                candidate: Habits::broken(),
            },
            Self::Good => Script {
                name: "good".to_owned(),
                change: small(),
                candidate: Habits::healthy(),
            },
        }
    }

    /// How it has to end.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Bad => "rolled_back",
            Self::Good => "promoted",
        }
    }
}

/// A rewrite over half the tree to settle a bug of the tracker, by somebody who has hardly been there, in files that many others keep changing.
#[must_use]
pub fn risky() -> Change {
    let folders = ["api", "billing", "cart", "checkout", "db", "search"];
    let below = ["src", "src/http", "tests"];
    let paths = (0..59).map(|n| {
        let folder = folders.get(n % folders.len()).copied().unwrap_or_default();
        let below = below
            .get(n / folders.len() % below.len())
            .copied()
            .unwrap_or_default();
        format!("{folder}/{below}/part{n:02}.rs")
    });
    Change {
        title: "Rework checkout, billing and the cart around the new pricing (#4711)".to_owned(),
        author: "newcomer".to_owned(),
        paths: paths
            .chain(["Cargo.toml".to_owned(), ".github/workflows/ci.yml".to_owned()])
            .collect(),
        stats: ChangeStats {
            subsystems: Some(8.0),
            directories: Some(20.0),
            files: Some(61.0),
            entropy: Some(4.1),
            lines_added: Some(2_860.0),
            lines_deleted: Some(1_140.0),
            lines_before: Some(6_400.0),
            is_fix: Some(1.0),
            developers: Some(23.0),
            age_days: Some(2.5),
            unique_changes: Some(640.0),
            author_experience: Some(4.0),
            author_recent_experience: Some(2.0),
            author_subsystem_experience: Some(1.0),
        },
    }
}

/// A few lines in one file that has been quiet for long, by somebody who knows it.
#[must_use]
pub fn small() -> Change {
    Change {
        title: "Say the currency in the receipt's heading".to_owned(),
        author: "maintainer".to_owned(),
        paths: vec!["src/receipt/heading.rs".to_owned()],
        stats: ChangeStats {
            subsystems: Some(1.0),
            directories: Some(1.0),
            files: Some(1.0),
            entropy: Some(0.0),
            lines_added: Some(3.0),
            lines_deleted: Some(1.0),
            lines_before: Some(64.0),
            is_fix: Some(0.0),
            developers: Some(2.0),
            age_days: Some(210.0),
            unique_changes: Some(3.0),
            author_experience: Some(2_400.0),
            author_recent_experience: Some(310.0),
            author_subsystem_experience: Some(180.0),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_the_checkout_tells_agrees_with_the_paths_of_the_push() {
        for change in [risky(), small()] {
            let distinct = |of: fn(&str) -> &str| {
                let names: BTreeSet<&str> = change.paths.iter().map(|path| of(path)).collect();
                Some(f64::from(u32::try_from(names.len()).unwrap()))
            };
            let stats = change.stats;
            assert_eq!(
                distinct(|path| path.split_once('/').map_or("root", |(first, _)| first)),
                stats.subsystems
            );
            assert_eq!(
                distinct(|path| path.rsplit_once('/').map_or("root", |(folder, _)| folder)),
                stats.directories
            );
            assert_eq!(
                distinct(|path| path.rsplit_once('/').map_or(path, |(_, name)| name)),
                stats.files
            );
        }
    }
}
