//! What a decision asks of routers and scalers beyond its weight. Wishes only: what is, they report ([`crate::report`]).

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, percent, probability};
use crate::wire;

/// Most cohorts of a rollout.
pub const MOST_COHORTS: usize = 16;
/// Most regions whose weight differs.
pub const MOST_REGIONS: usize = 16;

/// What is asked of routers and scalers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Intent {
    /// Users with a track of their own, whatever the weight is: the first that fits counts.
    pub cohorts: Vec<Cohort>,
    /// Percent of requests that are copied to the candidate, 0..=100; the copies' answers go to nobody.
    pub mirror: u8,
    /// What stable is to be able to take; `None`: control does not scale it.
    pub stable: Option<Scale>,
    /// What the candidate is to be able to take.
    pub candidate: Option<Scale>,
    /// Share of requests and telemetry to sample, within (0, 1]; `None`: as configured.
    pub sampling: Option<f64>,
    /// Regions whose weight differs from the decision's.
    pub regions: Vec<RegionWeight>,
}

/// Users told apart by what their requests carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cohort {
    /// What people call them.
    pub name: String,
    /// How they are told.
    pub by: By,
    /// Whether they stay on stable; else they go to the candidate.
    pub stable: bool,
}

/// How a cohort is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// By a header that the client sends.
    Header(Match),
    /// By a cookie.
    Cookie(Match),
    /// By chance, the same for one user every time.
    User(UserHash),
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Name of the header or cookie.
    pub name: String,
    /// Exactly this; empty: any.
    #[serde(default)]
    pub value: String,
}

/// A share of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserHash {
    /// Which header tells users apart; empty: the cookie does.
    #[serde(default)]
    pub header: String,
    /// Which cookie.
    #[serde(default)]
    pub cookie: String,
    /// How many of them, 0..=1.
    pub share: f64,
    /// Mixed in, so that two tests do not pick the same users.
    #[serde(default)]
    pub salt: String,
}

/// A size, as a share of all traffic that it can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Percent of all traffic, 0..=100.
    pub percent: u8,
    /// The same in instances, rounded up; 0: not known.
    pub replicas: u32,
}

/// The weight of one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionWeight {
    /// Which, as its routers call it.
    pub region: String,
    /// The candidate's share there, 0..=100.
    pub weight: u8,
}

impl UserHash {
    /// Whether the user of this value belongs to it: FNV-1a over salt, a zero byte and the value, modulo 10,000. The same in
    /// every router, on every machine.
    #[must_use]
    pub fn holds(&self, user: &str) -> bool {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let bytes = self.salt.bytes().chain([0]).chain(user.bytes());
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // The low bits of FNV are its worst: fold the high ones in.
        let place = (hash ^ (hash >> 32)) % 10_000;
        #[allow(clippy::cast_precision_loss, reason = "below 10,000")]
        let place = place as f64;
        place < self.share * 10_000.0
    }
}

impl Intent {
    /// The weight of a region: its own, else the decision's.
    #[must_use]
    pub fn weight_in(&self, region: &str, weight: u8) -> u8 {
        let own = self
            .regions
            .iter()
            .find(|r| !region.is_empty() && r.region == region);
        own.map_or(weight, |own| own.weight)
    }

    pub(crate) fn from_wire(wire: wire::Intent) -> Result<Self, Invalid> {
        if wire.cohorts.len() > MOST_COHORTS || wire.regions.len() > MOST_REGIONS {
            return Err(Invalid::new("intent", "has more than 16 cohorts or regions"));
        }
        let cohort = |(i, c): (usize, wire::Cohort)| {
            Cohort::from_wire(c).map_err(|fault| fault.within(&format!("intent.cohorts[{i}]")))
        };
        let region = |r: wire::RegionWeight| {
            Ok(RegionWeight {
                weight: percent(r.weight, "intent.regions.weight")?,
                region: r.region,
            })
        };
        let sampling = probability(wire.sampling, "intent.sampling")?;
        Ok(Self {
            cohorts: wire
                .cohorts
                .into_iter()
                .enumerate()
                .map(cohort)
                .collect::<Result<_, _>>()?,
            mirror: percent(wire.mirror.map_or(0, |m| m.percent), "intent.mirror.percent")?,
            stable: wire.stable.map(Scale::from_wire).transpose()?,
            candidate: wire.candidate.map(Scale::from_wire).transpose()?,
            sampling: (sampling > 0.0).then_some(sampling),
            regions: wire
                .regions
                .into_iter()
                .map(region)
                .collect::<Result<_, Invalid>>()?,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Intent {
        let region = |r: &RegionWeight| wire::RegionWeight {
            region: r.region.clone(),
            weight: r.weight.into(),
        };
        wire::Intent {
            cohorts: self.cohorts.iter().map(Cohort::to_wire).collect(),
            mirror: (self.mirror > 0).then(|| wire::Mirror {
                percent: self.mirror.into(),
            }),
            stable: self.stable.map(Scale::to_wire),
            candidate: self.candidate.map(Scale::to_wire),
            sampling: self.sampling.unwrap_or(0.0),
            regions: self.regions.iter().map(region).collect(),
        }
    }
}

impl Scale {
    fn from_wire(wire: wire::Scale) -> Result<Self, Invalid> {
        Ok(Self {
            percent: percent(wire.percent, "intent.scale.percent")?,
            replicas: wire.replicas,
        })
    }

    fn to_wire(self) -> wire::Scale {
        wire::Scale {
            percent: self.percent.into(),
            replicas: self.replicas,
        }
    }
}

impl Cohort {
    fn from_wire(wire: wire::Cohort) -> Result<Self, Invalid> {
        use wire::cohort::By as W;
        let named = |m: wire::Match| match m.name.is_empty() {
            true => Err(Invalid::new("name", "is empty")),
            false => Ok(Match {
                name: m.name,
                value: m.value,
            }),
        };
        let by = match wire.by {
            Some(W::Header(header)) => By::Header(named(header)?),
            Some(W::Cookie(cookie)) => By::Cookie(named(cookie)?),
            Some(W::User(user)) if user.header.is_empty() == user.cookie.is_empty() => {
                return Err(Invalid::new("user", "wants exactly one of header and cookie"));
            }
            Some(W::User(user)) => By::User(UserHash {
                share: probability(user.share, "user.share")?,
                header: user.header,
                cookie: user.cookie,
                salt: user.salt,
            }),
            None => return Err(Invalid::new("by", "is missing")),
        };
        Ok(Self {
            name: wire.name,
            by,
            stable: wire.stable,
        })
    }

    fn to_wire(&self) -> wire::Cohort {
        use wire::cohort::By as W;
        let pair = |m: &Match| wire::Match {
            name: m.name.clone(),
            value: m.value.clone(),
        };
        let by = match &self.by {
            By::Header(header) => W::Header(pair(header)),
            By::Cookie(cookie) => W::Cookie(pair(cookie)),
            By::User(user) => W::User(wire::UserHash {
                header: user.header.clone(),
                cookie: user.cookie.clone(),
                share: user.share,
                salt: user.salt.clone(),
            }),
        };
        wire::Cohort {
            name: self.name.clone(),
            by: Some(by),
            stable: self.stable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_users_is_that_share_and_another_salt_picks_others() {
        let hash = |salt: &str| UserHash {
            header: "user".to_owned(),
            cookie: String::new(),
            share: 0.25,
            salt: salt.to_owned(),
        };
        let count = |salt: &str| {
            (0..10_000)
                .filter(|n| hash(salt).holds(&format!("user-{n}")))
                .count()
        };
        assert!(count("a").abs_diff(2_500) < 200, "{}", count("a"));
        let both = (0..10_000).map(|n| format!("user-{n}"));
        let both = both
            .filter(|user| hash("a").holds(user) && hash("b").holds(user))
            .count();
        assert!(both.abs_diff(625) < 120, "{both}");
    }

    #[test]
    fn a_region_has_its_own_weight_or_the_decisions() {
        let intent = Intent {
            regions: vec![RegionWeight {
                region: "eu".to_owned(),
                weight: 7,
            }],
            ..Intent::default()
        };
        assert_eq!(
            [
                intent.weight_in("eu", 50),
                intent.weight_in("us", 50),
                intent.weight_in("", 50)
            ],
            [7, 50, 50]
        );
    }
}
