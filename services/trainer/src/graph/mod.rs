//! The served graph, written node by node: trees, `a * raw + b`, sigmoid. No converter is used, so what is in the file is what
//! stands here.

mod read;
mod write;

pub use read::{Found, read};
pub use write::{Naming, calibrated, write};
