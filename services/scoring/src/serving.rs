//! What scores at this moment, and how a vector is scored by it.
//!
//! The table is replaced as a whole: a batch takes it once and is scored by what it took, so that no vector is dropped or scored
//! twice while a version changes, and a score names the version that made it. What is replaced finishes what it was given.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use auspex_proto::score::{Band, OtherScore, Trial};
use auspex_proto::{FeatureVector, Score};

use crate::deal;
use crate::mitigate::{APPROVAL, Rule, mitigations};
use crate::model::Model;
use crate::pool::Pool;
use crate::runtime::{Reasons, ScoreFault};
use crate::score::Scored;
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

/// How scores are made of what a version says.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What is worth doing at which risk.
    pub rules: Vec<Rule>,
    /// Share of what would be held back that is let go to learn from, 0..=0.5.
    pub quota: f64,
}

/// The table, for whoever scores.
#[derive(Debug, Clone)]
pub struct Serving {
    table: Arc<RwLock<Arc<Table>>>,
    terms: Arc<Terms>,
}

/// A vector and what became of it.
#[derive(Debug)]
pub struct Dealt {
    /// As it came.
    pub vector: FeatureVector,
    /// Its score, or why it has none.
    pub given: Result<Given, ScoreFault>,
}

/// A score on its way into a fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// What the version says.
    pub scored: Scored,
    /// Which version.
    pub model: String,
    /// What is worth doing.
    pub mitigations: Vec<String>,
    /// What it was part of.
    pub trial: Trial,
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

    fn mismatch(&self, vector: &FeatureVector) -> ScoreFault {
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

impl Serving {
    /// Serves nothing yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            table: Arc::default(),
            terms: Arc::new(terms),
        }
    }

    /// What scores at this moment.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the table; whoever scores sees the one before or the one after.
    pub fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut slot = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&slot);
        change(&mut table);
        *slot = Arc::new(table);
    }

    /// Scores vectors, in order.
    pub async fn score(&self, vectors: Vec<FeatureVector>, when: Reasons) -> Vec<Dealt> {
        let table = self.table();
        let mut places: BTreeMap<String, (Arc<Served>, Deal)> = BTreeMap::new();
        let mut found: Vec<Option<Dealt>> = Vec::with_capacity(vectors.len());
        for (place, vector) in vectors.into_iter().enumerate() {
            found.push(None);
            let Some((served, lineup)) = self.dealt(&table, &vector) else {
                let given = Err(table.mismatch(&vector));
                if let Some(slot) = found.last_mut() {
                    *slot = Some(Dealt { vector, given });
                }
                continue;
            };
            let (_, deal) = places
                .entry(served.model.label.clone())
                .or_insert_with(|| (served, Deal::of(lineup)));
            deal.places.push(place);
            deal.vectors.push(vector);
        }
        for (served, deal) in places.into_values() {
            let (at, done) = self.ask(&served, deal, when).await;
            for (place, dealt) in at.into_iter().zip(done) {
                if let Some(slot) = found.get_mut(place) {
                    *slot = Some(dealt);
                }
            }
        }
        found.into_iter().flatten().collect()
    }

    /// Which version a vector is dealt, out of which lineup.
    fn dealt<'a>(&self, table: &'a Table, vector: &FeatureVector) -> Option<(Arc<Served>, &'a Lineup)> {
        let lineup = table.reading(&vector.schema_hash)?;
        let champion = lineup.champion()?;
        let challenger = lineup
            .arms
            .get(&Arm::Challenger)
            .filter(|served| served.percent > 0);
        let taken = challenger.filter(|s| deal::challenged(&s.experiment, &deal::unit(vector), s.percent));
        Some((Arc::clone(taken.unwrap_or(champion)), lineup))
    }

    /// Asks a version about its vectors, then those beside it about the same.
    async fn ask(&self, served: &Arc<Served>, deal: Deal, when: Reasons) -> (Vec<usize>, Vec<Dealt>) {
        let beside = deal.lineup.beside(&served.model.label);
        let copies = if beside.is_empty() {
            Vec::new()
        } else {
            deal.vectors.clone()
        };
        let trial = deal.lineup.trial(&served.model.label);
        let done = served.pool.score(deal.vectors, when).await;
        let mut dealt: Vec<Dealt> = done
            .into_iter()
            .map(|(vector, scored)| {
                let given = scored.map(|scored| self.given(&vector, scored, &served.model.label, &trial));
                Dealt { vector, given }
            })
            .collect();
        for (arm, other) in beside {
            let said = other.pool.score(copies.clone(), Reasons::Never).await;
            for (dealt, (_, said)) in dealt.iter_mut().zip(said) {
                // One that is only listened to spoils nothing by its silence.
                if let (Ok(given), Ok(said)) = (&mut dealt.given, said) {
                    given.trial.others.push(OtherScore {
                        model: other.model.label.clone(),
                        arm: arm.name().to_owned(),
                        p_failure: said.p_failure,
                        low: said.low,
                        high: said.high,
                    });
                }
            }
        }
        (deal.places, dealt)
    }

    fn given(&self, vector: &FeatureVector, scored: Scored, model: &str, trial: &Trial) -> Given {
        let mut worth = mitigations(
            &self.terms.rules,
            scored.band,
            vector.entity.kind,
            &scored.reasons,
        );
        let mut trial = trial.clone();
        if scored.band == Band::High && self.terms.quota > 0.0 && worth.iter().any(|word| word == APPROVAL) {
            trial.propensity = self.terms.quota;
            trial.quota = deal::released(&deal::unit(vector), self.terms.quota);
            if trial.quota {
                worth.retain(|word| word != APPROVAL);
            }
        }
        Given {
            scored,
            model: model.to_owned(),
            mitigations: worth,
            trial,
        }
    }
}

/// Vectors of a batch that one version is asked about.
struct Deal {
    lineup: Lineup,
    places: Vec<usize>,
    vectors: Vec<FeatureVector>,
}

impl Deal {
    fn of(lineup: &Lineup) -> Self {
        Self {
            lineup: lineup.clone(),
            places: Vec::new(),
            vectors: Vec::new(),
        }
    }
}

impl Lineup {
    /// Those that are listened to beside this version.
    fn beside(&self, label: &str) -> Vec<(Arm, Arc<Served>)> {
        let others = self.arms.iter().filter(|(_, served)| served.model.label != label);
        others.map(|(arm, served)| (*arm, Arc::clone(served))).collect()
    }

    /// What a score of this version is part of.
    fn trial(&self, label: &str) -> Trial {
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

/// The Score that follows from a vector at this sequence of the log; 0 when it never stood there.
#[must_use]
pub fn fact(seq: u64, vector: FeatureVector, given: Given) -> Score {
    use auspex_proto::{FactId, Meta, stage};
    let stage = stage::SCORING.name;
    Score {
        meta: Meta {
            // By the vector's own cause: a vector that is on the log twice, beyond the server's memory of repeats, has one score.
            id: FactId::derived(stage, vector.meta.cause, vector.meta.id.as_str(), 0),
            project: vector.meta.project,
            time: vector.meta.time,
            cause: seq,
            source: stage.to_owned(),
        },
        entity: vector.entity,
        p_failure: given.scored.p_failure,
        low: given.scored.low,
        high: given.scored.high,
        band: given.scored.band,
        model: given.model,
        schema_hash: vector.schema_hash,
        reasons: given.scored.reasons,
        missing: given.scored.missing,
        mitigations: given.mitigations,
        trial: given.trial,
    }
}
