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
    /// Which way of raising. Default `bands`: all of the above.
    pub preset: Preset,
    /// Classic: percentage points of a raise below half of the traffic. Default 10.
    pub below: u8,
    /// Classic: percentage points of a raise from half of the traffic on. Default 5.
    pub above: u8,
    /// Classic: P(failure) above which to roll back. Default 0.7.
    pub p_failure: f64,
    /// Classic: share of the candidate's requests of the last thirty intervals that may fail. Default 0.05.
    pub error_rate: f64,
}

/// Which way of raising.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Bands of confidence.
    #[default]
    Bands,
    /// Fixed increments, and two thresholds that roll back.
    Classic,
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
            preset: Preset::Bands,
            below: 10,
            above: 5,
            p_failure: 0.7,
            error_rate: 0.05,
        }
    }
}

/// What the band wishes.
#[must_use]
pub fn wish(bands: &Adaptive, sight: &Sight<'_>) -> Option<Wish> {
    if bands.preset == Preset::Classic {
        return classic(bands, sight);
    }
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

/// Below half of the traffic so many points more, from there on so many; back above either threshold.
fn classic(preset: &Adaptive, sight: &Sight<'_>) -> Option<Wish> {
    let (p, most) = (sight.posterior, preset.p_failure);
    if p > most {
        let text = format!("P(failure) {p:.2} is above {most:.2}");
        return Some(Wish::new(Action::RollBack, 0, Reason::LowConfidence, text));
    }
    if let Some(rate) = sight.error_rate.filter(|rate| *rate > preset.error_rate) {
        let (rate, most) = (100.0 * rate, 100.0 * preset.error_rate);
        let text =
            format!("{rate:.1} % of the candidate's last requests failed, {most:.1} % is the threshold");
        return Some(Wish::new(Action::RollBack, 0, Reason::LimitCrossed, text));
    }
    if sight.dwelt < sight.min_dwell && sight.weight > 0 && !sight.pushed {
        return None;
    }
    if let Some(why) = sight.none.filter(|_| sight.weight > 0 && !sight.pushed) {
        return Some(linger(
            sight,
            Reason::NoEvidence,
            format!("nothing to judge by: {why}"),
        ));
    }
    let by = if sight.weight < 50 {
        preset.below
    } else {
        preset.above
    };
    let next = sight.weight.saturating_add(by);
    let text = format!("P(failure) {p:.2}: {by} points more at {} %", sight.weight);
    Some(match next {
        next if next >= 100 => Wish::new(Action::Promote, 100, Reason::Confident, text),
        next => Wish::new(Action::Advance, next, Reason::Confident, text),
    })
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
