//! Argo Rollouts' documents, conditions and phases, without the cluster.
//!
//! Everything here is arithmetic on texts: no clock, no file, no network. What Argo Rollouts does is kept bit by bit in
//! [`expr::Mode::Strict`]; [`expr::Mode::Safe`] makes "no data" an outcome of its own.
//!
//! - [`expr`]: conditions. [`measure`]: one measurement. [`assess`]: a metric. [`run`]: an analysis run and its times.
//! - [`metric`], [`provider`], [`template`], [`arguments`], [`jsonpath`]: what an analysis says. [`document`], [`mod@convert`], [`plan`]: documents. [`course`]: where a rollout stands.
//! - [`traps`]: what is allowed and rarely meant.
//!
//! ```
//! use auspex_argo::expr::{Mode, read};
//! use auspex_argo::measure::{Conditions, judge};
//! use auspex_argo::phase::Phase;
//!
//! let conditions = Conditions { success: "result[0] >= 0.95", failure: "" };
//! let result = read("[0.99]").unwrap();
//! assert_eq!(judge(&result, conditions, Mode::Strict).phase, Phase::Successful);
//! assert_eq!(judge(&read("[]").unwrap(), conditions, Mode::Strict).phase, Phase::Error);
//! assert_eq!(judge(&read("[]").unwrap(), conditions, Mode::Safe).phase, Phase::NoData);
//! ```

pub mod arguments;
pub mod assess;
pub mod convert;
pub mod course;
pub mod document;
pub mod duration;
pub mod expr;
pub mod jsonpath;
pub mod measure;
pub mod metric;
pub mod phase;
pub mod plan;
pub mod provider;
pub mod run;
pub mod template;
pub mod traps;
pub mod whole;
