//! Aliases move, and their ways are remembered.

use super::*;

fn gift(alias: &str, version: u64) -> Gift {
    Gift {
        alias: alias.to_owned(),
        version,
        percent: 0,
        experiment: String::new(),
        actor: "ada".to_owned(),
        note: "because".to_owned(),
        cause: Cause::Promote,
    }
}

fn head(latest: u64) -> Head {
    Head {
        latest,
        ..Head::new("m", Timestamp(1)).unwrap()
    }
}

#[test]
fn an_alias_moves_and_its_way_is_remembered() {
    let mut head = head(3);
    head.give(&gift("champion", 1), Timestamp(2)).unwrap();
    head.give(&gift("challenger", 2), Timestamp(3)).unwrap();
    head.give(&gift("champion", 2), Timestamp(4)).unwrap();
    assert_eq!(head.resolve("").unwrap(), 2);
    assert!(!head.aliases.contains_key("challenger"), "it is champion now");
    let told: Vec<(&str, u64, u64)> = head
        .history
        .iter()
        .map(|c| (c.alias.as_str(), c.version, c.previous))
        .collect();
    assert_eq!(
        told,
        [
            ("champion", 1, 0),
            ("challenger", 2, 0),
            ("challenger", 0, 2),
            ("champion", 2, 1)
        ]
    );
    assert_eq!(head.owes.len(), 4);
    assert_eq!(head.former().unwrap(), 1);
    head.give(&gift("champion", 1), Timestamp(5)).unwrap();
    assert_eq!(head.former().unwrap(), 2);
    // One for people makes no fact.
    head.give(&gift("staging", 3), Timestamp(6)).unwrap();
    assert_eq!(
        (head.owes.len(), head.aliases_of(3)),
        (5, vec!["staging".to_owned()])
    );
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let mut head = head(1);
    let before = head.clone();
    for wrong in [
        gift("champion", 2),
        gift("champion", 0),
        gift("7", 1),
        gift("a b", 1),
        gift("latest", 1),
    ] {
        assert!(head.give(&wrong, Timestamp(2)).is_err(), "{wrong:?}");
    }
    let share = Gift {
        percent: 10,
        ..gift("champion", 1)
    };
    assert!(head.give(&share, Timestamp(2)).is_err());
    assert!(!head.take("champion", ("ada", ""), Cause::Remove, Timestamp(2)));
    assert!(head.former().is_err() && head.resolve("champion").is_err() && head.resolve("2").is_err());
    assert_eq!(head, before);
    assert!(Head::new("a/b", Timestamp(1)).is_err());
}

#[test]
fn what_the_log_would_forget_is_said_again_once() {
    let mut head = head(1);
    head.give(&gift("champion", 1), Timestamp(0)).unwrap();
    head.give(&gift("staging", 1), Timestamp(0)).unwrap();
    head.owes.clear();
    head.refresh(Timestamp(50), 100);
    assert!(head.owes.is_empty());
    head.refresh(Timestamp(101), 100);
    head.refresh(Timestamp(102), 100);
    assert_eq!(head.owes.len(), 1);
    assert_eq!(head.history.len(), 2, "nothing has changed");
}

#[test]
fn history_is_bounded() {
    let mut head = head(2);
    for n in 0..500 {
        head.give(&gift("champion", 1 + n % 2), Timestamp(n as i64))
            .unwrap();
    }
    assert_eq!(head.history.len(), MOST_CHANGES);
}
