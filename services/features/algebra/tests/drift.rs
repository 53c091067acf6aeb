//! Drift: calibrated where nothing changes, whatever the sample size, and found where something does.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

use auspex_algebra::drift::{Limits, Samples, adjusted, drift, weight_drifted};

/// Uniform numbers, the same in every run.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    fn samples(&mut self, name: &str, (reference, current): (usize, usize), shift: f64) -> Samples {
        Samples {
            name: name.to_owned(),
            importance: 1.0,
            reference: (0..reference).map(|_| self.normal()).collect(),
            current: (0..current).map(|_| self.normal() + shift).collect(),
        }
    }
}

/// As seldom as is said, for few samples and for many.
#[test]
fn without_any_change_alarms_are_as_rare_as_promised() {
    for (reference, current) in [(100, 50), (400, 100), (2_000, 500), (4_000, 4_000)] {
        let mut random = Random(7);
        // No least size here: significance alone is judged.
        let limits = Limits {
            alpha: 0.05,
            least_psi: 0.0,
            least_distance: 0.0,
        };
        let mut alarms = 0;
        for _ in 0..400 {
            let features: Vec<Samples> = (0..5)
                .map(|n| random.samples(&n.to_string(), (reference, current), 0.0))
                .collect();
            let found = drift(&features, &limits);
            alarms += usize::from(found.iter().any(|f| f.drifted));
        }
        let share = alarms as f64 / 400.0;
        // Five per cent of looks, with room for chance (three deviations of 400 looks) and for small bins.
        assert!(share <= 0.09, "{reference} and {current}: {share}");
    }
}

#[test]
fn what_has_moved_is_found_and_named() {
    let mut random = Random(11);
    let mut features: Vec<Samples> = (0..20)
        .map(|n| random.samples(&format!("same{n}"), (1_000, 400), 0.0))
        .collect();
    features.push(random.samples("moved", (1_000, 400), 0.7));
    features[20].importance = 5.0;
    let found = drift(&features, &Limits::default());
    let moved: Vec<&str> = found
        .iter()
        .filter(|f| f.drifted)
        .map(|f| f.name.as_str())
        .collect();
    assert_eq!(moved, ["moved"]);
    assert!((weight_drifted(&found) - 5.0 / 25.0).abs() < 1e-12);
    assert!(found[20].psi > found[20].psi_threshold && found[20].ks > 0.2 && found[20].q < 0.001);
}

#[test]
fn what_is_significant_and_small_is_no_drift() {
    let mut random = Random(13);
    let found = drift(
        &[random.samples("hair", (40_000, 40_000), 0.08)],
        &Limits::default(),
    );
    assert!(found[0].q < 0.01 && !found[0].drifted, "{:?}", found[0]);
}

#[test]
fn nulls_ranges_and_nothing_at_all_are_told() {
    let of = |reference: &[f64], current: &[f64]| {
        let samples = Samples {
            name: "f".to_owned(),
            importance: 1.0,
            reference: reference.to_vec(),
            current: current.to_vec(),
        };
        drift(&[samples], &Limits::default()).remove(0)
    };
    let found = of(&[1.0, 2.0, 3.0, 4.0], &[f64::NAN, 9.0, 2.0, 3.0]);
    assert_eq!(
        (found.null_rate, found.reference_range),
        ((0.0, 0.25), Some((1.0, 4.0)))
    );
    assert!((found.out_of_range - 1.0 / 3.0).abs() < 1e-12);
    assert!(!of(&[], &[1.0]).drifted && !of(&[1.0], &[]).drifted && !of(&[], &[]).drifted);
    let constant = of(&[5.0; 200], &[5.0; 200]);
    assert!(!constant.drifted && constant.psi == 0.0);
    assert!(of(&[5.0; 200], &[6.0; 200]).drifted, "a constant that is another");
}

#[test]
fn levels_are_adjusted_as_benjamini_and_hochberg_have_it() {
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    let levels = [0.01, 0.04, 0.03, 0.5];
    assert!(close(
        &adjusted(&levels, &[1.0; 4]),
        &[0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5]
    ));
    let weighed = adjusted(&levels, &[3.0, 0.5, 0.25, 0.25]);
    assert!(weighed[0] < 0.04 && weighed[1] > 0.16 / 3.0);
    assert!(adjusted(&[], &[]).is_empty());
}
