//! Weights, candidates, champion: chosen on the back-test alone.

use std::collections::BTreeMap;
use std::path::Path;

use auspex_learn::{Forest, gbdt, metrics};
use serde::{Deserialize, Serialize};

use crate::backtest::{Stretch, Unseen};
use crate::candidate::Candidate;
use crate::figures::{Figures, Judged};
use crate::fit::{self, Fitted, Task};
use crate::local;
use crate::plugin::Plugin;
use crate::sample::Sample;
use crate::sequence::{self, Sequence};

/// How rows are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weighing {
    /// Time in which a row's weight halves, in the unit of the time column; `None`: all weigh the same.
    pub half_life: Option<f64>,
    /// Weight of a failure; a success weighs 1.
    pub failure: f64,
    /// How much less a row of a large group weighs than one of a small: the size of the group to the power of minus this.
    #[serde(default)]
    pub balance: f64,
}

/// The power that is tried for [`Weighing::balance`].
const BALANCE: f64 = 0.4;

impl Weighing {
    /// Weights of all rows of a sample.
    #[must_use]
    pub fn weights(&self, sample: &Sample) -> Vec<f64> {
        let recency = sample.recency(self.half_life.unwrap_or(f64::INFINITY));
        let groups = sample.by_group();
        let mean = sample.rows() as f64 / groups.len().max(1) as f64;
        let of = |(group, rows): (u32, Vec<usize>)| (group, (rows.len() as f64 / mean).powf(-self.balance));
        let shares: BTreeMap<u32, f64> = groups.into_iter().map(of).collect();
        let one = |((weight, failed), group): ((f64, &bool), &u32)| {
            let weight = weight * shares.get(group).copied().unwrap_or(1.0);
            if *failed { weight * self.failure } else { weight }
        };
        let rows = recency.into_iter().zip(&sample.labels);
        rows.zip(&sample.groups).map(one).collect()
    }
}

/// Chooses how rows are weighed, by the log-loss of small trees of our own. Where groups are few and large, each counts the same,
/// as it does in the mean of their figures.
#[must_use]
pub fn weighing(train: &Sample, stretches: &[Stretch], seed: u64) -> Weighing {
    let several = local::few_and_large(train);
    let odds = 1.0 / metrics::rate(&train.labels).clamp(1e-6, 1.0) - 1.0;
    let mut options = vec![None, Some(train.span() * 0.5)];
    if train.span() <= 0.0 {
        options.truncate(1);
    }
    let failures = if odds > 3.0 {
        vec![1.0, odds.sqrt()]
    } else {
        vec![1.0]
    };
    let plain = Weighing {
        half_life: None,
        failure: 1.0,
        balance: 0.0,
    };
    let growth = gbdt::Growth {
        trees: 50,
        bags: 1,
        rate: 0.1,
        ..fit::growth(&Candidate::Gbdt.settings(train.rows()), seed)
    };
    let mut best = (f64::INFINITY, plain);
    let mut consider = |option: Weighing| {
        let loss = loss(&option, train, stretches, &growth);
        // A choice that changes nothing worth mentioning is not made.
        if loss < best.0 - 1e-4 {
            best = (loss, option);
        }
        best.1
    };
    let mut chosen = plain;
    for half_life in &options {
        for failure in &failures {
            chosen = consider(Weighing {
                half_life: *half_life,
                failure: *failure,
                ..plain
            });
        }
    }
    if several {
        let balance = BALANCE;
        chosen = consider(Weighing { balance, ..chosen });
    }
    chosen
}

/// The log-loss of small trees whose rows are weighed so.
fn loss(option: &Weighing, train: &Sample, stretches: &[Stretch], growth: &gbdt::Growth) -> f64 {
    let weights = option.weights(train);
    let model = |stretch: &Stretch| {
        let part = train.take(&stretch.fit);
        gbdt::fit(&part.table, &part.labels, &picked(&weights, &stretch.fit), growth)
    };
    let models: Vec<Forest> = stretches.iter().map(model).collect();
    let recency = train.recency(option.half_life.unwrap_or(f64::INFINITY));
    let unseen = Unseen::of(train, stretches, &recency);
    let raws = unseen.raws(train, &models.iter().collect::<Vec<_>>());
    if local::few_and_large(train) {
        unseen.log_loss_of_groups(&raws)
    } else {
        unseen.log_loss(&raws)
    }
}

fn picked(weights: &[f64], rows: &[usize]) -> Vec<f64> {
    rows.iter()
        .map(|row| weights.get(*row).copied().unwrap_or(1.0))
        .collect()
}

/// A candidate after the back-test.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Which.
    pub candidate: Candidate,
    /// How it deals with groups, as the end of its name.
    pub variant: &'static str,
    /// Fitted to all training rows; `Err`: why there is none.
    pub model: Result<Forest, String>,
    /// A graph over windows instead of trees.
    pub sequence: Option<Sequence>,
    /// Log-odds for the test rows, where trees do not tell them.
    pub test: Option<Vec<f64>>,
    /// Log-odds for the unseen rows.
    pub raws: Vec<f64>,
    /// On those rows, calibrated.
    pub figures: Figures,
    /// Time of all its fits, in seconds.
    pub seconds: f64,
    /// See [`Fitted::parity`]; the largest.
    pub parity: Option<f64>,
    /// Share in the ensemble.
    pub weight: Option<f64>,
    /// Versions of libraries.
    pub versions: BTreeMap<String, String>,
}

impl Tried {
    /// Its name in a report.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", self.candidate, self.variant)
    }
}

/// Fits every candidate to every stretch and to everything, and has it score what it had not seen.
#[must_use]
pub fn try_all(
    train: &Sample,
    stretches: &[Stretch],
    weights: &[f64],
    entrants: &[(Candidate, u64)],
    plugin: Option<&Plugin>,
) -> Vec<Vec<Fitted>> {
    let mut tasks = Vec::new();
    for (candidate, seed) in entrants {
        let all: Vec<usize> = (0..train.rows()).collect();
        for rows in stretches.iter().map(|stretch| &stretch.fit).chain([&all]) {
            tasks.push(Task {
                candidate: *candidate,
                rows: rows.clone(),
                weights: picked(weights, rows),
                seed: *seed,
            });
        }
    }
    let mut fitted = fit::all(train, &tasks, plugin).into_iter();
    let each = stretches.len() + 1;
    entrants
        .iter()
        .map(|_| fitted.by_ref().take(each).collect())
        .collect()
}

/// What a graph over windows says: of the unseen rows, each by the graph of its stretch, and of the test rows.
struct Windows<'a> {
    train: &'a Sample,
    unseen: &'a Unseen,
    test: &'a Sample,
    runtime: Option<&'a Path>,
}

impl Windows<'_> {
    fn scored(&self, graphs: &[Sequence]) -> Result<(Vec<f64>, Vec<f64>), String> {
        let text = |fault: crate::Fault| fault.to_string();
        let runtime = sequence::needed(self.runtime).map_err(text)?;
        let last = graphs.last().ok_or("was not fitted")?;
        let all = sequence::windows(None, self.train, last.steps);
        let mut raws = vec![0.0; self.unseen.rows.len()];
        for (stretch, graph) in graphs.iter().enumerate().take(graphs.len() - 1) {
            let places: Vec<usize> = (0..raws.len())
                .filter(|at| self.unseen.stretch.get(*at) == Some(&stretch))
                .collect();
            let rows: Vec<usize> = places
                .iter()
                .filter_map(|at| self.unseen.rows.get(*at).copied())
                .collect();
            let said = graph.raws(&all.take(&rows), runtime).map_err(text)?;
            for (place, raw) in places.into_iter().zip(said) {
                if let Some(slot) = raws.get_mut(place) {
                    *slot = raw;
                }
            }
        }
        let newest = sequence::windows(Some(self.train), self.test, last.steps);
        Ok((raws, last.raws(&newest, runtime).map_err(text)?))
    }
}

/// Puts a candidate's fits together.
#[must_use]
pub fn tried(
    candidate: Candidate,
    fits: Vec<Fitted>,
    (train, unseen): (&Sample, &Unseen),
    (test, runtime): (&Sample, Option<&Path>),
) -> Tried {
    let seconds = fits.iter().map(|fit| fit.seconds).sum();
    let parity = fits.iter().filter_map(|fit| fit.parity).reduce(f64::max);
    let versions = fits.first().map(|fit| fit.versions.clone()).unwrap_or_default();
    let graphs: Vec<Sequence> = fits.iter().filter_map(|fit| fit.sequence.clone()).collect();
    let mut models: Vec<Result<Forest, String>> = fits.into_iter().map(|fit| fit.forest).collect();
    let fault = models.iter().find_map(|model| model.as_ref().err().cloned());
    let last = models.pop().unwrap_or_else(|| Err("was not fitted".to_owned()));
    let mut tried = Tried {
        candidate,
        variant: "",
        model: fault.map_or(last, Err),
        sequence: None,
        test: None,
        raws: Vec::new(),
        figures: Figures::default(),
        seconds,
        parity,
        weight: None,
        versions,
    };
    if tried.model.is_err() {
        return tried;
    }
    if graphs.is_empty() {
        let models: Vec<&Forest> = models.iter().flatten().collect();
        tried.raws = unseen.raws(train, &models);
    } else {
        let windows = Windows {
            train,
            unseen,
            test,
            runtime,
        };
        match windows.scored(&graphs) {
            Ok((raws, newest)) => {
                (tried.raws, tried.test, tried.sequence) = (raws, Some(newest), graphs.last().cloned())
            }
            Err(fault) => {
                tried.model = Err(fault);
                return tried;
            }
        }
    }
    tried.figures = figures(unseen, &tried.raws, train);
    tried
}

/// Figures of log-odds for the unseen rows.
fn figures(unseen: &Unseen, raws: &[f64], train: &Sample) -> Figures {
    let p = unseen.calibrated(raws);
    let effort: Vec<f64> = match train.effort.is_empty() {
        true => Vec::new(),
        false => picked(&train.effort, &unseen.rows),
    };
    Figures::of(Judged {
        labels: &unseen.labels,
        p: &p,
        effort: &effort,
    })
}

/// Sums the candidates that were fitted, with weights. `None` when there are fewer than two.
#[must_use]
pub fn ensemble(tried: &mut [Tried], train: &Sample, unseen: &Unseen) -> Option<Tried> {
    let members: Vec<usize> = (0..tried.len())
        .filter(|place| {
            tried
                .get(*place)
                .is_some_and(|t| t.model.is_ok() && t.sequence.is_none())
        })
        .collect();
    if members.len() < 2 {
        return None;
    }
    let of = |places: &[usize]| -> Vec<Vec<f64>> {
        places
            .iter()
            .filter_map(|place| tried.get(*place))
            .map(|t| t.raws.clone())
            .collect()
    };
    let (_, weights) = unseen.stacked(&of(&members));
    // Who adds next to nothing is left out: it would make the file larger and nothing better.
    let kept: Vec<usize> = members
        .iter()
        .zip(&weights)
        .filter(|(_, w)| **w >= 0.05)
        .map(|(m, _)| *m)
        .collect();
    if kept.len() < 2 {
        return None;
    }
    let (raws, weights) = unseen.stacked(&of(&kept));
    let mut forest = Forest::default();
    for (place, weight) in kept.iter().zip(&weights) {
        let Some(member) = tried.get_mut(*place) else {
            continue;
        };
        if let Ok(model) = &member.model {
            forest.add(model, *weight);
        }
        member.weight = Some(*weight);
    }
    Some(Tried {
        candidate: Candidate::Ensemble,
        variant: "",
        model: Ok(forest),
        sequence: None,
        test: None,
        figures: figures(unseen, &raws, train),
        raws,
        seconds: 0.0,
        parity: None,
        weight: None,
        versions: BTreeMap::new(),
    })
}

/// So much more log-loss an ensemble may have than the best and still win: a mean of models is steadier than any of them.
const STEADIER: f64 = 0.001;

/// The candidate with the lowest log-loss on what it had not seen, the first among equals; the ensemble when it is as good but for
/// what chance explains.
#[must_use]
pub fn champion(tried: &[Tried]) -> Option<usize> {
    let fitted = || tried.iter().enumerate().filter(|(_, t)| t.model.is_ok());
    let (best, found) =
        fitted().min_by(|(_, a), (_, b)| a.figures.log_loss.total_cmp(&b.figures.log_loss))?;
    let as_good = |t: &Tried| t.figures.log_loss <= found.figures.log_loss + STEADIER;
    let ensemble = fitted().find(|(_, t)| t.candidate == Candidate::Ensemble && as_good(t));
    Some(ensemble.map_or(best, |(place, _)| place))
}
