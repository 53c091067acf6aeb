//! Which versions there are at a moment, by model and by the part they play.

use std::collections::BTreeMap;
use std::sync::Arc;

use auspex_proto::FeatureVector;
use auspex_proto::score::Trial;

use crate::model::Model;
use crate::pool::Pool;
use crate::runtime::ScoreFault;
use crate::wanted::Arm;

/// A version with its threads.
#[derive(Debug)]
pub struct Served {
    /// It.
    pub model: Arc<Model>,
    /// What scores with it.
    pub pool: Pool,
    /// Sequence of the fact that asked for it; 0: it came with the program or the configuration.
    pub since: u64,
    /// Of a challenger: its share of units, 0..=100.
    pub percent: u8,
    /// The experiment that decides about it.
    pub experiment: String,
}

/// The versions of one model.
#[derive(Debug, Clone, Default)]
pub struct Lineup {
    /// By the part they play.
    pub arms: BTreeMap<Arm, Arc<Served>>,
    /// What could not be followed, by arm: sequence of the fact, and why.
    pub refused: BTreeMap<Arm, (u64, String)>,
}

/// All models, by name.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// By the model's name.
    pub lineups: BTreeMap<String, Lineup>,
}

impl Lineup {
    /// The version that scores when nothing is tried.
    #[must_use]
    pub fn champion(&self) -> Option<&Arc<Served>> {
        self.arms.get(&Arm::Champion)
    }
}

impl Table {
    /// The versions that read vectors of this schema.
    #[must_use]
    pub fn reading(&self, schema_hash: &str) -> Option<&Lineup> {
        let reads = |lineup: &&Lineup| {
            let champion = lineup.champion();
            champion.is_some_and(|served| served.model.manifest.feature_schema_sha256 == schema_hash)
        };
        self.lineups.values().find(reads)
    }

    /// The version of a name: `change-risk@3`, `change-risk`, or empty for what reads this schema.
    #[must_use]
    pub fn named(&self, name: &str, schema_hash: &str) -> Option<Arc<Served>> {
        if name.is_empty() {
            return self.reading(schema_hash)?.champion().cloned();
        }
        if let Some(lineup) = self.lineups.get(name) {
            return lineup.champion().cloned();
        }
        let all = self.lineups.values().flat_map(|lineup| lineup.arms.values());
        all.into_iter().find(|served| served.model.label == name).cloned()
    }

    /// Whether nothing that is served reads such vectors, nor those of another version of their feature service.
    #[must_use]
    pub fn is_deaf(&self, vector: &FeatureVector) -> bool {
        let name = |service: &str| service.split('@').next().unwrap_or_default().to_owned();
        let wanted = name(&vector.feature_service);
        let mut champions = self.lineups.values().filter_map(Lineup::champion);
        self.reading(&vector.schema_hash).is_none()
            && !champions.any(|served| name(&served.model.manifest.feature_service) == wanted)
    }

    pub(crate) fn mismatch(&self, vector: &FeatureVector) -> ScoreFault {
        let champions: Vec<&Arc<Served>> = self.lineups.values().filter_map(Lineup::champion).collect();
        let same = champions
            .iter()
            .find(|served| served.model.manifest.feature_service == vector.feature_service);
        let model = same
            .or(champions.first())
            .map(|served| served.model.manifest.feature_schema_sha256.clone());
        ScoreFault::Schema {
            vector: vector.schema_hash.clone(),
            model: model.unwrap_or_else(|| "none".to_owned()),
        }
    }
}

impl Lineup {
    /// Those that are listened to beside this version.
    pub(crate) fn beside(&self, label: &str) -> Vec<(Arm, Arc<Served>)> {
        let others = self.arms.iter().filter(|(_, served)| served.model.label != label);
        others.map(|(arm, served)| (*arm, Arc::clone(served))).collect()
    }

    /// What a score of this version is part of.
    pub(crate) fn trial(&self, label: &str) -> Trial {
        let Some(challenger) = self.arms.get(&Arm::Challenger) else {
            return Trial::default();
        };
        let arm = if challenger.model.label == label {
            Arm::Challenger
        } else {
            Arm::Champion
        };
        Trial {
            arm: arm.name().to_owned(),
            experiment: challenger.experiment.clone(),
            ..Trial::default()
        }
    }
}
