use super::*;
use crate::archive::segment::{Sealed, some};

/// Five segments of ten facts, and their index.
fn chain() -> Vec<Sealed> {
    let mut previous = NOTHING.to_owned();
    (1..=5)
        .map(|number| {
            let sealed = some(number, &previous, number * 10, 10);
            previous = sealed.sha256.clone();
            sealed
        })
        .collect()
}

fn link(sealed: &Sealed) -> Link {
    Link {
        sha256: sealed.sha256.clone(),
        bytes: sealed.bytes.len() as u64,
        head: sealed.head.clone(),
    }
}

/// Walks along these bytes; with or without the index of what was written.
fn walk(found: &[Option<Vec<u8>>], index: bool) -> Report {
    let written = chain();
    let mut walk = Walk::new(&Base::default(), None);
    for (n, bytes) in found.iter().enumerate() {
        let link = written.get(n).filter(|_| index).map(link);
        walk.step(n as u64 + 1, bytes.as_deref(), link.as_ref());
    }
    walk.finish(found.len() as u64)
}

fn whole() -> Vec<Option<Vec<u8>>> {
    chain().into_iter().map(|sealed| Some(sealed.bytes)).collect()
}

fn named(report: &Report) -> Vec<(u64, Wrong)> {
    report
        .faults
        .iter()
        .filter(|f| f.fault != Wrong::Index)
        .map(|f| (f.segment, f.fault))
        .collect()
}

#[test]
fn a_whole_archive_is_sound() {
    let report = walk(&whole(), true);
    assert!(report.sound, "{report:?}");
    assert_eq!((report.segments, report.facts), (5, 50));
    assert_eq!((report.first_sequence, report.last_sequence), (10, 59));
    assert_eq!(report.head, chain()[4].sha256);
}

#[test]
fn each_damage_is_named_with_its_segment_and_nothing_else() {
    for index in [true, false] {
        for n in 0..5_usize {
            let number = n as u64 + 1;
            let mut found = whole();
            found[n] = None;
            let expected = vec![(number, Wrong::Missing)];
            assert_eq!(
                named(&walk(&found, index)),
                expected,
                "missing {number}, index {index}"
            );

            let mut found = whole();
            let bytes = found[n].as_mut().unwrap();
            bytes.truncate(bytes.len() - 7);
            let report = named(&walk(&found, index));
            assert_eq!(
                report[0],
                (number, Wrong::Truncated),
                "truncated {number}, index {index}"
            );

            let mut found = whole();
            let bytes = found[n].as_mut().unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            let report = named(&walk(&found, index));
            assert_eq!(
                report[0],
                (number, Wrong::Altered),
                "altered {number}, index {index}"
            );
            if index {
                assert_eq!(report.len(), 1, "{report:?}");
            }
        }
    }
}

#[test]
fn swapped_segments_are_both_named() {
    let mut found = whole();
    found.swap(1, 2);
    let report = walk(&found, true);
    assert_eq!(named(&report), [(2, Wrong::Reordered), (3, Wrong::Reordered)]);
    assert_eq!(report.faults[0].detail, "it is segment 3");
}

#[test]
fn a_segment_written_anew_with_right_checksums_is_noticed_by_the_next() {
    let first = chain().remove(0);
    let forged = some(2, &first.sha256, 20, 9);
    let mut found = whole();
    found[1] = Some(forged.bytes);
    assert_eq!(named(&walk(&found, true))[0], (2, Wrong::Altered));
    let without = named(&walk(&found, false));
    assert_eq!(without[0].0, 3, "the one behind it names another: {without:?}");
}

#[test]
fn an_end_cut_off_is_noticed_by_the_index_and_by_a_head_noted_elsewhere() {
    let mut found = whole();
    found[4] = None;
    assert_eq!(named(&walk(&found, true)), [(5, Wrong::Missing)]);
    // The index cut off as well: only what was noted elsewhere knows.
    let written = chain();
    let mut walk = Walk::new(&Base::default(), Some(written[4].sha256.clone()));
    for sealed in &written[..4] {
        walk.step(sealed.head.number, Some(&sealed.bytes), Some(&link(sealed)));
    }
    let report = walk.finish(4);
    assert_eq!(named(&report), [(5, Wrong::Missing)]);
}

#[test]
fn a_wrong_index_is_no_damage_to_the_facts() {
    let written = chain();
    let mut walk = Walk::new(&Base::default(), None);
    for sealed in &written {
        let mut link = link(sealed);
        if sealed.head.number == 3 {
            link.sha256 = NOTHING.to_owned();
        }
        walk.step(sealed.head.number, Some(&sealed.bytes), Some(&link));
    }
    let report = walk.finish(5);
    assert_eq!(
        (report.faults[0].segment, report.faults[0].fault),
        (3, Wrong::Index)
    );
}

#[test]
fn names_read_back() {
    assert_eq!(number_of(&name(42)), Some(42));
    for other in [
        "segments/42.seg",
        "index/00000000000000000042.json",
        "segments/x.seg",
    ] {
        assert_eq!(number_of(other), None, "{other}");
    }
}
