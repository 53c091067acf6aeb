//! What a version must pass before it may be published.

use auspex_learn::metrics;

use crate::figures::Figures;
use crate::golden;
use crate::report::{Artifact, Gate};

/// A file may be so large.
const MOST_BYTES: f64 = 8_000_000.0;
/// One row may take so long, in microseconds: a tenth of what a caller over the wire waits anyway.
const MOST_MICROSECONDS: f64 = 2_000.0;
/// Calibration error beyond what chance explains.
const MOST_ERROR: f64 = 0.04;

/// The gates: of the file, and of the champion's figures on the rows of the back-test, which it had not seen.
#[must_use]
pub fn gates(figures: &Figures, p: &[f64], artifact: &Artifact) -> Vec<Gate> {
    let gate = |name: &str, value: Option<f64>, limit: f64, meaning: &str| Gate {
        name: name.to_owned(),
        passed: value.is_none_or(|value| value <= limit),
        value,
        limit: Some(limit),
        meaning: meaning.to_owned(),
    };
    let rate = figures.rate.clamp(1e-9, 1.0 - 1e-9);
    let base = -(rate * rate.ln() + (1.0 - rate) * (1.0 - rate).ln());
    let scatter = MOST_ERROR + 1.5 * metrics::ece_by_chance(p);
    vec![
        gate(
            "parity",
            Some(artifact.parity),
            golden::TOLERANCE,
            "served graph against the trees, in p",
        ),
        gate(
            "size",
            Some(artifact.size as f64),
            MOST_BYTES,
            "bytes of the file",
        ),
        gate(
            "latency",
            artifact.p50_us,
            MOST_MICROSECONDS,
            "median microseconds for one row",
        ),
        gate(
            "beats_base_rate",
            Some(figures.log_loss),
            base,
            "log-loss of the back-test against that of its failure rate",
        ),
        gate(
            "calibration",
            Some(figures.ece),
            scatter,
            "calibration error of the back-test, beside what chance explains",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_may_scatter_more() {
        let figures = Figures {
            rate: 0.3,
            log_loss: 0.55,
            ece: 0.07,
            ..Figures::default()
        };
        let passes = |rows: usize| {
            let gates = gates(&figures, &vec![0.3; rows], &Artifact::default());
            gates.iter().all(|gate| gate.passed)
        };
        assert!(passes(60) && !passes(10_000));
        let worse = Figures {
            log_loss: 0.7,
            ..figures
        };
        assert!(
            gates(&worse, &[0.3; 60], &Artifact::default())
                .iter()
                .any(|gate| gate.name == "beats_base_rate" && !gate.passed)
        );
    }
}
