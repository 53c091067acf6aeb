//! Streams: rows that the mesh makes of its own facts, for views of ours and of others to read.
//!
//! What is told of one thing bears on several entities: a change on its revision, author, team, project and the parts of the
//! code it touches. Each gets the row. A row's id is made of the fact it came from, so that a fact told twice counts once.

mod made;
mod surroundings;
#[cfg(test)]
mod tests;
mod traffic;

use auspex_algebra::hop::{DAY, HOUR};
use auspex_algebra::{Column, Keep, Shape};

pub use self::made::{
    Ending, Made, Told, asked_run, change, conclusion, finished_run, incident, review, subsystems,
};
pub use self::surroundings::{Span, Surroundings};
pub use self::traffic::batches;

/// A stream.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// What a row stands for.
    pub meaning: &'static str,
    /// The entities that get it, by their join keys.
    pub entities: &'static [&'static [&'static str]],
    /// What a row holds.
    pub columns: &'static [StreamColumn],
    /// Which hops are kept: five minutes, an hour, a day.
    pub hops: [bool; 3],
    /// How long the latest row is remembered, days.
    pub days: i64,
}

/// A column of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamColumn {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Whether it holds texts.
    pub text: bool,
    /// Whether quantiles are kept.
    pub quantiles: bool,
}

macro_rules! columns {
    ($($name:literal $kind:ident $unit:literal $meaning:literal;)*) => {
        &[$(StreamColumn {
            name: $name, unit: $unit, meaning: $meaning,
            text: columns!(@text $kind), quantiles: columns!(@quantiles $kind),
        }),*]
    };
    (@text text) => { true };
    (@text $other:ident) => { false };
    (@quantiles spread) => { true };
    (@quantiles $other:ident) => { false };
}

/// All streams.
pub const STREAMS: [Stream; 8] = [
    Stream {
        name: "changes",
        meaning: "a change was announced",
        entities: &[
            &["revision"],
            &["author"],
            &["team"],
            &["project"],
            &["subsystem"],
            &["author", "subsystem"],
        ],
        columns: columns! {
            "files" number "files" "files touched";
            "lines_added" number "lines" "lines added";
            "lines_deleted" number "lines" "lines deleted";
            "lines" number "lines" "lines added and deleted";
            "lines_before" number "lines" "lines of the touched files before";
            "complexity" number "levels" "indentation of the lines added to code, summed";
            "complexity_mean" number "levels" "indentation of a line added to code, on average";
            "complexity_spread" number "levels" "its standard deviation over the lines added";
            "subsystems" number "folders" "first folders touched";
            "directories" number "folders" "folders touched";
            "entropy" number "bits" "spread of the changed lines over the files";
            "code_files" number "files" "code touched";
            "test_files" number "files" "tests touched";
            "test_ratio" number "0..=1" "tests among tests and code touched";
            "dependency_files" number "files" "manifests and lock files touched";
            "schema_files" number "files" "migrations and interface schemas touched";
            "config_files" number "files" "other configuration touched";
            "infra_files" number "files" "containers, clusters, infrastructure touched";
            "workflow_files" number "files" "CI workflows touched";
            "is_fix" number "0 or 1" "the message refers to an issue";
            "developers" number "people" "who ever changed the touched files";
            "age_days" number "days" "since the touched files were changed last";
            "unique_changes" number "changes" "earlier changes of the touched files";
            "author_experience" number "changes" "file changes of the author so far";
            "author_subsystem_experience" number "changes" "of these, in these subsystems";
            "services_affected" number "services" "services that depend on what the subsystem is part of";
            "hour" number "0..23" "hour of the day, local";
            "weekday" number "1..7" "day of the week, 1 is Monday";
            "off_hours" number "0 or 1" "outside the working hours";
            "before_holiday" number "0 or 1" "the next day is a holiday or a weekend";
            "freeze" number "0 or 1" "within a freeze";
            "author" text "name" "who made it";
        },
        hops: [false, true, true],
        days: 180,
    },
    Stream {
        name: "reviews",
        meaning: "a pull request was opened, updated, merged or closed",
        entities: &[&["revision"], &["author"], &["project"]],
        columns: columns! {
            "comments" number "comments" "comments so far";
            "commits" number "commits" "commits so far";
            "files" number "files" "files touched";
            "lines" number "lines" "lines added and deleted";
            "merged" number "0 or 1" "this merged it";
            "draft" number "0 or 1" "it is a draft";
        },
        hops: [false, true, true],
        days: 180,
    },
    Stream {
        name: "runs",
        meaning: "a run of CI ended",
        entities: &[&["run"], &["project"], &["revision"], &["author"], &["runner"]],
        columns: columns! {
            "failed" number "0 or 1" "the code's fault; nothing when it was not";
            "error" number "0 or 1" "the CI system's fault, or cancelled";
            "seconds" spread "s" "how long it ran";
            "queue_seconds" spread "s" "how long it waited for a runner";
            "attempt" number "attempts" "which attempt it was";
            "retried" number "0 or 1" "it was not the first attempt";
            "flaky" number "0 or 1" "a later attempt at the same revision succeeded";
            "duration_ratio" number "ratio" "against the mean of earlier runs of its name that succeeded";
            "dependency_files" number "files" "manifests and lock files its change touched";
            "runner" text "name" "where it ran";
        },
        hops: [false, true, true],
        days: 90,
    },
    Stream {
        name: auspex_proto::stage::STARTS,
        meaning: "a run of CI was first told to be queued or running",
        entities: &[&["run"], &["project"], &["author"]],
        columns: columns! {
            "attempt" number "attempts" "which attempt it is";
            "retried" number "0 or 1" "it is not the first attempt";
            "build" text "id" "which run of its name";
            "revision" text "revision" "what it builds";
            "author" text "name" "who made that";
        },
        hops: [true, true, false],
        days: 30,
    },
    Stream {
        name: "deployments",
        meaning: "a deployment was concluded",
        entities: &[
            &["service"],
            &["environment", "service"],
            &["author"],
            &["team"],
            &["project"],
            &["subsystem"],
        ],
        columns: columns! {
            "failed" number "0 or 1" "it failed, or was rolled back";
            "rolled_back" number "0 or 1" "it was rolled back";
            "failure" number "1 or nothing" "present when it failed: its age is the time since";
            "minutes" spread "min" "from being asked for to its end";
            "recovery_minutes" number "min" "since the failure before it, of one that succeeded";
            "services_affected" number "services" "services that depend on this one";
            "hour" number "0..23" "hour of the day, local";
            "weekday" number "1..7" "day of the week, 1 is Monday";
            "off_hours" number "0 or 1" "outside the working hours";
            "before_holiday" number "0 or 1" "the next day is a holiday or a weekend";
            "freeze" number "0 or 1" "within a freeze";
            "revision" text "revision" "what was deployed";
        },
        hops: [false, true, true],
        days: 180,
    },
    Stream {
        name: "incidents",
        meaning: "an incident was opened or resolved",
        entities: &[&["service"], &["project"]],
        columns: columns! {
            "opened" number "0 or 1" "this opened it";
            "resolved" number "0 or 1" "this resolved it";
        },
        hops: [false, true, true],
        days: 180,
    },
    Stream {
        name: "health",
        meaning: "an interval of the stable version's traffic, as one instance saw it",
        entities: &[&["service"], &["region", "service"], &["environment", "service"]],
        columns: columns! {
            "requests" number "requests" "requests of the interval";
            "bad" number "requests" "of these, failed";
            "slow" number "requests" "of these, above the service level objective";
            "error_rate" number "0..=1" "failed among all";
            "requests_per_second" number "1/s" "requests of all versions";
            "latency_p50_ms" number "ms" "median latency";
            "latency_p95_ms" spread "ms" "95th percentile of the latency";
            "latency_p99_ms" number "ms" "99th percentile of the latency";
            "cpu" number "0..=1" "gauge cpu, cpu_usage or process.cpu.utilization";
            "memory" number "as told" "gauge memory, memory_usage or process.memory.usage";
            "database_ms" number "ms" "gauge db_ms, database_ms or db.client.operation.duration";
            "saturation" number "0..=1" "gauge saturation or queue_saturation";
        },
        hops: [true, true, true],
        days: 30,
    },
    Stream {
        name: "gauges",
        meaning: "a gauge was read",
        entities: &[&["metric", "service"]],
        columns: columns! {
            "value" spread "as told" "its value";
        },
        hops: [true, true, false],
        days: 30,
    },
];

impl Stream {
    /// What is kept of its rows: of every number variance, range, last, the mean that forgets by six hours; of those that
    /// spread widely quantiles; of texts how many different ones.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let numbers = Keep::MOMENTS.and(Keep::RANGE).and(Keep::LAST).and(Keep::DECAYED);
        let column = |column: &StreamColumn| Column {
            name: column.name.to_owned(),
            text: column.text,
            keep: match (column.text, column.quantiles) {
                (true, _) => Keep::DISTINCT,
                (false, true) => numbers.and(Keep::QUANTILE),
                (false, false) => numbers,
            },
            half_life: if column.text { 0 } else { 6 * HOUR },
        };
        Shape {
            columns: self.columns.iter().map(column).collect(),
            hops: self.hops,
            memory: self.days * DAY,
        }
    }
}

/// The stream of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name)
}
