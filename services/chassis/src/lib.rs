//! The shell every service of Auspex stands in.

pub mod verb;
pub use verb::{Input, Reject, Route, Verb};
