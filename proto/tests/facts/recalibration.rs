//! A score that is not what its version says, and the fact by which it is read.

use super::*;

const BY: Recalibration = Recalibration {
    slope: 0.9,
    offset: -1.1,
    from: 0.05,
    to: 0.6,
    variances: [0.04, 0.01, -0.005],
    outcomes: 240,
    log_e: 5.5,
};

/// A score that is not what its version says.
pub(super) fn recalibrated() -> Score {
    Score {
        recalibration: Some(Recalibrated {
            raw: 0.5,
            raw_low: 0.4,
            raw_high: 0.6,
            told: 0.25,
            served: true,
            since: 77,
            by: BY,
        }),
        ..score()
    }
}

/// And why.
pub(super) fn reading() -> Model {
    Model {
        actor: "feedback".to_owned(),
        note: "it tells more".to_owned(),
        ..Model::reading(meta(), ("change-risk", "1"), BY)
    }
}
