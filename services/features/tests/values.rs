//! Every feature that comes with the program has the value that it should: from the facts that a project tells, over the rows
//! they make and what the store keeps of those, to what is served. The values are worked out by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test tells its story in one go"
)]

mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auspex_algebra::Status;
use auspex_chassis::{Changed, Input, Kept, Route, Verb};
use auspex_features::definitions::{BUILTIN, Catalogue, Registry, Spec, read};
use auspex_features::online::{Asked, Online};
use auspex_features::store::{State, Store};
use auspex_features::streams::{Span, Surroundings};
use auspex_proto::event::{Body, Change, ChangeComplexity, DeploymentState, Outcome, RunPhase};
use auspex_proto::observation::Value;
use auspex_proto::{Fact, Revision, Timestamp};
use facts::*;

const MINUTE: i64 = 60 * SECOND;
/// When it is asked: two days after the first change, a Friday.
const ASKED: i64 = NOON + 2 * DAY;

fn around() -> Surroundings {
    let needs = [("web", "db"), ("shop", "web"), ("shop2", "checkout")];
    let needs = needs.map(|(who, what)| (who.to_owned(), vec![what.to_owned()]));
    Surroundings {
        silent: false,
        builds: true,
        teams: [("ada".to_owned(), "payments".to_owned())].into(),
        dependencies: needs.into(),
        // The Thursday between.
        holidays: ["2023-11-16".parse().unwrap()].into(),
        freezes: vec![Span {
            from: "2023-11-14".parse().unwrap(),
            to: "2023-11-15".parse().unwrap(),
        }],
    }
}

fn told(revision: &str, author: &str, paths: &[&str], (added, deleted, fix): (f64, f64, f64)) -> Body {
    let mut change: Change = with_stats(revision);
    change.author = author.to_owned();
    change.paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let stats = change.stats.as_mut().unwrap();
    (stats.lines_added, stats.lines_deleted, stats.is_fix) = (Some(added), Some(deleted), Some(fix));
    change.complexity = Some(ChangeComplexity {
        sum: 21.0,
        mean: 1.75,
        deviation: 0.5,
    });
    Body::Change(change)
}

fn reviewed(comments: f64, commits: f64) -> Body {
    let Body::Review(mut told) = review("r1") else {
        panic!("a review")
    };
    (told.comments, told.commits) = (Some(comments), Some(commits));
    Body::Review(told)
}

fn ran(attempt: u32, outcome: Outcome, (seconds, queued): (u64, u64), runner: &str) -> Body {
    let Body::Run(mut told) = run("ci", "r1", attempt, outcome) else {
        panic!("a run")
    };
    told.duration = Some(Duration::from_secs(seconds));
    told.queued = Some(Duration::from_secs(queued));
    runner.clone_into(&mut told.runner);
    Body::Run(told)
}

/// Asked for, and never heard of again.
fn asked_for(attempt: u32) -> Body {
    let Body::Run(mut told) = run("lint", "r1", attempt, Outcome::Success) else {
        panic!("a run")
    };
    told.phase = RunPhase::Queued;
    Body::Run(told)
}

fn ended(id: &str, state: DeploymentState) -> Body {
    let Body::DeploymentStatus(mut told) = status(id, state) else {
        panic!("a status")
    };
    told.revision = Some(Revision::new("r1").unwrap());
    Body::DeploymentStatus(told)
}

/// An interval of a second: requests, of these bad and slow, the greatest latency, and gauges.
fn interval(at: i64, (total, bad, slow): (u64, u64, u64), latency: f64, gauges: [f64; 4]) -> Fact {
    let of = |metric: &str, value| {
        let mut observation = observation("checkout", metric, at, value);
        observation.region = "eu".to_owned();
        observation
    };
    let mut all = vec![
        of("requests", Value::Counts { bad, total }),
        of("slow", Value::Counts { bad: slow, total }),
        of(
            "latency_ms",
            Value::Histogram {
                bounds: vec![latency],
                counts: vec![total, 0],
                sum: 0.0,
            },
        ),
    ];
    let names = ["cpu", "memory", "db_ms", "saturation"];
    all.extend(
        names
            .into_iter()
            .zip(gauges)
            .map(|(name, value)| of(name, Value::Gauge(value))),
    );
    let Fact::Observations(mut told) = batch(&format!("o{at}"), at, all) else {
        panic!("observations")
    };
    "production".clone_into(&mut told.environment);
    Fact::Observations(told)
}

/// What happened, in order.
fn story() -> Vec<(i64, Fact)> {
    let web = [
        "web/a.rs",
        "web/tests/b.rs",
        "db/migrations/1.sql",
        "Cargo.lock",
        "deploy/Dockerfile",
        ".github/workflows/ci.yml",
        "web/app.toml",
    ];
    let events = [
        (-60 * MINUTE, reviewed(5.0, 3.0)),
        (-30 * MINUTE, reviewed(7.0, 4.0)),
        (0, told("r1", "ada", &web, (120.0, 30.0, 0.0))),
        (10 * MINUTE, ran(1, Outcome::Failure, (100, 10), "ubuntu")),
        (20 * MINUTE, ran(2, Outcome::Success, (200, 20), "arm")),
        (30 * MINUTE, ran(3, Outcome::Cancellation, (60, 30), "ubuntu")),
        (HOUR, deployment("d1", "r1")),
        (2 * HOUR, ended("d1", DeploymentState::Failure)),
        (2 * HOUR, incident("i1", false)),
        (3 * HOUR, deployment("d2", "r1")),
        (3 * HOUR, incident("i1", true)),
        (4 * HOUR, ended("d2", DeploymentState::Success)),
        (DAY, told("r2", "ada", &["web/c.rs"], (10.0, 0.0, 1.0))),
        (DAY, told("r3", "bob", &["web/d.rs"], (20.0, 20.0, 0.0))),
        (DAY, deployment("d3", "r1")),
        (DAY + HOUR / 2, ended("d3", DeploymentState::RolledBack)),
        (2 * DAY - 20 * HOUR, asked_for(1)),
        (2 * DAY - 30 * MINUTE, asked_for(2)),
    ];
    let mut story: Vec<(i64, Fact)> = (0..)
        .zip(events)
        .map(|(id, (after, body)): (u32, _)| (NOON + after, event(&format!("e{id}"), NOON + after, body)))
        .collect();
    story.extend(
        [
            (
                ASKED - 2 * DAY - 30 * MINUTE,
                (10, 1, 2),
                100.0,
                [0.1, 100.0, 1.0, 0.1],
            ),
            (
                ASKED - DAY - 30 * MINUTE,
                (12, 3, 2),
                100.0,
                [0.2, 200.0, 2.0, 0.2],
            ),
            (ASKED - 30 * MINUTE, (20, 2, 4), 100.0, [0.3, 300.0, 3.0, 0.9]),
            (ASKED - 2 * MINUTE, (30, 6, 3), 200.0, [0.5, 500.0, 5.0, 0.5]),
        ]
        .map(|(at, counts, latency, gauges)| (at, interval(at, counts, latency, gauges))),
    );
    story.sort_by_key(|(at, _)| *at);
    story
}

/// What the online store comes to.
fn kept(log: &Log) -> Online {
    let mut states: BTreeMap<String, State> = BTreeMap::new();
    for (rows, seq) in log.rows.iter().zip(1..) {
        let fact = Fact::Rows(rows.clone());
        let Route::Keys(keys) = Store.route(&fact) else {
            panic!("rows go to keys")
        };
        for key in keys {
            let input = Input {
                key: &key,
                fact: &fact,
                seq,
                now: Timestamp(ASKED),
            };
            Store
                .absorb(states.entry(key.clone()).or_default(), &input)
                .unwrap();
        }
    }
    let online = Online::default();
    let change = |(key, state)| Changed {
        place: 1,
        key,
        kept: Some(Kept { seq: 1, state }),
        behind: 0,
    };
    online.put(states.into_iter().map(change).collect());
    online
}

/// Of whom a view tells: keys, and what is expected, by view.
const EXPECTED: &[(&str, &str, &str)] = &[
    (
        "change_impact",
        "revision=r1",
        "files 3, lines 150, lines_added 120, lines_deleted 30, lines_before 900, complexity 21, complexity_mean 1.75, \
         complexity_spread 0.5, subsystems 1, directories 2, entropy 1.25, code_files 1, test_files 1, test_ratio 0.5, \
         dependency_files 1, schema_files 1, config_files 1, infra_files 1, workflow_files 1, is_fix 0, developers 4, age_days 12.5, \
         unique_changes 44, author_experience 812, author_subsystem_experience 97, services_affected 2, hour 12, weekday 3, \
         off_hours 0, before_holiday 1, freeze 1",
    ),
    (
        "change_review",
        "revision=r1",
        "comments 7, commits 4, updates 2, review_seconds 174600",
    ),
    (
        "change_builds",
        "revision=r1",
        "runs 3, failures 1, errors 1, attempts 3, flaky 1, longest_seconds 200, queue_seconds 30, duration_ratio ~0.3, runners 2",
    ),
    ("service_history", "service=checkout", HISTORY),
    (
        "service_history",
        "service=checkout",
        "minutes_p50_30d ~60, minutes_p95_30d ~60, off_hours_share_30d 0.3333333333333333, services_affected 1",
    ),
    (
        "environment_history",
        "environment=production,service=checkout",
        HISTORY,
    ),
    ("author_history", "author=ada", HISTORY),
    ("team_history", "team=payments", HISTORY),
    ("subsystem_history", "subsystem=web", HISTORY),
    ("project_history", "project=acme/shop", HISTORY),
    (
        "author_activity",
        "author=ada",
        // A day is four half-lives: (10 + 150/16) / (1 + 1/16).
        "changes_7d 2, changes_90d 2, lines_mean_30d 80, fix_share_90d 0.5, seconds_since_change 86400, \
         lines_ewma 18.235294117647058",
    ),
    ("author_builds", "author=ada", "runs_30d 3, failure_rate_30d 0.5"),
    (
        "subsystem_activity",
        "subsystem=web",
        "changes_7d 3, changes_90d 3, authors_90d 2, fix_share_90d 0.3333333333333333, lines_30d 200",
    ),
    (
        "ownership",
        "author=ada,subsystem=web",
        "changes_90d 2, seconds_since_change 86400",
    ),
    (
        "ownership_share",
        "author=ada,subsystem=web",
        "share_90d 0.6666666666666666",
    ),
    (
        "build_history",
        "run=ci",
        "runs_7d 3, failure_rate_7d 0.5, failure_rate_30d 0.5, error_rate_7d 0.3333333333333333, \
         retry_rate_30d 0.6666666666666666, flaky_rate_30d 0.5, seconds_p50_30d ~100, seconds_p95_30d ~100, \
         seconds_stddev_30d 72.11102550927978, seconds_last 60, queue_p95_7d ~20, dependency_changes_30d 3, runners_30d 2",
    ),
    (
        "build_load",
        "project=acme/shop",
        "begun_1h 1, begun_1d 2, retried_1d 0.5",
    ),
    ("build_trend", "run=ci", "duration_ratio ~0.6, failure_trend 0"),
    (
        "runner_history",
        "runner=ubuntu",
        "runs_7d 2, failure_rate_7d 1, error_rate_7d 0.5, duration_ratio_7d ~0.3, queue_p95_7d ~10",
    ),
    (
        "incident_history",
        "service=checkout",
        "opened_7d 1, opened_90d 1, resolved_90d 1, seconds_since_incident 162000",
    ),
    ("service_health", "service=checkout", HEALTH),
    ("region_health", "region=eu,service=checkout", HEALTH),
    (
        "environment_health",
        "environment=production,service=checkout",
        HEALTH,
    ),
    (
        "gauge",
        "metric=cpu,service=checkout",
        "mean_5m 0.5, mean_1h 0.4, stddev_1h 0.1414213562373095, max_1h 0.5, p95_1d ~0.3, deviation 3.3724537974",
    ),
    ("health_trend", "service=checkout", TREND),
    (
        "environment_trend",
        "environment=production,service=checkout",
        TREND,
    ),
];

/// Failed after an hour, succeeded two hours later, and one that was rolled back after half an hour.
const HISTORY: &str = "deployments_7d 3, deployments_30d 3, failure_rate_30d 0.6666666666666666, \
    failure_rate_90d 0.6666666666666666, rollback_rate_30d 0.3333333333333333, failures_7d 2, seconds_since_failure 84600, \
    seconds_since_deployment 84600, recovery_minutes_90d 120";

/// The last two intervals; of the deviations normal is what was at this hour one day before and two. An interval's latencies lie
/// evenly below its greatest.
const HEALTH: &str = "requests_5m 30, bad_5m 6, bad_1h 8, requests_1h 50, slow_1h 7, error_rate_5m 0.2, error_rate_1d 0.15, \
    requests_per_second_5m 30, requests_per_second_1d 25, latency_p50_5m 100, latency_p95_5m 190, latency_p95_max_1h 190, \
    latency_p95_p95_1d ~95, latency_p99_5m 198, cpu_5m 0.5, cpu_1h 0.4, memory_5m 500, memory_1h 400, database_5m 5, \
    database_max_1h 5, saturation_5m 0.5, saturation_max_1h 0.9, volume_deviation 9.4428706327, error_deviation -0.2248302532, \
    latency_deviation 5";

const TREND: &str = "error_share_5m 0.2, error_share_1h 0.16, slow_share_1h 0.14, error_trend 0.05, latency_trend ~2, \
    volume_trend 1.2, cpu_trend 0.1, memory_trend 1.25";

#[test]
fn every_feature_that_comes_with_the_program_is_what_the_facts_make_it() {
    let mut log = Log {
        around: around(),
        ..Log::default()
    };
    for (at, fact) in story() {
        log.at(at, &fact);
    }
    let online = kept(&log);
    let catalogue = Catalogue::of(&Registry::builtin());
    let (mut wrong, mut checked) = (Vec::new(), BTreeSet::new());
    for (view, keys, expected) in EXPECTED {
        let recipe = catalogue.recipe(&[(*view).to_owned()]).unwrap();
        let pair = |pair: &str| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let asked = Asked {
            keys: keys.split(',').filter_map(pair).collect(),
            request: BTreeMap::new(),
        };
        let cells = online.read(&recipe, "acme/shop", &asked, (ASKED, false));
        for text in expected.split(", ") {
            let (name, value) = text.trim().split_once(' ').unwrap();
            let near = value.strip_prefix('~');
            let (value, off): (f64, f64) = (
                near.unwrap_or(value).parse().unwrap(),
                if near.is_some() { 0.0101 } else { 1e-9 },
            );
            let place = recipe
                .names
                .iter()
                .position(|n| n.ends_with(&format!("__{name}")) || n.ends_with(&format!(":{name}")));
            let cell = cells[place.unwrap_or_else(|| panic!("{view} has no {name}: {:?}", recipe.names))];
            checked.insert(format!("{view}:{name}"));
            if cell.status != Status::Present || (cell.value - value).abs() > off * (1.0 + value.abs()) {
                wrong.push(format!(
                    "{view}:{name} is {:?} {}, not {value}",
                    cell.status, cell.value
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // And there is no other.
    let mut unchecked = Vec::new();
    for document in read(BUILTIN).0 {
        let view = &document.metadata.name;
        let names: Vec<String> = match &document.spec {
            Spec::FeatureView(view) => view.features.iter().map(|f| f.name.clone()).collect(),
            Spec::OnDemandFeatureView(view) => view.features.iter().map(|f| f.name.clone()).collect(),
            _ => Vec::new(),
        };
        unchecked.extend(
            names
                .into_iter()
                .map(|name| format!("{view}:{name}"))
                .filter(|name| !checked.contains(name)),
        );
    }
    assert!(
        unchecked.is_empty(),
        "nobody knows what they should be: {unchecked:?}"
    );
}
