//! How a rollout gets from stable to the candidate: one strategy, or a pipeline of them.

use auspex_proto::intent::{By, Cohort, Match, UserHash};
use serde::{Deserialize, Serialize};

use super::{PolicyChoice, Span};

/// Most legs of a pipeline.
pub const MOST_LEGS: usize = 8;

/// At most one of the five; none: canary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StrategyChoice {
    /// Weight is raised by a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Everything in one go, after a preview; stable is kept for an instant switch back.
    #[serde(alias = "blueGreen", skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// A split for a time; then a goal decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ab: Option<Ab>,
    /// Batch by batch, as instances become ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// Several, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Vec<LegChoice>>,
}

/// One leg of a pipeline: a name, and exactly one of the four.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LegChoice {
    /// By which gates refer to it; empty: its strategy's name.
    pub name: String,
    /// Weight is raised by a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Everything in one go; only as the last leg.
    #[serde(alias = "blueGreen", skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// A split for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ab: Option<Ab>,
    /// Batch by batch; only as the last leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
}

/// Weight is raised by a policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canary {
    /// Weight at which this leg is done, percent, 1..=100; absent: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u8>,
    /// Its policy; absent: that of the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyChoice>,
}

/// Everything in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlueGreen {
    /// How long the candidate is looked at before the switch: by its cohorts, by `mirror`, by checks. Default 0 s.
    pub preview: Span,
    /// Whether the switch needs no person. Default true.
    #[serde(alias = "autoPromotion")]
    pub auto_promotion: bool,
    /// How long the candidate is judged after the switch, with stable kept whole. Default 1 m.
    #[serde(alias = "postAnalysis")]
    pub post_analysis: Span,
    /// How long stable is kept after the switch at least, for an instant switch back. Default 30 s.
    #[serde(alias = "scaleDownDelay")]
    pub scale_down_delay: Span,
}

impl Default for BlueGreen {
    fn default() -> Self {
        Self {
            preview: Span::seconds(0),
            auto_promotion: true,
            post_analysis: Span::seconds(60),
            scale_down_delay: Span::seconds(30),
        }
    }
}

/// A split for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ab {
    /// The candidate's share while it lasts, percent, 1..=99. Default 50.
    pub split: u8,
    /// How long. Default 1 h.
    pub duration: Span,
    /// The listed metric by which it is decided; absent: errors and slowness alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// What makes the candidate win. Default `better`.
    pub wins: Wins,
}

impl Default for Ab {
    fn default() -> Self {
        Self {
            split: 50,
            duration: Span::seconds(3_600),
            goal: None,
            wins: Wins::default(),
        }
    }
}

/// What makes the candidate of an A/B split win.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wins {
    /// The goal's interval lies on the better side.
    #[default]
    Better,
    /// It is proven no worse.
    NoWorse,
    /// Never: a person reads the result.
    Never,
}

/// Batch by batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rolling {
    /// Share that is exchanged at once, percent, 1..=100. Default 25.
    pub batch: u8,
    /// How long each batch is looked at. Default 10 s.
    pub pause: Span,
}

impl Default for Rolling {
    fn default() -> Self {
        Self {
            batch: 25,
            pause: Span::seconds(10),
        }
    }
}

/// Users with a track of their own: a name, and exactly one of header, cookie and user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CohortChoice {
    /// What people call them.
    pub name: String,
    /// By a header that the client sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Match>,
    /// By a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Match>,
    /// A share of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserHash>,
    /// They stay on stable; else they go to the candidate.
    pub stable: bool,
}

impl CohortChoice {
    /// As a decision carries it; `None` when it is not exactly one of the three.
    #[must_use]
    pub fn cohort(&self) -> Option<Cohort> {
        let by = match (&self.header, &self.cookie, &self.user) {
            (Some(header), None, None) => By::Header(header.clone()),
            (None, Some(cookie), None) => By::Cookie(cookie.clone()),
            (None, None, Some(user)) => By::User(user.clone()),
            _ => return None,
        };
        Some(Cohort {
            name: self.name.clone(),
            by,
            stable: self.stable,
        })
    }
}

/// Which sizes control moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScaleChoice {
    /// Instances of the full service; 0: not known, scalers go by percent. Default 0.
    pub replicas: u32,
    /// Stable shrinks as the candidate grows. Default false: it stays whole until the end.
    pub dynamic: bool,
}

/// A region: the candidate gets everything there, then its bake begins, then the next one's turn comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionChoice {
    /// As its routers call it.
    pub name: String,
    /// How long it is looked at before the next one. Default 0 s.
    pub bake: Span,
}

/// How long the candidate is watched after it got everything; a failed bake returns to stable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bake {
    /// How long. Default 0 s.
    pub duration: Span,
    /// Share of failed requests that ends it, within 0..=1. Absent: twice the baseline's rate and `margin_abs`.
    #[serde(alias = "errorRate", skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
}

/// What a rollout may cost its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlaChoice {
    /// Share of requests that succeed, within (0, 1). Default 0.999.
    pub target: f64,
    /// Seconds in which users of the candidate may fare worse than that. Default 30 s.
    pub impact: Span,
    /// From the decision to roll back until routers are seen at 0. Default 2 m.
    pub rollback: Span,
}

impl Default for SlaChoice {
    fn default() -> Self {
        Self {
            target: 0.999,
            impact: Span::seconds(30),
            rollback: Span::seconds(120),
        }
    }
}
