//! Argo Rollouts' documents, conditions and phases, without the cluster.

pub mod duration;
pub mod expr;
