//! What a person should know, with its causes, delivered.

pub mod diagnose;
pub mod outbox;
pub mod paths;
pub mod recent;
pub mod route;
pub mod state;
pub mod words;
