//! How log-odds become probabilities: the way, and how far back it remembers, are chosen forward in time. Each is fitted to the earlier
//! stretches, as far as their outcomes were known when the next one began, and judged by the log-loss of that one.

use std::collections::BTreeMap;

use auspex_learn::calibrate::{Beta, Calibration, Platt};
use auspex_learn::isotonic::Isotonic;
use auspex_learn::metrics;
use serde::Serialize;

use crate::backtest::Unseen;

/// A way with more parameters than Platt's, or of fewer rows, is taken when it tells the next stretch so much better, in log-loss.
const BEND: f64 = 2e-4;

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Platt,
    Beta,
    Isotonic,
}

impl Way {
    const ALL: [Self; 3] = [Self::Platt, Self::Beta, Self::Isotonic];

    fn name(self) -> &'static str {
        match self {
            Self::Platt => "platt",
            Self::Beta => "beta",
            Self::Isotonic => "isotonic",
        }
    }

    /// `None` when the rows do not bear it out.
    fn fit(self, (raws, labels, weights): &Rows) -> Option<Calibration> {
        match self {
            Self::Platt => Some(Calibration::Platt(Platt::fit(raws, labels, weights))),
            Self::Beta => Beta::fit(raws, labels, weights).map(Calibration::Beta),
            Self::Isotonic => Isotonic::fit(raws, labels, weights).map(Calibration::Isotonic),
        }
    }
}

/// Unseen rows to fit to: log-odds, outcomes, weights.
type Rows = (Vec<f64>, Vec<bool>, Vec<f64>);

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Chosen {
    /// As it is served.
    #[serde(skip)]
    pub(crate) calibration: Calibration,
    /// Probabilities of the unseen rows, each calibrated on the other stretches.
    #[serde(skip)]
    pub(crate) p: Vec<f64>,
    method: &'static str,
    /// Whether what is older counts for little.
    short_memory: bool,
    /// Log-loss of each way on stretches after those it was fitted to.
    forward_log_loss: BTreeMap<String, f64>,
}

/// Chooses for log-odds of the unseen rows. `brief` is how much each counts where what is older counts for little.
pub(crate) fn choose(unseen: &Unseen, raws: &[f64], brief: &[f64]) -> Chosen {
    let brief = Unseen {
        weights: brief.to_vec(),
        ..unseen.clone()
    };
    let mut losses = BTreeMap::new();
    let mut best = (Way::Platt, false, f64::INFINITY);
    for (short, memory) in [(false, unseen), (true, &brief)] {
        for way in Way::ALL {
            let Some(loss) = forward(memory, raws, way) else {
                continue;
            };
            let end = if short { ", short memory" } else { "" };
            losses.insert(format!("{}{end}", way.name()), loss);
            if loss < best.2 - BEND {
                best = (way, short, loss);
            }
        }
    }
    let (way, short, _) = best;
    let chosen = if short { &brief } else { unseen };
    let all: Vec<usize> = (0..unseen.rows.len()).collect();
    // The earlier stretches bore it out; all of them together do.
    let calibration = way.fit(&chosen.at(raws, &all));
    Chosen {
        p: chosen.crossed(raws, |places| way.fit(&chosen.at(raws, places))),
        calibration: calibration.unwrap_or(Calibration::IDENTITY),
        method: way.name(),
        short_memory: short,
        forward_log_loss: losses,
    }
}

/// Log-loss on every stretch but the first, each told by what was known of the earlier ones. `None` when there is but one, or when
/// the earlier ones do not bear the way out.
fn forward(unseen: &Unseen, raws: &[f64], way: Way) -> Option<f64> {
    let (mut labels, mut p) = (Vec::new(), Vec::new());
    for stretch in 1..unseen.stretches() {
        let (earlier, own) = unseen.known_before(stretch);
        let mut rows = unseen.at(raws, &earlier);
        // As it was then: the newest row counts whole.
        let newest = rows.2.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        rows.2.iter_mut().for_each(|weight| *weight /= newest);
        let failures = metrics::failures(&rows.1);
        if failures.min(rows.1.len() - failures) == 0 {
            return None;
        }
        let calibration = way.fit(&rows)?;
        let own = unseen.at(raws, &own);
        p.extend(own.0.iter().map(|raw| calibration.apply(*raw)));
        labels.extend(own.1);
    }
    (!labels.is_empty()).then(|| metrics::log_loss(&labels, &p))
}

#[cfg(test)]
mod tests {
    use auspex_learn::random::Random;
    use auspex_learn::{Matrix, logit, sigmoid};

    use super::*;
    use crate::backtest::stretches;
    use crate::sample::Sample;

    /// Rows whose truth, in log-odds of what was said, is this.
    fn unseen(rows: usize, delay: f64, truth: impl Fn(f64) -> f64) -> (Unseen, Vec<f64>) {
        let mut random = Random::new(11);
        let raws: Vec<f64> = (0..rows).map(|_| random.unit() * 8.0 - 4.0).collect();
        let time = |row: usize| row as f64 / rows as f64;
        let labels = (0..rows)
            .map(|row| random.unit() < sigmoid(truth(raws[row])))
            .collect();
        let sample = Sample {
            table: Matrix::new(vec![0.0; rows], 1),
            labels,
            times: (0..rows).map(time).collect(),
            groups: vec![0; rows],
            ..Sample::default()
        };
        let unseen = Unseen::of(&sample, &stretches(&sample, delay), &[]).after(delay);
        let raws = unseen.rows.iter().map(|row| raws[*row]).collect();
        (unseen, raws)
    }

    #[test]
    fn a_way_with_more_parameters_is_taken_where_it_tells_more() {
        let (straight, raws) = unseen(12_000, 0.0, |raw| 0.6 * raw - 0.3);
        let chosen = choose(&straight, &raws, &straight.weights);
        assert_eq!(chosen.method, "platt", "{:?}", chosen.forward_log_loss);
        let bent = Beta {
            a: 0.3,
            b: 2.0,
            c: 0.0,
        };
        let (bent, raws) = unseen(12_000, 0.0, move |raw| logit(bent.apply(raw)));
        let chosen = choose(&bent, &raws, &bent.weights);
        assert_eq!(chosen.method, "beta", "{:?}", chosen.forward_log_loss);
        let stepped = |raw: f64| {
            if raw < 0.0 {
                -3.0
            } else {
                (4.0 * raw - 3.0).min(0.0)
            }
        };
        let (stepped, raws) = unseen(12_000, 0.0, stepped);
        let chosen = choose(&stepped, &raws, &stepped.weights);
        assert_eq!(chosen.method, "isotonic", "{:?}", chosen.forward_log_loss);
        let error = |p: &[f64]| metrics::ece(&stepped.labels, p);
        let (own, straight) = (error(&chosen.p), error(&stepped.calibrated(&raws)));
        assert!(own < straight / 1.5, "{own} {straight}");
    }

    #[test]
    fn what_is_older_counts_for_little_where_the_world_has_moved() {
        let mut random = Random::new(12);
        let (told, raws) = unseen(12_000, 0.0, |raw| 0.8 * raw - 0.2);
        let brief: Vec<f64> = told.times.iter().map(|t| 0.5_f64.powf((1.0 - t) * 8.0)).collect();
        let chosen = choose(&told, &raws, &brief);
        assert!(!chosen.short_memory, "{:?}", chosen.forward_log_loss);
        let mut moved = told.clone();
        for ((label, raw), time) in moved.labels.iter_mut().zip(&raws).zip(&told.times) {
            *label = random.unit() < sigmoid(raw - 6.0 * (time - 0.5));
        }
        let chosen = choose(&moved, &raws, &brief);
        assert!(chosen.short_memory, "{:?}", chosen.forward_log_loss);
    }

    #[test]
    fn the_choice_does_not_look_at_what_was_not_known_yet() {
        let (mut told, raws) = unseen(6000, 0.2, |raw| 0.8 * raw);
        // The outcomes of the second stretch's last rows are not known when the third begins.
        let (earlier, own) = told.known_before(2);
        let begins = told.times[own[0]];
        assert!(earlier.iter().all(|place| told.times[*place] + 0.2 <= begins));
        let loss = |told: &Unseen| forward(told, &raws, Way::Platt);
        let before = loss(&told);
        let young: Vec<usize> = (0..told.rows.len())
            .filter(|place| told.stretch[*place] == 0 && !earlier.contains(place))
            .collect();
        assert!(!young.is_empty());
        for place in young {
            told.labels[place] ^= true;
        }
        assert_eq!(before, loss(&told));
    }
}
