//! Conditions: expr-lang (v1.17.8) as Argo Rollouts uses it.
//!
//! A condition is compiled against its result, because expr-lang is typed: what a provider gives decides whether
//! `result[0] > "a"` is an error at once. Then it is run, and must give a truth.

mod builtin;
mod check;
mod functions;
mod lists;
mod nature;
mod number;
mod operators;
mod parse;
mod read;
mod rewrite;
mod run;
mod times;
mod token;
mod tree;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::number::{integer as whole, show as show_float};
pub use self::read::{Unreadable, read};
pub use self::value::{Function, Key, Of, Value};

pub use self::times::moment;

/// Longest condition that is read, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// Whether Argo's quirks are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bit by bit as Argo Rollouts does it.
    #[default]
    Strict,
    /// `default` and `isNil` look at what they are given, and no data is an outcome of its own.
    Safe,
}

/// When a condition failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Before it ran: it can never be right for such a result.
    Compile,
    /// While it ran.
    Run,
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It cannot be read.
    Syntax,
    /// It speaks of something that there is not.
    UnknownName,
    /// Operands or arguments do not fit each other.
    TypeMismatch,
    /// A list is shorter than that.
    IndexOutOfRange,
    /// A text is not a number.
    Conversion,
    /// It gave something else than true or false.
    NotBool,
    /// The result is null or empty.
    NoData,
    /// Too much work or memory.
    Limit,
    /// The measurement itself failed.
    Provider,
    /// Anything else while it ran.
    Runtime,
}

impl Class {
    /// Its name in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownName => "unknown_name",
            Self::TypeMismatch => "type_mismatch",
            Self::IndexOutOfRange => "index_out_of_range",
            Self::Conversion => "conversion",
            Self::NotBool => "not_bool",
            Self::NoData => "no_data",
            Self::Limit => "limit",
            Self::Provider => "provider",
            Self::Runtime => "runtime",
        }
    }
}

/// Why a condition has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Fault {
    /// When.
    pub stage: Stage,
    /// What kind.
    pub class: Class,
    /// In words.
    pub message: String,
}

impl Fault {
    fn new(stage: Stage, class: Class, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            stage,
            class,
            message,
        }
    }

    fn syntax(message: impl Into<String>) -> Self {
        Self::new(Stage::Compile, Class::Syntax, message)
    }

    fn typed(message: impl Into<String>) -> Self {
        Self::new(Stage::Compile, Class::TypeMismatch, message)
    }

    fn unknown_name(name: &str) -> Self {
        Self::new(Stage::Compile, Class::UnknownName, format!("unknown name {name}"))
    }

    fn run(class: Class, message: impl Into<String>) -> Self {
        Self::new(Stage::Run, class, message)
    }
}

/// What a condition sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Env {
    /// The measurement; `None` where there is none: the times of a range query.
    pub result: Option<Value>,
    /// Strict or safe.
    pub mode: Mode,
    /// Nanoseconds since 1970 that `now()` gives.
    pub now: i128,
}

impl Env {
    /// Of a measurement.
    #[must_use]
    pub fn of(result: Value, mode: Mode) -> Self {
        Self {
            result: Some(result),
            mode,
            now: 0,
        }
    }

    fn names(&self) -> BTreeMap<String, nature::Nature> {
        let functions: &[Function] = match self.result {
            Some(_) => &Function::ALL,
            None => &[Function::IsNan, Function::IsInf],
        };
        let functions = functions
            .iter()
            .map(|function| (function.name().to_owned(), nature::Nature::Function(*function)));
        let result = self.result.as_ref();
        let result = result.map(|value| ("result".to_owned(), nature::Nature::of(value)));
        functions.chain(result).collect()
    }
}

/// Compiles and runs an expression.
///
/// # Errors
/// [`Fault`]: when it is wrong for such an environment, or fails.
pub fn evaluate(text: &str, env: &Env) -> Result<Value, Fault> {
    if text.len() > LONGEST {
        return Err(Fault::syntax(format!("is longer than {LONGEST} bytes")));
    }
    let mut tree = parse::parse(text)?;
    check::Checker::new(&env.names()).visit(&mut tree)?;
    rewrite::rewrite(&mut tree);
    run::run(&tree, env)
}

/// Whether a condition holds.
///
/// # Errors
/// [`Fault`]: as [`evaluate`], or when it gives something else than a truth.
pub fn holds(text: &str, env: &Env) -> Result<bool, Fault> {
    match evaluate(text, env)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(Fault::run(
            Class::NotBool,
            format!("expected bool, but got {}", other.type_name()),
        )),
    }
}

/// Whether a condition can be read at all, whatever the result will be.
///
/// # Errors
/// [`Fault`] of class `syntax`.
pub fn readable(text: &str) -> Result<(), Fault> {
    parse::parse(text).map(|_| ())
}

#[cfg(test)]
mod tests;
