//! Fits candidates: our own at once, those of the plug-in all together in one run of it.

use auspex_learn::gbdt::{self, Growth};
use auspex_learn::{Forest, scorecard};
use serde_json::Value;

use crate::candidate::Candidate;
use crate::plugin::Plugin;
use crate::sample::Sample;
use crate::sequence::Sequence;

/// One fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What to fit.
    pub candidate: Candidate,
    /// To which rows of the sample.
    pub rows: Vec<usize>,
    /// How much each of them weighs.
    pub weights: Vec<f64>,
    /// Of whatever is drawn.
    pub seed: u64,
}

/// What came of a fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The model; `Err`: why there is none.
    pub forest: Result<Forest, String>,
    /// A graph over windows instead of trees; the forest is then empty.
    pub sequence: Option<Sequence>,
    /// Time it took, in seconds.
    pub seconds: f64,
    /// Largest difference of the file from the library it came from, on the plug-in's golden rows, in p.
    pub parity: Option<f64>,
    /// Versions of libraries, when the plug-in did it.
    pub versions: std::collections::BTreeMap<String, String>,
}

impl Fitted {
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self {
            forest: Err(reason.into()),
            sequence: None,
            seconds: 0.0,
            parity: None,
            versions: std::collections::BTreeMap::new(),
        }
    }
}

/// Does all tasks; one result a task, in order. One that fails does not spoil the others.
#[must_use]
pub fn all(sample: &Sample, tasks: &[Task], plugin: Option<&Plugin>) -> Vec<Fitted> {
    let abroad: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.candidate.needs_plugin())
        .collect();
    let mut fetched = match plugin {
        _ if abroad.is_empty() => Vec::new(),
        Some(plugin) => plugin.fit(sample, &abroad),
        None => vec![Fitted::failed("needs the Python plug-in"); abroad.len()],
    }
    .into_iter();
    tasks
        .iter()
        .map(|task| match task.candidate.needs_plugin() {
            true => fetched
                .next()
                .unwrap_or_else(|| Fitted::failed("the plug-in gave no answer")),
            false => own(sample, task),
        })
        .collect()
}

fn own(sample: &Sample, task: &Task) -> Fitted {
    let started = std::time::Instant::now();
    let part = sample.take(&task.rows);
    let forest = match task.candidate {
        Candidate::Gbdt => {
            let growth = growth(&task.candidate.settings(part.rows()), task.seed);
            gbdt::fit(&part.table, &part.labels, &task.weights, &growth)
        }
        _ => scorecard::fit(&part.table, &part.labels, &task.weights),
    };
    Fitted {
        forest: Ok(forest),
        sequence: None,
        seconds: started.elapsed().as_secs_f64(),
        parity: None,
        versions: std::collections::BTreeMap::new(),
    }
}

/// Our own trees' settings.
pub(crate) fn growth(settings: &Value, seed: u64) -> Growth {
    let usual = Growth::default();
    let whole = |name: &str, usual: usize| {
        let found = settings.get(name).and_then(Value::as_u64);
        found
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(usual)
    };
    Growth {
        trees: whole("trees", usual.trees),
        leaves: whole("leaves", usual.leaves),
        least: whole("least", usual.least),
        bags: whole("bags", usual.bags),
        rate: settings.get("rate").and_then(Value::as_f64).unwrap_or(usual.rate),
        seed,
        ..usual
    }
}
