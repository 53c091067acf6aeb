//! What any two services of Auspex must agree upon.
//!
//! The wire types are generated into [`wire`]; everything else here is the *domain*: types in which a wrong state
//! cannot be said. Conversion happens at the border ([`Fact::decode`], [`Fact::encode`]): whatever passed it is valid.
//!
//! *Invariants*: proto files are append only; only [`subject`] holds subject strings; a domain value that exists is valid.

pub mod alert;
pub mod command;
pub mod decision;
pub mod event;
pub mod fact;
pub mod id;
pub mod intent;
pub mod invalid;
pub mod issue;
pub mod kind;
pub mod meta;
pub mod model;
pub mod observation;
pub mod recalibration;
pub mod report;
pub mod rows;
pub mod sample;
pub mod score;
pub mod seen;
pub mod stage;
pub mod subject;
pub mod tick;
pub mod time;
pub mod token;
pub mod vector;

/// Made of the contracts, with lints of their own.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic
)]
mod generated {
    /// The generated wire types and gRPC services. Nothing beyond the border should name them.
    pub mod wire {
        tonic::include_proto!("auspex.v1");
    }

    /// `EventService` as its server takes it: each fact as the bytes that came, which are read once
    /// ([`Fact::decode`](crate::Fact::decode)) and are what the log gets.
    pub mod door {
        include!(concat!(env!("OUT_DIR"), "/door/auspex.v1.rs"));
    }

    /// The Open Inference Protocol, version 2: others' names.
    pub mod open_inference {
        tonic::include_proto!("inference");
    }
}

/// All contracts as an encoded `FileDescriptorSet`: what gRPC reflection tells.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use alert::Alert;
pub use command::Command;
pub use decision::Decision;
pub use event::Event;
pub use fact::Fact;
pub use generated::{door, open_inference, wire};
pub use id::{FactId, Project, Revision, RolloutName, ServiceName};
pub use intent::Intent;
pub use invalid::Invalid;
pub use meta::{Entity, EntityKind, Meta};
pub use model::Model;
pub use observation::{Observation, ObservationBatch, Track};
pub use recalibration::{Recalibrated, Recalibration};
pub use report::RouterReport;
pub use rows::FeatureRows;
pub use score::Score;
pub use subject::{FactKind, Partition, Partitions};
pub use tick::Tick;
pub use time::Timestamp;
pub use vector::FeatureVector;
