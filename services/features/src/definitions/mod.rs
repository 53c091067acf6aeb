//! Definitions: what people write, what is registered of it, and what it comes to when it is served.
//!
//! A definition gets a new version when its meaning changes and not when its words do. Meaning is a hash of everything that
//! changes a value: entities, source, columns, aggregates, windows, time to live, defaults, scales and what they were fitted
//! to; of a service also the meaning of all that it reads.

mod check;
mod compile;
mod differences;
mod document;
mod recipe;
mod registry;
#[cfg(test)]
mod tests;
mod words;

pub use self::compile::{Catalogue, Output, Recipe, Served, shape_of};
pub use self::document::{Document, FeatureSpec, Metadata, Spec, ViewSpec, read};
pub use self::registry::{Action, Change, Fitted, Registered, Registry};
pub use self::words::{aggregate, duration, formula};

/// What comes with the program.
pub const BUILTIN: &str = include_str!("builtin.yaml");
