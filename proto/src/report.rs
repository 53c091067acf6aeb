//! What a router or scaler tells of itself beside the weight it applies.

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, percent};
use crate::time::Timestamp;
use crate::wire;

/// Whether a weight was read back from the data plane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verified {
    /// Of a router that is the data plane itself.
    #[default]
    Itself,
    /// Read back, and it is the one told.
    Yes,
    /// Read back, and it is another.
    No,
    /// This router cannot tell.
    Unknown,
}

/// What a router or scaler tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterReport {
    /// Its kind: `proxy`, `envoy`, `haproxy`, `istio`, `gateway_api`, `webhook`, `kubernetes`; empty: `proxy`.
    pub router: String,
    /// Whether the weight was read back.
    pub verified: Verified,
    /// Somebody else moved the weight.
    pub drift: Option<Drift>,
    /// What stable can take; `None`: it does not know.
    pub stable: Option<Capacity>,
    /// What the candidate can take.
    pub candidate: Option<Capacity>,
    /// Where it is; empty: it does not know, or there is one region only.
    pub region: String,
    /// Why the decision cannot be carried out in full; empty: it can.
    pub fault: String,
    /// It tells of capacity alone: its weight means nothing.
    pub scaler: bool,
}

/// Somebody else moved the weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What was found, 0..=100.
    pub weight: u8,
    /// What had been set.
    pub wanted: u8,
    /// Since when.
    pub since: Timestamp,
    /// Who, where that is known.
    pub by: String,
}

/// What the ready instances of a track can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Percent of all traffic, 0..=100.
    pub percent: u8,
    /// Ready instances.
    pub ready: u32,
    /// Instances asked for.
    pub wanted: u32,
}

impl RouterReport {
    pub(crate) fn from_wire(wire: wire::RouterReport) -> Result<Self, Invalid> {
        let verified = match wire::Verified::try_from(wire.verified) {
            Ok(wire::Verified::Unspecified) => Verified::Itself,
            Ok(wire::Verified::Yes) => Verified::Yes,
            Ok(wire::Verified::No) => Verified::No,
            Ok(wire::Verified::Unknown) => Verified::Unknown,
            Err(_) => {
                let reason = format!("{} is not known", wire.verified);
                return Err(Invalid::new("report.verified", reason));
            }
        };
        let drift = |d: wire::Drift| {
            Ok(Drift {
                weight: percent(d.weight, "report.drift.weight")?,
                wanted: percent(d.wanted, "report.drift.wanted")?,
                since: Timestamp(d.since_ms),
                by: d.by,
            })
        };
        Ok(Self {
            router: wire.router,
            verified,
            drift: wire.drift.map(drift).transpose()?,
            stable: wire.stable.map(Capacity::from_wire).transpose()?,
            candidate: wire.candidate.map(Capacity::from_wire).transpose()?,
            region: wire.region,
            fault: wire.fault,
            scaler: wire.scaler,
        })
    }

    /// To the wire; `None` when there is nothing to tell.
    pub(crate) fn to_wire(&self) -> Option<wire::RouterReport> {
        if *self == Self::default() {
            return None;
        }
        let capacity = |c: &Capacity| wire::Capacity {
            percent: c.percent.into(),
            ready: c.ready,
            wanted: c.wanted,
        };
        Some(wire::RouterReport {
            router: self.router.clone(),
            verified: self.verified.to_wire().into(),
            drift: self.drift.as_ref().map(|d| wire::Drift {
                weight: d.weight.into(),
                wanted: d.wanted.into(),
                since_ms: d.since.0,
                by: d.by.clone(),
            }),
            stable: self.stable.as_ref().map(capacity),
            candidate: self.candidate.as_ref().map(capacity),
            region: self.region.clone(),
            fault: self.fault.clone(),
            scaler: self.scaler,
        })
    }
}

impl Verified {
    /// To the wire.
    #[must_use]
    pub fn to_wire(self) -> wire::Verified {
        match self {
            Self::Itself => wire::Verified::Unspecified,
            Self::Yes => wire::Verified::Yes,
            Self::No => wire::Verified::No,
            Self::Unknown => wire::Verified::Unknown,
        }
    }

    /// Whether the weight told is the data plane's, as far as anybody can know.
    #[must_use]
    pub fn is_seen(self) -> bool {
        matches!(self, Self::Itself | Self::Yes)
    }
}

impl Capacity {
    fn from_wire(wire: wire::Capacity) -> Result<Self, Invalid> {
        Ok(Self {
            percent: percent(wire.percent, "report.capacity.percent")?,
            ready: wire.ready,
            wanted: wire.wanted,
        })
    }
}
