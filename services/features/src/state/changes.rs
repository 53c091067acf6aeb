//! Recent changes by revision: what the model reads of them, and how their runs went.

use std::collections::BTreeMap;

use auspex_proto::event::{Change, Outcome, Review, Run, RunPhase};
use auspex_proto::{Revision, Timestamp};
use serde::{Deserialize, Serialize};

use super::builds::Before;
use super::{Values, key, make_room};
use crate::paths::{PathKinds, counts};
use crate::schema::column;
use auspex_proto::issue::refers_to_issue;

/// How many revisions are remembered; typically 200, at most 1,000 bytes each.
pub const REVISIONS: usize = 256;
/// How many first folders of a change are told apart.
pub const PARTS: usize = 8;
/// How many runs of a revision are remembered; the oldest goes first.
const RUNS: usize = 8;

/// Revisions by hash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(BTreeMap<u64, Remembered>);

/// What is known of one revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    #[serde(rename = "t")]
    used: Timestamp,
    /// As announced.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    pub change: Option<Known>,
    /// What its pull request told, at that time.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    review: Option<(Timestamp, Values)>,
    /// The last attempt of each of its runs.
    #[serde(rename = "b", skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Finished>,
}

/// An announced change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    #[serde(rename = "v")]
    values: Values,
    /// How many of the values a checkout has told.
    #[serde(rename = "s")]
    told: usize,
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    author: Option<u64>,
    /// Changes of the author seen before, and days since the newest of them.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub experience: Option<(u32, Option<f32>)>,
    /// The author's name, at most 64 bytes.
    #[serde(rename = "w", skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// First folders touched: at most 8 of at most 40 bytes, as many as a change's own rows are told of.
    #[serde(rename = "f", skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// Paths by kind.
    #[serde(rename = "p", skip_serializing_if = "PathKinds::is_empty")]
    pub kinds: PathKinds,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    #[serde(rename = "n")]
    name: u64,
    /// From 1.
    #[serde(rename = "a")]
    pub attempt: u32,
    /// How it ended.
    #[serde(rename = "o")]
    pub outcome: Outcome,
    /// When it ended.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// How long it ran, seconds.
    #[serde(rename = "d")]
    pub seconds: Option<f32>,
    /// How long it waited, seconds.
    #[serde(rename = "q")]
    pub queued: Option<f32>,
    /// Its duration against the mean of earlier ones.
    #[serde(rename = "r")]
    pub ratio: Option<f32>,
    /// Share of earlier ones that failed.
    #[serde(rename = "f")]
    pub failure_rate: Option<f32>,
}

impl Known {
    fn of(change: &Change) -> Self {
        let told = change.stats.map(|stats| stats.named()).unwrap_or_default();
        let mut values = Values::default();
        for (slot, (_, value)) in values.0.iter_mut().zip(told) {
            // -0 is read back as 0.
            *slot = value.map(|v| v + 0.0);
        }
        let told = values.known();
        let paths = || change.paths.iter().map(String::as_str);
        // A checkout leaves out the files that a change creates; where it tells of none, paths would say too much.
        if change.stats.is_none() && !change.paths.is_empty() {
            let (subsystems, directories, files) = counts(paths());
            let count = |n: usize| Some(n as f64);
            values.fill(column::SUBSYSTEMS, count(subsystems));
            values.fill(column::DIRECTORIES, count(directories));
            values.fill(column::FILES, count(files));
        }
        values.fill(column::IS_FIX, is_fix(&change.title));
        Self {
            values,
            told,
            author: Some(change.author.trim()).filter(|a| !a.is_empty()).map(key),
            experience: None,
            who: Some(change.author.trim())
                .filter(|a| a.len() <= 64)
                .unwrap_or_default()
                .to_owned(),
            parts: parts(change),
            kinds: PathKinds::of(paths()),
        }
    }

    /// What a checkout tells is worth more than what paths tell; then the more is known the better.
    fn richness(&self) -> (usize, usize) {
        (self.told, self.values.known())
    }
}

fn parts(change: &Change) -> Vec<String> {
    let mut parts = crate::streams::subsystems(&change.paths, usize::MAX);
    parts.retain(|part| part.len() <= 40);
    parts.truncate(PARTS);
    parts
}

fn is_fix(title: &str) -> Option<f64> {
    (!title.trim().is_empty()).then(|| f64::from(u8::from(refers_to_issue(title))))
}

impl Changes {
    /// What is known of a revision.
    #[must_use]
    pub fn get(&self, revision: &Revision) -> Option<&Remembered> {
        self.0.get(&key(revision.as_str()))
    }

    fn entry(&mut self, revision: &Revision, now: Timestamp) -> &mut Remembered {
        let key = key(revision.as_str());
        if !self.0.contains_key(&key) {
            make_room(&mut self.0, REVISIONS, |remembered| remembered.used);
        }
        let entry = self.0.entry(key).or_default();
        entry.used = now;
        entry
    }

    /// Absorbs a change; `None` when no more is known by it than before, and then nothing has changed.
    /// `count` counts the change for its author, once.
    pub fn announce(
        &mut self,
        change: &Change,
        now: Timestamp,
        count: impl FnOnce(u64) -> (u32, Option<f32>),
    ) -> Option<&Remembered> {
        let mut known = Known::of(change);
        let old = self.get(&change.revision).and_then(|r| r.change.as_ref());
        if let Some(old) = old {
            if old.richness() >= known.richness() {
                return None;
            }
            known.author = known.author.or(old.author);
            if known.who.is_empty() {
                known.who.clone_from(&old.who);
            }
            if known.parts.is_empty() {
                known.parts.clone_from(&old.parts);
            }
            known.experience = old.experience;
            if known.kinds.is_empty() {
                known.kinds = old.kinds;
            }
        }
        if known.experience.is_none() {
            known.experience = known.author.map(count);
        }
        let entry = self.entry(&change.revision, now);
        entry.change = Some(known);
        Some(entry)
    }

    /// Absorbs what a pull request tells about its head, and about what it was merged as; the newest word counts.
    pub fn review(&mut self, review: &Review, at: Timestamp, now: Timestamp) {
        let mut values = Values::default();
        values.fill(column::FILES, review.files);
        values.fill(column::LINES_ADDED, review.lines_added);
        values.fill(column::LINES_DELETED, review.lines_deleted);
        if values.known() == 0 {
            return;
        }
        values.fill(column::IS_FIX, is_fix(&review.title));
        for revision in [&review.revision, &review.merged_revision].into_iter().flatten() {
            let entry = self.entry(revision, now);
            if entry.review.is_none_or(|(old, _)| old <= at) {
                entry.review = Some((at, values));
            }
        }
    }

    /// Absorbs a finished run.
    pub fn run(&mut self, run: &Run, at: Timestamp, now: Timestamp, before: Before) {
        let (Some(revision), RunPhase::Finished(outcome)) = (&run.revision, run.phase) else {
            return;
        };
        let seconds = run.duration.map(|d| d.as_secs_f32());
        let finished = Finished {
            name: key(&run.name),
            attempt: run.attempt,
            outcome,
            at,
            seconds,
            queued: run.queued.map(|q| q.as_secs_f32()),
            ratio: before.ratio(run.duration),
            failure_rate: before.failure_rate.map(|rate| rate as f32),
        };
        let runs = &mut self.entry(revision, now).runs;
        if let Some(old) = runs.iter_mut().find(|r| r.name == finished.name) {
            if (old.attempt, old.at) <= (finished.attempt, finished.at) {
                *old = finished;
            }
            return;
        }
        runs.push(finished);
        runs.sort_by_key(|run| (run.at, run.name));
        if runs.len() > RUNS {
            runs.remove(0);
        }
    }
}

impl Remembered {
    /// What the model reads: the change's own values, then what its pull request told.
    #[must_use]
    pub fn values(&self) -> Values {
        let mut values = self
            .change
            .as_ref()
            .map_or_else(Values::default, |known| known.values);
        if let Some((_, told)) = &self.review {
            for (column, value) in told.0.iter().enumerate() {
                values.fill(column, *value);
            }
        }
        values
    }
}
