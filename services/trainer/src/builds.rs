//! Builds as examples: when each was asked for, whom the feature store is to be asked about as of then, and how it ended.

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::Event;
use auspex_proto::event::{Body, Outcome, Run, RunPhase};

use crate::collect::Example;

/// Events so much behind the log, in milliseconds, are of a past that was played in. An hour.
const PLAYED_IN: i64 = 3_600_000;
/// Changes whose author is remembered, and builds that have begun and not ended: the newest so many.
const MOST_OPEN: usize = 20_000;

/// What was told of builds, in the order of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Builds {
    authors: Newest,
    begun: Newest,
    ended: BTreeSet<(String, u32)>,
    /// Those whose outcome is known, as they became known.
    pub examples: Vec<Example>,
    /// Builds of the same span that say nothing: cancelled, skipped, or the CI system's own fault.
    pub without_outcome: u64,
    /// Builds of which nobody told when they began.
    pub without_beginning: u64,
    /// Of the examples, those that were told more than an hour after they ended: the feature store knew nothing of then.
    pub played_in: usize,
}

/// Texts by key, of which the oldest go when there are too many.
#[derive(Debug, Clone, Default, PartialEq)]
struct Newest {
    at: u64,
    by_key: BTreeMap<String, (u64, String)>,
    by_age: BTreeMap<u64, String>,
}

impl Newest {
    fn put(&mut self, key: String, value: String) {
        self.at += 1;
        if let Some((age, _)) = self.by_key.insert(key.clone(), (self.at, value)) {
            self.by_age.remove(&age);
        }
        self.by_age.insert(self.at, key);
        if self.by_age.len() > MOST_OPEN
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.by_key.get(key).map(|(_, value)| value.as_str())
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let (age, value) = self.by_key.remove(key)?;
        self.by_age.remove(&age);
        Some(value)
    }
}

impl Builds {
    /// Takes in what happened; `logged` is when the log had it, in milliseconds.
    pub fn absorb(&mut self, event: &Event, logged: i64) {
        let time = event.meta.time.0.min(logged);
        match &event.body {
            Body::Change(change) if !change.author.is_empty() => {
                self.authors
                    .put(change.revision.to_string(), change.author.clone());
            }
            Body::Run(run) => match run.phase {
                RunPhase::Queued | RunPhase::Started => {
                    // By the log's clock, where the source tells as it happens: what the store knew stands by that clock too.
                    let at = if logged - time > PLAYED_IN { time } else { logged };
                    let key = format!("{}/{}", run.attempt, run.run_id);
                    if self.begun.get(&key).is_none() {
                        self.begun.put(key, at.to_string());
                    }
                }
                RunPhase::Finished(outcome) => self.ended(run, outcome, (time, logged)),
            },
            _ => {}
        }
    }

    fn ended(&mut self, run: &Run, outcome: Outcome, (time, logged): (i64, i64)) {
        if !self.ended.insert((run.run_id.clone(), run.attempt)) {
            return;
        }
        let begun = self.begun.take(&format!("{}/{}", run.attempt, run.run_id));
        let failed = match outcome {
            Outcome::Failure | Outcome::Timeout => true,
            Outcome::Success => false,
            Outcome::Error | Outcome::Cancellation | Outcome::Skip => {
                self.without_outcome += 1;
                return;
            }
        };
        let millis = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let told = begun.and_then(|at| at.parse::<i64>().ok());
        let reckoned = || {
            let waited = run.queued.map_or(0, millis);
            run.duration
                .map(|took| time.saturating_sub(millis(took)).saturating_sub(waited))
        };
        let Some(at) = told.or_else(reckoned) else {
            self.without_beginning += 1;
            return;
        };
        // Never as of its end, where its own outcome is known.
        let at = at.min(time.saturating_sub(1));
        self.played_in += usize::from(logged - time > PLAYED_IN);
        // A build without a name is nobody's, and the store is asked about somebody.
        let name = if run.name.is_empty() {
            "?"
        } else {
            run.name.as_str()
        };
        let mut keys = BTreeMap::from([("run".to_owned(), name.to_owned())]);
        let revision = run.revision.as_ref().map(ToString::to_string);
        let author = revision.as_deref().and_then(|of| self.authors.get(of));
        keys.extend(author.map(|who| ("author".to_owned(), who.to_owned())));
        keys.extend(revision.map(|of| ("revision".to_owned(), of)));
        self.examples.push(Example {
            at,
            known: time,
            failed,
            values: Vec::new(),
            asked: at,
            keys,
        });
    }

    /// The longest time from asking for a build to its outcome, in seconds.
    #[must_use]
    pub fn longest(&self) -> f64 {
        let spans = self.examples.iter().map(|example| example.known - example.at);
        spans.max().unwrap_or_default() as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use auspex_proto::event::Change;
    use auspex_proto::{FactId, Meta, Project, Revision, Timestamp};

    use super::*;

    const MINUTE: i64 = 60_000;

    fn event(body: Body, time: i64) -> Event {
        Event {
            meta: Meta {
                id: FactId::new(format!("e{time}")).unwrap(),
                project: Project::new("shop").unwrap(),
                time: Timestamp(time),
                cause: 0,
                source: "test".to_owned(),
            },
            body,
        }
    }

    fn run(id: &str, phase: RunPhase, took: Option<u64>) -> Body {
        Body::Run(Run {
            run_id: id.to_owned(),
            name: "build".to_owned(),
            revision: Some(Revision::new("r1").unwrap()),
            branch: String::new(),
            attempt: 1,
            phase,
            queued: took.map(|_| Duration::from_secs(30)),
            duration: took.map(Duration::from_secs),
            runner: String::new(),
        })
    }

    #[test]
    fn a_build_is_asked_about_as_of_its_beginning() {
        let mut builds = Builds::default();
        let change = Change {
            revision: Revision::new("r1").unwrap(),
            author: "ada".to_owned(),
            branch: String::new(),
            title: String::new(),
            paths: Vec::new(),
            stats: None,
            authored: None,
            complexity: None,
        };
        builds.absorb(&event(Body::Change(change), 0), 5);
        // The log heard of the beginning two seconds later: as of then the store is asked.
        builds.absorb(&event(run("1", RunPhase::Started, None), MINUTE), MINUTE + 2000);
        let end = |id: &str, outcome, took| run(id, RunPhase::Finished(outcome), took);
        let told = event(end("1", Outcome::Failure, None), 9 * MINUTE);
        builds.absorb(&told, 9 * MINUTE);
        builds.absorb(&told, 10 * MINUTE);
        // Of this one only the end is told, a day late.
        builds.absorb(
            &event(end("2", Outcome::Success, Some(60)), 20 * MINUTE),
            1000 * MINUTE,
        );
        // An instant: never as of its own end.
        builds.absorb(
            &event(end("3", Outcome::Timeout, Some(0)), 30 * MINUTE),
            30 * MINUTE,
        );
        builds.absorb(
            &event(end("4", Outcome::Cancellation, Some(5)), 31 * MINUTE),
            31 * MINUTE,
        );
        builds.absorb(&event(end("5", Outcome::Success, None), 32 * MINUTE), 32 * MINUTE);
        let found: Vec<(i64, bool)> = builds.examples.iter().map(|e| (e.at, e.failed)).collect();
        let reckoned = 20 * MINUTE - 60_000 - 30_000;
        let wanted = [
            (MINUTE + 2000, true),
            (reckoned, false),
            (30 * MINUTE - 30_000, true),
        ];
        assert_eq!(found, wanted);
        assert_eq!(
            (builds.without_outcome, builds.without_beginning, builds.played_in),
            (1, 1, 1)
        );
        let keys = &builds.examples[0].keys;
        assert_eq!(
            ["run", "author", "revision"].map(|key| keys[key].as_str()),
            ["build", "ada", "r1"]
        );
        assert!((builds.longest() - 478.0).abs() < 1e-9, "{}", builds.longest());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut newest = Newest::default();
        for key in 0..=MOST_OPEN {
            newest.put(key.to_string(), String::new());
        }
        assert_eq!((newest.by_key.len(), newest.by_age.len()), (MOST_OPEN, MOST_OPEN));
        assert!(newest.get("0").is_none() && newest.take("1").is_some() && newest.take("1").is_none());
    }
}
