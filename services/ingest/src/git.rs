//! The port to git: reads a change out of a checkout, by the `git` command.
//!
//! *Bounded*: each command by [`Limits::patience`]. The history of the touched files is read for up to [`Limits::files`]
//! files, and no further back than [`Limits::commits`] commits that changed one of them; the author's no further than
//! [`Limits::author_commits`]. Those counts lie above what the model has seen, so that older ones change nothing. Where
//! patience ends, files are too many or the clone is shallow, the numbers that need that history are missing and a note
//! says so: a piece of a history would tell less experience and fewer developers than there are, and be believed.

mod command;
mod past;
mod remote;

use std::path::Path;
use std::time::Duration;

use auspex_proto::event::{Body, Change, ChangeComplexity};
use auspex_proto::{Event, FactId, Invalid, Meta, Project, Revision, Timestamp};
use thiserror::Error;

use self::command::Git;
use self::past::Pasts;
use self::remote::repository;
use crate::change_stats::{Entry, Known, Touched, diff, stats};
use crate::normalize::{fitting_paths, title};

/// The source of what was read from a checkout.
pub const GIT: &str = "git";

/// Why a change cannot be read.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum GitError {
    #[error("git: cannot be run: {0}")]
    Run(#[source] std::io::Error),
    /// The reason is empty when git gave none.
    #[error("git {command}: {}", if .reason.is_empty() { "failed without a word" } else { .reason })]
    Failed { command: String, reason: String },
    #[error("git {command}: not done after {seconds} s")]
    Slow { command: String, seconds: u64 },
    #[error("git {command}: printed more than {limit} bytes")]
    Long { command: String, limit: usize },
    #[error("{0}: there is no such revision in the checkout")]
    Unknown(String),
    #[error("{0} and {1} have no commit in common in the checkout; fetch more of its history")]
    Apart(String, String),
    #[error("commit {0}: cannot be read")]
    Unreadable(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// How much of the past is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Touched files beyond which their history is not read. The model has seen no change of 100 or more.
    pub files: usize,
    /// Commits that changed a touched file.
    pub commits: usize,
    /// Commits of the author.
    pub author_commits: usize,
    /// How long each git command may take.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 300,
            commits: 20_000,
            author_commits: 20_000,
            patience: Duration::from_secs(30),
        }
    }
}

/// Which change to read.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The checkout, or any folder in it.
    pub folder: &'a Path,
    /// The revision, in any form that git reads.
    pub revision: &'a str,
    /// What the change is against, when it is more than one commit; else the revision's first parent.
    pub base: Option<&'a str>,
    /// How much of the past is read.
    pub limits: Limits,
}

/// A change as a checkout tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The change.
    pub change: Change,
    /// When it was committed.
    pub committed: Timestamp,
    /// `owner/name` of the remote `origin`: the default project.
    pub repository: Option<String>,
    /// What could not be told, and why; for a person.
    pub notes: Vec<String>,
}

impl Found {
    /// The event that announces it. Reading the same again gives the same id; reading more of it gives another.
    #[must_use]
    pub fn event(&self, project: Project) -> Event {
        let known = format!("{project}\n{:?}", self.change);
        Event {
            meta: Meta {
                id: FactId::outside(GIT, &known),
                project,
                time: self.committed,
                cause: 0,
                source: GIT.to_owned(),
            },
            body: Body::Change(self.change.clone()),
        }
    }
}

/// The change that a revision is, with default limits.
///
/// # Errors
/// [`GitError`] when there is no git, no such revision, or its name is none.
pub fn change_from_git(folder: &Path, revision: &str) -> Result<Change, GitError> {
    let ask = Ask {
        folder,
        revision,
        base: None,
        limits: Limits::default(),
    };
    Ok(read(&ask)?.change)
}

/// Reads a change.
///
/// # Errors
/// [`GitError`] when there is no git, no such revision, or its name is none.
pub fn read(ask: &Ask<'_>) -> Result<Found, GitError> {
    let git = Git::new(ask.folder, ask.limits.patience);
    let commit = Commit::read(&git, ask.revision)?;
    let mut notes = Vec::new();
    let parent = parent(&git, &commit, ask.base, &mut notes)?;
    let message = match (&parent, ask.base) {
        (Some(parent), Some(_)) => messages(&git, parent, &commit.id)?,
        _ => commit.message.clone(),
    };
    let mut complexity = None;
    let (entries, touched, past) = match &parent {
        None => (Vec::new(), None, Pasts::default()),
        Some(parent) => {
            complexity = self::complexity(&git, parent, &commit.id, &mut notes)?;
            let entries = entries(&git, parent, &commit.id)?;
            let touched = touched(&git, &entries)?;
            let (past, more) = past::read(&git, &commit, parent, &touched, &ask.limits)?;
            notes.extend(more);
            if touched.is_empty() {
                notes.push(
                    "no text file that was there before is touched: the model knows no such change"
                        .to_owned(),
                );
            }
            (entries, Some(touched), past)
        }
    };
    let stats = stats(&Known {
        message: &message,
        author: &commit.author,
        time: commit.committed,
        touched: touched.as_deref(),
        files: past.files.as_deref(),
        author_past: past.author.as_deref(),
    });
    let change = Change {
        revision: Revision::new(commit.id.clone())?,
        branch: branch(&git, &commit.id),
        author: commit.author.clone(),
        title: title(&commit.message),
        paths: paths(&entries),
        stats: Some(stats),
        authored: Some(seconds(commit.authored)),
        complexity,
    };
    Ok(Found {
        change,
        committed: seconds(commit.committed),
        repository: git
            .text(&["config", "--get", "remote.origin.url"])
            .ok()
            .and_then(|url| repository(url.trim())),
        notes,
    })
}

struct Commit {
    id: String,
    parents: Vec<String>,
    author: String,
    committed: i64,
    authored: i64,
    message: String,
}

impl Commit {
    fn read(git: &Git<'_>, revision: &str) -> Result<Self, GitError> {
        let name = format!("{revision}^{{commit}}");
        let asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        // Asked quietly, git says nothing at all of a name that it does not know.
        let id = git.text(&asked).map_err(|fault| match fault {
            GitError::Failed { reason, .. } if reason.is_empty() => GitError::Unknown(revision.to_owned()),
            fault => fault,
        })?;
        let id = id.trim();
        let text = git.text(&[
            "log",
            "-1",
            "--no-show-signature",
            "--format=%P%x00%an%x00%ct%x00%at%x00%B",
            id,
        ])?;
        let unreadable = || GitError::Unreadable(id.to_owned());
        let &[parents, author, committed, authored, message] =
            text.splitn(5, '\0').collect::<Vec<_>>().as_slice()
        else {
            return Err(unreadable());
        };
        Ok(Self {
            id: id.to_owned(),
            parents: parents.split_whitespace().map(str::to_owned).collect(),
            author: author.to_owned(),
            committed: committed.parse().map_err(|_| unreadable())?,
            authored: authored.parse().map_err(|_| unreadable())?,
            message: message.trim_end().to_owned(),
        })
    }
}

/// What the change is against. `None`: nothing that this checkout has, or nothing at all.
fn parent(
    git: &Git<'_>,
    commit: &Commit,
    base: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Option<String>, GitError> {
    if let Some(base) = base {
        let asked = git.text(&["merge-base", "--end-of-options", base, &commit.id]);
        // Git says nothing at all when there is none.
        let merge_base = asked.map_err(|fault| match fault {
            GitError::Failed { reason, .. } if reason.is_empty() => {
                GitError::Apart(base.to_owned(), commit.id.clone())
            }
            fault => fault,
        })?;
        return Ok(Some(merge_base.trim().to_owned()));
    }
    if let Some(parent) = commit.parents.first() {
        return Ok(Some(parent.clone()));
    }
    // Where a shallow clone ends, git hides the parents; the commit itself still names them.
    let raw = git.text(&["cat-file", "commit", &commit.id])?;
    let hidden = raw
        .lines()
        .take_while(|line| !line.is_empty())
        .any(|line| line.starts_with("parent "));
    notes.push(if hidden {
        "the clone is so shallow that the change's parent is not in it: its size and files are unknown (fetch with a depth of 0 for all, of 2 for the diff)".to_owned()
    } else {
        "the change is the first of its repository: nothing was there that it could touch".to_owned()
    });
    Ok(None)
}

/// The messages of all commits of a change, 1,000 at most.
fn messages(git: &Git<'_>, parent: &str, id: &str) -> Result<String, GitError> {
    git.text(&[
        "log",
        "--max-count=1000",
        "--no-show-signature",
        "--format=%B",
        &format!("{parent}..{id}"),
    ])
}

/// The files of the change, renames found.
fn entries(git: &Git<'_>, parent: &str, id: &str) -> Result<Vec<Entry>, GitError> {
    let shape = [
        "-r",
        "-z",
        "-M",
        "-l1000",
        "--raw",
        "--numstat",
        "--no-ext-diff",
        "--no-textconv",
    ];
    let mut arguments = vec!["diff-tree"];
    arguments.extend(shape);
    arguments.extend([parent, id]);
    Ok(diff(&git.text(&arguments)?))
}

/// How deeply nested the lines are that the change adds to code; where git takes too long a note says so.
fn complexity(
    git: &Git<'_>,
    parent: &str,
    id: &str,
    notes: &mut Vec<String>,
) -> Result<Option<ChangeComplexity>, GitError> {
    let arguments = [
        "diff-tree",
        "-p",
        "-U0",
        "-M",
        "-l1000",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        parent,
        id,
    ];
    match git.patch(&arguments) {
        Ok(complexity) => Ok(complexity),
        Err(fault @ (GitError::Slow { .. } | GitError::Long { .. })) => {
            notes.push(format!("the complexity of the change is unknown: {fault}"));
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// The files that were there before, as text, with a line at least.
fn touched(git: &Git<'_>, entries: &[Entry]) -> Result<Vec<Touched>, GitError> {
    let candidates: Vec<(&Entry, &str, (u64, u64))> = entries
        .iter()
        .filter_map(|e| Some((e, e.blob.as_deref()?, e.lines?)))
        .collect();
    let blobs: Vec<&str> = candidates.iter().map(|(_, blob, _)| *blob).collect();
    let lines = git.lines_of(&blobs)?;
    let file = |((entry, _, (added, deleted)), lines_before): ((&Entry, &str, (u64, u64)), u64)| Touched {
        path: entry.before.clone(),
        added,
        deleted,
        lines_before,
    };
    Ok(candidates
        .into_iter()
        .zip(lines)
        .filter(|(_, lines)| *lines > 0)
        .map(file)
        .collect())
}

/// All paths of the change, before and after, each once, as many as fit.
fn paths(entries: &[Entry]) -> Vec<String> {
    let both = entries
        .iter()
        .flat_map(|entry| [entry.before.as_str(), entry.after.as_str()]);
    fitting_paths(both.filter(|path| !path.is_empty()).collect())
}

/// The branch that is checked out, when the revision is its head; else nobody knows.
fn branch(git: &Git<'_>, id: &str) -> String {
    let is_head = git
        .text(&["rev-parse", "HEAD"])
        .is_ok_and(|head| head.trim() == id);
    let name = || git.text(&["symbolic-ref", "--short", "--quiet", "HEAD"]).ok();
    is_head.then(name).flatten().unwrap_or_default().trim().to_owned()
}

fn seconds(epoch: i64) -> Timestamp {
    Timestamp(epoch.saturating_mul(1_000))
}
