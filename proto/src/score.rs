//! A calibrated probability of failure. 1 is bad, always.

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, finite, probability};
use crate::meta::{Entity, Meta};
use crate::recalibration::Recalibrated;
use crate::wire;

/// Where a probability lies between the two thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Band {
    /// Below 0.3.
    Low,
    /// 0.3 to 0.7.
    Medium,
    /// Above 0.7.
    High,
}

/// What is worth doing at a risk: the words that a Score carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mitigation {
    /// A person says yes first.
    RequireManualApproval,
    /// Slower, and in smaller steps.
    EnableConservativeMode,
    /// A CI job tries again more often.
    EnableExtraRetries,
    /// A CI job waits longer.
    IncreaseTimeouts,
    /// A build in parts.
    SplitBuildIntoChunks,
    /// Parts of a build beside one another.
    EnableParallelBuilds,
    /// A cache filled before the build.
    WarmCachePreemptively,
    /// Another cache.
    UseAlternativeCache,
}

impl Mitigation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RequireManualApproval,
        Self::EnableConservativeMode,
        Self::EnableExtraRetries,
        Self::IncreaseTimeouts,
        Self::SplitBuildIntoChunks,
        Self::EnableParallelBuilds,
        Self::WarmCachePreemptively,
        Self::UseAlternativeCache,
    ];

    /// As a Score carries it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RequireManualApproval => "require_manual_approval",
            Self::EnableConservativeMode => "enable_conservative_mode",
            Self::EnableExtraRetries => "enable_extra_retries",
            Self::IncreaseTimeouts => "increase_timeouts",
            Self::SplitBuildIntoChunks => "split_build_into_chunks",
            Self::EnableParallelBuilds => "enable_parallel_builds",
            Self::WarmCachePreemptively => "warm_cache_preemptively",
            Self::UseAlternativeCache => "use_alternative_cache",
        }
    }
}

/// How much one feature moved the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The feature.
    pub feature: String,
    /// Its value; NaN when it was missing.
    pub value: f64,
    /// In log-odds before calibration; above 0 is towards failure.
    pub log_odds: f64,
}

/// What a model says of a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The head; the cause is the vector's sequence.
    pub meta: Meta,
    /// What it is about.
    pub entity: Entity,
    /// Calibrated P(failure), 0..=1.
    pub p_failure: f64,
    /// Lower end of the 80 % interval.
    pub low: f64,
    /// Upper end of the 80 % interval.
    pub high: f64,
    /// Its band.
    pub band: Band,
    /// Name and version, as in `change-risk@1`.
    pub model: String,
    /// Of the features it was computed from.
    pub schema_hash: String,
    /// Largest first; empty when nobody asked.
    pub reasons: Vec<Contribution>,
    /// Features the model had to do without.
    pub missing: Vec<String>,
    /// What is worth doing at this risk, most useful first.
    #[serde(default)]
    pub mitigations: Vec<String>,
    /// Which version was dealt, and how likely the outcome is to be seen.
    #[serde(default)]
    pub trial: Trial,
    /// What outcomes have taught about such scores of this project; `None`: nothing that is proven.
    #[serde(default)]
    pub recalibration: Option<Recalibrated>,
}

/// What another version said of the same vector; nobody acts on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherScore {
    /// Name and version, as in `change-risk@2`.
    pub model: String,
    /// `champion`, `challenger` or `shadow`.
    pub arm: String,
    /// Calibrated P(failure), 0..=1.
    pub p_failure: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// What the version says by itself; `None`: that is `p_failure`.
    #[serde(default)]
    pub raw: Option<f64>,
}

/// Which version was dealt to a score, and how likely its outcome is to be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// `champion` or `challenger`; empty: the champion, no experiment.
    pub arm: String,
    /// Its name; empty: none.
    pub experiment: String,
    /// Probability that nothing is held back because of this score, within (0, 1].
    pub propensity: f64,
    /// It would have been held back, and was let go to learn what becomes of such.
    pub quota: bool,
    /// What other versions said.
    pub others: Vec<OtherScore>,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            arm: String::new(),
            experiment: String::new(),
            propensity: 1.0,
            quota: false,
            others: Vec::new(),
        }
    }
}

impl Trial {
    fn from_wire(trial: Option<wire::Trial>) -> Result<Self, Invalid> {
        let Some(trial) = trial else {
            return Ok(Self::default());
        };
        let other = |other: wire::OtherScore| {
            Ok(OtherScore {
                model: other.model,
                arm: other.arm,
                p_failure: probability(other.p_failure, "trial.others.p_failure")?,
                low: probability(other.low, "trial.others.low")?,
                high: probability(other.high, "trial.others.high")?,
                raw: other
                    .raw
                    .map(|raw| probability(raw, "trial.others.raw"))
                    .transpose()?,
            })
        };
        let propensity = probability(trial.propensity, "trial.propensity")?;
        Ok(Self {
            arm: trial.arm,
            experiment: trial.experiment,
            propensity: if propensity > 0.0 { propensity } else { 1.0 },
            quota: trial.quota,
            others: trial.others.into_iter().map(other).collect::<Result<_, _>>()?,
        })
    }

    /// A score that nothing was tried with says nothing of it, as scores did before there were trials.
    fn to_wire(&self) -> Option<wire::Trial> {
        if *self == Self::default() {
            return None;
        }
        let other = |other: &OtherScore| wire::OtherScore {
            model: other.model.clone(),
            arm: other.arm.clone(),
            p_failure: other.p_failure,
            low: other.low,
            high: other.high,
            raw: other.raw,
        };
        Some(wire::Trial {
            arm: self.arm.clone(),
            experiment: self.experiment.clone(),
            propensity: self.propensity,
            quota: self.quota,
            others: self.others.iter().map(other).collect(),
        })
    }
}

impl Band {
    /// The band of a probability, by the lower and the upper threshold.
    #[must_use]
    pub fn of(p_failure: f64, thresholds: (f64, f64)) -> Self {
        if p_failure > thresholds.1 {
            Self::High
        } else if p_failure >= thresholds.0 {
            Self::Medium
        } else {
            Self::Low
        }
    }
}

impl Score {
    /// What the model version says by itself, before what outcomes have taught.
    #[must_use]
    pub fn raw(&self) -> f64 {
        self.recalibration.map_or(self.p_failure, |r| r.raw)
    }

    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(score: wire::Score) -> Result<Self, Invalid> {
        let band = match wire::Band::try_from(score.band) {
            Ok(wire::Band::Low) => Band::Low,
            Ok(wire::Band::Medium) => Band::Medium,
            Ok(wire::Band::High) => Band::High,
            _ => return Err(Invalid::new("band", format!("{} is not a band", score.band))),
        };
        let (p_failure, low, high) = (
            probability(score.p_failure, "p_failure")?,
            probability(score.low, "low")?,
            probability(score.high, "high")?,
        );
        if low > p_failure || p_failure > high {
            return Err(Invalid::new(
                "low",
                format!("{low}..{high} does not hold p_failure {p_failure}"),
            ));
        }
        Ok(Self {
            meta: Meta::from_wire(score.meta)?,
            entity: Entity::from_wire(score.entity)?,
            p_failure,
            low,
            high,
            band,
            model: score.model,
            schema_hash: score.schema_hash,
            reasons: score
                .reasons
                .into_iter()
                .map(contribution)
                .collect::<Result<_, _>>()?,
            missing: score.missing,
            mitigations: score.mitigations,
            trial: Trial::from_wire(score.trial)?,
            recalibration: score
                .recalibration
                .map(|wire| Recalibrated::from_wire(wire).map_err(|fault| fault.within("recalibration")))
                .transpose()?,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Score {
        let band = match self.band {
            Band::Low => wire::Band::Low,
            Band::Medium => wire::Band::Medium,
            Band::High => wire::Band::High,
        };
        let reasons = self.reasons.iter().map(|r| wire::Contribution {
            feature: r.feature.clone(),
            value: r.value,
            log_odds: r.log_odds,
        });
        wire::Score {
            meta: self.meta.to_wire(),
            entity: self.entity.to_wire(),
            p_failure: self.p_failure,
            low: self.low,
            high: self.high,
            band: band.into(),
            model: self.model.clone(),
            schema_hash: self.schema_hash.clone(),
            reasons: reasons.collect(),
            missing: self.missing.clone(),
            mitigations: self.mitigations.clone(),
            trial: self.trial.to_wire(),
            recalibration: self.recalibration.map(Recalibrated::to_wire),
        }
    }
}

fn contribution(wire: wire::Contribution) -> Result<Contribution, Invalid> {
    let log_odds = finite(wire.log_odds, "reasons.log_odds")?;
    Ok(Contribution {
        feature: wire.feature,
        value: wire.value,
        log_odds,
    })
}
