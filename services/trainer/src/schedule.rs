//! Whether it is time to train, and why.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// New examples without which a failure rate is not compared.
const LEAST_NEW: u64 = 60;
/// How many standard errors a failure rate must have moved: at one look a day, once in decades by chance.
const MOVED: f64 = 4.5;

/// What is known of past trainings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// When the last one was, by the clock of the events; 0: never.
    pub last_ms: i64,
    /// Examples known then.
    pub examples: u64,
    /// Failures among them.
    pub failures: u64,
    /// Past trainings, the newest last; at most [`Past::MOST`].
    pub runs: Vec<Run>,
}

/// A training that was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of trainer.proto")]
pub struct Run {
    pub as_of_ms: i64,
    pub cause: String,
    pub text: String,
    pub examples: u64,
    pub failures: u64,
    pub snapshot: String,
    pub champion: String,
    pub roc_auc: Option<f64>,
    pub log_loss: f64,
    pub brier: f64,
    pub brier_base: f64,
    pub ece: f64,
    pub published: bool,
    pub version: String,
    pub gates_failed: Vec<String>,
}

impl Past {
    /// Trainings that are remembered.
    pub const MOST: usize = 50;

    /// Notes a training.
    pub fn note(&mut self, run: Run) {
        (self.last_ms, self.examples, self.failures) = (run.as_of_ms, run.examples, run.failures);
        self.runs.push(run);
        let over = self.runs.len().saturating_sub(Self::MOST);
        self.runs.drain(..over);
    }
}

/// What there is to learn from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// The clock of the events.
    pub clock: i64,
    /// Examples.
    pub examples: u64,
    /// Failures among them.
    pub failures: u64,
    /// Examples known since the last training.
    pub new: u64,
    /// Failures among them.
    pub new_failures: u64,
}

/// Why it is time; `None`: it is not.
#[must_use]
pub fn due(config: &Config, past: &Past, stock: Stock) -> Option<&'static str> {
    if stock.examples < config.least_examples {
        return None;
    }
    if past.last_ms == 0 {
        return Some("first");
    }
    if let Some(every) = config.schedule.every_ms()
        && stock.clock.saturating_sub(past.last_ms) >= every
        && stock.new > 0
    {
        return Some(config.schedule.name());
    }
    (config.on_drift && moved(past, stock)).then_some("drift")
}

/// Whether the failure rate since the last training is another than before.
fn moved(past: &Past, stock: Stock) -> bool {
    if stock.new < LEAST_NEW || past.examples < LEAST_NEW {
        return false;
    }
    let (a, n) = (past.failures as f64, past.examples as f64);
    let (b, m) = (stock.new_failures as f64, stock.new as f64);
    let rate = (a + b + 1.0) / (n + m + 2.0);
    let error = (rate * (1.0 - rate) * (1.0 / n + 1.0 / m)).sqrt();
    (a / n - b / m).abs() > MOVED * error
}

/// When the next one is planned; 0: none is.
#[must_use]
pub fn next(config: &Config, past: &Past) -> i64 {
    match config.schedule.every_ms() {
        Some(every) if past.last_ms > 0 => past.last_ms.saturating_add(every),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn stock(days: i64, new: u64, new_failures: u64) -> Stock {
        Stock {
            clock: days * DAY,
            examples: 500,
            failures: 100,
            new,
            new_failures,
        }
    }

    #[test]
    fn first_weekly_and_on_drift() {
        let config = Config::default();
        let mut past = Past::default();
        assert_eq!(due(&config, &past, stock(100, 500, 100)), Some("first"));
        let few = Stock {
            examples: 10,
            ..stock(100, 10, 1)
        };
        assert_eq!(due(&config, &past, few), None);
        past.note(Run {
            as_of_ms: 100 * DAY,
            examples: 500,
            failures: 100,
            ..Run::default()
        });
        assert_eq!(due(&config, &past, stock(106, 50, 10)), None);
        assert_eq!(due(&config, &past, stock(107, 50, 10)), Some("weekly"));
        assert_eq!(due(&config, &past, stock(107, 0, 0)), None);
        assert_eq!(due(&config, &past, stock(102, 100, 21)), None);
        assert_eq!(due(&config, &past, stock(102, 100, 60)), Some("drift"));
        assert_eq!(next(&config, &past), 107 * DAY);
    }

    #[test]
    fn fifty_trainings_are_remembered() {
        let mut past = Past::default();
        for day in 1..=60 {
            past.note(Run {
                as_of_ms: day,
                ..Run::default()
            });
        }
        assert_eq!(
            (past.runs.len(), past.runs[0].as_of_ms, past.last_ms),
            (Past::MOST, 11, 60)
        );
    }
}
