//! By bands of confidence, `1 - P(bad)`: high raises fast, moderate gradually, low waits, very low limits (or rolls back,
//! where the document allows confidence alone to do that).

use auspex_proto::decision::{Action, Reason};
use serde::{Deserialize, Serialize};

use super::{Sight, Wish, linger, proven};

/// The bands and what each does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adaptive {
    /// Confidence from which weight is raised fast. Default 0.9.
    pub high: f64,
    /// Confidence from which it is raised gradually. Default 0.7, where the score's lowest band begins.
    pub moderate: f64,
    /// Confidence below which it is limited; between this and `moderate` it is held. Default 0.4.
    pub low: f64,
    /// Percentage points of a fast raise. Default 25.
    pub fast: u8,
    /// Percentage points of a gradual raise. Default 10.
    pub gradual: u8,
    /// Greatest weight below `low`, and the first weight below `moderate`, percent. Default 5.
    pub limit: u8,
    /// Greatest weight before the evidence says "no worse", percent. Default 50.
    pub ceiling: u8,
    /// Confidence below which to roll back; counted apart from rollbacks on evidence. Default 0: never.
    pub rollback: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            high: 0.9,
            moderate: 0.7,
            low: 0.4,
            fast: 25,
            gradual: 10,
            limit: 5,
            ceiling: 50,
            rollback: 0.0,
        }
    }
}

/// What the band wishes.
#[must_use]
pub fn wish(bands: &Adaptive, sight: &Sight<'_>) -> Option<Wish> {
    let confidence = 1.0 - sight.posterior;
    if confidence < bands.rollback {
        let text = format!("confidence {confidence:.2} is below {:.2}", bands.rollback);
        return Some(Wish::new(Action::RollBack, 0, Reason::LowConfidence, text));
    }
    let raise = match confidence {
        c if c >= bands.high => bands.fast,
        c if c >= bands.moderate => bands.gradual,
        _ => 0,
    };
    if sight.weight == 0 {
        let first = if raise > 0 { raise } else { bands.limit };
        return Some(advance(first.min(bands.ceiling), confidence, bands));
    }
    let next = |by: u8| sight.weight.saturating_add(by).min(bands.ceiling);
    if sight.pushed {
        let text = format!("past the hold at {} %", sight.weight);
        return Some(match sight.weight >= bands.ceiling {
            true => Wish::new(Action::Promote, 100, Reason::Commanded, text),
            false => Wish::new(Action::Advance, next(bands.gradual), Reason::Commanded, text),
        });
    }
    if !sight.safe && confidence < bands.low && sight.weight > bands.limit {
        let text = format!(
            "confidence {confidence:.2} is below {:.2}: down to {} %",
            bands.low, bands.limit
        );
        return Some(Wish::new(Action::Hold, bands.limit, Reason::Uncertain, text));
    }
    if sight.dwelt < sight.min_dwell {
        return None;
    }
    if sight.safe {
        return Some(proven(sight, next(bands.fast), bands.ceiling));
    }
    if let Some(why) = sight.none {
        return Some(linger(
            sight,
            Reason::NoEvidence,
            format!("nothing to judge by: {why}"),
        ));
    }
    if raise > 0 && next(raise) > sight.weight {
        return Some(advance(next(raise), confidence, bands));
    }
    let text = format!(
        "confidence {confidence:.2} at {} %: {}",
        sight.weight, sight.figures
    );
    Some(linger(sight, Reason::Uncertain, text))
}

fn advance(weight: u8, confidence: f64, bands: &Adaptive) -> Wish {
    let (reason, band) = match confidence {
        c if c >= bands.high => (Reason::Confident, "high"),
        c if c >= bands.moderate => (Reason::Uncertain, "moderate"),
        _ => (Reason::Uncertain, "low"),
    };
    let text = format!("confidence {confidence:.2} is {band}: {weight} %");
    Wish::new(Action::Advance, weight, reason, text)
}
