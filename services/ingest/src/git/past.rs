//! The history behind a change: of the files it touches, and of its author.

use super::command::Git;
use super::{Commit, GitError, Limits};
use crate::change_stats::{HISTORY_FORMAT, Past, Touched, history};

/// Both pasts, each missing when it cannot be told.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    pub(super) files: Option<Vec<Past>>,
    pub(super) author: Option<Vec<Past>>,
}

/// Reads both, as of the parent.
pub(super) fn read(
    git: &Git<'_>,
    commit: &Commit,
    parent: &str,
    touched: &[Touched],
    limits: &Limits,
) -> Result<(Pasts, Vec<String>), GitError> {
    let mut pasts = Pasts::default();
    let mut notes = Vec::new();
    if git.text(&["rev-parse", "--is-shallow-repository"])?.trim() == "true" {
        notes.push(
            "the clone is shallow: the history of files and author is unknown (fetch all of it)".to_owned(),
        );
        return Ok((pasts, notes));
    }
    let odd = |file: &Touched| file.path.contains(['\n', '\u{fffd}']);
    if touched.len() > limits.files || touched.iter().any(odd) {
        notes.push(format!(
            "the history of the files is not read: they are more than {}, or git cannot be asked for one",
            limits.files
        ));
    } else if !touched.is_empty() {
        pasts.files = noted(
            of_files(git, parent, touched, limits.commits),
            "the files",
            &mut notes,
        )?;
    }
    pasts.author = noted(
        of_author(git, parent, &commit.author, limits.author_commits),
        "the author",
        &mut notes,
    )?;
    Ok((pasts, notes))
}

/// A history that takes too long is missing, and a note says so; any other fault is one.
fn noted(
    past: Result<Vec<Past>, GitError>,
    whose: &str,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<Past>>, GitError> {
    match past {
        Ok(past) => Ok(Some(past)),
        Err(fault @ (GitError::Slow { .. } | GitError::Long { .. })) => {
            notes.push(format!("the history of {whose} is unknown: {fault}"));
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Every commit that changed one of the files, with those files; the newest `limit` of them.
fn of_files(git: &Git<'_>, parent: &str, touched: &[Touched], limit: usize) -> Result<Vec<Past>, GitError> {
    let mut input = format!("{parent}\n--\n");
    for file in touched {
        input.push_str(&file.path);
        input.push('\n');
    }
    let count = format!("--max-count={limit}");
    let text = git.text_with(
        &[
            "log",
            "--no-merges",
            "--no-renames",
            "--name-only",
            "-z",
            HISTORY_FORMAT,
            &count,
            "--stdin",
        ],
        input.into_bytes(),
    )?;
    Ok(history(&text))
}

/// Every commit of the author, with all its files; the newest `limit` of them.
fn of_author(git: &Git<'_>, parent: &str, author: &str, limit: usize) -> Result<Vec<Past>, GitError> {
    let (name, count) = (format!("--author={author} <"), format!("--max-count={limit}"));
    let text = git.text(&[
        "log",
        "--no-merges",
        "--no-renames",
        "--name-only",
        "-z",
        "--fixed-strings",
        HISTORY_FORMAT,
        &count,
        &name,
        parent,
    ])?;
    let mut past = history(&text);
    // Git looks for the name anywhere: *Ann* would be *Joanne Ann* too.
    past.retain(|commit| commit.author == author);
    Ok(past)
}
