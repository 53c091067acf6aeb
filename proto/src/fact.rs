//! Any fact: the border between the wire and the domain.

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::id::{FactId, Project};
use crate::invalid::Invalid;
use crate::meta::Meta;
use crate::subject::{self, FactKind, Partitions, push_token};
use crate::{
    Alert, Command, Decision, Event, FeatureRows, FeatureVector, Model, ObservationBatch, Score, Tick,
};

/// Any fact on the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Fact {
    Event(Event),
    Observations(ObservationBatch),
    Vector(FeatureVector),
    Score(Score),
    Decision(Decision),
    Alert(Alert),
    Command(Command),
    Model(Model),
    Tick(Tick),
    Rows(FeatureRows),
}

impl Fact {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FactKind {
        match self {
            Self::Event(_) => FactKind::Event,
            Self::Observations(_) => FactKind::Observation,
            Self::Vector(_) => FactKind::Vector,
            Self::Score(_) => FactKind::Score,
            Self::Decision(_) => FactKind::Decision,
            Self::Alert(_) => FactKind::Alert,
            Self::Command(_) => FactKind::Command,
            Self::Model(_) => FactKind::Model,
            Self::Tick(_) => FactKind::Tick,
            Self::Rows(_) => FactKind::Rows,
        }
    }

    /// Its head.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Event(f) => &f.meta,
            Self::Observations(f) => &f.meta,
            Self::Vector(f) => &f.meta,
            Self::Score(f) => &f.meta,
            Self::Decision(f) => &f.meta,
            Self::Alert(f) => &f.meta,
            Self::Command(f) => &f.meta,
            Self::Model(f) => &f.meta,
            Self::Tick(f) => &f.meta,
            Self::Rows(f) => &f.meta,
        }
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.meta().project
    }

    /// Where it goes.
    #[must_use]
    pub fn subject(&self, partitions: Partitions) -> String {
        let would;
        let leaf = match self {
            Self::Event(event) => event.body.kind(),
            Self::Observations(_) => "batch",
            Self::Vector(vector) => vector.feature_service.as_str(),
            Self::Score(score) => score.model.as_str(),
            // By service, so that a router finds the last decision about its own; what would have been done stands apart, or a
            // router that starts anew would find it in the place of what was.
            Self::Decision(decision) if decision.acts => decision.service.as_str(),
            Self::Decision(decision) => {
                would = format!("{}?", decision.service);
                &would
            }
            Self::Alert(_) => "alert",
            Self::Command(command) => command.rollout.as_str(),
            Self::Model(model) => model.name.as_str(),
            Self::Tick(_) => "tick",
            Self::Rows(rows) => rows.source.as_str(),
        };
        let project = self.project();
        subject::fact(partitions.of(project), self.kind(), project, leaf)
    }

    /// Its deduplication key on the bus: kind, project and id.
    #[must_use]
    pub fn message_id(&self) -> String {
        let meta = self.meta();
        message_id(self.kind(), &meta.project, &meta.id)
    }

    /// To bytes. The same fact gives the same bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Event(f) => f.to_wire().encode_to_vec(),
            Self::Observations(f) => f.to_wire().encode_to_vec(),
            Self::Vector(f) => f.to_wire().encode_to_vec(),
            Self::Score(f) => f.to_wire().encode_to_vec(),
            Self::Decision(f) => f.to_wire().encode_to_vec(),
            Self::Alert(f) => f.to_wire().encode_to_vec(),
            Self::Command(f) => f.to_wire().encode_to_vec(),
            Self::Model(f) => f.to_wire().encode_to_vec(),
            Self::Tick(f) => f.to_wire().encode_to_vec(),
            Self::Rows(f) => f.to_wire().encode_to_vec(),
        }
    }

    /// From bytes of a known kind.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn decode(kind: FactKind, bytes: &[u8]) -> Result<Self, Invalid> {
        Self::decode_body(kind, bytes).map_err(|fault| fault.within(kind.token()))
    }

    fn decode_body(kind: FactKind, bytes: &[u8]) -> Result<Self, Invalid> {
        match kind {
            FactKind::Event => Event::from_wire(wire(bytes)?).map(Self::Event),
            FactKind::Observation => ObservationBatch::from_wire(wire(bytes)?).map(Self::Observations),
            FactKind::Vector => FeatureVector::from_wire(wire(bytes)?).map(Self::Vector),
            FactKind::Score => Score::from_wire(wire(bytes)?).map(Self::Score),
            FactKind::Decision => Decision::from_wire(wire(bytes)?).map(Self::Decision),
            FactKind::Alert => Alert::from_wire(wire(bytes)?).map(Self::Alert),
            FactKind::Command => Command::from_wire(wire(bytes)?).map(Self::Command),
            FactKind::Model => Model::from_wire(wire(bytes)?).map(Self::Model),
            FactKind::Tick => Tick::from_wire(wire(bytes)?).map(Self::Tick),
            FactKind::Rows => FeatureRows::from_wire(wire(bytes)?).map(Self::Rows),
        }
    }
}

/// The deduplication key of a fact that is known by its head alone.
#[must_use]
pub fn message_id(kind: FactKind, project: &Project, id: &FactId) -> String {
    let (project, id) = (project.as_str(), id.as_str());
    let mut key = String::with_capacity(20 + project.len() + id.len());
    key.push_str(kind.token());
    key.push(':');
    push_token(&mut key, project);
    key.push(':');
    push_token(&mut key, id);
    key
}

fn wire<M: Message + Default>(bytes: &[u8]) -> Result<M, Invalid> {
    M::decode(bytes).map_err(|fault| Invalid::new("payload", fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::wire;

    fn meta() -> Meta {
        Meta {
            id: FactId::new("id-1").unwrap(),
            project: Project::new("acme/shop").unwrap(),
            time: Timestamp(1_700_000_000_000),
            cause: 7,
            source: "test".to_owned(),
        }
    }

    /// Old encodings must stay readable: these bytes were written once and are never to be changed.
    #[test]
    fn golden_bytes_of_a_tick() {
        let tick = Fact::Tick(Tick {
            meta: meta(),
            boundary: Timestamp(2_000),
            previous: Some(Timestamp(1_000)),
        });
        let golden = "0a200a0469642d31120961636d652f73686f701880d095ffbc3120072a047465737410d00f18e807";
        assert_eq!(hex::encode(tick.encode()), golden);
        assert_eq!(
            Fact::decode(FactKind::Tick, &hex::decode(golden).unwrap()).unwrap(),
            tick
        );
    }

    #[test]
    fn a_fault_names_the_whole_path() {
        let mut wire = wire::ObservationBatch {
            meta: meta().to_wire(),
            ..Default::default()
        };
        wire.observations.push(wire::Observation {
            service: "a".into(),
            metric: "m".into(),
            ..Default::default()
        });
        let fault = Fact::decode(FactKind::Observation, &wire.encode_to_vec()).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "observation.observations[0].length_ms: is not above 0"
        );
        assert!(
            Fact::decode(FactKind::Event, b"\xff\xff")
                .unwrap_err()
                .field
                .ends_with("payload")
        );
    }
}
