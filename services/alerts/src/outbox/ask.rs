//! Questions to the outbox: what is next, when, and how things stand.

use auspex_proto::{Alert, Timestamp};

use super::{Done, Outbox, Waiting};

impl Outbox {
    /// What is to be sent to this receiver now: the first that may go, of the keys that nothing earlier waits for.
    #[must_use]
    pub fn next(&self, receiver: &str, now: Timestamp) -> Option<(u64, &Alert)> {
        let lane = self.lanes.get(receiver).filter(|lane| lane.held_until <= now)?;
        self.heads(&lane.waiting)
            .find(|(w, _)| w.not_before <= now)
            .map(|(w, alert)| (w.seq, alert))
    }

    /// When something waits for time alone: the earliest moment at which [`Self::next`] has an answer. It may have passed.
    #[must_use]
    pub fn wake(&self, receiver: &str) -> Option<Timestamp> {
        let lane = self.lanes.get(receiver)?;
        let earliest = self.heads(&lane.waiting).map(|(w, _)| w.not_before).min()?;
        Some(earliest.max(lane.held_until))
    }

    /// The first waiting of each key, in order.
    fn heads<'a>(
        &'a self,
        waiting: impl IntoIterator<Item = &'a Waiting>,
    ) -> impl Iterator<Item = (&'a Waiting, &'a Alert)> {
        let mut keys = std::collections::BTreeSet::new();
        let with_alert = waiting
            .into_iter()
            .filter_map(|w| Some((w, self.alerts.get(&w.seq)?)));
        with_alert.filter(move |(_, alert)| keys.insert(alert.dedup_key.as_str()))
    }

    /// Receivers for whom something waits.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.lanes
            .iter()
            .filter(|(_, lane)| !lane.waiting.is_empty())
            .map(|(name, _)| name.as_str())
    }

    /// What waits, by receiver, in order.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, &Waiting, &Alert)> {
        self.lanes.iter().flat_map(|(receiver, lane)| {
            let waiting = lane.waiting.iter();
            waiting.filter_map(|w| Some((receiver.as_str(), w, self.alerts.get(&w.seq)?)))
        })
    }

    /// What has ended, oldest first.
    pub fn done(&self) -> impl Iterator<Item = &Done> {
        self.done.iter()
    }
}
