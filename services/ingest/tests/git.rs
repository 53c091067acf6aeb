//! Changes read from real repositories with a known history.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use auspex_ingest::git::{Ask, Found, GitError, Limits, change_from_git, read};
use auspex_proto::event::ChangeStats;
use auspex_proto::{Project, Timestamp};
use tempfile::TempDir;

const DAY: i64 = 86_400;
const START: i64 = 1_600_000_000;

/// A repository whose commits are made at given days by given authors.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"], "x", 0);
        repository.git(
            &["remote", "add", "origin", "git@github.com:acme/shop.git"],
            "x",
            0,
        );
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str], author: &str, day: i64) {
        let time = format!("{} +0000", START + day * DAY);
        let done = Command::new("git")
            .arg("-C")
            .arg(self.path())
            .args(["-c", "commit.gpgsign=false"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", author)
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "machine")
            .env("GIT_COMMITTER_EMAIL", "m@example.org")
            .env("GIT_AUTHOR_DATE", &time)
            .env("GIT_COMMITTER_DATE", &time)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn write(&self, path: &str, text: &[u8]) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn commit(&self, author: &str, day: i64, message: &str) {
        self.git(&["add", "--all"], author, day);
        self.git(
            &["commit", "--quiet", "--allow-empty", "-m", message],
            author,
            day,
        );
    }
}

/// Ten days of three people: `Ann`, `Bob`, and `Joanne Ann`, whose name holds another's.
fn shop() -> Repository {
    let shop = Repository::new();
    shop.write("README", b"one\ntwo\n");
    shop.write("till/a.rs", b"1\n2\n3\n4\n");
    shop.write("till/deep/a.rs", b"1\n");
    shop.write("web/page", b"1\n2\n");
    shop.write("empty", b"");
    shop.write("picture", b"\x00\x01\x02");
    shop.commit("Ann", 0, "First");
    shop.write("till/a.rs", b"1\n2\n3\n4\n5\n");
    shop.commit("Bob", 2, "More");
    shop.write("web/page", b"1\n2\n3\n");
    shop.commit("Joanne Ann", 4, "Page");
    shop.write("README", b"one\ntwo\nthree");
    shop.write("web/other", b"1\n");
    shop.commit("Ann", 6, "Say more");
    // The change: two files modified, one deleted; a new one, an empty and a binary one.
    shop.write("till/a.rs", b"1\n2\n3\nfour\n5\n");
    shop.write("README", b"one\ntwo\nthree\nfour\n");
    std::fs::remove_file(shop.path().join("web/page")).unwrap();
    shop.write("till/new.rs", b"x\ny\nz\n");
    shop.write("empty", b"no more\n");
    shop.write("picture", b"\x00\x01\x03");
    shop.commit("Ann", 10, "Round prices (#7)\n\nFixes SHOP-12");
    shop
}

fn found(repository: &Repository, limits: Limits) -> Found {
    let ask = Ask {
        folder: repository.path(),
        revision: "HEAD",
        base: None,
        limits,
    };
    read(&ask).unwrap()
}

#[test]
fn a_change_is_read_with_its_whole_history() {
    let shop = shop();
    let found = found(&shop, Limits::default());
    assert_eq!(found.notes, Vec::<String>::new());
    assert_eq!(found.repository.as_deref(), Some("acme/shop"));
    assert_eq!(found.committed, Timestamp((START + 10 * DAY) * 1_000));
    let change = &found.change;
    assert_eq!((change.branch.as_str(), change.author.as_str()), ("main", "Ann"));
    assert_eq!(change.title, "Round prices (#7)");
    assert_eq!(change.revision.as_str().len(), 40);
    assert_eq!(
        change.paths,
        [
            "README",
            "empty",
            "picture",
            "till/a.rs",
            "till/new.rs",
            "web/page"
        ]
    );
    // Touched: README (+2 -1, of 3), till/a.rs (+1 -1, of 5), web/page (-3, of 3).
    let part = |n: f64| -(n / 8.0) * (n / 8.0).log2();
    let expected = ChangeStats {
        subsystems: Some(3.0),
        directories: Some(3.0),
        files: Some(3.0),
        entropy: Some(part(3.0) + part(2.0) + part(3.0)),
        lines_added: Some(3.0),
        lines_deleted: Some(5.0),
        lines_before: Some(11.0),
        is_fix: Some(1.0),
        developers: Some(3.0),
        age_days: Some((4.0 + 8.0 + 6.0) / 3.0),
        unique_changes: Some(3.0 + 3.0 + 3.0),
        // Day 0: six files, day 6: two, now three.
        author_experience: Some(11.0),
        author_recent_experience: Some(6.0 / 11.0 + 2.0 / 5.0 + 3.0),
        // In root, till, web: README, till/a.rs, till/deep/a.rs, web/page, empty, picture, web/other.
        author_subsystem_experience: Some(7.0),
    };
    for ((name, got), (_, expected)) in change.stats.unwrap().named().into_iter().zip(expected.named()) {
        let (got, expected) = (got.unwrap(), expected.unwrap());
        assert!((got - expected).abs() < 1e-9, "{name}: {got}, not {expected}");
    }
    assert_eq!(change_from_git(shop.path(), "main").unwrap(), *change);
}

#[test]
fn the_event_is_the_same_when_read_again() {
    let shop = shop();
    let project = || Project::new("acme/shop").unwrap();
    let event = found(&shop, Limits::default()).event(project());
    assert_eq!(event, found(&shop, Limits::default()).event(project()));
    assert_eq!(event.meta.time, Timestamp((START + 10 * DAY) * 1_000));
    let less = Limits {
        files: 1,
        ..Limits::default()
    };
    assert_ne!(event.meta.id, found(&shop, less).event(project()).meta.id);
}

#[test]
fn a_rename_touches_the_old_path_and_a_merge_is_its_branch() {
    let shop = shop();
    shop.git(&["checkout", "--quiet", "-b", "side", "HEAD"], "Bob", 11);
    shop.git(&["mv", "till/a.rs", "till/b.rs"], "Bob", 11);
    shop.commit("Bob", 11, "Rename");
    shop.write("web/other", b"1\n2\n");
    shop.commit("Bob", 12, "See #3");
    shop.git(&["checkout", "--quiet", "main"], "Bob", 12);
    shop.git(
        &["merge", "--quiet", "--no-ff", "-m", "Merge side", "side"],
        "Eve",
        13,
    );
    let merge = found(&shop, Limits::default()).change;
    assert_eq!(merge.paths, ["till/a.rs", "till/b.rs", "web/other"]);
    let stats = merge.stats.unwrap();
    assert_eq!(
        (stats.files, stats.lines_added, stats.is_fix),
        (Some(2.0), Some(1.0), Some(0.0))
    );
    assert_eq!(stats.developers, Some(3.0), "Ann, Bob, and Eve who merges");
    // The same against a base: the messages of both commits count.
    let ask = Ask {
        folder: shop.path(),
        revision: "side",
        base: Some("main~1"),
        limits: Limits::default(),
    };
    let range = read(&ask).unwrap().change.stats.unwrap();
    assert_eq!((range.lines_added, range.is_fix), (Some(1.0), Some(1.0)));
}

#[test]
fn what_a_shallow_clone_cannot_tell_is_missing_and_said() {
    let shop = shop();
    let from = format!("file://{}", shop.path().display());
    let shallow = |depth: &str| {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().to_str().unwrap().to_owned();
        shop.git(&["clone", "--quiet", "--depth", depth, &from, &to], "x", 0);
        found(&Repository(folder), Limits::default())
    };
    let names = |found: &Found| {
        let named = found.change.stats.unwrap().named();
        named.into_iter().filter(|(_, value)| value.is_some()).count()
    };
    let two = shallow("2");
    assert_eq!((names(&two), two.notes.len(), two.change.paths.len()), (8, 1, 6));
    assert!(two.notes[0].contains("shallow"), "{:?}", two.notes);
    let one = shallow("1");
    assert_eq!((names(&one), one.notes.len(), one.change.paths.len()), (1, 1, 0));
    assert!(one.notes[0].contains("shallow"), "{:?}", one.notes);
}

#[test]
fn a_first_commit_and_a_change_of_new_files_have_no_shape() {
    let new = Repository::new();
    new.write("a", b"1\n");
    new.commit("Ann", 0, "First");
    let first = found(&new, Limits::default());
    assert!(first.notes[0].contains("first"), "{:?}", first.notes);
    new.write("b", b"1\n");
    new.commit("Ann", 1, "Second");
    let second = found(&new, Limits::default());
    assert_eq!(second.change.paths, ["b"]);
    assert_eq!(
        second.change.stats.unwrap(),
        ChangeStats {
            is_fix: Some(0.0),
            ..ChangeStats::default()
        }
    );
    assert_eq!(second.notes.len(), 1);
}

#[test]
fn faults_say_which_command_and_why() {
    let shop = shop();
    let fault = |folder: &Path, revision: &str| change_from_git(folder, revision).unwrap_err();
    assert_eq!(
        fault(shop.path(), "nothing").to_string(),
        "nothing: there is no such revision in the checkout"
    );
    assert!(matches!(fault(shop.path(), "--all"), GitError::Unknown(_)));
    shop.git(&["checkout", "--quiet", "--orphan", "apart"], "Ann", 11);
    shop.commit("Ann", 11, "Another beginning");
    let ask = Ask {
        folder: shop.path(),
        revision: "apart",
        base: Some("main"),
        limits: Limits::default(),
    };
    let said = read(&ask).unwrap_err().to_string();
    assert!(
        said.starts_with("main and ") && said.contains("no commit in common"),
        "{said}"
    );
    let outside = tempfile::tempdir().unwrap();
    let said = fault(outside.path(), "HEAD").to_string();
    assert!(said.contains("not a git repository"), "{said}");
    let impatient = Limits {
        patience: Duration::ZERO,
        ..Limits::default()
    };
    let ask = Ask {
        folder: shop.path(),
        revision: "HEAD",
        base: None,
        limits: impatient,
    };
    assert!(matches!(read(&ask).unwrap_err(), GitError::Slow { .. }));
}
