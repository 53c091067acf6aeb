//! Shares, and what is refused.

use auspex_proto::intent::Match;
use proptest::prelude::*;

use super::*;
use crate::testing::intent;

#[test]
fn nothing_and_everything_are_exact() {
    let of = |stable, candidate| Shares { stable, candidate }.weight();
    assert_eq!(of(0, 0), None);
    assert_eq!(of(10_000, 1), Some(1), "a trickle is not nothing");
    assert_eq!(of(1, 10_000), Some(99), "and what is left is not everything");
    assert_eq!((of(7, 0), of(0, 7), of(1, 1)), (Some(0), Some(100), Some(50)));
}

#[test]
fn what_a_router_cannot_is_refused_by_name() {
    let can = Capabilities {
        weights: true,
        header: true,
        cookie: false,
        user: false,
        mirror: false,
        scale: false,
        atomic: true,
        verified_by: None,
    };
    let cohort = |name: &str, by| Cohort {
        name: name.to_owned(),
        by,
        stable: false,
    };
    let beta = || Match {
        name: "x-beta".to_owned(),
        value: "yes".to_owned(),
    };
    let asked = Intent {
        cohorts: vec![
            cohort("insiders", By::Header(beta())),
            cohort("beta", By::Cookie(beta())),
        ],
        mirror: 10,
        ..intent(1, 5).unwrap()
    };
    let (kept, refused) = can.refuse(&asked, "haproxy");
    assert_eq!((kept.cohorts.len(), kept.mirror, kept.weight), (1, 0, 5));
    assert_eq!(
        refused,
        [
            "haproxy cannot route cohort \"beta\" by cookie as it is configured",
            "haproxy cannot mirror (10 %) as it is configured"
        ]
    );
}

proptest! {
    #[test]
    fn a_weight_reads_back_as_itself(weight in 0_u8..=100, times in 1_u32..1_000) {
        let shares = Shares::of(weight);
        let same = Shares { stable: shares.stable * times, candidate: shares.candidate * times };
        prop_assert!(same.is(weight));
        prop_assert_eq!(same.weight(), Some(weight));
        prop_assert!((0..=100).filter(|w| same.is(*w)).count() == 1);
    }
}
