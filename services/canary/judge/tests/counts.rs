//! Failures among requests: golden values, what is called when, and what is never called.

use auspex_judge::{CountSettings, CountTest, Counts, Evidence, Levels, Reason, Verdict, judge_counts};
use proptest::prelude::*;

fn counts(candidate_bad: u64, candidate_total: u64, baseline_bad: u64, baseline_total: u64) -> Counts {
    Counts {
        candidate_bad,
        candidate_total,
        baseline_bad,
        baseline_total,
    }
}

fn evidence(intervals: &[Counts]) -> Evidence {
    let settings = CountSettings::default();
    let mut test = CountTest::new(&settings);
    for interval in intervals {
        test.absorb(&settings, interval);
    }
    test.evidence(&settings)
}

#[test]
fn an_error_free_candidate_passes_beside_an_error_free_baseline() {
    let settings = CountSettings::default();
    let mut test = CountTest::new(&settings);
    let passed = (1..=2_000u64).find(|_| {
        test.absorb(&settings, &counts(0, 1, 0, 19));
        judge_counts(&test.evidence(&settings), &Levels::default()).verdict == Verdict::NoWorse
    });
    // The limit for anybody is ln(20) / 0.005 = 599.
    assert_eq!(passed, Some(894));
    assert!(test.evidence(&settings).diff_upper < 0.005);
}

#[test]
fn an_equal_failure_rate_passes_by_ratio_or_difference() {
    let ruling = |intervals: &[Counts]| judge_counts(&evidence(intervals), &Levels::default());
    let passed = ruling(&vec![counts(5, 500, 95, 9_500); 120]);
    assert_eq!(passed.verdict, Verdict::NoWorse);
    assert_eq!(
        ruling(&vec![counts(10, 500, 95, 9_500); 20]).verdict,
        Verdict::Worse
    );
}

#[test]
fn harm_against_a_zero_baseline_is_called_after_a_few_failures() {
    let mut intervals = vec![counts(0, 50, 0, 950)];
    intervals.push(counts(4, 50, 0, 950));
    let said = evidence(&intervals);
    let ruling = judge_counts(&said, &Levels::default());
    assert_eq!(
        (ruling.verdict, ruling.reason),
        (Verdict::Worse, Reason::HarmProven)
    );
    assert!(said.effect.is_some_and(|r| r > 10.0 && r.is_finite()) && said.high.is_infinite());
}

#[test]
fn silence_is_no_evidence_and_says_which_track() {
    let rule = |intervals: &[Counts]| judge_counts(&evidence(intervals), &Levels::default());
    let silent = rule(&[counts(0, 0, 1, 900), counts(0, 0, 2, 900), counts(0, 0, 1, 900)]);
    assert_eq!(
        (silent.verdict, silent.reason),
        (Verdict::NoEvidence, Reason::SilentCandidate)
    );
    let mut fell_silent = vec![counts(0, 100, 0, 900); 50];
    assert_eq!(rule(&fell_silent).verdict, Verdict::NoWorse);
    fell_silent.extend([counts(0, 0, 1, 900); 3]);
    assert_eq!(rule(&fell_silent).reason, Reason::SilentCandidate);
    assert_eq!(rule(&[]).reason, Reason::TooFewSamples);
    assert_eq!(rule(&[counts(0, 9, 0, 0); 3]).reason, Reason::SilentBaseline);
    assert_eq!(rule(&[counts(3, 3, 0, 900)]).verdict, Verdict::NoEvidence);
}

#[test]
fn a_ramp_beside_a_daily_swing_misleads_neither_test() {
    // Failures fall from 4 % to 1 % while the candidate's share grows from 1 % to 50 %: pooled, it would look far better.
    let intervals: Vec<Counts> = (0..100u64)
        .map(|k| {
            let (n, rate) = (100 + 49 * k, 400 - 3 * k);
            counts(n * rate / 10_000, n, (10_000 - n) * rate / 10_000, 10_000 - n)
        })
        .collect();
    let said = evidence(&intervals);
    assert!(said.log_e_worse < 0.5, "{said:?}");
    assert!(said.effect.is_some_and(|r| (r - 1.0).abs() < 0.05), "{said:?}");
    assert!(said.low < 1.0 && said.high > 1.0);
    assert!(said.diff_upper > 0.0 && said.diff_upper < 0.005);
}

#[test]
fn states_survive_serialisation_and_stay_small() {
    let settings = CountSettings::default();
    let mut test = CountTest::new(&settings);
    for k in 0..40 {
        test.absorb(&settings, &counts(k % 3, 500, k % 7, 9_500));
    }
    let text = serde_json::to_string(&test).expect("serialises");
    assert!(text.len() < 4_096, "{}", text.len());
    let back: CountTest = serde_json::from_str(&text).expect("reads back");
    // JSON may move the last digit of a float.
    assert!((back.log_e_worse() - test.log_e_worse()).abs() < 1e-9);
    assert_eq!(serde_json::to_string(&test).expect("serialises"), text);
}

proptest! {
    #[test]
    fn no_input_breaks_the_numbers(rows in prop::collection::vec(any::<(u64, u64, u64, u64)>(), 0..20),
                                   small in prop::collection::vec((0u64..40, 0u64..40, 0u64..90, 0u64..90), 0..30)) {
        let intervals: Vec<Counts> = rows.into_iter().chain(small).map(|(a, b, c, d)| counts(a, b, c, d)).collect();
        let said = evidence(&intervals);
        for value in [said.log_e_worse, said.log_e_safe, said.diff_upper, said.low, said.high, said.dispersion] {
            prop_assert!(!value.is_nan(), "{:?}", said);
        }
        prop_assert!(said.low <= said.high && said.diff_upper <= 1.0 && said.diff_upper >= -1.0);
        prop_assert!(said.effect.is_none_or(f64::is_finite));
    }

    #[test]
    fn more_failures_of_the_candidate_never_speak_for_it(
        rows in prop::collection::vec((0u64..20, 50u64..500, 0u64..90, 500u64..2_000), 1..20), at in any::<prop::sample::Index>()
    ) {
        let settings = CountSettings { learn_dispersion: false, ..CountSettings::default() };
        let run = |extra: Option<usize>| {
            let mut test = CountTest::new(&settings);
            for (k, (a, b, c, d)) in rows.iter().enumerate() {
                test.absorb(&settings, &counts(a + u64::from(extra == Some(k)), *b, *c, *d));
            }
            test.evidence(&settings)
        };
        let (before, after) = (run(None), run(Some(at.index(rows.len()))));
        prop_assert!(after.log_e_worse >= before.log_e_worse - 1e-9);
        prop_assert!(after.log_e_safe <= before.log_e_safe + 1e-9);
        prop_assert!(after.diff_upper >= before.diff_upper - 1e-9);
    }
}
