//! `push`, `pull_request` and `workflow_run`: changes, their reviews and what CI made of them.

use std::collections::BTreeSet;

use auspex_proto::event::{Body, Change, Outcome, Review, Run, RunPhase};
use auspex_proto::{Invalid, Revision};

use super::super::field::{Node, between};
use super::super::{Normalized, fitting_paths, short, title};
use super::Payload;

/// A push to a branch is a change: its head, with the paths that all its commits touched. It has no line counts.
pub(super) fn push(payload: &Payload<'_>) -> Result<Normalized, Invalid> {
    let root = &payload.root;
    let reference = root.at("ref").text()?;
    if root.at("deleted").flag() {
        return Ok(Normalized::ignored("push.deleted"));
    }
    let Some(branch) = reference.strip_prefix("refs/heads/") else {
        // A tag names a revision that some branch has brought already.
        return Ok(Normalized::ignored("push.tag"));
    };
    let head = root.at("head_commit");
    let author = head.at("author");
    let written = head.at("timestamp").time()?;
    let change = Change {
        revision: revision(&root.at("after"))?,
        branch: short(branch),
        author: short(
            author
                .at("username")
                .some_text()
                .unwrap_or(author.at("name").any_text()),
        ),
        title: title(head.at("message").any_text()),
        paths: paths(&root.at("commits")),
        stats: None,
        authored: written,
        complexity: None,
    };
    // `pushed_at` is the push itself; a commit may have been written long before.
    let pushed = root.at("repository").at("pushed_at").time()?.or(written);
    let event = payload.head(None, pushed)?.event(0, Body::Change(change))?;
    Ok(Normalized::Event(vec![event]))
}

/// Every path that a commit added, removed or modified; in order, each once, as many as fit.
fn paths(commits: &Node<'_>) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for commit in commits.items() {
        for list in ["added", "removed", "modified"] {
            paths.extend(
                Node::root(commit)
                    .at(list)
                    .items()
                    .filter_map(|path| path.as_str()),
            );
        }
    }
    fitting_paths(paths)
}

/// Whatever happens to a pull request says how it stands now.
pub(super) fn review(payload: &Payload<'_>) -> Result<Normalized, Invalid> {
    let root = &payload.root;
    let pull = root.at("pull_request");
    if !pull.is_object() {
        return Err(pull.fault("is missing"));
    }
    let merged = pull.at("merged").flag();
    let state = match root.at("action").text()? {
        "opened" | "reopened" => "opened",
        "closed" if merged => "merged",
        "closed" => "closed",
        _ => "updated",
    };
    let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    let review = Review {
        number: pull.at("number").id()?,
        revision: Some(revision(&pull.at("head").at("sha"))?),
        author: short(pull.at("user").at("login").any_text()),
        state: state.to_owned(),
        lines_added: pull.at("additions").count()?,
        lines_deleted: pull.at("deletions").count()?,
        files: pull.at("changed_files").count()?,
        commits: pull.at("commits").count()?,
        comments: sum(pull.at("comments").count()?, pull.at("review_comments").count()?),
        draft: pull.at("draft").flag(),
        merged_revision: if merged {
            optional_revision(&pull.at("merge_commit_sha"))?
        } else {
            None
        },
        title: title(pull.at("title").any_text()),
    };
    let moment = pull.at("updated_at").time()?;
    let event = payload.head(None, moment)?.event(0, Body::Review(review))?;
    Ok(Normalized::Event(vec![event]))
}

/// A run of a workflow: asked for, running, done.
pub(super) fn run(payload: &Payload<'_>) -> Result<Normalized, Invalid> {
    let root = &payload.root;
    let run = root.at("workflow_run");
    if !run.is_object() {
        return Err(run.fault("is missing"));
    }
    let action = root.at("action").text()?;
    let phase = match (action, run.at("status").any_text()) {
        ("completed", _) | (_, "completed") => RunPhase::Finished(outcome(&run.at("conclusion"))?),
        ("in_progress", _) | (_, "in_progress") => RunPhase::Started,
        _ => RunPhase::Queued,
    };
    let attempt = run.at("run_attempt").count()?.map_or(1, as_attempt);
    let created = run.at("created_at").time()?;
    let started = run.at("run_started_at").time()?;
    let updated = run.at("updated_at").time()?;
    let body = Run {
        run_id: run.at("id").id()?,
        name: short(run_name(root, &run)),
        revision: Some(revision(&run.at("head_sha"))?),
        branch: short(run.at("head_branch").any_text()),
        attempt,
        phase,
        // `created_at` is the first attempt's: of a later one nobody knows how long it stood in line.
        queued: if attempt == 1 && phase != RunPhase::Queued {
            between(created, started)
        } else {
            None
        },
        duration: match phase {
            RunPhase::Finished(_) => between(started, updated),
            _ => None,
        },
        runner: String::new(),
    };
    let event = payload.head(None, updated)?.event(0, Body::Run(body))?;
    Ok(Normalized::Event(vec![event]))
}

fn run_name<'a>(root: &Node<'a>, run: &Node<'a>) -> &'a str {
    run.at("name")
        .some_text()
        .or(root.at("workflow").at("name").some_text())
        .unwrap_or(run.at("path").any_text())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn as_attempt(count: f64) -> u32 {
    count.clamp(1.0, 1_000_000.0) as u32
}

/// GitHub's conclusion as an outcome: is it the code's fault, the system's, or nobody's?
pub(super) fn outcome(conclusion: &Node<'_>) -> Result<Outcome, Invalid> {
    match conclusion.text()? {
        // A neutral check lets a change pass, like a good one.
        "success" | "neutral" => Ok(Outcome::Success),
        "failure" => Ok(Outcome::Failure),
        "startup_failure" => Ok(Outcome::Error),
        // Stale: GitHub gave up waiting for it.
        "timed_out" | "stale" => Ok(Outcome::Timeout),
        "cancelled" => Ok(Outcome::Cancellation),
        // Action required: it waits for somebody's approval, and has not run.
        "skipped" | "action_required" => Ok(Outcome::Skip),
        other => Err(conclusion.fault(format!("{} is not a conclusion", short(other)))),
    }
}

pub(super) fn revision(node: &Node<'_>) -> Result<Revision, Invalid> {
    Revision::new(node.text()?).map_err(|fault| node.fault(fault.reason))
}

pub(super) fn optional_revision(node: &Node<'_>) -> Result<Option<Revision>, Invalid> {
    if node.some_text().is_none() {
        return Ok(None);
    }
    revision(node).map(Some)
}
