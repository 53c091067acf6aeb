//! The shape of a change and the history behind it, as fourteen numbers.
//!
//! The conventions are those of the data that the `change-risk` model was trained on (its manifest states each one): a
//! convention broken here is a skew between training and serving that nobody would notice. Three differ from what the
//! literature says: files count by base name, lines before are a sum, experience counts file changes.
//!
//! *Touched* files are those that exist in the parent as text with at least one line, and are modified, renamed or
//! deleted. A file that the change creates is in none of the numbers.
//!
//! *Invariants*: what is not known is `None`, never zero. Pure; git is read in [`crate::git`].

mod nesting;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::event::ChangeStats;
use auspex_proto::issue::refers_to_issue;

pub use self::nesting::Nesting;
pub(crate) use self::read::HISTORY_FORMAT;
pub use self::read::{Entry, diff, history};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// A touched file, by its path in the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Path in the parent.
    pub path: String,
    /// Lines added.
    pub added: u64,
    /// Lines deleted; a modified line is one deleted and one added.
    pub deleted: u64,
    /// Lines in the parent, at least one.
    pub lines_before: u64,
}

/// A commit of the past, merges left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The author's name.
    pub author: String,
    /// When it was committed, in epoch seconds.
    pub time: i64,
    /// The files it changed: all of them, or those asked for.
    pub paths: Vec<String>,
}

/// What is known about a change.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The whole message.
    pub message: &'a str,
    /// The author's name.
    pub author: &'a str,
    /// When it was committed, in epoch seconds.
    pub time: i64,
    /// The touched files; `None` when the parent cannot be read.
    pub touched: Option<&'a [Touched]>,
    /// Every commit before that changed a touched file, with those files only; `None` when not all are known.
    pub files: Option<&'a [Past]>,
    /// Every commit before by the same author, with all its files; `None` when not all are known.
    pub author_past: Option<&'a [Past]>,
}

/// The fourteen numbers. A change that touches no file that was there before has a message and no shape: the model has
/// never seen one, so all but `is_fix` are unknown.
#[must_use]
pub fn stats(known: &Known<'_>) -> ChangeStats {
    let mut stats = ChangeStats {
        is_fix: Some(f64::from(u8::from(refers_to_issue(known.message)))),
        ..ChangeStats::default()
    };
    let Some(touched) = known.touched.filter(|touched| !touched.is_empty()) else {
        return stats;
    };
    shape(&mut stats, touched);
    if let Some(past) = known.files {
        files(&mut stats, known, touched, past);
    }
    if let Some(past) = known.author_past {
        experience(&mut stats, known, touched, past);
    }
    stats
}

fn shape(stats: &mut ChangeStats, touched: &[Touched]) {
    let distinct = |of: fn(&str) -> &str| {
        let names: BTreeSet<&str> = touched.iter().map(|file| of(&file.path)).collect();
        Some(count(names.len()))
    };
    let sum = |of: fn(&Touched) -> u64| Some(lines(touched.iter().map(of).fold(0, u64::saturating_add)));
    stats.subsystems = distinct(subsystem);
    stats.directories = distinct(directory);
    stats.files = distinct(base_name);
    stats.entropy = Some(entropy(touched));
    stats.lines_added = sum(|file| file.added);
    stats.lines_deleted = sum(|file| file.deleted);
    stats.lines_before = sum(|file| file.lines_before);
}

/// Shannon entropy in bits of the changed lines over the files.
fn entropy(touched: &[Touched]) -> f64 {
    let changed: Vec<f64> = touched
        .iter()
        .map(|f| lines(f.added.saturating_add(f.deleted)))
        .collect();
    let total: f64 = changed.iter().sum();
    let part = |lines: &f64| {
        let share = lines / total;
        -share * share.log2()
    };
    // A sum that starts at zero cannot be negative zero.
    changed
        .iter()
        .filter(|lines| **lines > 0.0)
        .map(part)
        .fold(0.0, |a, b| a + b)
}

fn files(stats: &mut ChangeStats, known: &Known<'_>, touched: &[Touched], past: &[Past]) {
    let mut changes: BTreeMap<&str, (usize, i64)> = BTreeMap::new();
    let mut developers = BTreeSet::from([known.author]);
    for commit in past {
        developers.insert(&commit.author);
        for path in &commit.paths {
            let (count, newest) = changes.entry(path).or_insert((0, i64::MIN));
            *count += 1;
            *newest = (*newest).max(commit.time);
        }
    }
    let of = |file: &Touched| changes.get(file.path.as_str()).copied();
    let age = |file| of(file).map_or(0.0, |(_, newest)| days(known.time, newest));
    let total: usize = touched
        .iter()
        .map(|file| 1 + of(file).map_or(0, |(count, _)| count))
        .sum();
    stats.developers = Some(count(developers.len()));
    stats.age_days = Some(touched.iter().map(age).sum::<f64>() / count(touched.len()));
    stats.unique_changes = Some(count(total));
}

fn experience(stats: &mut ChangeStats, known: &Known<'_>, touched: &[Touched], past: &[Past]) {
    let subsystems: BTreeSet<&str> = touched.iter().map(|file| subsystem(&file.path)).collect();
    let mut own: BTreeSet<&str> = touched.iter().map(|file| file.path.as_str()).collect();
    let mut pairs = touched.len();
    let mut recent = count(touched.len());
    for commit in past {
        pairs += commit.paths.len();
        recent += count(commit.paths.len()) / (1.0 + days(known.time, commit.time));
        own.extend(
            commit
                .paths
                .iter()
                .map(String::as_str)
                .filter(|p| subsystems.contains(subsystem(p))),
        );
    }
    stats.author_experience = Some(count(pairs));
    stats.author_recent_experience = Some(recent);
    stats.author_subsystem_experience = Some(count(own.len()));
}

/// The first segment of a path; a file at the top belongs to `root`.
fn subsystem(path: &str) -> &str {
    path.split_once('/').map_or("root", |(first, _)| first)
}

/// The whole path of the folder; the top is `root`.
fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("root", |(folder, _)| folder)
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[allow(clippy::cast_precision_loss)]
fn days(later: i64, earlier: i64) -> f64 {
    later.saturating_sub(earlier).max(0) as f64 / SECONDS_PER_DAY
}

#[allow(clippy::cast_precision_loss)]
fn count(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss)]
fn lines(count: u64) -> f64 {
    count as f64
}
