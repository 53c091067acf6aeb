//! Sending at a fixed rate, and how long what was sent took.
//!
//! A thread of its own keeps the pace: the timers of the runtime know milliseconds only. Times run from the instant at which
//! a message was due, not from when it was sent: whoever is held up by a slow answer does not make it look quick. Only what
//! the thread overslept, as every sleep does by some 60 us, is not counted: that is the machine's, before anything was asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::row::micros;

/// When each of a row of messages is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    start: Instant,
    every: Duration,
}

impl Pace {
    /// So many a second, beginning in a moment.
    pub(super) fn per_second(rate: f64) -> Self {
        Self {
            start: Instant::now() + Duration::from_millis(20),
            every: Duration::from_secs_f64(1.0 / rate),
        }
    }

    fn due(self, number: usize) -> Instant {
        self.start
            + self
                .every
                .mul_f64(f64::from(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Calls `send` with each number when it is due; when each began. Blocks.
    pub(super) fn keep<E>(
        self,
        count: usize,
        mut send: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Instant>, E> {
        let mut began = Vec::with_capacity(count);
        for number in 0..count {
            let due = self.due(number);
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                began.push(due);
            } else {
                std::thread::sleep(wait);
                began.push(Instant::now());
            }
            send(number)?;
        }
        Ok(began)
    }
}

/// When each message of a row was answered, of those that are to be.
#[derive(Debug)]
pub(super) struct Times {
    answered: BTreeMap<usize, Option<Instant>>,
    missing: usize,
}

impl Times {
    /// These numbers are to be answered.
    pub(super) fn new(numbers: impl Iterator<Item = usize>) -> Self {
        let answered: BTreeMap<usize, Option<Instant>> = numbers.map(|number| (number, None)).collect();
        Self {
            missing: answered.len(),
            answered,
        }
    }

    /// Notes the first answer to a message.
    pub(super) fn note(&mut self, number: usize) {
        if let Some(answered @ None) = self.answered.get_mut(&number) {
            *answered = Some(Instant::now());
            self.missing -= 1;
        }
    }

    /// How many have no answer yet.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// When each that was answered was, with its number.
    pub(super) fn answered(&self) -> impl Iterator<Item = (usize, Instant)> {
        let answered = |(number, answered): (&usize, &Option<Instant>)| Some((*number, (*answered)?));
        self.answered.iter().filter_map(answered)
    }

    /// Microseconds from when they began to answered, of those that were.
    pub(super) fn micros(&self, began: &[Instant]) -> Vec<f64> {
        self.micros_from(0, began)
    }

    /// The same of this message and those after it.
    pub(super) fn micros_from(&self, first: usize, began: &[Instant]) -> Vec<f64> {
        let took = |(number, answered): (&usize, &Option<Instant>)| {
            let (answered, began) = ((*answered)?, began.get(*number)?);
            Some(micros(answered.saturating_duration_since(*began)))
        };
        self.answered.range(first..).filter_map(took).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_before_it_is_due_and_no_delay_is_forgiven() {
        let pace = Pace::per_second(2_000.0);
        let mut times = Times::new(0..20);
        let began = pace
            .keep(20, |number| {
                assert!(Instant::now() >= pace.due(number));
                if number == 3 {
                    std::thread::sleep(Duration::from_millis(5));
                }
                times.note(number);
                times.note(number);
                Ok::<(), ()>(())
            })
            .unwrap();
        let micros = times.micros(&began);
        assert_eq!((times.missing(), micros.len()), (0, 20));
        assert!(micros[4] >= 4_000.0, "{micros:?}");
    }
}
