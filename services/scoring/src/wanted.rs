//! What the facts about models add up to: which version should score under which name.

use std::collections::BTreeMap;

use auspex_proto::Model;

/// A part that a version plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// It scores.
    Champion,
    /// It scores a share of the units, and the others beside the champion.
    Challenger,
    /// It is asked beside the champion; nobody acts on it.
    Shadow,
}

/// All arms, the champion first: what the others are compared with must be there before them.
pub const ARMS: [Arm; 3] = [Arm::Champion, Arm::Challenger, Arm::Shadow];

impl Arm {
    /// Of an alias; `None` of one that is for people.
    #[must_use]
    pub fn of(alias: &str) -> Option<Self> {
        ARMS.into_iter().find(|arm| arm.name() == alias)
    }

    /// As an alias.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
            Self::Shadow => "shadow",
        }
    }
}

/// The newest fact of each model's name and arm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    facts: BTreeMap<(String, Arm), (u64, Model)>,
}

impl Wanted {
    /// Notes a fact; of two about the same the one later in the log stays.
    pub fn note(&mut self, seq: u64, model: Model) {
        let Some(arm) = Arm::of(&model.alias) else {
            return;
        };
        let slot = (model.name.clone(), arm);
        if self.facts.get(&slot).is_none_or(|(before, _)| *before < seq) {
            self.facts.insert(slot, (seq, model));
        }
    }

    /// What should score, by name and arm, with its place in the log; `removed` facts too.
    pub fn all(&self) -> impl Iterator<Item = (&str, Arm, u64, &Model)> {
        self.facts
            .iter()
            .map(|((name, arm), (seq, model))| (name.as_str(), *arm, *seq, model))
    }
}

#[cfg(test)]
mod tests {
    use auspex_proto::{FactId, Meta, Project, Timestamp};

    use super::*;

    fn model(version: &str, alias: &str) -> Model {
        Model {
            meta: Meta {
                id: FactId::new(version).unwrap(),
                project: Project::all(),
                time: Timestamp(0),
                cause: 0,
                source: String::new(),
            },
            name: "m".to_owned(),
            version: version.to_owned(),
            location: "file:///m".to_owned(),
            sha256: "0".repeat(64),
            schema_hash: String::new(),
            alias: alias.to_owned(),
            percent: 0,
            experiment: String::new(),
            removed: false,
            actor: String::new(),
            note: String::new(),
            recalibration: None,
        }
    }

    #[test]
    fn the_later_fact_stands_and_champions_come_first() {
        let mut wanted = Wanted::default();
        wanted.note(7, model("3", "challenger"));
        wanted.note(5, model("2", "champion"));
        wanted.note(3, model("1", "champion"));
        wanted.note(9, model("9", "staging"));
        let found: Vec<_> = wanted
            .all()
            .map(|(_, arm, seq, m)| (arm, seq, m.version.clone()))
            .collect();
        assert_eq!(
            found,
            [
                (Arm::Champion, 5, "2".to_owned()),
                (Arm::Challenger, 7, "3".to_owned())
            ]
        );
    }
}
