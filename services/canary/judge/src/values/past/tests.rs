//! What one series shows and does not show.

use std::f64::consts::TAU;

use super::*;
use crate::simulate::random::Random;

#[test]
fn agrees_with_the_oracle() {
    let oracle = crate::later_oracle();
    for row in oracle["past"].as_array().expect("rows") {
        let (mut level, mut wander) = (Level::default(), Wander::default());
        let before = row["before"].as_u64().expect("count") as usize;
        let all = row["d"].as_array().expect("values").iter();
        for (at, d) in all.filter_map(|d| d.as_f64()).enumerate() {
            let changed = at >= before;
            let seen = wander.absorb(d, changed);
            level.absorb(d, changed, seen, (d, 0.0));
        }
        let (up, down) = level.log_ever(wander.view().as_ref());
        let said = [level.log_null(0.0, None), wander.log_null(), up, down];
        // Wallace's approximation is what differs in the last two.
        for (name, said, within) in [
            ("log_null", said[0], 1e-6),
            ("log_slow", said[1], 1e-6),
            ("log_up", said[2], 1e-2),
            ("log_down", said[3], 1e-2),
        ] {
            let expected = row[name].as_f64().expect("number");
            assert!((said - expected).abs() < within, "{name}: {said} {expected}");
        }
    }
}

fn pair(value: f64) -> Pair {
    Pair {
        candidate: Some(value),
        baseline: Some(100.0),
    }
}

#[test]
fn neither_the_mean_nor_the_unit_matters() {
    let settings = ValueSettings::default();
    let told = |unit: f64, off: f64| {
        let mut random = Random::new(4, 4);
        let mut test = PastTest::default();
        for k in 0..2_400 {
            let value = 100.0 + off + 5.0 * random.normal() + if k >= 2_380 { 6.0 } else { 0.0 };
            let both = Pair {
                candidate: Some(unit * value),
                baseline: Some(unit * 100.0),
            };
            if k < 1_200 {
                test.absorb_history(&settings, &both);
            } else {
                test.absorb(&settings, &both);
            }
        }
        test
    };
    let plain = told(1.0, 0.0);
    for (unit, off) in [(1e-9, 0.0), (1e9, 0.0), (1.0, 2.0)] {
        let other = told(unit, off);
        let (a, b) = (plain.log_e_worse(&settings), other.log_e_worse(&settings));
        assert!((a - b).abs() < 0.2, "{unit} {off}: {a} {b}");
    }
}

#[test]
fn what_never_moved_and_leaves_at_the_change_is_worth_its_past() {
    let settings = ValueSettings {
        direction: Direction::Increase,
        ..ValueSettings::default()
    };
    let told = |past: u32, after: u32| {
        let mut test = PastTest::default();
        (0..past).for_each(|_| test.absorb_history(&settings, &pair(100.0)));
        (0..after).for_each(|_| test.absorb(&settings, &pair(100.0)));
        (0..40).for_each(|_| test.absorb(&settings, &pair(500.0)));
        test.log_e_worse(&settings)
    };
    assert!(told(1_000, 0) > 4.6, "{}", told(1_000, 0));
    // One event after a while, or after a short past, is no proof.
    assert!(told(1_000, 200) < 4.6 && told(60, 0) < 4.6);
    // Half zeros, half ones, as before: the scale of spikes must not come and go with them.
    let called = |path: u64| {
        let (mut random, mut test) = (Random::new(5, path), PastTest::default());
        let mut flip = || pair(100.0 + f64::from(u8::from(random.chance(0.5))));
        (0..50).for_each(|_| test.absorb_history(&settings, &flip()));
        (0..100).any(|_| {
            test.absorb(&settings, &flip());
            test.log_e_worse(&settings) > 4.6
        })
    };
    assert!((0..200).filter(|path| called(*path)).count() <= 2);
}

#[test]
fn nothing_is_said_without_a_past_and_spikes_that_were_usual_are_no_harm() {
    let settings = ValueSettings::default();
    let mut young = PastTest::default();
    (0..20).for_each(|k| young.absorb_history(&settings, &pair(f64::from(k % 3))));
    (0..60).for_each(|k| young.absorb(&settings, &pair(1e3 + f64::from(k % 3))));
    assert!(young.evidence(&settings).too_few);
    // A queue whose spikes all go up, one in twenty points, before the change and after it; then three times as many.
    let mut random = Random::new(5, 5);
    let mut spiky = |rate: f64| {
        let noise = random.normal();
        100.0 + noise + if random.chance(rate) { 80.0 } else { 0.0 }
    };
    let mut test = PastTest::default();
    (0..600).for_each(|_| test.absorb_history(&settings, &pair(spiky(0.05))));
    (0..400).for_each(|_| test.absorb(&settings, &pair(spiky(0.05))));
    assert!(
        test.log_e_worse(&settings) < 3.0,
        "{}",
        test.log_e_worse(&settings)
    );
    (0..300).for_each(|_| test.absorb(&settings, &pair(spiky(0.25))));
    assert!(
        test.log_e_worse(&settings) > 4.6,
        "{}",
        test.log_e_worse(&settings)
    );
}

#[test]
fn a_day_that_is_livelier_than_its_night_is_no_harm() {
    let settings = ValueSettings::default();
    let called = |path: u64| {
        let (mut random, mut test) = (Random::new(6, path), PastTest::default());
        // The change comes at the calmest point of the day: nine times as much scatter follows within half of one.
        let mut at =
            |k: u32| pair(100.0 + 5.0 * (1.0 - 0.8 * (f64::from(k) / 288.0 * TAU).cos()) * random.normal());
        (0..1_440).for_each(|k| test.absorb_history(&settings, &at(k)));
        (0..288).any(|k| {
            test.absorb(&settings, &at(k));
            test.log_e_worse(&settings) > 4.6
        })
    };
    assert!((0..100).filter(|path| called(*path)).count() <= 2);
}

#[test]
fn where_a_series_stands_its_first_point_does_not_say() {
    let settings = ValueSettings {
        direction: Direction::Increase,
        ..ValueSettings::default()
    };
    let told = |first: f64, rate: f64| {
        let (mut random, mut test) = (Random::new(7, 7), PastTest::default());
        let mut some = |rate: f64| pair(f64::from(u8::from(random.chance(rate))));
        test.absorb_history(&settings, &pair(first));
        (0..400).for_each(|_| test.absorb_history(&settings, &some(0.1)));
        (0..80).for_each(|_| test.absorb(&settings, &some(rate)));
        test.log_e_worse(&settings)
    };
    for first in [0.0, 1.0, 7.0] {
        assert!(told(first, 0.1) < 2.0, "{first}: {}", told(first, 0.1));
        assert!(told(first, 0.5) > 4.6, "{first}: {}", told(first, 0.5));
    }
    // Hardly half of it is one value: there is noise to measure a shift against.
    let (mut random, mut test) = (Random::new(8, 8), PastTest::default());
    let mut some = |mean: f64| pair(crate::numeric::real(random.poisson(mean)));
    (0..400).for_each(|_| test.absorb_history(&settings, &some(0.75)));
    (0..200).for_each(|_| test.absorb(&settings, &some(1.5)));
    assert!(
        test.log_e_worse(&settings) > 4.6,
        "{}",
        test.log_e_worse(&settings)
    );
}

#[test]
fn what_is_worse_by_the_margin_is_not_let_pass_for_a_slow_part() {
    let settings = ValueSettings {
        margin: 1.05,
        ..ValueSettings::default()
    };
    let passed = |path: u64| {
        let (mut random, mut test, mut slow) = (Random::new(9, path), PastTest::default(), 0.0);
        // A slow part under as much noise; five of a hundred more from the change on.
        let mut at = |more: f64| {
            slow = 0.97 * slow + (1.0 - 0.97f64.powi(2)).sqrt() * random.normal();
            pair(100.0 + more + 3.5 * (slow + random.normal()))
        };
        (0..1_440).for_each(|_| test.absorb_history(&settings, &at(0.0)));
        (0..240).any(|_| {
            test.absorb(&settings, &at(5.0));
            test.ripe(&settings) && test.log_e_safe(&settings) > 20f64.ln()
        })
    };
    assert!((0..100).filter(|path| passed(*path)).count() <= 6);
}
