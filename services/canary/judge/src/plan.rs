//! Planning: how long until a decision is likely at a given traffic.
//!
//! The evidence is followed along the path on which every count is exactly what is expected. Half of the real paths are
//! quicker and half are slower, to within a tenth (see the tests): good enough to choose a share or a bake time by.

use serde::{Deserialize, Serialize};

use crate::counts::{CountSettings, CountTest, Evidence};
use crate::numeric::real;
use crate::verdict::Levels;

/// Traffic of both tracks together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Units per second of both tracks, above 0.
    pub rate: f64,
    /// The candidate's share of them, within (0, 1).
    pub share: f64,
    /// Failure rate of the baseline, a share of units within (0, 1).
    pub base: f64,
}

impl Traffic {
    /// The traffic that an evidence was gathered at in so many seconds; none when too little is known.
    #[must_use]
    pub fn observed(evidence: &Evidence, seconds: f64) -> Option<Self> {
        let (n, m) = (real(evidence.samples), real(evidence.baseline_samples));
        // Half a failure is added: a baseline without any still fails one day.
        let base = (real(evidence.baseline_bad) + 0.5) / (m + 1.0);
        let traffic = Self {
            rate: (n + m) / seconds,
            share: n / (n + m),
            base,
        };
        (seconds > 0.0 && traffic.valid()).then_some(traffic)
    }

    fn valid(&self) -> bool {
        let inside = |x: f64| x > 0.0 && x < 1.0;
        self.rate > 0.0 && self.rate.is_finite() && inside(self.share) && inside(self.base)
    }

    /// Expected bad units and units per second of (candidate, baseline) at a relative risk.
    pub(crate) fn flow(&self, risk: f64) -> ((f64, f64), (f64, f64)) {
        let (n, m) = (self.rate * self.share, self.rate * (1.0 - self.share));
        ((n * (self.base * risk).min(1.0), n), (m * self.base, m))
    }
}

/// What to expect of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Seconds until harm of the given effect is proven, typically; none when never.
    pub detect: Option<f64>,
    /// Units of the candidate by then: the users who meet it.
    pub exposed: Option<f64>,
    /// Seconds until a healthy candidate is permitted to advance, typically; none when never.
    pub pass: Option<f64>,
}

/// Longest time that is still worth telling, in seconds: a year.
const LONGEST: f64 = 31_536_000.0;

/// Plans a rollout: typical times to a decision when the candidate's relative risk is `effect`, and when it is healthy.
#[must_use]
pub fn plan(traffic: &Traffic, effect: f64, settings: &CountSettings, levels: &Levels) -> Plan {
    let test = CountTest::new(settings);
    let detect = test.time_to_detect(levels, traffic, effect);
    Plan {
        detect,
        exposed: detect.map(|seconds| seconds * traffic.rate * traffic.share),
        pass: test.time_to_pass(settings, levels, traffic),
    }
}

/// First time at which a growing function of it holds, within 0.1 %; none beyond `longest`.
pub(crate) fn first(longest: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    let mut far = 1e-3;
    while !holds(far) {
        far *= 2.0;
        if far > longest {
            return None;
        }
    }
    let mut near = 0.5 * far;
    while far - near > 1e-3 * far {
        let middle = 0.5 * (near + far);
        if holds(middle) {
            far = middle
        } else {
            near = middle
        }
    }
    Some(far)
}

impl CountTest {
    /// Seconds from now until harm of relative risk `effect` is proven, typically; none when never within a year.
    #[must_use]
    pub fn time_to_detect(&self, levels: &Levels, traffic: &Traffic, effect: f64) -> Option<f64> {
        let usable = traffic.valid() && effect.is_finite() && effect > 1.0;
        usable
            .then(|| {
                first(LONGEST, |t| {
                    self.foreseen(traffic, effect, t) >= levels.log_alarm()
                })
            })
            .flatten()
    }

    /// Seconds from now until a healthy candidate may advance, typically; none when never within a year.
    #[must_use]
    pub fn time_to_pass(&self, settings: &CountSettings, levels: &Levels, traffic: &Traffic) -> Option<f64> {
        let safe = |t: f64| self.foreseen_safe(settings, traffic, t) >= levels.log_pass();
        traffic.valid().then(|| first(LONGEST, safe)).flatten()
    }

    /// Seconds until either decision is likely: the longer of the two, since which one it will be is not known.
    pub(crate) fn remaining(
        &self,
        settings: &CountSettings,
        levels: &Levels,
        traffic: &Traffic,
        effect: f64,
    ) -> Option<f64> {
        let detect = self.time_to_detect(levels, traffic, effect)?;
        Some(detect.max(self.time_to_pass(settings, levels, traffic)?))
    }
}
