//! Open intervals: observations add up per interval until a tick closes it, so that the order and the batches in which they
//! arrive cannot matter.
//!
//! An observation belongs to the interval in which it ends. Within an interval each (instance, region, start, length,
//! metric, track) counts once, whoever sends it again. What comes after its interval has closed is counted as late and not judged.
//!
//! While nothing arrives nothing moves here: an interval in which nobody said anything is closed by what comes later. So
//! what has come too late for such an interval is told by the tick that would close it: from the tick before on it was over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auspex_judge::Counts;
use auspex_proto::observation::{Observation, Value};
use auspex_proto::{Timestamp, Track};
use serde::{Deserialize, Serialize, Serializer};

use super::metric::{Cell, MOST_HISTOGRAMS, MOST_TOLD};
use crate::document::Listed;

/// Most intervals that are open at once: what a pause of control may last without losing evidence, at 1 s.
pub const MOST_OPEN: u32 = 120;
/// What is taken without being listed.
const BUILT_IN: [&str; 3] = ["requests", "slow", "ready"];
/// Most observations that are told apart while open: 50 proxies with 4 observations each, 5 intervals.
pub const MOST_SEEN: usize = 1_024;
/// The same of all rollouts of a project under way, in equal parts.
pub const MOST_SEEN_TOGETHER: usize = 6_144;

/// The measure of intervals.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// How long an interval is.
    pub width: Duration,
    /// How long after its end an interval waits for what is late.
    pub lateness: Duration,
}

/// Where a boundary stands among the boundaries that were told.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The boundary.
    pub boundary: Timestamp,
    /// The one before it, whoever was told of that.
    pub previous: Timestamp,
}

/// The intervals of one rollout that are not judged yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// What ends before or at this boundary is judged; nothing was said of what ended since and is over.
    pub closed: Timestamp,
    /// By start of the interval.
    open: BTreeMap<i64, Interval>,
    /// Observations that came after their interval had closed, or too far ahead of it.
    pub late: u64,
    /// Regions in which the candidate has everything: what comes from there is no comparison, and counts apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<String>,
}

/// What both tracks did in one interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interval {
    /// Requests, bad are errors.
    #[serde(serialize_with = "row", skip_serializing_if = "is_empty")]
    pub requests: Counts,
    /// Requests, bad are slow.
    #[serde(serialize_with = "row", skip_serializing_if = "is_empty")]
    pub slow: Counts,
    /// Whether anybody reported `slow`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_slow: bool,
    /// What the candidate says it can take, 0..=1: the least that any instance reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<f64>,
    /// What the document lists, by its place there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub listed: BTreeMap<usize, Cell>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    seen: BTreeSet<u64>,
    /// Requests of the candidate apart from the comparison, bad and all.
    #[serde(skip_serializing_if = "is_nothing")]
    pub apart: [u64; 2],
}

/// Counts without the names of their fields: there are many, and they are read all the same.
fn row<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
    (
        counts.candidate_bad,
        counts.candidate_total,
        counts.baseline_bad,
        counts.baseline_total,
    )
        .serialize(to)
}

fn is_empty(counts: &Counts) -> bool {
    *counts == Counts::default()
}

fn is_nothing(apart: &[u64; 2]) -> bool {
    *apart == [0, 0]
}

impl Window {
    /// Begins at an instant.
    #[must_use]
    pub fn from(start: Timestamp, width: Duration) -> Self {
        Self {
            closed: start.boundary(width),
            ..Self::default()
        }
    }

    /// Adds an observation of a track to its interval: `requests`, `slow`, `ready` and what is listed; nothing else.
    /// `now`: when it arrived, by the log; `most`: how many are told apart.
    pub fn add(
        &mut self,
        (seen, track): (&Observation, Track),
        (width, most): (Duration, usize),
        listed: &[Listed],
        now: Timestamp,
    ) {
        let at = listed.iter().position(|listed| listed.name == seen.metric);
        if at.is_none() && !BUILT_IN.contains(&seen.metric.as_str()) {
            return;
        }
        let end = seen.start + seen.length - Duration::from_millis(1);
        let start = end.boundary(width);
        let open = start >= self.closed && start < now + width * MOST_OPEN;
        let room = self.open.contains_key(&start.0) || self.open.len() < MOST_OPEN as usize;
        let taken = open
            && room
            && match at {
                Some(at) => self.add_listed(start, at, (seen, track)),
                None => self.add_built_in(start, (seen, track), most),
            };
        if !taken {
            self.late = self.late.saturating_add(1);
        }
    }

    /// Whether there was room for it.
    fn add_built_in(&mut self, start: Timestamp, (seen, track): (&Observation, Track), most: usize) -> bool {
        let told = self.open.values().map(|interval| interval.seen.len());
        let room = told.sum::<usize>() < most;
        let apart = self.apart.contains(&seen.region);
        let interval = self.open.entry(start.0).or_default();
        let key = key(seen, track);
        if interval.seen.contains(&key) {
            return true;
        }
        if room {
            interval.seen.insert(key);
            if apart {
                interval.add_apart(seen, track);
            } else {
                interval.add(seen, track);
            }
        }
        room
    }

    /// The same for a listed metric, which has a room of its own, so that it cannot crowd out requests.
    fn add_listed(&mut self, start: Timestamp, at: usize, (seen, track): (&Observation, Track)) -> bool {
        let cells = || self.open.values().filter_map(|interval| interval.listed.get(&at));
        let key = key(seen, track);
        let here = self
            .open
            .get(&start.0)
            .and_then(|interval| interval.listed.get(&at));
        if here.is_some_and(|cell| cell.knows(key)) {
            return true;
        }
        let histogram = matches!(seen.value, Value::Histogram { .. });
        let fresh = histogram && !here.is_some_and(Cell::has_histograms);
        let full = 2 * cells().filter(|cell| cell.has_histograms()).count() >= MOST_HISTOGRAMS;
        if cells().map(Cell::told).sum::<usize>() >= MOST_TOLD || (fresh && full) {
            return false;
        }
        let interval = self.open.entry(start.0).or_default();
        interval
            .listed
            .entry(at)
            .or_default()
            .add(key, &seen.value, track)
    }

    /// The first boundary at which something is to be closed; `None`: nothing waits for it.
    #[must_use]
    pub fn due(&self, beat: Beat) -> Option<Timestamp> {
        let (first, _) = self.open.first_key_value()?;
        Some(Timestamp(*first) + beat.width + beat.lateness)
    }

    /// Takes every interval that has been over for the lateness at this boundary, in order, empty ones left out. What was
    /// over at the boundary before already has come too late, and is counted.
    pub fn close(&mut self, now: Now, beat: Beat) -> Vec<(Timestamp, Interval)> {
        let until = |boundary: Timestamp| (boundary - beat.lateness).boundary(beat.width).0;
        let end = until(now.boundary);
        if self.open.first_key_value().is_none_or(|(first, _)| *first >= end) {
            return Vec::new();
        }
        self.closed = self.closed.max(Timestamp(end));
        let open = self.open.split_off(&end);
        let mut due = std::mem::replace(&mut self.open, open);
        let timely = due.split_off(&until(now.previous));
        let late = due.into_values().map(|interval| interval.told());
        self.late = self.late.saturating_add(late.sum());
        let timely = timely.into_iter();
        timely
            .map(|(start, interval)| (Timestamp(start), interval))
            .collect()
    }
}

impl Interval {
    /// How many observations are in it.
    fn told(&self) -> u64 {
        let listed = self.listed.values().map(Cell::told).sum::<usize>();
        u64::try_from(self.seen.len() + listed).unwrap_or(u64::MAX)
    }

    fn add_apart(&mut self, seen: &Observation, track: Track) {
        if let (Value::Counts { bad, total }, "requests", Track::Candidate) =
            (&seen.value, seen.metric.as_str(), track)
        {
            let [sum_bad, sum_total] = &mut self.apart;
            *sum_bad = sum_bad.saturating_add(*bad);
            *sum_total = sum_total.saturating_add(*total);
        }
    }

    fn add(&mut self, seen: &Observation, track: Track) {
        match (&seen.value, seen.metric.as_str()) {
            (Value::Counts { bad, total }, "requests") => count(&mut self.requests, track, *bad, *total),
            (Value::Counts { bad, total }, "slow") => {
                self.has_slow = true;
                count(&mut self.slow, track, *bad, *total);
            }
            (Value::Gauge(ready), "ready") if track == Track::Candidate => {
                let ready = ready.clamp(0.0, 1.0);
                self.ready = Some(self.ready.map_or(ready, |least| least.min(ready)));
            }
            _ => {}
        }
    }
}

pub(super) fn count(counts: &mut Counts, track: Track, bad: u64, total: u64) {
    let (sum_bad, sum_total) = match track {
        Track::Stable => (&mut counts.baseline_bad, &mut counts.baseline_total),
        Track::Candidate => (&mut counts.candidate_bad, &mut counts.candidate_total),
    };
    *sum_bad = sum_bad.saturating_add(bad);
    *sum_total = sum_total.saturating_add(total);
}

/// What makes an observation the same one.
pub(super) fn key(seen: &Observation, track: Track) -> u64 {
    let length = u64::try_from(seen.length.as_millis()).unwrap_or(u64::MAX);
    let numbers = [seen.start.0.to_le_bytes(), length.to_le_bytes(), [track as u8; 8]].concat();
    let texts = [
        seen.instance.as_bytes(),
        &[0],
        seen.region.as_bytes(),
        &[0],
        seen.metric.as_bytes(),
        &[0],
        &numbers,
    ];
    hash(&texts)
}

/// FNV-1a: the same on every machine and in every version.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().copied().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests;
