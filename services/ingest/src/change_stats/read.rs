//! Reading what git prints, NUL-separated.

use super::Past;

/// One file of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path in the parent; empty for a file that the change creates.
    pub before: String,
    /// Path after the change; empty for a file that the change deletes.
    pub after: String,
    /// The blob in the parent, when it is a file there.
    pub blob: Option<String>,
    /// Lines added and deleted; `None` for a binary file.
    pub lines: Option<(u64, u64)>,
}

/// Reads `git diff-tree -r -z -M --raw --numstat`: first all raw entries, then all line counts in the same order.
#[must_use]
pub fn diff(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut numbers = Vec::new();
    let mut tokens = text.split('\0').filter(|token| !token.is_empty());
    while let Some(token) = tokens.next() {
        if let Some(raw) = token.strip_prefix(':') {
            let words: Vec<&str> = raw.split(' ').collect();
            let &[mode, _, blob, _, status] = words.as_slice() else {
                continue;
            };
            let first = tokens.next().unwrap_or_default().to_owned();
            let (before, after) = match status.as_bytes().first() {
                Some(b'A') => (String::new(), first),
                Some(b'D') => (first, String::new()),
                Some(b'R') => (first, tokens.next().unwrap_or_default().to_owned()),
                // A copy leaves its source as it was: what it makes is new.
                Some(b'C') => (String::new(), tokens.next().unwrap_or_default().to_owned()),
                _ => (first.clone(), first),
            };
            // Regular files and links only: a submodule has no lines.
            let file = !before.is_empty() && (mode.starts_with("100") || mode.starts_with("120"));
            entries.push(Entry {
                before,
                after,
                blob: file.then(|| blob.to_owned()),
                lines: None,
            });
        } else if let Some((lines, renamed)) = line_counts(token) {
            if renamed {
                let _paths = (tokens.next(), tokens.next());
            }
            numbers.push(lines);
        }
    }
    for (entry, lines) in entries.iter_mut().zip(numbers) {
        entry.lines = lines;
    }
    entries
}

/// `added TAB deleted TAB path`; the path is empty, and two follow, when the file was renamed; `-` for a binary file.
fn line_counts(token: &str) -> Option<(Option<(u64, u64)>, bool)> {
    let mut words = token.splitn(3, '\t');
    let (added, deleted, path) = (words.next()?, words.next()?, words.next()?);
    let lines = added.parse().ok().zip(deleted.parse().ok());
    Some((lines, path.is_empty()))
}

/// How a commit begins in [`history`].
pub(crate) const HISTORY_FORMAT: &str = "--format=tformat:%x01%an%x00%ct";

/// Reads `git log -z --name-only` in `HISTORY_FORMAT`.
#[must_use]
pub fn history(text: &str) -> Vec<Past> {
    let mut past: Vec<Past> = Vec::new();
    let mut tokens = text.split('\0');
    while let Some(token) = tokens.next() {
        if let Some(author) = token.strip_prefix('\u{1}') {
            past.push(Past {
                author: author.to_owned(),
                time: tokens.next().and_then(|time| time.parse().ok()).unwrap_or(0),
                paths: Vec::new(),
            });
        } else if let Some(commit) = past.last_mut() {
            let path = match commit.paths.is_empty() {
                true => token.strip_prefix('\n').unwrap_or(token),
                false => token,
            };
            if !path.is_empty() {
                commit.paths.push(path.to_owned());
            }
        }
    }
    past
}
