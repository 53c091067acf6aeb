//! The shell every service of Auspex stands in.
//!
//! A service brings a pure verb and its adapters; everything around them is written here, once: the bus and the one consumer
//! loop ([`stage`]), configuration ([`settings`]), the listener with authentication, deadlines and load shedding ([`serve`]),
//! telemetry, figures, ordered shutdown, the clock.
//!
//! *Invariants*: only this crate names the NATS client; what is acknowledged is on the log; what follows from a message
//! is published once its state is saved, or is made again of the same message ([`Speech`]); a stale owner can change nothing.

pub mod broker;
pub mod bus;
pub mod claim;
pub mod clock;
mod dead_letters;
pub mod follow;
mod gate;
pub mod house;
mod lag;
pub mod ledger;
pub mod logbook;
pub mod mesh;
pub mod metrics;
pub mod objects;
pub mod outbound;
pub mod place;
pub mod recover;
pub mod secret;
pub mod serve;
pub mod service;
pub mod settings;
pub mod shutdown;
pub mod stage;
pub mod telemetry;
pub mod testing;
pub mod tools;
pub mod transform;
pub mod verb;

pub use bus::{Bus, DeadLetter, Intake, Pending, PublishError, Receipt};
pub use claim::{Claim, Lost};
pub use follow::{Follow, Followed, From, Pulses};
pub use house::House;
pub use ledger::{Document, Ledger, SaveError};
pub use logbook::{Ends, Entry, LogReader, Origin, Refill, Refilled};
pub use mesh::{Mesh, Options, block_on, main, run};
pub use metrics::{Counter, Gauge, Metrics};
pub use objects::Objects;
pub use recover::{Recovered, recover};
pub use secret::Secret;
pub use service::{Part, ServiceSpec};
pub use settings::{Section, Settings};
pub use shutdown::{Group, Stop};
pub use stage::{Changed, Errand, Errands, Kept, Settle, View, Watch};
pub use transform::Transform;
pub use verb::{Input, Reject, Route, Speech, Verb};
