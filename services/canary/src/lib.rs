//! Canary control.

pub mod config;
pub mod decide;
pub mod document;
pub mod policy;
pub mod state;
pub mod terms;

pub use config::Config;
pub use decide::Decide;
