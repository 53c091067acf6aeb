//! What the registry knows and what may happen to it: pure.

pub mod head;
pub mod safety;
pub mod trial;
pub mod version;

pub use head::{Alias, Cause, Change, Gift, Head, Refusal};
pub use version::{Kept, Version};
