//! What scores at this moment, and how a vector is scored by it.
//!
//! The table is replaced as a whole: a batch takes it once and is scored by what it took, so that no vector is dropped or scored
//! twice while a version changes, and a score names the version that made it. What is replaced finishes what it was given.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use auspex_proto::score::{Band, OtherScore, Trial};
use auspex_proto::{FeatureVector, Model as ModelFact, Recalibrated, Score};

use crate::deal;
use crate::mitigate::{APPROVAL, Rule, mitigations};
use crate::readings::{Readings, Recalibrate};
use crate::runtime::{Reasons, ScoreFault};
use crate::score::Scored;
pub use crate::table::{Lineup, Served, Table};
use crate::wanted::Arm;

/// How scores are made of what a version says.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What is worth doing at which risk.
    pub rules: Vec<Rule>,
    /// Share of what would be held back that is let go to learn from, 0..=0.5.
    pub quota: f64,
    /// What becomes of what outcomes have taught.
    pub recalibrate: Recalibrate,
}

/// The table, for whoever scores.
#[derive(Debug, Clone)]
pub struct Serving {
    table: Arc<RwLock<Arc<Table>>>,
    readings: Arc<RwLock<Readings>>,
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
    /// What outcomes have taught about such scores.
    pub recalibration: Option<Recalibrated>,
}

impl Serving {
    /// Serves nothing yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            table: Arc::default(),
            readings: Arc::default(),
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

    /// Notes how a version is to be read.
    pub fn note(&self, seq: u64, fact: &ModelFact) {
        let mut readings = self.readings.write().unwrap_or_else(PoisonError::into_inner);
        readings.note(seq, fact);
    }

    /// Projects in which a version is not read as it is; 0 when nothing of the kind is served.
    #[must_use]
    pub fn recalibrated(&self, label: &str) -> usize {
        let readings = self.readings.read().unwrap_or_else(PoisonError::into_inner);
        match self.terms.recalibrate {
            Recalibrate::Serve => readings.projects(label),
            Recalibrate::Tell | Recalibrate::None => 0,
        }
    }

    /// Reads what a version says about a vector, which stands at this sequence of the log or (0) nowhere.
    pub fn read(
        &self,
        served: &Served,
        (seq, vector): (u64, &FeatureVector),
        scored: &mut Scored,
    ) -> Option<Recalibrated> {
        let of = (served.model.label.as_str(), &vector.meta.project, seq);
        let readings = self.readings.read().unwrap_or_else(PoisonError::into_inner);
        readings.read(of, self.terms.recalibrate, served.model.manifest.bands, scored)
    }

    /// Scores vectors, in order; each with its sequence in the log, 0 when it never stood there.
    pub async fn score(&self, vectors: Vec<(u64, FeatureVector)>, when: Reasons) -> Vec<Dealt> {
        let table = self.table();
        let mut places: BTreeMap<String, (Arc<Served>, Deal)> = BTreeMap::new();
        let mut found: Vec<Option<Dealt>> = Vec::with_capacity(vectors.len());
        for (place, (seq, vector)) in vectors.into_iter().enumerate() {
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
            deal.seqs.push(seq);
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
        let mut read: Vec<Read> = done
            .into_iter()
            .zip(&deal.seqs)
            .map(|((vector, scored), seq)| {
                let scored = scored.map(|mut scored| {
                    let recalibration = self.read(served, (*seq, &vector), &mut scored);
                    (scored, recalibration)
                });
                (vector, scored)
            })
            .collect();
        if when == Reasons::WhenNotable {
            explain_raised(served, &mut read).await;
        }
        let mut dealt: Vec<Dealt> = read
            .into_iter()
            .map(|(vector, scored)| {
                let given = scored.map(|scored| self.given(&vector, scored, &served.model.label, &trial));
                Dealt { vector, given }
            })
            .collect();
        for (arm, other) in beside {
            let said = other.pool.score(copies.clone(), Reasons::Never).await;
            for ((dealt, (_, said)), seq) in dealt.iter_mut().zip(said).zip(&deal.seqs) {
                // One that is only listened to spoils nothing by its silence.
                if let (Ok(given), Ok(mut said)) = (&mut dealt.given, said) {
                    let read = self.read(&other, (*seq, &dealt.vector), &mut said);
                    given.trial.others.push(OtherScore {
                        model: other.model.label.clone(),
                        arm: arm.name().to_owned(),
                        p_failure: said.p_failure,
                        low: said.low,
                        high: said.high,
                        raw: read.map(|read| read.raw),
                    });
                }
            }
        }
        (deal.places, dealt)
    }

    fn given(
        &self,
        vector: &FeatureVector,
        (scored, recalibration): (Scored, Option<Recalibrated>),
        model: &str,
        trial: &Trial,
    ) -> Given {
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
            recalibration,
        }
    }
}

/// A vector and what a version says of it, read as it is to be read.
type Read = (FeatureVector, Result<(Scored, Option<Recalibrated>), ScoreFault>);

/// Finds reasons for what is notable only by what outcomes have taught: the version thought nothing of it, and gave none.
async fn explain_raised(served: &Served, read: &mut [Read]) {
    let bands = served.model.manifest.bands;
    let raised = |(_, scored): &&mut Read| {
        scored.as_ref().is_ok_and(|(scored, how)| {
            let before = how.map_or(scored.band, |how| Band::of(how.raw, bands));
            scored.band != Band::Low && before == Band::Low && scored.reasons.is_empty()
        })
    };
    let raised: Vec<&mut Read> = read.iter_mut().filter(raised).collect();
    if raised.is_empty() {
        return;
    }
    let wanting = |(vector, _): &&mut Read| FeatureVector {
        wants_reasons: true,
        ..vector.clone()
    };
    let asked = raised.iter().map(wanting).collect();
    let explained = served.pool.score(asked, Reasons::WhenNotable).await;
    for ((_, scored), (_, found)) in raised.into_iter().zip(explained) {
        if let (Ok((scored, _)), Ok(found)) = (scored, found) {
            scored.reasons = found.reasons;
        }
    }
}

/// Vectors of a batch that one version is asked about.
struct Deal {
    lineup: Lineup,
    places: Vec<usize>,
    seqs: Vec<u64>,
    vectors: Vec<FeatureVector>,
}

impl Deal {
    fn of(lineup: &Lineup) -> Self {
        Self {
            lineup: lineup.clone(),
            places: Vec::new(),
            seqs: Vec::new(),
            vectors: Vec::new(),
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
        recalibration: given.recalibration,
    }
}
