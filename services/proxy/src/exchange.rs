//! One request and its answer: counted once, however it ends.

use std::sync::Arc;
use std::time::Duration;

use auspex_proto::Track;
use http::StatusCode;
use tokio::time::Instant;

use crate::lane::Lane;
use crate::tally::Ending;

/// Counts itself when dropped. Without an answer by then, the client has given up.
#[derive(Debug)]
pub(crate) struct Exchange {
    lane: Arc<Lane>,
    track: Track,
    slo: Option<Duration>,
    began: Instant,
    ended: Option<(Ending, Duration)>,
}

impl Exchange {
    pub(crate) fn new(lane: Arc<Lane>, track: Track, slo: Option<Duration>, began: Instant) -> Self {
        Self {
            lane,
            track,
            slo,
            began,
            ended: None,
        }
    }

    /// The head of the answer is here. Latency ends now: how fast a client takes a body says nothing about the version.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let ending = if status.is_server_error() {
            Ending::Bad
        } else {
            Ending::Good
        };
        self.ended = Some((ending, self.began.elapsed()));
    }

    /// The target did not answer, or broke off.
    pub(crate) fn failed(&mut self) {
        let latency = self
            .ended
            .map_or_else(|| self.began.elapsed(), |(_, latency)| latency);
        self.ended = Some((Ending::Bad, latency));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (ending, latency) = self
            .ended
            .unwrap_or_else(|| (Ending::Aborted, self.began.elapsed()));
        self.lane.tally.record(self.track, ending, latency, self.slo);
    }
}
