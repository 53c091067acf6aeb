//! Scripts in, decisions out: each `scenarios/NAME.txt` against its `NAME.golden`. `UPDATE_GOLDEN=1 cargo test` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use auspex_canary::Config;
use auspex_proto::command::{Ask, CheckReport};
use auspex_proto::observation::{Applied, Observation, Value};
use auspex_proto::report::Drift;
use auspex_proto::{Decision, EntityKind, Fact, ObservationBatch, Timestamp, Track};
use stage::{Extra, Second, Stage};

struct Script {
    stage: Stage,
    document: String,
    last: Option<ObservationBatch>,
    out: String,
}

fn line(decision: &Decision) -> String {
    format!(
        "    {:>2} {:?} {:?} {} -> {} % {:?}{} p={:.2} harmed={}: {}{}",
        decision.number,
        decision.action,
        decision.reason,
        decision.previous_weight,
        decision.weight,
        decision.phase,
        if decision.acts { "" } else { " (would have)" },
        decision.posterior,
        decision.harmed,
        decision.reason_text,
        asks(decision)
    )
}

/// What it asks beyond the weight, where that is anything.
fn asks(decision: &Decision) -> String {
    let Some(intent) = &decision.intent else {
        return String::new();
    };
    let mut said = Vec::new();
    let cohorts = intent.cohorts.iter().map(|cohort| cohort.name.as_str());
    let cohorts: Vec<&str> = cohorts.collect();
    if !cohorts.is_empty() {
        said.push(format!("cohorts {}", cohorts.join(" ")));
    }
    if intent.mirror > 0 {
        said.push(format!("mirror {} %", intent.mirror));
    }
    for (name, scale) in [("stable", intent.stable), ("candidate", intent.candidate)] {
        said.extend(scale.map(|scale| format!("{name} {} % ({})", scale.percent, scale.replicas)));
    }
    said.extend(
        intent
            .regions
            .iter()
            .map(|r| format!("{} {} %", r.region, r.weight)),
    );
    if said.is_empty() {
        String::new()
    } else {
        format!(" [{}]", said.join(", "))
    }
}

impl Script {
    fn hear(&mut self, said: Result<Vec<Decision>, String>) {
        match said {
            Ok(decisions) => {
                for decision in decisions {
                    writeln!(self.out, "  {:.2} s", self.stage.seconds()).unwrap();
                    writeln!(self.out, "{}", line(&decision)).unwrap();
                }
            }
            Err(why) => writeln!(self.out, "  dead letter: {why}").unwrap(),
        }
    }

    fn number(words: &[&str], after: &str) -> Option<f64> {
        let at = words.iter().position(|word| *word == after)?;
        words.get(at + 1)?.parse().ok()
    }

    fn observe(&mut self, words: &[&str], start: Timestamp) {
        let at = |track: &str, offset: usize| -> u64 {
            let at = words.iter().position(|word| *word == track).unwrap();
            words[at + offset].parse().unwrap()
        };
        let second = Second {
            stable: (at("stable", 1), at("stable", 2)),
            candidate: (at("candidate", 1), at("candidate", 2)),
            slow: None,
        };
        let batch = self.stage.batch(start, second);
        self.last = Some(batch.clone());
        let said = self.stage.feed(Fact::Observations(batch));
        self.hear(said);
    }

    fn gauge(&mut self, ready: f64) {
        let start = self.stage.now;
        let mut batch = self.stage.batch(start, Second::default());
        let gauge = Observation {
            track: Some(Track::Candidate),
            metric: "ready".to_owned(),
            value: Value::Gauge(ready),
            ..batch.observations.remove(0)
        };
        batch.observations = vec![gauge];
        let said = self.stage.feed(Fact::Observations(batch));
        self.hear(said);
    }

    /// What is reported of another metric from now on: of stable, then of the candidate.
    fn metric(&mut self, words: &[&str]) {
        self.stage.extra.retain(|(name, _)| name != words[1]);
        let both = || [3, 4].map(|at| words[at].parse::<f64>().unwrap());
        let extra = match words[2] {
            "value" => Extra::Gauge(both()),
            "tail" => Extra::Tail(both()),
            "counts" => Extra::Counts(both()),
            "gone" => return,
            other => panic!("no such kind: {other}"),
        };
        self.stage.extra.push((words[1].to_owned(), extra));
    }

    fn traffic(&mut self, words: &[&str]) {
        let of = |name| Self::number(words, name).unwrap();
        let slow = words.contains(&"slow").then(|| (of("slow"), of("to")));
        for _ in 0..of("for") as u64 {
            let said = self
                .stage
                .traffic(of("traffic"), (of("stable"), of("candidate")), slow);
            self.hear(Ok(said));
        }
    }

    fn command(&mut self, words: &[&str]) {
        let ask = match words[1..] {
            ["start"] => Ask::Start {
                document: self.document.clone(),
            },
            ["pause"] => Ask::Pause,
            ["resume"] => Ask::Resume,
            // The analysis itself, whose word ends the step that waits for it.
            ["resume", "by", source] => {
                let mut meta = self.stage.meta("command");
                source.clone_into(&mut meta.source);
                let said = self.stage.command_of(meta, "checkout", Ask::Resume);
                self.hear(said);
                return self.answer();
            }
            ["promote"] => Ask::Promote { full: false },
            ["promote", "full"] => Ask::Promote { full: true },
            ["abort"] => Ask::Abort,
            ["retry"] => Ask::Retry,
            ["undo"] => Ask::Undo,
            ["approve"] => Ask::Approve {
                gate: String::new(),
                ticket: String::new(),
            },
            ["approve", "ticket", ticket] => Ask::Approve {
                gate: String::new(),
                ticket: ticket.to_owned(),
            },
            ["approve", gate] => Ask::Approve {
                gate: gate.to_owned(),
                ticket: String::new(),
            },
            ["report", check, attempt, how] => Ask::Report(CheckReport {
                check: check.to_owned(),
                attempt: attempt.parse().unwrap(),
                passed: how == "passed",
                detail: how.to_owned(),
                started_ms: 0,
            }),
            _ => panic!("{words:?}"),
        };
        let said = self.stage.command("checkout", ask);
        self.hear(said);
        self.answer();
    }

    fn answer(&mut self) {
        if let Some(answer) = self.stage.state.answers.last().filter(|a| !a.refused.is_empty()) {
            writeln!(self.out, "  refused: {}", answer.refused).unwrap();
        }
    }

    /// Another service of the project: `other payments v2 start`, `other payments v2 promote`.
    fn other(&mut self, words: &[&str]) {
        let (service, revision) = (words[1], words[2]);
        let document = format!(
            "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: {service}}}, spec: {{service: {service}, tracks: {{candidate: {{revision: {revision}}}}}, {}}}}}",
            words.get(4..).unwrap_or_default().join(" ")
        );
        let ask = match words[3] {
            "start" => Ask::Start { document },
            _ => Ask::Promote { full: true },
        };
        let said = self.stage.command(service, ask);
        self.hear(said);
        self.answer();
    }

    /// What a router tells at this moment: `router NAME WEIGHT [drift FROM] [region NAME] [unknown] [fault]`.
    fn router(&mut self, words: &[&str]) {
        let mut batch = self.stage.batch(self.stage.now, Second::default());
        batch.observations.clear();
        let mut applied = Stage::applied(words[2].parse().unwrap(), false);
        applied.instance = words[1].to_owned();
        applied.report.drift = Self::number(words, "drift").map(|wanted| Drift {
            weight: applied.weight,
            wanted: wanted as u8,
            since: self.stage.now,
            by: "mallory".to_owned(),
        });
        if let Some(at) = words.iter().position(|word| *word == "region") {
            words[at + 1].clone_into(&mut applied.report.region);
        }
        if words.contains(&"knows") {
            let last = self.stage.rollout().and_then(|rollout| rollout.last.as_ref());
            applied.decision = last.map(|last| last.meta.id.clone());
        }
        batch.applied.push(applied);
        let said = self.stage.feed(Fact::Observations(batch));
        self.hear(said);
    }

    /// What a scaler tells once: ready of stable, of the candidate.
    fn sizes(&mut self, words: &[&str]) {
        let of = |at: usize| words[at].parse().unwrap();
        let last = self.stage.rollout().and_then(|rollout| rollout.last.as_ref());
        let decision = last.map(|last| last.meta.id.clone());
        let mut batch = self.stage.batch(self.stage.now, Second::default());
        batch.observations.clear();
        batch.applied.push(Applied {
            decision,
            ..Stage::sizes((of(1), of(2)))
        });
        let said = self.stage.feed(Fact::Observations(batch));
        self.hear(said);
    }

    /// Another owner of the partition goes on from what was saved.
    fn takeover(&mut self) {
        let saved = rmp_serde::to_vec_named(&self.stage.state).unwrap();
        self.stage.state = rmp_serde::from_slice(&saved).unwrap();
    }

    /// What a score says, and asks: `score 0.2 bbb [change] [asks WORD...]`.
    fn score(&mut self, words: &[&str]) {
        let kind = match words.contains(&"change") {
            true => EntityKind::Change,
            false => EntityKind::Deployment,
        };
        let asks = words.iter().skip_while(|word| **word != "asks").skip(1);
        self.stage.asks = asks.map(|word| (*word).to_owned()).collect();
        let said = self.stage.score(kind, words[2], words[1].parse().unwrap());
        self.hear(Ok(said));
    }

    fn play(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[0] {
            "tick" => {
                for _ in 0..words.get(1).map_or(1, |n| n.parse().unwrap()) {
                    let said = self.stage.tick();
                    self.hear(Ok(said));
                }
            }
            "deployment" => {
                let document = if words.contains(&"configured") {
                    String::new()
                } else {
                    self.document.clone()
                };
                let said = self.stage.deploy(words[1], &document);
                self.hear(said);
            }
            "score" => self.score(&words),
            "observe" => self.observe(&words, self.stage.now),
            "late" => self.observe(&words, Timestamp(self.stage.now.0 - 10_000)),
            "again" => {
                let batch = self.last.clone().unwrap();
                let said = self.stage.feed(Fact::Observations(batch));
                self.hear(said);
            }
            "ready" => self.gauge(words[1].parse().unwrap()),
            "applied" => {
                let mut batch = self.stage.batch(self.stage.now, Second::default());
                batch.observations.clear();
                batch.applied.push(Stage::applied(
                    words[1].parse().unwrap(),
                    words.contains(&"suspended"),
                ));
                let said = self.stage.feed(Fact::Observations(batch));
                self.hear(said);
            }
            "metric" => self.metric(&words),
            "other" => self.other(&words),
            "router" => self.router(&words),
            "sizes" => self.sizes(&words),
            "takeover" => self.takeover(),
            "away" => {
                let said = self
                    .stage
                    .away(words[1].parse().unwrap(), !words.contains(&"untold"));
                self.hear(Ok(said));
            }
            "scaler" => self.stage.scaler = Some(words.get(1).and_then(|n| n.parse().ok())),
            "traffic" => self.traffic(&words),
            "command" => self.command(&words),
            "state" => {
                let late = self.stage.rollout().map_or(0, |r| r.window.late);
                writeln!(self.out, "  weight {} % late {late}", self.stage.weight()).unwrap();
            }
            other => panic!("no such line: {other}"),
        }
    }
}

fn perform(text: &str) -> String {
    let mut lines = text.lines();
    let mut config = Config::default();
    let mut script = None;
    let mut document = String::new();
    while let Some(line) = lines.next() {
        if let Some(settings) = line.strip_prefix("config ") {
            config = serde_yaml_ng::from_str(settings).unwrap();
        } else if line == "document" {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "end").collect();
            let spec = body.join("\n");
            document = format!(
                "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {{name: checkout}}\nspec:\n  service: checkout\n{spec}\n"
            );
            if let Some(Script { document: held, .. }) = &mut script {
                held.clone_from(&document);
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            let script = script.get_or_insert_with(|| Script {
                stage: Stage::new(config.clone()),
                document: document.clone(),
                last: None,
                out: String::new(),
            });
            writeln!(script.out, "> {line}").unwrap();
            script.play(line);
        }
    }
    script.map(|script| script.out).unwrap_or_default()
}

#[test]
fn scenarios_give_their_golden_traces() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    names.sort();
    assert!(names.len() >= 14);
    let mut wrong = Vec::new();
    for path in names {
        let trace = perform(&fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("golden");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &trace).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != trace {
            wrong.push(format!("{}:\n{trace}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "traces differ from their golden files:\n{}",
        wrong.join("\n")
    );
}
