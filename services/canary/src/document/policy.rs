//! How weight is raised, as a document says it. What is left out is filled from the configuration.

use serde::{Deserialize, Serialize};

use super::Span;
use crate::policy::adaptive::Preset;

/// At most one of the three; none: `budget` as configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyChoice {
    /// Weights and pauses, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// By bands of confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveChoice>,
    /// By the harm that is bearable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetChoice>,
}

/// One step, in Argo's semantics: exactly one of the four.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// The candidate's share, 0..=100; done when the router has it.
    #[serde(rename = "setWeight", skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<u8>,
    /// A wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// From here on these of the cohorts that steps name have their track, and no others; done at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cohorts: Option<Vec<String>>,
    /// From here on so many percent of requests are copied to the candidate, 0..=100; done at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<u8>,
    /// Beside a pause without a duration: the analysis whose success ends it. Who resumes lets it run anew.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub analysis: String,
}

impl Step {
    /// The same with twice the pause.
    #[must_use]
    pub fn longer(&self) -> Self {
        let mut step = self.clone();
        let pause = step.pause.as_mut().and_then(|pause| pause.duration.as_mut());
        pause.into_iter().for_each(|span| *span = span.twice());
        step
    }
}

/// A wait between weights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pause {
    /// How long; absent: until a person resumes or promotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident over $full:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        impl $name {
            /// What is configured, with what the document says in its place.
            #[must_use]
            pub fn over(&self, configured: &crate::policy::$full) -> crate::policy::$full {
                crate::policy::$full { $($field: self.$field.unwrap_or(configured.$field)),* }
            }
        }
    };
}

choice!(
    /// Overrides of [`crate::policy::Adaptive`].
    AdaptiveChoice over Adaptive {
        /// Confidence from which weight is raised fast.
        high: f64,
        /// Confidence from which it is raised gradually.
        moderate: f64,
        /// Confidence below which it is limited; between this and `moderate` it is held.
        low: f64,
        /// Percentage points of a fast raise.
        fast: u8,
        /// Percentage points of a gradual raise.
        gradual: u8,
        /// Greatest weight below `low`.
        limit: u8,
        /// Greatest weight before the evidence says "no worse".
        ceiling: u8,
        /// Confidence below which to roll back; 0: never by confidence alone.
        rollback: f64,
        /// `bands`, or `classic`: fixed increments and two thresholds.
        preset: Preset,
        /// Classic: percentage points of a raise below half of the traffic.
        below: u8,
        /// Classic: percentage points of a raise from there on.
        above: u8,
        /// Classic: P(failure) above which to roll back.
        p_failure: f64,
        /// Classic: live error rate above which to roll back.
        error_rate: f64,
    }
);
choice!(
    /// Overrides of [`crate::policy::Budget`].
    BudgetChoice over Budget {
        /// Requests that the rollout may harm in all.
        harmed: u64,
        /// Share of what is left of it that one raise may put at stake.
        stake: f64,
        /// Greatest first weight.
        first_weight: u8,
        /// Greatest factor of one raise.
        growth: f64,
        /// Greatest weight before the evidence says "no worse".
        ceiling: u8,
        /// Share of requests that a bad change is taken to harm before anything is known.
        plausible_effect: f64,
    }
);
