//! How versions are to be read, project by project: what the facts about it add up to, and what it does to a score.
//!
//! A vector is read by what was said before it in the log, never by what its own outcome, or a later one, has taught: scored
//! late or once more, it is read as it was. Another version has readings of its own: one that has none says what it says.

use std::collections::BTreeMap;

use auspex_proto::score::Band;
use auspex_proto::{Model, Project, Recalibrated, Recalibration};
use serde::{Deserialize, Serialize};

use crate::score::Scored;

/// As many of the last are kept of each version and project, for vectors that are scored late.
const KEPT: usize = 8;
/// As many pairs of version and project are kept; those longest without news go first. Some 10 MB.
const MOST: usize = 10_000;

/// What becomes of what outcomes have taught.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recalibrate {
    /// It takes the place of what the version says, which stands beside it.
    #[default]
    Serve,
    /// It stands beside what the version says.
    Tell,
    /// Nothing.
    None,
}

/// By version and project; `None`: from there on it is read as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    known: BTreeMap<String, BTreeMap<Project, BTreeMap<u64, Option<Recalibration>>>>,
    pairs: usize,
}

impl Readings {
    /// Notes a fact; one that says nothing of readings is passed over.
    pub fn note(&mut self, seq: u64, fact: &Model) {
        let Some(by) = fact.recalibration else { return };
        let label = format!("{}@{}", fact.name, fact.version);
        let own = self.known.entry(label).or_default();
        let project = &fact.meta.project;
        if !own.contains_key(project) {
            self.pairs += 1;
        }
        let said = own.entry(project.clone()).or_default();
        said.insert(seq, (!fact.removed).then_some(by));
        if said.len() > KEPT {
            said.pop_first();
        }
        if self.pairs > MOST {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let last = |said: &BTreeMap<u64, _>| said.last_key_value().map(|(seq, _)| *seq);
        let all = self.known.iter().flat_map(|(label, own)| {
            own.iter()
                .map(move |(project, said)| (last(said), label.clone(), project.clone()))
        });
        let Some((_, label, project)) = all.min() else {
            return;
        };
        if let Some(own) = self.known.get_mut(&label) {
            own.remove(&project);
            self.pairs = self.pairs.saturating_sub(1);
        }
    }

    /// Projects in which a version is not read as it is.
    #[must_use]
    pub fn projects(&self, label: &str) -> usize {
        let own = self.known.get(label).map(BTreeMap::values);
        let last = |said: &BTreeMap<u64, Option<Recalibration>>| {
            said.last_key_value().is_some_and(|(_, s)| s.is_some())
        };
        own.map_or(0, |all| all.filter(|said| last(said)).count())
    }

    /// By what a version is read about a vector at this sequence of the log, and since when; 0: it stands nowhere, and the last
    /// that was said counts.
    fn at(&self, label: &str, project: &Project, seq: u64) -> Option<(u64, Recalibration)> {
        let said = self.known.get(label)?.get(project)?;
        let before = if seq == 0 { u64::MAX } else { seq };
        let (since, by) = said.range(..before).next_back()?;
        Some((*since, (*by)?))
    }

    /// Reads a score of a version about a project's vector at this sequence: `p_failure`, its interval and its band are then as
    /// outcomes have taught, when that is served.
    pub fn read(
        &self,
        (label, project, seq): (&str, &Project, u64),
        how: Recalibrate,
        bands: (f64, f64),
        scored: &mut Scored,
    ) -> Option<Recalibrated> {
        if how == Recalibrate::None {
            return None;
        }
        let (since, by) = self.at(label, project, seq)?;
        let told = by.read(scored.p_failure);
        let recalibrated = Recalibrated {
            raw: scored.p_failure,
            raw_low: scored.low,
            raw_high: scored.high,
            told,
            served: how == Recalibrate::Serve,
            since,
            by,
        };
        if recalibrated.served {
            let (low, high) = by.interval(scored.low, scored.high);
            scored.p_failure = told;
            (scored.low, scored.high) = (low.min(told), high.max(told));
            scored.band = Band::of(told, bands);
        }
        Some(recalibrated)
    }
}

#[cfg(test)]
mod tests {
    use auspex_proto::sample;

    use super::*;

    const BY: Recalibration = Recalibration {
        slope: 1.0,
        offset: -1.0,
        from: 0.05,
        to: 0.6,
        variances: [0.02, 0.01, 0.0],
        outcomes: 200,
        log_e: 5.0,
    };

    fn fact(version: &str, project: &str, removed: bool) -> Model {
        let meta = sample::meta("reading", project, 1).unwrap();
        Model {
            removed,
            ..Model::reading(meta, ("change-risk", version), BY)
        }
    }

    fn scored(p: f64) -> Scored {
        Scored {
            p_failure: p,
            low: p - 0.05,
            high: p + 0.05,
            band: Band::of(p, (0.3, 0.7)),
            missing: Vec::new(),
            reasons: Vec::new(),
        }
    }

    fn read(
        readings: &Readings,
        (version, project, seq): (&str, &str, u64),
        how: Recalibrate,
    ) -> (Scored, Option<Recalibrated>) {
        let mut scored = scored(0.5);
        let project = Project::new(project).unwrap();
        let found = readings.read((version, &project, seq), how, (0.3, 0.7), &mut scored);
        (scored, found)
    }

    #[test]
    fn a_vector_is_read_by_what_was_said_before_it() {
        let mut readings = Readings::default();
        readings.note(10, &fact("1", "shop", false));
        readings.note(20, &fact("1", "shop", true));
        let at = |which, how| read(&readings, which, how).1.map(|r| r.since);
        let serve = Recalibrate::Serve;
        assert_eq!(at(("change-risk@1", "shop", 10), serve), None, "its own outcome");
        assert_eq!(at(("change-risk@1", "shop", 11), serve), Some(10));
        assert_eq!(at(("change-risk@1", "shop", 20), serve), Some(10));
        assert_eq!(
            at(("change-risk@1", "shop", 21), serve),
            None,
            "it is read as it is again"
        );
        assert_eq!(at(("change-risk@1", "shop", 0), serve), None);
        assert_eq!(at(("change-risk@2", "shop", 11), serve), None, "another version");
        assert_eq!(at(("change-risk@1", "other", 11), serve), None, "another project");
        assert_eq!(at(("change-risk@1", "shop", 11), Recalibrate::None), None);
        assert_eq!(readings.projects("change-risk@1"), 0);
        readings.note(30, &fact("1", "shop", false));
        assert_eq!(readings.projects("change-risk@1"), 1);
    }

    #[test]
    fn what_is_served_moves_probability_interval_and_band_and_what_is_told_moves_nothing() {
        let mut readings = Readings::default();
        readings.note(10, &fact("1", "shop", false));
        let (served, how) = read(&readings, ("change-risk@1", "shop", 11), Recalibrate::Serve);
        let how = how.unwrap();
        assert_eq!((how.raw, how.told, how.served), (0.5, served.p_failure, true));
        assert!((served.p_failure - 0.268_941).abs() < 1e-6 && served.band == Band::Low);
        assert!(
            served.low < BY.read(0.45) && served.high > BY.read(0.55),
            "{served:?}"
        );
        let (told, beside) = read(&readings, ("change-risk@1", "shop", 11), Recalibrate::Tell);
        assert_eq!(told, scored(0.5));
        assert_eq!(beside.map(|b| (b.told, b.served)), Some((how.told, false)));
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let mut readings = Readings::default();
        for n in 0..MOST as u64 + 10 {
            readings.note(n + 1, &fact("1", &format!("shop-{n}"), false));
        }
        assert_eq!((readings.pairs, readings.projects("change-risk@1")), (MOST, MOST));
        for n in 0..50 {
            readings.note(100_000 + n, &fact("1", "shop-77", false));
        }
        let shop = Project::new("shop-77").unwrap();
        assert_eq!(readings.known["change-risk@1"][&shop].len(), KEPT);
        assert_eq!(
            read(&readings, ("change-risk@1", "shop-0", 0), Recalibrate::Serve).1,
            None
        );
    }
}
