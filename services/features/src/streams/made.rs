//! Rows of the streams, made of facts and of what the state knows beside them.

use std::collections::BTreeMap;

use auspex_algebra::distinct::hash;
use auspex_algebra::{Row, Value};
use auspex_chassis::Input;
use auspex_proto::event::{Change, DeploymentStatus, Incident, Outcome, Review, Run};
use auspex_proto::rows::{FeatureRows, MOST_ROWS};
use auspex_proto::stage::STARTS;
use auspex_proto::{Fact, Project, Timestamp};

use super::named;
use crate::context::WorkingHours;
use crate::paths::PathKinds;
use crate::rows::{entity, wire_row, wire_shape};
use crate::schema;
use crate::state::builds::{Before, failed};
use crate::state::changes::{PARTS, Remembered};
use crate::streams::Surroundings;

/// Rows of one stream, before they are facts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made {
    stream: &'static str,
    rows: Vec<(String, Row)>,
}

/// The columns of one row, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Cells(pub(super) BTreeMap<&'static str, Value>);

impl Cells {
    pub(super) fn put(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.0.insert(name, Value::Number(value));
        }
    }

    fn flag(&mut self, name: &'static str, value: Option<bool>) {
        self.put(name, value.map(|holds| if holds { 1.0 } else { 0.0 }));
    }

    fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.0.insert(name, Value::Text(clip(value)));
        }
    }

    fn calendar(&mut self, calendar: [Option<f64>; 5]) {
        let names = ["hour", "weekday", "off_hours", "before_holiday", "freeze"];
        names
            .into_iter()
            .zip(calendar)
            .for_each(|(name, value)| self.put(name, value));
    }
}

/// Names are kept up to 128 bytes.
fn clip(text: &str) -> String {
    text.chars()
        .take_while({
            let mut bytes = 0;
            move |c| {
                bytes += c.len_utf8();
                bytes <= 128
            }
        })
        .collect()
}

impl Made {
    pub(super) fn new(stream: &'static str) -> Self {
        Self {
            stream,
            rows: Vec::new(),
        }
    }

    /// A row for an entity; none when one of its keys is empty.
    pub(super) fn row(
        &mut self,
        keys: &[(&str, &str)],
        (at, created, id): (Timestamp, Timestamp, u64),
        cells: &Cells,
    ) {
        if keys.iter().any(|(_, value)| value.is_empty()) {
            return;
        }
        let Some(stream) = named(self.stream) else { return };
        let clipped: Vec<(&str, String)> = keys.iter().map(|(key, value)| (*key, clip(value))).collect();
        let name = entity(clipped.iter().map(|(key, value)| (*key, value.as_str())));
        let value = |name: &str| cells.0.get(name).cloned().unwrap_or(Value::Null);
        let row = Row {
            event: at.0,
            created: created.0,
            id,
            values: stream.columns.iter().map(|column| value(column.name)).collect(),
        };
        self.rows.push((name, row));
    }

    /// As facts: the `index`-th output on of an input.
    #[must_use]
    pub fn facts(self, input: &Input<'_>, stage: &str, project: &Project, index: usize) -> Vec<Fact> {
        let Some(stream) = named(self.stream) else {
            return Vec::new();
        };
        let shape = stream.shape();
        let chunk = |(offset, rows): (usize, &[(String, Row)])| {
            Fact::Rows(FeatureRows {
                meta: input.derive(stage, project, index + offset),
                source: stream.name.to_owned(),
                shape: wire_shape(&shape),
                rows: rows
                    .iter()
                    .map(|(entity, row)| wire_row(&shape, entity.clone(), row))
                    .collect(),
            })
        };
        self.rows.chunks(MOST_ROWS).enumerate().map(chunk).collect()
    }
}

/// What all of these are told: when it happened, when it became known, which event, and where.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// When it became known.
    pub now: Timestamp,
    /// The event's id.
    pub id: &'a str,
    /// Its project.
    pub project: &'a Project,
    /// What the project lives in.
    pub around: &'a Surroundings,
    /// When people are there.
    pub hours: &'a WorkingHours,
}

impl Told<'_> {
    fn stamp(&self) -> (Timestamp, Timestamp, u64) {
        (self.at, self.now, hash(self.id.as_bytes()))
    }

    fn calendar(&self) -> [Option<f64>; 5] {
        self.around.calendar(self.at, self.hours)
    }

    fn team(&self, author: &str) -> &str {
        self.around.teams.get(author).map_or("", String::as_str)
    }
}

/// First folders of paths, sorted, the most at once.
#[must_use]
pub fn subsystems(paths: &[String], most: usize) -> Vec<String> {
    let mut found: Vec<String> = paths
        .iter()
        .filter_map(|path| path.split_once('/').map(|(first, _)| clip(first)))
        .collect();
    found.sort();
    found.dedup();
    found.truncate(most);
    found
}

/// A change was announced.
#[must_use]
pub fn change(told: &Told<'_>, change: &Change, remembered: &Remembered) -> Made {
    let mut cells = Cells::default();
    for (name, value) in schema::MODEL.into_iter().zip(remembered.values().0) {
        let column = named("changes").and_then(|s| s.columns.iter().find(|c| c.name == name));
        if let Some(column) = column {
            cells.put(column.name, value);
        }
    }
    let [added, deleted] =
        ["lines_added", "lines_deleted"].map(|name| cells.0.get(name).and_then(Value::number));
    cells.put("lines", added.zip(deleted).map(|(a, d)| a + d));
    if let Some(complexity) = change.complexity {
        cells.put("complexity", Some(complexity.sum));
        cells.put("complexity_mean", Some(complexity.mean));
        cells.put("complexity_spread", Some(complexity.deviation));
    }
    let kinds = PathKinds::of(change.paths.iter().map(String::as_str));
    kind_cells(&mut cells, kinds);
    cells.calendar(told.calendar());
    let author = change.author.trim();
    cells.text("author", author);
    let parts = subsystems(&change.paths, PARTS);
    let affected = parts
        .iter()
        .filter_map(|part| told.around.affected(part))
        .reduce(f64::max);
    cells.put("services_affected", affected);
    let mut made = Made::new("changes");
    let stamp = told.stamp();
    made.row(&[("revision", change.revision.as_str())], stamp, &cells);
    made.row(&[("author", author)], stamp, &cells);
    made.row(&[("team", told.team(author))], stamp, &cells);
    made.row(&[("project", told.project.as_str())], stamp, &cells);
    for part in &parts {
        made.row(&[("subsystem", part)], stamp, &cells);
        made.row(&[("author", author), ("subsystem", part)], stamp, &cells);
    }
    made
}

fn kind_cells(cells: &mut Cells, kinds: PathKinds) {
    if kinds.is_empty() {
        return;
    }
    for (name, count) in [
        ("code_files", kinds.code),
        ("test_files", kinds.test),
        ("dependency_files", kinds.dependency),
        ("schema_files", kinds.schema),
        ("config_files", kinds.config),
        ("infra_files", kinds.infra),
        ("workflow_files", kinds.workflow),
    ] {
        cells.put(name, Some(count.into()));
    }
    let (tests, code) = (f64::from(kinds.test), f64::from(kinds.code));
    cells.put("test_ratio", (tests + code > 0.0).then(|| tests / (tests + code)));
}

/// A pull request moved.
#[must_use]
pub fn review(told: &Told<'_>, review: &Review) -> Made {
    let mut cells = Cells::default();
    cells.put("comments", review.comments);
    cells.put("commits", review.commits);
    cells.put("files", review.files);
    let lines = review.lines_added.zip(review.lines_deleted);
    cells.put("lines", lines.map(|(added, deleted)| added + deleted));
    cells.flag("merged", Some(review.merged_revision.is_some()));
    cells.flag("draft", Some(review.draft));
    let mut made = Made::new("reviews");
    for revision in [&review.revision, &review.merged_revision].into_iter().flatten() {
        made.row(&[("revision", revision.as_str())], told.stamp(), &cells);
    }
    made.row(&[("author", review.author.trim())], told.stamp(), &cells);
    made.row(&[("project", told.project.as_str())], told.stamp(), &cells);
    made
}

/// A run of CI ended.
#[must_use]
pub fn finished_run(
    told: &Told<'_>,
    run: &Run,
    outcome: Outcome,
    before: Before,
    remembered: Option<&Remembered>,
) -> Made {
    let verdict = failed(outcome);
    let mut cells = Cells::default();
    cells.flag("failed", verdict);
    cells.flag("error", Some(verdict.is_none() && outcome != Outcome::Skip));
    cells.put("seconds", run.duration.map(|d| d.as_secs_f64()));
    cells.put("queue_seconds", run.queued.map(|q| q.as_secs_f64()));
    cells.put("attempt", Some(run.attempt.into()));
    cells.flag("retried", Some(run.attempt > 1));
    cells.flag("flaky", verdict.map(|failed| !failed && run.attempt > 1));
    cells.put("duration_ratio", before.ratio(run.duration).map(f64::from));
    let known = remembered.and_then(|r| r.change.as_ref());
    let kinds = known.map(|known| known.kinds).filter(|kinds| !kinds.is_empty());
    cells.put("dependency_files", kinds.map(|kinds| kinds.dependency.into()));
    cells.text("runner", &run.runner);
    let mut made = Made::new("runs");
    made.row(&[("run", &run.name)], told.stamp(), &cells);
    made.row(&[("project", told.project.as_str())], told.stamp(), &cells);
    let revision = run.revision.as_ref().map_or("", |r| r.as_str());
    made.row(&[("revision", revision)], told.stamp(), &cells);
    made.row(
        &[("author", known.map_or("", |known| &known.who))],
        told.stamp(),
        &cells,
    );
    made.row(&[("runner", run.runner.trim())], told.stamp(), &cells);
    made
}

/// A run of CI is asked for. The first row is that of its name.
#[must_use]
pub fn asked_run(told: &Told<'_>, run: &Run, remembered: Option<&Remembered>) -> Made {
    let author = remembered.and_then(|r| r.change.as_ref());
    let author = author.map_or("", |known| known.who.as_str());
    let mut cells = Cells::default();
    cells.put("attempt", Some(run.attempt.into()));
    cells.flag("retried", Some(run.attempt > 1));
    // Its outcome is known again by the whole of it.
    cells.0.insert("build", Value::Text(run.run_id.clone()));
    cells.text("revision", run.revision.as_ref().map_or("", |r| r.as_str()));
    cells.text("author", author);
    let mut made = Made::new(STARTS);
    let name = if run.name.is_empty() { "?" } else { &run.name };
    made.row(&[("run", name)], told.stamp(), &cells);
    made.row(&[("project", told.project.as_str())], told.stamp(), &cells);
    made.row(&[("author", author)], told.stamp(), &cells);
    made
}

/// What is known of a deployment when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ending {
    /// Whether it failed, or was rolled back.
    pub failed: bool,
    /// Whether it was rolled back.
    pub rolled_back: bool,
    /// Minutes since it was asked for.
    pub minutes: Option<f64>,
    /// Minutes since the failure before it, when the last one failed.
    pub since_failure: Option<f64>,
}

/// A deployment was concluded.
#[must_use]
pub fn conclusion(
    told: &Told<'_>,
    status: &DeploymentStatus,
    ending: Ending,
    remembered: Option<&Remembered>,
) -> Made {
    let service = status.service.as_ref().map_or("", |s| s.as_str());
    let mut cells = Cells::default();
    cells.flag("failed", Some(ending.failed));
    cells.flag("rolled_back", Some(ending.rolled_back));
    cells.put("failure", ending.failed.then_some(1.0));
    cells.put("minutes", ending.minutes);
    cells.put(
        "recovery_minutes",
        ending.since_failure.filter(|_| !ending.failed),
    );
    cells.put("services_affected", told.around.affected(service));
    cells.calendar(told.calendar());
    cells.text("revision", status.revision.as_ref().map_or("", |r| r.as_str()));
    let mut made = Made::new("deployments");
    let stamp = told.stamp();
    made.row(&[("service", service)], stamp, &cells);
    made.row(
        &[("environment", &status.environment), ("service", service)],
        stamp,
        &cells,
    );
    made.row(&[("project", told.project.as_str())], stamp, &cells);
    if let Some(known) = remembered.and_then(|r| r.change.as_ref()) {
        made.row(&[("author", &known.who)], stamp, &cells);
        made.row(&[("team", told.team(&known.who))], stamp, &cells);
        for part in &known.parts {
            made.row(&[("subsystem", part)], stamp, &cells);
        }
    }
    made
}

/// An incident was opened or resolved.
#[must_use]
pub fn incident(told: &Told<'_>, incident: &Incident) -> Made {
    let mut cells = Cells::default();
    cells.flag("opened", Some(!incident.resolved));
    cells.flag("resolved", Some(incident.resolved));
    let mut made = Made::new("incidents");
    let service = incident.service.as_ref().map_or("", |s| s.as_str());
    made.row(&[("service", service)], told.stamp(), &cells);
    made.row(&[("project", told.project.as_str())], told.stamp(), &cells);
    made
}
