//! What a decision asks beside the weight: cohorts with a track of their own, copies for the candidate, samples. Pure.

use auspex_proto::Track;
use auspex_proto::intent::{By, Cohort, Match};
use http::HeaderMap;
use http::header::COOKIE;

use crate::plan::Order;
use crate::split;

/// Beside the weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Aside {
    cohorts: Vec<Cohort>,
    mirror: u8,
    sampling: Option<f64>,
}

impl Aside {
    /// As it is asked. What was promoted is what everybody is on: there is nothing beside it but samples.
    pub(crate) fn of(order: &Order, promoted: bool) -> Self {
        Self {
            cohorts: if promoted {
                Vec::new()
            } else {
                order.cohorts.clone()
            },
            mirror: if promoted { 0 } else { order.mirror },
            sampling: order.sampling,
        }
    }

    /// The track of the first cohort that the sender of these headers belongs to.
    pub(crate) fn cohort(&self, headers: &HeaderMap) -> Option<Track> {
        let cohort = self.cohorts.iter().find(|cohort| is_of(&cohort.by, headers))?;
        Some(if cohort.stable {
            Track::Stable
        } else {
            Track::Candidate
        })
    }

    /// Whether the `turn`-th request is copied; the turn is only taken where there are copies.
    pub(crate) fn is_copied(&self, turn: impl FnOnce() -> u64) -> bool {
        self.mirror > 0 && split::by_turn(turn(), self.mirror) == Track::Candidate
    }

    /// Whether the `turn`-th request is sampled; `None`: as its sender says.
    pub(crate) fn sampled(&self, turn: impl FnOnce() -> u64) -> Option<bool> {
        Some(split::is_below(turn(), self.sampling?))
    }
}

fn is_of(by: &By, headers: &HeaderMap) -> bool {
    match by {
        By::Header(wanted) => {
            let values = headers.get_all(&wanted.name);
            values.iter().any(|value| fits(wanted, value.as_bytes()))
        }
        By::Cookie(wanted) => cookies(headers, &wanted.name).any(|value| fits(wanted, value.as_bytes())),
        By::User(hash) if hash.cookie.is_empty() => {
            let user = headers.get(&hash.header).and_then(|value| value.to_str().ok());
            user.is_some_and(|user| hash.holds(user))
        }
        By::User(hash) => cookies(headers, &hash.cookie)
            .next()
            .is_some_and(|user| hash.holds(user)),
    }
}

fn fits(wanted: &Match, value: &[u8]) -> bool {
    wanted.value.is_empty() || wanted.value.as_bytes() == value
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let texts = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';'));
    pairs.filter_map(move |pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use auspex_proto::intent::UserHash;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn aside(cohorts: Vec<(By, bool)>) -> Aside {
        let cohort = |(by, stable)| Cohort {
            name: "c".to_owned(),
            by,
            stable,
        };
        Aside {
            cohorts: cohorts.into_iter().map(cohort).collect(),
            ..Aside::default()
        }
    }

    fn is(name: &str, value: &str) -> Match {
        Match {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn the_first_cohort_that_fits_counts() {
        let aside = aside(vec![
            (By::Header(is("X-Vip", "")), true),
            (By::Header(is("x-beta", "yes")), false),
            (By::Cookie(is("beta", "")), false),
        ]);
        for (sent, track) in [
            (vec![("x-beta", "yes")], Some(Track::Candidate)),
            (vec![("x-beta", "no")], None),
            (vec![("x-vip", "1"), ("x-beta", "yes")], Some(Track::Stable)),
            (vec![("cookie", "a=b; beta=1")], Some(Track::Candidate)),
            (vec![("cookie", "xbeta=1")], None),
            (vec![], None),
        ] {
            assert_eq!(aside.cohort(&headers(&sent)), track, "{sent:?}");
        }
    }

    #[test]
    fn users_are_told_by_the_hash_that_every_router_has() {
        let hash = UserHash {
            header: String::new(),
            cookie: "user".to_owned(),
            share: 0.3,
            salt: "s".to_owned(),
        };
        let aside = aside(vec![(By::User(hash.clone()), false)]);
        for n in 0..200 {
            let user = format!("u{n}");
            let sent = format!("user={user}");
            let track = aside.cohort(&headers(&[("cookie", &sent)]));
            assert_eq!(track.is_some(), hash.holds(&user));
        }
    }

    #[test]
    fn shares_of_copies_and_samples_are_kept() {
        let aside = Aside {
            mirror: 10,
            sampling: Some(0.02),
            ..Aside::default()
        };
        let copies = (0..10_000).filter(|turn| aside.is_copied(|| *turn)).count();
        let samples = (0..10_000)
            .filter(|turn| aside.sampled(|| *turn) == Some(true))
            .count();
        assert!(
            copies.abs_diff(1_000) < 10 && samples.abs_diff(200) < 10,
            "{copies} {samples}"
        );
        assert_eq!(Aside::default().sampled(|| 0), None);
        assert!(!Aside::default().is_copied(|| panic!("no turn is taken")));
    }
}
