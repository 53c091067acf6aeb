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

#[derive(Debug)]
struct Headers;

impl Router for Headers {
    fn kind(&self) -> &'static str {
        "haproxy"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: true,
            header: true,
            cookie: false,
            user: false,
            mirror: false,
            scale: false,
            atomic: true,
            verified_by: None,
        }
    }

    fn cannot(&self, cohort: &Cohort, _: bool) -> Option<String> {
        (cohort.name == "unlisted").then(|| "no map of it is configured".to_owned())
    }

    fn apply<'a>(&'a self, _: &'a Intent, _: &'a dyn Fence) -> BoxFuture<'a, Result<Applied, Fault>> {
        Box::pin(std::future::ready(Err(Fault::Away("a test".to_owned()))))
    }

    fn read<'a>(&'a self, _: &'a Intent) -> BoxFuture<'a, Result<Observed, Fault>> {
        Box::pin(std::future::ready(Ok(Observed::default())))
    }
}

#[test]
fn what_a_router_cannot_is_refused_by_name() {
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
            cohort("unlisted", By::Header(beta())),
            cohort("beta", By::Cookie(beta())),
        ],
        mirror: 10,
        ..intent(1, 5).unwrap()
    };
    let (kept, refused) = refuse(&Headers, &asked);
    assert_eq!((kept.cohorts.len(), kept.mirror, kept.weight), (1, 0, 5));
    assert_eq!(
        refused,
        [
            "haproxy cannot route cohort \"unlisted\": no map of it is configured",
            "haproxy cannot route cohort \"beta\": not by cookie, as it is configured",
            "haproxy cannot mirror (10 %) as it is configured"
        ]
    );
}

#[test]
fn of_several_the_one_that_is_off_decides() {
    let seen = |weight, mark| Observed {
        shares: Some(Shares::of(weight)),
        mark,
        ..Observed::default()
    };
    let asked = intent(1, 20).unwrap();
    let one = agree(&[seen(20, Mark::Write(3)), seen(0, Mark::Missing)], &asked);
    assert_eq!(one.shares, Some(Shares::of(0)));
    assert_eq!(
        (one.mark, one.note.as_str()),
        (Mark::Missing, "they are at 20, 0 %")
    );
    assert_eq!(Verified::by(&one, &asked).reason(), "read back 0 %, not 20 %");
    let both = agree(&[seen(20, Mark::Write(3)), seen(20, Mark::Write(2))], &asked);
    assert_eq!((both.holds(&asked), both.mark), (Some(true), Mark::Write(2)));
    assert!(Verified::by(&both, &asked).is_verified());
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
