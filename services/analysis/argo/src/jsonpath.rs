//! Kubernetes' JSONPath, as Argo Rollouts' web metric uses it: the first value that a template finds.
//!
//! `{$.data.ok}`, `{.items[0].name}`, `{.items[-1]}`, `{.items[1:3]}`, `{.items[*].x}`, `{..name}`, `{.a['b','c']}`,
//! `{.items[?(@.name=="x")].value}`. Loops (`range`, `end`) are refused: a metric is one value.

mod find;
mod path;

use serde_json::Value as Json;
use thiserror::Error;

/// Why a path finds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("{0}")]
    Syntax(String),
    /// It leads nowhere in this document.
    #[error("Could not find JSONPath in body: {0}")]
    Missing(String),
    /// It is right, and there is nothing.
    #[error("result of web metric produced no value")]
    Nothing,
}

/// Deepest nesting of a path, and of a document that is searched through.
const DEEPEST: usize = 32;

/// A step of a path.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    List(Vec<Node>),
    Text(String),
    Field(String),
    /// `[from:to:step]`; the flag: `to` was not written, one element is meant.
    Slice(Option<i64>, Option<i64>, Option<i64>, bool),
    Filter(Vec<Node>, Vec<Node>, String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Wildcard,
    Recursive,
    Union(Vec<Vec<Node>>),
}

/// The first value that a template finds. An empty one means the whole document.
///
/// # Errors
/// [`Fault`].
pub fn first(template: &str, document: &Json) -> Result<Json, Fault> {
    let template = if template.is_empty() { "{$}" } else { template };
    let nodes = path::parse(template)?;
    let mut first = None;
    // Every part is walked, so that a fault in a later one is told too.
    for node in &nodes {
        let found = find::walk(vec![document.clone()], node).map_err(Fault::Missing)?;
        first = first.or_else(|| found.into_iter().next());
    }
    first.ok_or(Fault::Nothing)
}

/// Whether a template can be read.
///
/// # Errors
/// [`Fault::Syntax`].
pub fn readable(template: &str) -> Result<(), Fault> {
    path::parse(template).map(|_| ())
}

#[cfg(test)]
mod tests;
