//! Examples of builds: the vector of each when it was asked for, and how it ended. They stand under a key of their own beside those
//! of the project's changes, and are nothing where no vectors of builds are served.

use auspex_chassis::Input;
use auspex_proto::event::{Body, Outcome, Run, RunPhase};
use auspex_proto::{EntityKind, Fact, FeatureVector};

use super::{Collect, State};

/// What the key of a project's builds ends with; no project's name holds it.
const MARK: &str = "\nbuilds";

/// The key of a project's builds.
pub(super) fn key(project: &str) -> String {
    format!("{project}{MARK}")
}

/// Whether a build ended.
pub(super) fn ends(body: &Body) -> bool {
    matches!(body, Body::Run(run) if matches!(run.phase, RunPhase::Finished(_)))
}

/// The project whose builds a key is of.
#[must_use]
pub fn project_of(key: &str) -> Option<&str> {
    key.strip_suffix(MARK)
}

impl Collect {
    /// Whether this is a vector of a build to learn from.
    pub(super) fn reads_build(&self, vector: &FeatureVector) -> bool {
        let name = vector.feature_service.split('@').next().unwrap_or_default();
        vector.entity.kind == EntityKind::Run
            && !name.is_empty()
            && name == self.config.builds.feature_service
    }

    /// What a fact says about builds.
    pub(super) fn build(&self, state: &mut State, input: &Input<'_>) {
        let time = input.fact.meta().time.0.min(input.now.0);
        match input.fact {
            Fact::Vector(vector) => {
                let values = state.values(vector);
                state.expect_build(vector, time, values);
            }
            // Before the first vector there is nothing to wait for.
            Fact::Event(event) if !state.schema.is_empty() => {
                if let Body::Run(run) = &event.body {
                    state.clock = state.clock.max(time);
                    state.ended(run, time);
                }
                state.mature(&self.config);
            }
            _ => {}
        }
    }
}

impl State {
    /// The vector's time is that of which it tells: in a past that is played in, too.
    fn expect_build(&mut self, vector: &FeatureVector, time: i64, values: Vec<f32>) {
        let waiting = self.waiting(&vector.entity.id, time);
        (waiting.at, waiting.values, waiting.noted) = (time, values, true);
        self.clock = self.clock.max(time);
    }

    fn ended(&mut self, run: &Run, time: i64) {
        match run.phase {
            RunPhase::Finished(Outcome::Failure | Outcome::Timeout) => {
                self.settle(&run.run_id, true, time);
            }
            RunPhase::Finished(Outcome::Success) => self.settle(&run.run_id, false, time),
            // The CI system's own fault, or nobody's, says nothing of the build.
            RunPhase::Finished(Outcome::Error | Outcome::Cancellation | Outcome::Skip) => {
                self.waiting.remove(&run.run_id);
            }
            RunPhase::Queued | RunPhase::Started => {}
        }
    }

    /// Times from a vector to its outcome, in milliseconds.
    fn spans(&self) -> impl Iterator<Item = i64> {
        self.examples.iter().map(|example| example.known - example.at)
    }
}

/// The time within which 99 of 100 builds have ended, in seconds: one that hung for days would leave nothing to learn from.
#[must_use]
pub fn most(states: &[(String, State)]) -> f64 {
    let mut spans: Vec<i64> = states.iter().flat_map(|(_, state)| state.spans()).collect();
    spans.sort_unstable();
    let at = (spans.len() * 99).div_ceil(100).saturating_sub(1);
    spans.get(at).copied().unwrap_or_default() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use auspex_chassis::{Route, Verb as _};
    use auspex_proto::vector::{Feature, schema_hash};
    use auspex_proto::{Entity, Event, FactId, Meta, Project, Revision, Timestamp};

    use super::*;

    const MINUTE: i64 = 60_000;

    fn meta(id: &str, time: i64) -> Meta {
        Meta {
            id: FactId::new(id).unwrap(),
            project: Project::new("shop").unwrap(),
            time: Timestamp(time),
            cause: 0,
            source: "test".to_owned(),
        }
    }

    fn run(id: &str, phase: RunPhase, time: i64) -> Fact {
        let run = Run {
            run_id: id.to_owned(),
            name: "build".to_owned(),
            revision: None,
            branch: String::new(),
            attempt: 1,
            phase,
            queued: None,
            duration: None,
            runner: String::new(),
        };
        Fact::Event(Event {
            meta: meta(&format!("{id} {phase:?}"), time),
            body: Body::Run(run),
        })
    }

    fn vector(id: &str, service: &str, time: i64) -> Fact {
        Fact::Vector(FeatureVector {
            meta: meta(&format!("vector {id}"), time),
            entity: Entity {
                kind: EntityKind::Run,
                id: id.to_owned(),
                revision: Revision::new("r").unwrap(),
                service: None,
            },
            feature_service: service.to_owned(),
            schema_hash: schema_hash(["files"]),
            features: vec![Feature::present("files", 3.0)],
            context: Vec::new(),
            wants_reasons: false,
        })
    }

    /// Absorbed under every key that each fact bears upon.
    fn told(facts: &[(Fact, i64)]) -> (State, State) {
        let verb = Collect::default();
        let (mut changes, mut builds) = (State::default(), State::default());
        for (seq, (fact, now)) in (1..).zip(facts) {
            let keys = match verb.route(fact) {
                Route::Key(key) => vec![key],
                Route::Keys(keys) => keys,
                _ => Vec::new(),
            };
            for key in keys {
                let state = match project_of(&key) {
                    Some(_) => &mut builds,
                    None => &mut changes,
                };
                let input = Input {
                    key: &key,
                    fact,
                    seq,
                    now: Timestamp(*now),
                };
                verb.absorb(state, &input).unwrap();
            }
        }
        (changes, builds)
    }

    fn end(outcome: Outcome) -> RunPhase {
        RunPhase::Finished(outcome)
    }

    #[test]
    fn a_build_that_was_served_is_an_example_when_it_ends() {
        let live = |fact: Fact| {
            let now = fact.meta().time.0;
            (fact, now)
        };
        let (changes, builds) = told(&[
            live(run("0", RunPhase::Queued, 0)),
            live(vector("1", "ci-run@1", MINUTE)),
            live(run("2", RunPhase::Queued, 2 * MINUTE)),
            live(vector("2", "ci-run@1", 2 * MINUTE)),
            live(vector("3", "ci-run@1", 2 * MINUTE)),
            live(vector("4", "other@1", 2 * MINUTE)),
            live(run("1", end(Outcome::Failure), 5 * MINUTE)),
            live(run("1", end(Outcome::Success), 6 * MINUTE)),
            live(run("2", end(Outcome::Success), 7 * MINUTE)),
            live(run("3", end(Outcome::Cancellation), 7 * MINUTE)),
            live(run("5", end(Outcome::Failure), 8 * MINUTE)),
        ]);
        let found: Vec<(i64, bool)> = builds.examples.iter().map(|e| (e.at, e.failed)).collect();
        assert_eq!(found, [(MINUTE, true), (2 * MINUTE, false)]);
        assert_eq!((builds.pending(), builds.service.as_str()), (0, "ci-run@1"));
        let most = most(&[("shop".to_owned(), builds)]);
        assert!((most - 300.0).abs() < 1e-9, "{most}");
        assert_eq!((changes.pending(), changes.examples.len()), (0, 0));
    }

    #[test]
    fn where_no_builds_are_served_nothing_is_kept() {
        let (_, builds) = told(&[
            (run("1", RunPhase::Queued, 0), 0),
            (run("1", end(Outcome::Failure), MINUTE), MINUTE),
        ]);
        assert_eq!(builds, State::default());
    }

    #[test]
    fn a_past_that_is_played_in_counts_by_its_own_time() {
        let now = 1_000_000 * MINUTE;
        let (_, builds) = told(&[
            (run("1", RunPhase::Queued, 10 * MINUTE), now),
            (vector("1", "ci-run@1", 10 * MINUTE), now),
            (run("1", end(Outcome::Failure), 14 * MINUTE), now),
        ]);
        let example = &builds.examples[0];
        assert_eq!((example.at, example.known), (10 * MINUTE, 14 * MINUTE));
        assert_eq!(builds.clock, 14 * MINUTE);
    }
}
