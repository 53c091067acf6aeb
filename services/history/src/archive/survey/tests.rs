//! What is saved of a damaged archive, and what is said to be lost.

use super::super::chain::{Base, Walk};
use super::super::segment::{self, NOTHING, Sealed, some};
use super::*;

/// Five segments of ten facts: 1 to 50.
fn five() -> Vec<Sealed> {
    let mut sealed: Vec<Sealed> = Vec::new();
    for number in 1..=5 {
        let previous = sealed.last().map_or(NOTHING.to_owned(), |s| s.sha256.clone());
        sealed.push(some(number, &previous, (number - 1) * 10 + 1, 10));
    }
    sealed
}

fn link(sealed: &Sealed) -> Link {
    Link {
        sha256: sealed.sha256.clone(),
        bytes: sealed.bytes.len() as u64,
        head: sealed.head.clone(),
    }
}

/// These bytes under 1, 2, ...; the index lists `listed`.
fn survey(bytes: &[Option<Vec<u8>>], listed: &[Option<Link>]) -> Survey {
    let mut walk = Walk::new(&Base::default(), None);
    let mut stands = Vec::new();
    for (at, number) in (0..bytes.len()).zip(1..) {
        let (bytes, listed) = (bytes[at].as_deref(), listed.get(at).and_then(Option::as_ref));
        walk.step(number, bytes, listed);
        stands.push(Stand::of(number, bytes, listed));
    }
    Survey::of(stands, &walk.finish(bytes.len() as u64).faults)
}

fn numbers(survey: &Survey) -> Vec<u64> {
    survey.whole.iter().map(|link| link.head.number).collect()
}

fn said(survey: &Survey) -> Vec<String> {
    survey.losses.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_whole_is_kept_and_what_is_lost_is_told_by_its_sequences() {
    let sealed = five();
    let bytes: Vec<Option<Vec<u8>>> = sealed.iter().map(|s| Some(s.bytes.clone())).collect();
    let listed: Vec<Option<Link>> = sealed.iter().map(|s| Some(link(s))).collect();
    assert_eq!(numbers(&survey(&bytes, &listed)), [1, 2, 3, 4, 5]);
    assert!(survey(&bytes, &listed).losses.is_empty());

    for how in ["missing", "truncated", "altered"] {
        let mut bytes = bytes.clone();
        match how {
            "missing" => bytes[2] = None,
            "truncated" => bytes[2].as_mut().unwrap().truncate(150),
            _ => *bytes[2].as_mut().unwrap().last_mut().unwrap() ^= 1,
        }
        // With an index and without one the same is lost.
        for listed in [listed.clone(), Vec::new()] {
            let found = survey(&bytes, &listed);
            assert_eq!(numbers(&found), [1, 2, 4, 5], "{how}");
            assert_eq!(found.damaged_at(), Some(3));
            let [loss] = found.losses.as_slice() else {
                panic!("{:?}", found.losses)
            };
            assert_eq!(
                (loss.first_sequence, loss.last_sequence),
                (Some(21), Some(30)),
                "{how}"
            );
            let name = format!("segments/00000000000000000003.seg is {how}: ");
            let told = loss.to_string();
            assert!(
                told.starts_with(&name) && told.contains("; sequences 21 to 30"),
                "{told}"
            );
            // Of how many facts, the index tells, or what is left of it.
            let told = (!listed.is_empty() || how == "altered").then_some(10);
            assert_eq!(loss.facts, told, "{how}");
        }
    }
}

#[test]
fn two_that_stand_in_each_others_place_are_both_lost() {
    let sealed = five();
    let mut bytes: Vec<Option<Vec<u8>>> = sealed.iter().map(|s| Some(s.bytes.clone())).collect();
    bytes.swap(1, 2);
    let listed: Vec<Option<Link>> = sealed.iter().map(|s| Some(link(s))).collect();
    let found = survey(&bytes, &listed);
    assert_eq!(numbers(&found), [1, 4, 5]);
    let said = said(&found);
    assert!(
        said[0].ends_with("2.seg is reordered: it is segment 3; sequences 11 to 20 (10 facts)"),
        "{said:?}"
    );
    assert!(
        said[1].ends_with("3.seg is reordered: it is segment 2; sequences 21 to 30 (10 facts)"),
        "{said:?}"
    );
    // Without an index the neighbours tell.
    let found = survey(&bytes, &[]);
    assert_eq!(numbers(&found), [1, 4, 5]);
    let [loss] = found.losses.as_slice() else {
        panic!("{:?}", found.losses)
    };
    let told = loss.to_string();
    assert!(
        told.contains("2.seg to segments/") && told.ends_with("; sequences 11 to 30"),
        "{told}"
    );
}

#[test]
fn one_that_was_forged_with_its_index_is_not_put_back() {
    let sealed = five();
    // Whole by itself and listed as it is: the one behind it tells that it is another one.
    let forged = some(3, &sealed[1].sha256, 21, 10);
    let mut facts = segment::open(&forged.bytes).unwrap().1;
    facts[4].payload = vec![66; 20];
    let place = segment::Place {
        number: 3,
        previous: sealed[1].sha256.clone(),
        log_created_ms: 5,
        gap_before: 0,
    };
    let forged = segment::seal(place, &facts).unwrap();
    let mut bytes: Vec<Option<Vec<u8>>> = sealed.iter().map(|s| Some(s.bytes.clone())).collect();
    bytes[2] = Some(forged.bytes.clone());
    let mut listed: Vec<Option<Link>> = sealed.iter().map(|s| Some(link(s))).collect();
    listed[2] = Some(link(&forged));
    let found = survey(&bytes, &listed);
    assert_eq!(numbers(&found), [1, 2, 5]);
    assert!(found.losses[0].why.starts_with("in doubt"), "{:?}", found.losses);
    // The index of before tells which of the two it is.
    listed[2] = Some(link(&sealed[2]));
    assert_eq!(numbers(&survey(&bytes, &listed)), [1, 2, 4, 5]);
}

#[test]
fn of_the_end_nobody_knows_how_far_it_went() {
    let sealed = five();
    let mut bytes: Vec<Option<Vec<u8>>> = sealed.iter().map(|s| Some(s.bytes.clone())).collect();
    bytes[4].as_mut().unwrap().truncate(40);
    let found = survey(&bytes, &[]);
    assert_eq!(numbers(&found), [1, 2, 3, 4]);
    assert!(
        said(&found)[0].ends_with("; sequences from 41 on"),
        "{:?}",
        said(&found)
    );
    // And of the beginning not where it began.
    bytes[0] = None;
    assert!(said(&survey(&bytes, &[]))[0].ends_with("; sequences up to 10"));
}

#[test]
fn what_is_behind_a_damage_is_told_together() {
    let sealed = five();
    let links: Vec<Link> = sealed
        .iter()
        .map(link)
        .filter(|link| link.head.number != 4)
        .collect();
    let said: Vec<String> = Loss::behind(&links[1..])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].ends_with("are whole, but behind the damage; sequences 11 to 30 (20 facts)"),
        "{said:?}"
    );
    assert!(
        said[1].ends_with("5.seg is whole, but behind the damage; sequences 41 to 50 (10 facts)"),
        "{said:?}"
    );
}
