//! For how long control has been silent, by this process's own running time: a process that was paused has not listened, and
//! must not take that for silence. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::Partition;

/// Longer than this between two ticks, the process did not run.
const LONGEST_TICK: Duration = Duration::from_millis(1_000);

/// When control was last heard of, by partition.
#[derive(Debug, Clone, Default)]
pub struct Silence {
    ran: Duration,
    heard: BTreeMap<Partition, Duration>,
}

impl Silence {
    /// The process has been running; `since`: the last tick.
    pub fn tick(&mut self, since: Duration) {
        self.ran += since.min(LONGEST_TICK);
    }

    /// Control of a partition lives.
    pub fn pulse(&mut self, partition: Partition) {
        self.heard.insert(partition, self.ran);
    }

    /// For how long control of a partition has been silent; since the process began, when it was never heard of.
    #[must_use]
    pub fn of(&self, partition: Partition) -> Duration {
        let heard = self.heard.get(&partition).copied().unwrap_or_default();
        self.ran.saturating_sub(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_the_process_is_no_silence_of_control() {
        let (mut silence, partition) = (Silence::default(), Partition::Number(0));
        for _ in 0..10 {
            silence.tick(Duration::from_millis(200));
        }
        assert_eq!(
            silence.of(partition),
            Duration::from_secs(2),
            "never heard of, since it began"
        );
        silence.pulse(partition);
        assert_eq!(silence.of(partition), Duration::ZERO);
        silence.tick(Duration::from_secs(3_600));
        assert_eq!(silence.of(partition), LONGEST_TICK);
        assert_eq!(silence.of(Partition::Number(1)), Duration::from_secs(3));
    }
}
