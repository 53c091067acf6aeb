//! The embedded data plane: a weighted HTTP/1.1 reverse proxy.
pub mod body;
pub mod config;
mod exchange;
mod forward;
pub mod headers;
pub mod health;
mod lane;
mod link;
pub mod origin;
pub mod plan;
pub mod plane;
pub mod report;
pub mod route;
mod serve;
pub mod split;
pub mod tally;
mod tunnel;

pub use plane::Plane;
pub use serve::serve;
