//! What a vector holds: the features the model reads, in their order, and those for people beside them.

use std::sync::OnceLock;

/// Name and version of the feature service: another order, name or meaning is another version.
pub const SERVICE: &str = "change-risk@1";

/// How many features the model reads.
pub const WIDTH: usize = 14;

/// What the model reads, in order. The exact definitions stand in the model's manifest; all come from the change's own
/// stats, as a checkout tells them, and none has a window: they are facts about the change and the history before it.
///
/// Of a change known by webhook alone, `subsystems`, `directories`, `files` are counted from its paths and `is_fix` is
/// read from its title; a pull request gives `files`, `lines_added`, `lines_deleted`. The three about the author stay
/// unknown then: what one has seen of an author since one began to watch is not their experience in the project, which
/// is what the model learned from.
pub const MODEL: [&str; WIDTH] = [
    // Count: distinct first path segments of the touched files. Checkout, else paths.
    "subsystems",
    // Count: distinct parent folders. Checkout, else paths.
    "directories",
    // Count: distinct base names. Checkout, else paths, else pull request.
    "files",
    // Bits: of changed lines over the touched files. Checkout.
    "entropy",
    // Lines. Checkout, else pull request.
    "lines_added",
    // Lines. Checkout, else pull request.
    "lines_deleted",
    // Lines of the touched files before, summed. Checkout.
    "lines_before",
    // 0 or 1: the message refers to an issue. Checkout, else title.
    "is_fix",
    // Count: who ever changed a touched file. Checkout with history.
    "developers",
    // Days since the touched files were changed last, on average. Checkout with history.
    "age_days",
    // Count: changes of each touched file, summed. Checkout with history.
    "unique_changes",
    // File changes of the author in the project so far. Checkout with history.
    "author_experience",
    // The same, weighted by recency. Checkout with history.
    "author_recent_experience",
    // Files of these subsystems that the author ever changed. Checkout with history.
    "author_subsystem_experience",
];

/// The columns that paths, a title or a pull request can fill.
pub(crate) mod column {
    pub(crate) const SUBSYSTEMS: usize = 0;
    pub(crate) const DIRECTORIES: usize = 1;
    pub(crate) const FILES: usize = 2;
    pub(crate) const LINES_ADDED: usize = 4;
    pub(crate) const LINES_DELETED: usize = 5;
    pub(crate) const IS_FIX: usize = 7;
}

/// The hash of [`MODEL`]: a model trained on another one does not run on these vectors.
#[must_use]
pub fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| auspex_proto::vector::schema_hash(MODEL))
}

/// A feature for people and root-cause analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it is made from.
    pub source: &'static str,
    /// How far back it looks.
    pub window: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

macro_rules! context {
    ($($name:literal, $unit:literal, $source:literal, $window:literal, $meaning:literal;)*) => {
        /// The context features, in the order in which a vector holds them. One that nobody has told is left out of the
        /// vector; one that is too old stands there as expired.
        pub const CONTEXT: &[Context] = &[$(Context {
            name: $name, unit: $unit, source: $source, window: $window, meaning: $meaning,
        }),*];
    };
}

context!(
    "dependency_files", "files", "change: paths", "this change", "manifests and lock files of dependencies touched";
    "workflow_files", "files", "change: paths", "this change", "CI workflow files touched";
    "schema_files", "files", "change: paths", "this change", "database migrations and interface schemas touched";
    "infra_files", "files", "change: paths", "this change", "container, cluster and infrastructure files touched";
    "config_files", "files", "change: paths", "this change", "other configuration files touched";
    "test_ratio", "0..=1", "change: paths", "this change", "test files among test and code files touched";
    "author_changes", "changes", "changes", "since watching", "changes of the author seen before this one";
    "author_gap_days", "days", "changes", "since watching", "since the author's change before this one";
    "build_failed", "0 or 1", "runs", "this revision", "the last attempt of some run of the revision failed";
    "build_attempts", "attempts", "runs", "this revision", "most attempts any run needed";
    "build_seconds", "s", "runs", "this revision", "longest duration of a run";
    "build_duration_ratio", "ratio", "runs", "half-life 30 d", "largest duration against the mean of earlier runs of its name";
    "build_queue_seconds", "s", "runs", "this revision", "longest wait for a runner";
    "build_failure_rate", "0..=1", "runs", "half-life 30 d", "highest failure rate of earlier runs of the same name";
    "deployments", "deployments", "deployments", "last 32, 90 d", "concluded deployments of the service";
    "deployment_failure_rate", "0..=1", "deployments", "last 32, 90 d", "concluded deployments that failed or were rolled back";
    "deployment_rollback_rate", "0..=1", "deployments", "last 32, 90 d", "concluded deployments that were rolled back";
    "hours_since_failure", "h", "deployments", "last 32, 90 d", "since the last failed or rolled back deployment ended";
    "hours_since_deployment", "h", "deployments", "last 32, 90 d", "since the deployment before";
    "open_incidents", "incidents", "incidents", "now", "open incidents of the service, and those of no service";
    "hour_of_day", "h", "time of the event", "now", "0 to 23, in the configured time zone";
    "weekday", "day", "time of the event", "now", "1 is Monday, 7 is Sunday";
    "off_hours", "0 or 1", "time of the event", "now", "outside the configured working hours";
    "system_error_rate", "0..=1", "observations", "half-life 5 min", "bad requests of the stable version among all";
    "system_error_deviation", "standard deviations", "observations", "5 min against 24 h", "of the error rate from its usual";
    "system_latency_p95_ms", "ms", "observations", "half-life 5 min", "95th percentile of the stable version's latency";
    "system_latency_deviation", "standard deviations", "observations", "5 min against 24 h", "of the latency from its usual";
    "system_gauge_deviation", "standard deviations", "observations", "5 min against 24 h", "largest of any gauge from its usual, either way";
    "requests_per_second", "1/s", "observations", "half-life 5 min", "requests of all versions";
    "behaviour_volume_ratio", "ratio", "observations", "4 weeks", "requests against the median of this hour of the week, else of the day";
    "behaviour_deviation", "robust standard deviations", "observations", "4 weeks", "logarithm of that ratio against its usual size";
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_that_of_the_stats_and_does_not_change() {
        let stats = auspex_proto::event::ChangeStats::default();
        assert_eq!(
            stats.named().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            MODEL
        );
        assert_eq!(
            hash(),
            "c018d992d785c03ed11dba19ec298a9dccfd0135f656bc9fc757ae1720ac5e02"
        );
    }

    #[test]
    fn columns_are_where_they_say() {
        let at = |i: usize| MODEL[i];
        assert_eq!(at(column::SUBSYSTEMS), "subsystems");
        assert_eq!(at(column::DIRECTORIES), "directories");
        assert_eq!(at(column::FILES), "files");
        assert_eq!(at(column::LINES_ADDED), "lines_added");
        assert_eq!(at(column::LINES_DELETED), "lines_deleted");
        assert_eq!(at(column::IS_FIX), "is_fix");
    }

    #[test]
    fn names_are_told_once() {
        let mut names: Vec<&str> = CONTEXT.iter().map(|c| c.name).chain(MODEL).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
