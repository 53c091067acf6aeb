//! Each number by hand, and the bounds that the training data keep to.

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;

fn touched(path: &str, added: u64, deleted: u64, lines_before: u64) -> Touched {
    Touched {
        path: path.to_owned(),
        added,
        deleted,
        lines_before,
    }
}

fn past(author: &str, time: i64, paths: &[&str]) -> Past {
    Past {
        author: author.to_owned(),
        time,
        paths: paths.iter().map(|p| (*p).to_owned()).collect(),
    }
}

#[test]
fn the_fourteen_numbers_by_hand() {
    let files = [
        touched("a/x/mod.rs", 6, 2, 100),
        touched("a/y/mod.rs", 4, 0, 10),
        touched("README", 0, 4, 5),
    ];
    let now = 100 * DAY;
    let by_file = [
        past("ann", now - 2 * DAY, &["a/x/mod.rs"]),
        past("bob", now - 10 * DAY, &["a/x/mod.rs", "README"]),
    ];
    let by_author = [
        past("ann", now - DAY, &["a/z", "b/z"]),
        past("ann", now - 3 * DAY, &["a/z"]),
    ];
    let got = stats(&Known {
        message: "Fixes #1",
        author: "ann",
        time: now,
        touched: Some(&files),
        files: Some(&by_file),
        author_past: Some(&by_author),
    });
    let expected = [
        2.0,                         // subsystems: a, root
        3.0,                         // directories: a/x, a/y, root
        2.0,                         // files by base name: mod.rs, README
        1.5,                         // entropy of 8, 4, 4 in 16
        10.0,                        // added
        6.0,                         // deleted
        115.0,                       // before
        1.0,                         // refers to an issue
        2.0,                         // developers: ann, bob
        (2.0 + 0.0 + 10.0) / 3.0,    // age: a/y/mod.rs has no known past
        6.0,                         // 2+1, 0+1, 1+1
        6.0,                         // 3 pairs before, 3 now
        2.0 / 2.0 + 1.0 / 4.0 + 3.0, // weighted by 1 / (1 + days)
        4.0,                         // a/x/mod.rs, a/y/mod.rs, README, a/z; b is another subsystem
    ];
    for ((name, got), expected) in got.named().into_iter().zip(expected) {
        assert!(
            (got.unwrap() - expected).abs() < 1e-12,
            "{name}: {got:?}, not {expected}"
        );
    }
}

#[test]
fn what_is_not_known_is_missing_not_zero() {
    let known = Known {
        message: "",
        author: "ann",
        time: 0,
        touched: None,
        files: None,
        author_past: None,
    };
    let present = |known: &Known<'_>| -> Vec<&str> {
        let named = stats(known).named();
        named
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(present(&known), ["is_fix"]);
    assert_eq!(
        present(&Known {
            touched: Some(&[]),
            files: Some(&[]),
            ..known
        }),
        ["is_fix"]
    );
    let files = [touched("a", 1, 0, 1)];
    let shape = present(&Known {
        touched: Some(&files),
        ..known
    });
    assert_eq!(shape.len(), 8, "{shape:?}");
}

#[test]
fn reads_what_git_prints() {
    let entries = diff(concat!(
        ":100644 100644 aa bb M\0m\0:000000 100644 00 cc A\0new\0:100644 000000 dd 00 D\0gone\0",
        ":100644 100644 ee ff R090\0old\0moved\0:160000 160000 11 22 M\0sub\0",
        "3\t1\tm\09\t0\tnew\0-\t-\tgone\02\t2\t\0old\0moved\01\t1\tsub\0",
    ));
    let seen: Vec<_> = entries
        .iter()
        .map(|e| (e.before.as_str(), e.after.as_str(), e.blob.as_deref(), e.lines))
        .collect();
    let expected = [
        ("m", "m", Some("aa"), Some((3, 1))),
        ("", "new", None, Some((9, 0))),
        ("gone", "", Some("dd"), None),
        ("old", "moved", Some("ee"), Some((2, 2))),
        ("sub", "sub", None, Some((1, 1))),
    ];
    assert_eq!(seen, expected);

    let past = history("\u{1}Ann\x0010\0\na\0b/c\0\u{1}Bob\x009\0\u{1}Eve\x008\0\nd\0");
    assert_eq!(past.len(), 3);
    assert_eq!(
        (past[0].author.as_str(), past[0].time, past[0].paths.len()),
        ("Ann", 10, 2)
    );
    assert_eq!(past[1].paths.len(), 0);
    assert_eq!(past[2].paths, ["d"]);
}

proptest! {
    #[test]
    fn numbers_stay_within_the_bounds_of_the_training_data(
        files in prop::collection::btree_map("[ab]/[a-c]|[a-c]", (0_u64..50, 0_u64..50, 1_u64..1000), 1..8),
        commits in prop::collection::vec(("[xyz]", 0_i64..1000 * DAY, prop::collection::btree_set("[ab]/[a-c]|[a-c]", 1..4)), 0..20),
    ) {
        let files: Vec<_> = files.into_iter().map(|(p, (a, d, l))| touched(&p, a, d, l)).collect();
        let commits: Vec<_> = commits
            .into_iter()
            .map(|(author, time, paths)| Past { author, time, paths: paths.into_iter().collect() })
            .collect();
        let got = stats(&Known {
            message: "m", author: "x", time: 500 * DAY, touched: Some(&files), files: Some(&commits), author_past: Some(&commits),
        });
        let n = count(files.len());
        prop_assert!(got.named().iter().all(|(_, value)| value.is_some_and(|v| v.is_finite() && v >= 0.0)));
        prop_assert!(got.files.unwrap() <= n && got.subsystems.unwrap() <= got.directories.unwrap());
        prop_assert!(got.entropy.unwrap() <= n.log2() + 1e-9);
        prop_assert!(got.developers.unwrap() >= 1.0 && got.unique_changes.unwrap() >= n);
        prop_assert!(got.author_recent_experience.unwrap() >= n);
        prop_assert!(got.author_recent_experience.unwrap() <= got.author_experience.unwrap() + 1e-9);
        prop_assert!(got.author_subsystem_experience.unwrap() >= n);
    }
}
