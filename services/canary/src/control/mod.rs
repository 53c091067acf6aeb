//! Control itself: which phase follows which ([`machine`]), and in which order scales and weights move ([`mod@order`]).
//!
//! What is asked ([`order::Asked`]) and what is seen ([`order::Seen`]) are different types: nothing here takes a wish for a
//! fact. Both are small enough to be explored exhaustively (`tests/model.rs`), together with routers, scalers, crashes and a
//! controller that was paused past its lease.

pub mod machine;
pub mod order;

pub use self::machine::after;
pub use self::order::{Aim, Asked, Order, Rules, Seen, Wait, order};
