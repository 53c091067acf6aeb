"""The contract with whoever fills the features and whoever scores them: names, order, meaning, and what may be missing.

The order is the order of the model's input columns. A name, an order or a meaning that changes is a new feature service
version, because a model trained on the old one would read the new values without noticing.
"""

import hashlib
from dataclasses import dataclass

NAME = "change-risk"
VERSION = "1"
FEATURE_SERVICE = "change-risk@1"
BANDS = [0.3, 0.7]
NOTES = [
    "Touched files are the text files of the change that exist in its first parent, have at least one line there, and are "
    "modified, renamed or deleted. Binary files and files the change creates are left out of every feature.",
    "A value that is not known is NaN, never 0.",
    "A change without touched files (it only creates files) has NaN everywhere but in is_fix, author_experience and "
    "author_recent_experience.",
    "A pull request event cannot tell created files from modified ones, so its counts run higher than these definitions; "
    "a push event can, and should leave created files out.",
    "Author identity is the author name as written in the change; time is the committer time; the history is all changes except merges, "
    "of every branch, before this one in time.",
    "In the public data a project may span several repositories with one common history of paths and authors. What happened before its first "
    "day is known only through lines that survived until then, so its counts run lower than those of a full log; the full log "
    "is the recommended source.",
    "Training rows have at most 99 touched files and at most 10,000 lines deleted per file; merges are not among them.",
]


@dataclass(frozen=True)
class Feature:
    name: str
    column: str  # the column of the public data
    unit: str
    definition: str
    source: str


FEATURES = [
    Feature("subsystems", "ns", "count",
            "Distinct first path segments of the touched files; a file at the top of the repository counts as subsystem `root`.",
            "change: paths"),
    Feature("directories", "nd", "count",
            "Distinct full parent paths of the touched files; the top of the repository is one directory, `root`.",
            "change: paths"),
    Feature("files", "nf", "count",
            "Distinct base names (the last path segment) of the touched files: two files `a/mod.rs` and `b/mod.rs` count once.",
            "change: paths"),
    Feature("entropy", "entrophy", "bits",
            "Shannon entropy in bits, log base 2, not normalised, of lines added + deleted over the touched files, by full path; "
            "files with no changed line are skipped; 0 for one file. It can exceed log2(files), since `files` counts base names.",
            "change: diff"),
    Feature("lines_added", "la", "lines",
            "Lines added in the touched files, summed, absolute; blank lines and comments count.",
            "change: diff"),
    Feature("lines_deleted", "ld", "lines",
            "Lines deleted in the touched files, summed, absolute; a modified line is one deleted and one added.",
            "change: diff"),
    Feature("lines_before", "lt", "lines",
            "Lines the touched files had in the first parent, SUMMED over the files (not averaged).",
            "change: parent tree"),
    Feature("is_fix", "fix", "0 or 1",
            "1 if the message refers to an issue of the project's tracker, of kind bug where the tracker tells kinds apart; "
            "without a tracker: 1 if the message holds an issue reference (`#123`, `ABC-123`). It is not a search for the word `fix`.",
            "change: message"),
    Feature("developers", "ndev", "count",
            "Distinct author names who ever changed any of the touched files, over the union of the files, "
            "the author of this change included (so at least 1).",
            "history of the touched files"),
    Feature("age_days", "age", "days",
            "Mean over the touched files of (committer time of this change - committer time of the newest line of the file in the "
            "parent), in days of 86,400 s with fraction, negative gaps as 0. The last change of the file is a close substitute.",
            "history of the touched files"),
    Feature("unique_changes", "nuc", "count",
            "SUM over the touched files of the number of changes to that file so far, this one included "
            "(so at least 1 per file, and 2 where a previous change is known); one change to two files counts twice.",
            "history of the touched files"),
    Feature("author_experience", "exp", "file changes",
            "Pairs (file, change) of the author in the project so far, this change included: a change of five files adds five.",
            "history of the author"),
    Feature("author_recent_experience", "rexp", "file changes, weighted",
            "Sum over the same pairs of 1 / (1 + age in days with fraction); each touched file of this change adds 1, so at least 1.",
            "history of the author"),
    Feature("author_subsystem_experience", "sexp", "files",
            "Distinct FILES (not changes) the author ever changed whose subsystem is one of this change's subsystems, "
            "the touched files included.",
            "history of the author"),
]
NAMES = [f.name for f in FEATURES]

COUNTS = ["subsystems", "directories", "files"]
DIFF = ["entropy", "lines_added", "lines_deleted", "lines_before"]
FILE_HISTORY = ["developers", "age_days", "unique_changes"]

# What is present, from most to least. A pattern not listed takes the row of the listed one with the most features that is
# contained in it, which never claims more certainty than is due.
PATTERNS = {
    "full": NAMES,
    "no_author": COUNTS + DIFF + ["is_fix"] + FILE_HISTORY,
    "no_history": COUNTS + DIFF + ["is_fix"],
    "pull_request": ["files", "lines_added", "lines_deleted", "is_fix"],
    "paths": COUNTS + ["is_fix"],
    "none": [],
}
PATTERN_TEXT = {
    "full": "everything known",
    "no_author": "a checkout whose author cannot be resolved: no author history",
    "no_history": "a shallow checkout: the diff, but no history",
    "pull_request": "a pull request event: number of files, lines added and deleted, message",
    "paths": "a push event: the paths and the message only",
    "none": "nothing known",
}


def present(pattern):
    """The pattern's features in contract order."""
    return [n for n in NAMES if n in PATTERNS[pattern]]


def absent_columns(pattern):
    return [i for i, n in enumerate(NAMES) if n not in PATTERNS[pattern]]


def schema_sha256():
    return hashlib.sha256("".join(f"{n}:float32\n" for n in NAMES).encode()).hexdigest()
