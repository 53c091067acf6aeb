//! Labels that look wrong: stretches of time whose outcomes go against what every other stretch says.

use auspex_learn::{bounds, metrics};

use crate::sample::Sample;
use crate::train::Trained;

/// Rows that are looked at together, at least.
const LEAST: usize = 100;

/// Stretches of the back-test in which high scores mean success: outcomes that were written the wrong way round, most likely.
#[must_use]
pub(crate) fn inverted(trained: &Trained) -> Vec<String> {
    let Some(champion) = trained.tried.get(trained.champion) else {
        return Vec::new();
    };
    let unseen = &trained.unseen;
    let size = (unseen.rows.len() / 10).max(LEAST);
    let mut found = Vec::new();
    let mut start = 0;
    while start + LEAST <= unseen.rows.len() {
        let end = (start + size).min(unseen.rows.len());
        let labels = unseen.labels.get(start..end).unwrap_or_default();
        let raws = champion.raws.get(start..end).unwrap_or_default();
        let wrong = bounds::roc_auc(labels, raws).is_some_and(|bounds| bounds.high < 0.5);
        if let (true, Some(auc)) = (wrong, metrics::roc_auc(labels, raws)) {
            let time = |place: usize| {
                let row = unseen.rows.get(place);
                row.and_then(|row| trained.prepared.train.times.get(*row))
                    .copied()
                    .unwrap_or_default()
            };
            found.push(format!(
                "outcomes between times {} and {} look as if written the wrong way round (ROC-AUC {auc:.2} there)",
                time(start),
                time(end - 1)
            ));
        }
        start = end;
    }
    found
}

/// The same of the test rows, told apart from chance by the bounds of their ROC-AUC.
#[must_use]
pub(crate) fn turned(test: &Sample, p: &[f64]) -> Option<String> {
    let bounds = bounds::roc_auc(&test.labels, p)?;
    (bounds.high < 0.5).then(|| {
        format!(
            "on the test rows high scores mean success (ROC-AUC at most {:.2}): their outcomes are written the wrong way round, or \
             the world has turned",
            bounds.high
        )
    })
}
