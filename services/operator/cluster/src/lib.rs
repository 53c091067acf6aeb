//! The door to a Kubernetes API server, as those who steer through one need it.
//!
//! Objects are JSON as the server gives them: whoever changes a part of an object gives the rest back as it was. What may
//! be asked of the server is declared ([`access::Grant`]) and equals what `deploy/kubernetes/` grants; a request that is not
//! declared does not leave the process. Why a request failed is told apart by what follows from it ([`fault::Fault`]).
//!
//! Without the feature `kubernetes` only what is pure is here: no client is built.

pub mod access;
pub mod fault;
pub mod lease;
pub mod patch;
pub mod place;

#[cfg(feature = "kubernetes")]
pub mod client;
#[cfg(feature = "kubernetes")]
pub mod leader;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "kubernetes")]
pub mod watch;

pub use access::{Asked, Grant};
#[cfg(feature = "kubernetes")]
pub use client::{Cluster, Reach};
pub use fault::Fault;
#[cfg(feature = "kubernetes")]
pub use leader::{Leadership, lead};
pub use patch::{Change, Patch};
pub use place::{Kind, Place};
#[cfg(feature = "kubernetes")]
pub use watch::{Seen, watch};
