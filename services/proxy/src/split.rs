//! Which track serves a request. Pure: the turn, the cohort and the weight come in as values.
//!
//! Without affinity the turns of a service are spread by the golden ratio (a Weyl sequence): of any `n` requests in a row
//! the candidate gets `n * weight / 100`, off by a few requests whatever `n` is, so the share of an interval is known
//! before it begins, and a client that alternates between two pages still meets both tracks on both.
//!
//! With affinity a cohort has one fixed point in `[0, 100)`, a hash of its id and the service, and is served by the
//! candidate while that point is below the weight: raising the weight only ever moves users to the candidate.

use auspex_proto::Track;

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// 2^64 times the fraction of the square root of 2.
const ROOT_OF_TWO: u64 = 0x6A09_E667_F3BC_C909;

/// The longest cohort id that is taken from a cookie, in bytes. A longer one is replaced.
pub const MAX_COHORT: usize = 64;

/// The track of the `turn`-th request of a service. Weights are the candidate's share, 0..=100.
#[must_use]
pub fn by_turn(turn: u64, weight: u8) -> Track {
    below(turn.wrapping_mul(GOLDEN), weight)
}

/// Whether the `turn`-th of something is within a share, 0..=1: of any run as many are as the share says, and of those that
/// [`by_turn`] sends to either track too, for the two sequences have nothing in common.
#[must_use]
pub fn is_below(turn: u64, share: f64) -> bool {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 2^32, clamped"
    )]
    let bound = (share.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
    turn.wrapping_mul(ROOT_OF_TWO) >> 32 < bound
}

/// The track of a cohort of a service's users.
#[must_use]
pub fn by_cohort(cohort: &[u8], service: &str, weight: u8) -> Track {
    below(point(cohort, service), weight)
}

/// The cohort id in a `Cookie` header; `None` when there is none that we could have set.
#[must_use]
pub fn cohort_in_cookies<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let ours = key == name
            && (1..=MAX_COHORT).contains(&value.len())
            && value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        ours.then_some(value)
    })
}

/// The cookie that keeps a cohort.
#[must_use]
pub fn cookie(name: &str, cohort: &str) -> String {
    format!("{name}={cohort}; Path=/; SameSite=Lax; HttpOnly")
}

fn below(point: u64, weight: u8) -> Track {
    // The point as a percentage, rounded down, without losing a bit.
    let percent = (u128::from(point) * 100) >> 64;
    if percent < u128::from(weight) {
        Track::Candidate
    } else {
        Track::Stable
    }
}

/// A stable 64-bit hash (FNV-1a, then the finalizer of murmur3): the same on every replica and after every restart.
fn point(cohort: &[u8], service: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    // The zero byte keeps ("a", "bc") and ("ab", "c") apart: a service's name holds no control character.
    for byte in service.bytes().chain([0]).chain(cohort.iter().copied()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    for multiplier in [0xFF51_AFD7_ED55_8CCD_u64, 0xC4CE_B9FE_1A85_EC53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(multiplier);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(from: u64, count: u64, weight: u8) -> u64 {
        let served = (from..from + count).filter(|turn| by_turn(*turn, weight) == Track::Candidate);
        served.count() as u64
    }

    proptest! {
        #[test]
        fn any_run_of_turns_has_its_share(from in 0_u64..1 << 60, count in 1_u64..3000, weight in 0_u8..=100) {
            let expected = count as f64 * f64::from(weight) / 100.0;
            let off = (candidates(from, count, weight) as f64 - expected).abs();
            prop_assert!(off <= 6.0, "{off} off of {expected}");
        }

        #[test]
        fn every_second_turn_has_its_share_too(from in 0_u64..1 << 60, weight in 0_u8..=100) {
            let served = (0..2000).filter(|n| by_turn(from + 2 * n, weight) == Track::Candidate).count();
            prop_assert!((served as f64 - 20.0 * f64::from(weight)).abs() <= 12.0);
        }

        #[test]
        fn raising_the_weight_never_moves_a_user_back(cohort in "[a-z0-9]{1,32}", low in 0_u8..=100, high in 0_u8..=100) {
            prop_assume!(low <= high);
            if by_cohort(cohort.as_bytes(), "shop", low) == Track::Candidate {
                prop_assert_eq!(by_cohort(cohort.as_bytes(), "shop", high), Track::Candidate);
            }
        }
    }

    #[test]
    fn samples_are_of_both_tracks() {
        let sampled = |track| {
            let of = (0..100_000).filter(|turn| by_turn(*turn, 20) == track);
            of.filter(|turn| is_below(*turn, 0.1)).count()
        };
        let (stable, candidate) = (sampled(Track::Stable), sampled(Track::Candidate));
        assert!(
            stable.abs_diff(8_000) < 200 && candidate.abs_diff(2_000) < 100,
            "{stable} {candidate}"
        );
        assert!((0..1_000).all(|turn| is_below(turn, 1.0) && !is_below(turn, 0.0)));
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(candidates(7, 10_000, 0), 0);
        assert_eq!(candidates(7, 10_000, 100), 10_000);
    }

    #[test]
    fn cohorts_spread_evenly_and_apart_by_service() {
        let (mut shop, mut both) = (0, 0);
        for n in 0..20_000_u32 {
            let cohort = format!("user-{n}");
            let candidate = |service| by_cohort(cohort.as_bytes(), service, 30) == Track::Candidate;
            shop += u32::from(candidate("shop"));
            both += u32::from(candidate("shop") && candidate("cart"));
        }
        assert!((5_700..6_300).contains(&shop), "{shop}");
        assert!((1_600..2_000).contains(&both), "{both}: services are independent");
    }

    #[test]
    fn a_point_is_the_same_for_good() {
        assert_eq!(point(b"user-1", "shop"), 12_936_064_065_469_897_913);
    }

    #[test]
    fn a_cookie_reads_back() {
        let header = "a=b; auspex_cohort=3f-9_Z;c = d";
        assert_eq!(cohort_in_cookies(header, "auspex_cohort"), Some("3f-9_Z"));
        assert_eq!(cohort_in_cookies("x_auspex_cohort=1", "auspex_cohort"), None);
        assert_eq!(cohort_in_cookies("auspex_cohort=", "auspex_cohort"), None);
        assert_eq!(cohort_in_cookies("auspex_cohort=a b", "auspex_cohort"), None);
        assert_eq!(cookie("c", "7"), "c=7; Path=/; SameSite=Lax; HttpOnly");
    }
}
