//! Features: facts become one vector of numbers, as known at one time.

pub mod context;
pub mod decay;
pub mod extract;
pub mod histogram;
pub mod paths;
pub mod schema;
pub mod state;
