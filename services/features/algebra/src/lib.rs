//! The algebra of features, without any IO: what a stream, a backfill, a training set and a question share.
//!
//! A source's rows of one entity are kept as [`Ledger`]: the latest row, and [`Tile`]s of hops, each hop a [`Partial`] per
//! column. A feature is a way to read a ledger at a time: [`evaluate()`]. [`join()`] reads many ledgers at many times, as
//! each was known then. Because all of them run this code, what is trained on is what is served.
//!
//! *Invariants*: the order in which rows come changes no value but by rounding; a row that comes twice counts once; a window
//! reaches from a hop's start to the very moment asked for (sawtooth); nothing after that moment is seen; no row of a
//! question is dropped, and each value says why it is there or not.

pub mod decayed;
pub mod distinct;
pub mod drift;
pub mod evaluate;
pub mod exact;
pub mod expression;
pub mod gamma;
pub mod hop;
pub mod join;
pub mod ledger;
pub mod moments;
pub mod partial;
pub mod row;
pub mod scale;
pub mod season;
pub mod sketch;
pub mod tile;

pub use decayed::Decayed;
pub use distinct::Distinct;
pub use evaluate::{Aggregate, Feature, View, evaluate, steady_until};
pub use exact::Exact;
pub use expression::Expression;
pub use hop::Resolution;
pub use join::{Known, join};
pub use ledger::Ledger;
pub use moments::Moments;
pub use partial::{Hop, Partial};
pub use row::{Cell, Column, Keep, Row, Shape, Status, Value};
pub use scale::{Method, Scale};
pub use sketch::Sketch;
pub use tile::{Latest, Tile};
