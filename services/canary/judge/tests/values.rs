//! Values per interval: what is called, when, and that neither scale nor silence changes it.

use auspex_judge::simulate::random::Random;
use auspex_judge::{
    Assumption, Direction, Levels, Pair, Reason, ValueEvidence, ValueSettings, ValueTest, Verdict,
    judge_values,
};
use proptest::prelude::*;

fn settings(direction: Direction) -> ValueSettings {
    ValueSettings {
        direction,
        ..ValueSettings::default()
    }
}

fn run(settings: &ValueSettings, history: &[(f64, f64)], pairs: &[(f64, f64)]) -> ValueEvidence {
    let mut test = ValueTest::new(settings);
    let pair = |(c, b): &(f64, f64)| Pair {
        candidate: Some(*c),
        baseline: Some(*b),
    };
    history
        .iter()
        .for_each(|row| test.absorb_history(settings, &pair(row)));
    pairs.iter().for_each(|row| test.absorb(settings, &pair(row)));
    test.evidence(settings)
}

fn noisy(seed: u64, n: usize, by: f64) -> Vec<(f64, f64)> {
    let mut random = Random::new(seed, 0);
    (0..n)
        .map(|_| {
            (
                100.0 + by + 10.0 * random.normal(),
                100.0 + 10.0 * random.normal(),
            )
        })
        .collect()
}

#[test]
fn a_shift_is_called_in_its_direction_only() {
    let pairs = noisy(1, 60, 25.0);
    let rule = |direction| judge_values(&run(&settings(direction), &[], &pairs), &Levels::default()).verdict;
    assert_eq!(rule(Direction::Increase), Verdict::Worse);
    assert_eq!(rule(Direction::Either), Verdict::Worse);
    assert_ne!(rule(Direction::Decrease), Verdict::Worse);
    let said = run(&settings(Direction::Increase), &[], &pairs);
    assert!(said.low < 25.0 && said.high > 25.0 && said.low > 5.0, "{said:?}");
    assert_eq!(said.assumes, Assumption::OneTimeScale);
}

#[test]
fn equal_tracks_are_no_worse_and_history_is_named() {
    let said = run(
        &settings(Direction::Either),
        &noisy(2, 60, 0.0),
        &noisy(3, 60, 0.0),
    );
    let ruling = judge_values(&said, &Levels::default());
    assert_eq!(
        (ruling.verdict, ruling.reason),
        (Verdict::NoWorse, Reason::NoWorseByRatio)
    );
    assert_eq!((said.assumes, said.history), (Assumption::HistoryHolds, 60));
}

/// However large, and however long one waits: a scale that learnt from the shift itself would lose it again.
#[test]
fn a_shift_far_beyond_its_history_stays_found_and_is_shown_whole() {
    for by in [60.0, 150.0, 1e4] {
        let each = settings(Direction::Increase);
        let said = run(&each, &noisy(2, 120, 0.0), &noisy(3, 240, by));
        assert_eq!(
            judge_values(&said, &Levels::default()).verdict,
            Verdict::Worse,
            "{said:?}"
        );
        assert!(
            said.effect.is_some_and(|effect| (effect / by - 1.0).abs() < 0.05),
            "{said:?}"
        );
        assert!(said.low > 0.0 && said.low < by && said.high > by, "{said:?}");
    }
}

#[test]
fn blind_spots_are_no_evidence() {
    let each = settings(Direction::Either);
    let rule = |pairs: &[(f64, f64)]| judge_values(&run(&each, &[], pairs), &Levels::default());
    assert_eq!(rule(&[]).reason, Reason::TooFewSamples);
    assert_eq!(rule(&noisy(1, 2, 900.0)).reason, Reason::TooFewSamples);
    assert_eq!(rule(&[(7.0, 7.0); 90]).reason, Reason::EqualConstants);
    assert_eq!(rule(&[(0.0, 0.0); 90]).reason, Reason::EqualConstants);
    assert_eq!(rule(&[(f64::NAN, 1.0); 90]).reason, Reason::NotFinite);
    let mut silent = ValueTest::new(&each);
    (0..4).for_each(|_| {
        silent.absorb(
            &each,
            &Pair {
                candidate: None,
                baseline: Some(1.0),
            },
        )
    });
    assert_eq!(
        judge_values(&silent.evidence(&each), &Levels::default()).reason,
        Reason::SilentCandidate
    );
}

#[test]
fn thirty_of_sixty_a_hundredfold_is_not_let_through() {
    let mut pairs = noisy(5, 60, 0.0);
    pairs.iter_mut().step_by(2).for_each(|row| row.0 *= 100.0);
    let said = run(&settings(Direction::Increase), &[], &pairs);
    assert_eq!(
        judge_values(&said, &Levels::default()).verdict,
        Verdict::Worse,
        "{said:?}"
    );
}

#[test]
fn constants_a_hundredfold_apart_are_called_at_once() {
    let said = run(&settings(Direction::Increase), &[], &[(100.0, 1.0); 8]);
    assert_eq!(judge_values(&said, &Levels::default()).verdict, Verdict::Worse);
}

#[test]
fn states_stay_small() {
    let each = settings(Direction::Either);
    let mut test = ValueTest::new(&each);
    for (c, b) in noisy(8, 300, 0.0) {
        test.absorb_history(
            &each,
            &Pair {
                candidate: Some(c),
                baseline: Some(b),
            },
        );
    }
    // As MessagePack: nine bytes a float and a few per field name. The window and the filters are the bulk.
    let floats = 121 + 42 * 4 + 3 * 10 + 10;
    assert!(floats * 9 + 700 < 4_096);
    let text = serde_json::to_string(&test).expect("serialises");
    let back: ValueTest = serde_json::from_str(&text).expect("reads back");
    assert!((back.log_e_worse(&each) - test.log_e_worse(&each)).abs() < 1e-9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn verdicts_do_not_depend_on_the_unit(seed in any::<u64>(), by in -30.0f64..60.0, k in -9i32..=9) {
        let each = settings(Direction::Either);
        let pairs = noisy(seed, 40, by);
        let scaled: Vec<_> = pairs.iter().map(|(c, b)| (c * 10f64.powi(k), b * 10f64.powi(k))).collect();
        let (plain, other) = (run(&each, &[], &pairs), run(&each, &[], &scaled));
        prop_assert!((plain.log_e_worse - other.log_e_worse).abs() < 1e-6);
        prop_assert!((plain.log_e_safe - other.log_e_safe).abs() < 1e-6);
        prop_assert_eq!(judge_values(&plain, &Levels::default()), judge_values(&other, &Levels::default()));
    }

    #[test]
    fn no_input_breaks_the_numbers(rows in prop::collection::vec(any::<(f64, f64)>(), 0..40)) {
        let said = run(&settings(Direction::Either), &[], &rows);
        prop_assert!(!said.log_e_worse.is_nan() && !said.log_e_safe.is_nan(), "{:?}", said);
        prop_assert!(!said.low.is_nan() && !said.high.is_nan());
    }
}
