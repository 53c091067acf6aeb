//! Commits, each as if it were a build that was asked for at its date: the columns that the mesh serves of a build, as far as a table
//! of commits knows them. What it does not know is missing in every row, so that nothing can be learned of it.

use std::path::Path;

use auspex_learn::Matrix;
use auspex_learn::random::Random;

use super::PROJECTS;
use crate::context;
use crate::fault::Fault;
use crate::sample::Sample;
use crate::table::choice::{Wanted, choose};
use crate::table::load::load;
use crate::table::survey::survey;

/// How long each is taken to build, in seconds: the outcomes of earlier ones are known after that.
pub(super) const TOOK: f64 = 1200.0;
const DAY: f64 = 86_400.0;
/// Share of the rows to learn from of which everything is left known, and of those of which the build's past is blanked.
const WHOLE: f64 = 0.5;
const NO_PAST: f64 = 0.15;

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Origin {
    /// This column of the tables.
    Table(&'static str),
    /// Lines added and deleted.
    Lines,
    /// Hour of the day, UTC, 0..=23.
    Hour,
    /// Day of the week, Monday is 1.
    Weekday,
    /// Share of the project's commits of the last days that needed a fix, as far as it is known after [`TOOK`].
    Failed(f64),
    /// Not learned from, because.
    Nothing(&'static str),
}

const UNTOLD: &str = "the tables do not tell it";
const NO_BUILD: &str = "commits are no builds: they have neither duration, queue, runner nor attempts";
const SETTING: &str = "depends on what a mesh has configured";
const SIZE: &str =
    "how often a project is committed to is not how often a name is built, and tells the six projects apart";
const NOBODY: &str = "the tables name no authors";

/// What the feature service `ci-run` serves of a build, in its order (`models/ci-run/features.yaml`), and what stands for it.
pub(super) const SERVED: [(&str, Origin); 49] = [
    ("change_impact__files", Origin::Table("nf")),
    ("change_impact__lines", Origin::Lines),
    ("change_impact__lines_added", Origin::Table("la")),
    ("change_impact__lines_deleted", Origin::Table("ld")),
    ("change_impact__lines_before", Origin::Table("lt")),
    ("change_impact__complexity", Origin::Nothing(UNTOLD)),
    ("change_impact__complexity_mean", Origin::Nothing(UNTOLD)),
    ("change_impact__complexity_spread", Origin::Nothing(UNTOLD)),
    ("change_impact__subsystems", Origin::Table("ns")),
    ("change_impact__directories", Origin::Table("nd")),
    ("change_impact__entropy", Origin::Table("entrophy")),
    ("change_impact__code_files", Origin::Nothing(UNTOLD)),
    ("change_impact__test_files", Origin::Nothing(UNTOLD)),
    ("change_impact__test_ratio", Origin::Nothing(UNTOLD)),
    ("change_impact__dependency_files", Origin::Nothing(UNTOLD)),
    ("change_impact__schema_files", Origin::Nothing(UNTOLD)),
    ("change_impact__config_files", Origin::Nothing(UNTOLD)),
    ("change_impact__infra_files", Origin::Nothing(UNTOLD)),
    ("change_impact__workflow_files", Origin::Nothing(UNTOLD)),
    ("change_impact__is_fix", Origin::Table("fix")),
    ("change_impact__developers", Origin::Table("ndev")),
    ("change_impact__age_days", Origin::Table("age")),
    ("change_impact__unique_changes", Origin::Table("nuc")),
    ("change_impact__author_experience", Origin::Table("exp")),
    (
        "change_impact__author_subsystem_experience",
        Origin::Table("sexp"),
    ),
    ("change_impact__services_affected", Origin::Nothing(SETTING)),
    ("change_impact__hour", Origin::Hour),
    ("change_impact__weekday", Origin::Weekday),
    ("change_impact__off_hours", Origin::Nothing(SETTING)),
    ("change_impact__before_holiday", Origin::Nothing(SETTING)),
    ("change_impact__freeze", Origin::Nothing(SETTING)),
    ("author_builds__runs_30d", Origin::Nothing(NOBODY)),
    ("author_builds__failure_rate_30d", Origin::Nothing(NOBODY)),
    ("author_activity__changes_7d", Origin::Nothing(NOBODY)),
    ("author_activity__changes_90d", Origin::Nothing(NOBODY)),
    ("author_activity__seconds_since_change", Origin::Nothing(NOBODY)),
    ("build_history__runs_7d", Origin::Nothing(SIZE)),
    ("build_history__failure_rate_7d", Origin::Failed(7.0)),
    ("build_history__failure_rate_30d", Origin::Failed(30.0)),
    ("build_history__error_rate_7d", Origin::Nothing(NO_BUILD)),
    ("build_history__retry_rate_30d", Origin::Nothing(NO_BUILD)),
    ("build_history__flaky_rate_30d", Origin::Nothing(NO_BUILD)),
    ("build_history__seconds_p50_30d", Origin::Nothing(NO_BUILD)),
    ("build_history__seconds_p95_30d", Origin::Nothing(NO_BUILD)),
    ("build_history__seconds_stddev_30d", Origin::Nothing(NO_BUILD)),
    ("build_history__seconds_last", Origin::Nothing(NO_BUILD)),
    ("build_history__queue_p95_7d", Origin::Nothing(NO_BUILD)),
    ("build_history__dependency_changes_30d", Origin::Nothing(UNTOLD)),
    ("build_history__runners_30d", Origin::Nothing(NO_BUILD)),
];

/// The columns of the tables that are read.
const READ: [&str; 13] = [
    "ns", "nd", "nf", "entrophy", "la", "ld", "lt", "fix", "ndev", "age", "nuc", "exp", "sexp",
];

/// What may be known of a change, from most to least: which of these parts.
pub(super) const KNOWN: [(&str, &str); 6] = [
    ("full", "everything"),
    ("no_author", "the author cannot be resolved"),
    ("no_history", "a shallow checkout: the diff, but no history"),
    (
        "pull_request",
        "numbers of files and lines, the message, the hour",
    ),
    ("paths", "the paths, the message, the hour"),
    ("no_change", "nothing of the change"),
];

/// From which [`KNOWN`] on a column is missing.
fn missing_from(origin: Origin) -> usize {
    match origin {
        Origin::Table("exp" | "sexp") => 1,
        Origin::Table("ndev" | "age" | "nuc") => 2,
        Origin::Table("entrophy" | "lt") => 3,
        Origin::Table("la" | "ld") | Origin::Lines => 4,
        Origin::Table(_) | Origin::Hour | Origin::Weekday => 5,
        Origin::Failed(_) | Origin::Nothing(_) => KNOWN.len(),
    }
}

/// Whether a column is known of a build: of the change this much, of the builds of its name something or nothing.
fn is_known(origin: Origin, (change, past): (usize, bool)) -> bool {
    match origin {
        Origin::Nothing(_) => false,
        Origin::Failed(_) => past,
        // A number of files and lines tells no folders.
        Origin::Table("ns" | "nd") if change == 3 => false,
        other => change < missing_from(other),
    }
}

/// The columns that are known then.
pub(super) fn present(pattern: (usize, bool)) -> Vec<&'static str> {
    let known = SERVED.iter().filter(|(_, origin)| is_known(*origin, pattern));
    known.map(|(name, _)| *name).collect()
}

/// All patterns, with names.
pub(super) fn patterns() -> Vec<(String, (usize, bool))> {
    let of = |past: bool| {
        let end = if past { "" } else { ", first of its name" };
        let named = KNOWN.iter().enumerate();
        named.map(move |(change, (name, _))| (format!("{name}{end}"), (change, past)))
    };
    of(true).chain(of(false)).collect()
}

/// The rows as they are when only so much is known.
pub(super) fn blanked(table: &Matrix, pattern: impl Fn(usize) -> (usize, bool)) -> Matrix {
    let mut values = Vec::with_capacity(table.values().len());
    for (row, own) in table.iter().enumerate() {
        let pattern = pattern(row);
        let cells = own.iter().zip(&SERVED);
        values.extend(
            cells.map(|(value, (_, origin))| match is_known(*origin, pattern) {
                true => *value,
                false => f32::NAN,
            }),
        );
    }
    Matrix::new(values, table.width())
}

/// What is known of each row that is learned from: of a part of them less, so that the model does without.
pub(super) fn drawn(rows: usize, seed: u64) -> Vec<(usize, bool)> {
    let mut random = Random::new(seed);
    let one = |_| {
        let whole = random.unit() < WHOLE;
        let less = 1 + random.below(KNOWN.len() - 1);
        (if whole { 0 } else { less }, random.unit() >= NO_PAST)
    };
    (0..rows).map(one).collect()
}

/// What was wanted of each table.
pub(super) fn wanted() -> Wanted {
    Wanted {
        label: "bug".to_owned(),
        time: Some("date".to_owned()),
        features: READ.map(str::to_owned).to_vec(),
        group: None,
        whole: true,
        effort: vec!["la".to_owned(), "ld".to_owned()],
    }
}

/// All commits of the six tables, in time order; groups are projects.
///
/// # Errors
/// [`Fault`], as the tables are read.
pub(super) fn all(data: &Path) -> Result<Sample, Fault> {
    let mut all = Sample {
        names: SERVED.iter().map(|(name, _)| (*name).to_owned()).collect(),
        stride: 1,
        ..Sample::default()
    };
    let mut values = Vec::new();
    for (group, project) in (0..).zip(PROJECTS) {
        let path = data.join(format!("{project}.csv"));
        let seen = survey(&path, None)?;
        let part = load(&path, &seen, &choose(&seen, &wanted())?)?;
        values.extend(served(&part));
        all.labels.extend(&part.labels);
        all.times.extend(&part.times);
        all.effort.extend(&part.effort);
        all.groups.extend(part.labels.iter().map(|_| group));
    }
    all.table = Matrix::new(values, SERVED.len());
    Ok(all.in_time_order())
}

/// The rows of one project as builds.
fn served(part: &Sample) -> Vec<f32> {
    let rates = [7.0, 30.0].map(|days| rates(part, days));
    let column = |name: &str| READ.iter().position(|own| *own == name);
    let mut values = Vec::with_capacity(part.rows() * SERVED.len());
    for (row, (own, time)) in part.table.iter().zip(&part.times).enumerate() {
        let of = |name: &str| {
            let found = column(name).and_then(|column| own.get(column));
            found.copied().unwrap_or(f32::NAN)
        };
        let [hour, weekday] = context::clock(*time);
        values.extend(SERVED.iter().map(|(_, origin)| match origin {
            Origin::Table(name) => of(name),
            Origin::Lines => of("la") + of("ld"),
            Origin::Hour => hour.floor(),
            Origin::Weekday => weekday + 1.0,
            Origin::Failed(days) => {
                let of = rates.get(usize::from(*days > 7.0));
                of.and_then(|of| of.get(row)).copied().unwrap_or(f32::NAN)
            }
            Origin::Nothing(_) => f32::NAN,
        }));
    }
    values
}

/// Of each row, the share of failures among those that had ended before it, at most so many days ago.
fn rates(part: &Sample, days: f64) -> Vec<f32> {
    let (mut first, mut last, mut failed) = (0, 0, 0_usize);
    let ended = |row: usize| part.times.get(row).map_or(f64::INFINITY, |time| time + TOOK);
    let fails = |row: usize| usize::from(part.labels.get(row) == Some(&true));
    let one = |time: &f64| {
        while ended(last) <= *time {
            failed += fails(last);
            last += 1;
        }
        while first < last && ended(first) <= time - days * DAY {
            failed -= fails(first);
            first += 1;
        }
        match last - first {
            0 => f32::NAN,
            rows => (failed as f64 / rows as f64) as f32,
        }
    };
    part.times.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_those_that_had_ended() {
        let part = Sample {
            labels: vec![true, false, true, false, false],
            times: vec![0.0, 600.0, 1200.0, 1900.0, 8.0 * DAY],
            ..Sample::default()
        };
        let found = rates(&part, 7.0);
        // The first ends as the third is asked for, the second 100 s before the fourth.
        assert!(found[0].is_nan() && found[1].is_nan() && found[4].is_nan());
        assert_eq!(found[2..4], [1.0, 0.5]);
        assert_eq!(rates(&part, 30.0)[4], 0.5);
    }

    #[test]
    fn what_is_blanked_is_what_the_pattern_says() {
        let columns = |pattern| present(pattern).len();
        let known: Vec<usize> = (0..KNOWN.len()).map(|change| columns((change, true))).collect();
        assert_eq!(known, [18, 16, 13, 9, 8, 2]);
        assert_eq!(columns((5, false)), 0);
        let table = Matrix::new(vec![1.0; SERVED.len() * 2], SERVED.len());
        let less = blanked(&table, |row| (if row == 0 { 3 } else { 5 }, row == 0));
        let left = |row: usize| less.row(row).iter().filter(|value| !value.is_nan()).count();
        assert_eq!((left(0), left(1)), (9, 0));
        let drawn = drawn(2000, 1);
        let whole = drawn.iter().filter(|(change, _)| *change == 0).count();
        assert!((900..1100).contains(&whole), "{whole}");
    }
}
