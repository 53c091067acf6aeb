//! A project's state is one value of the bus: with everything that can grow grown, it stays below what the bus takes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use std::time::Duration;

use auspex_canary::Config;
use auspex_canary::document::Document;
use auspex_canary::state::{MOST_ACTIVE, Rollout, State};
use auspex_canary::terms::Terms;
use auspex_canary::terms::size::{MOST, MOST_TOGETHER};
use auspex_proto::command::{Ask, CheckReport};
use auspex_proto::observation::{Applied, Observation, Value};
use auspex_proto::report::{Capacity, Drift};
use auspex_proto::{EntityKind, Fact, FactId, RouterReport, ServiceName, Timestamp, Track};
use serde::Serialize;
use stage::{Second, Stage};

/// What the bus takes in one value.
const BUS: usize = 1_024 * 1_024;
/// What a batch's decisions may take beside the state, in the same value: an outbox, and what the last message of it brings.
const OUTBOX: usize = (128 + 64) * 1_024;

fn size<T: Serialize>(value: &T) -> usize {
    rmp_serde::to_vec_named(value).unwrap().len()
}

/// The document that takes the most: as many metrics, cohorts, regions, checks, approvals and steps as fit into so many bytes.
fn document(service: &str, metrics: usize, most: usize) -> String {
    let list = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<Vec<_>>().join(", ");
    let long = |what: &str, n: usize| format!("{what}{n}{}", "x".repeat(56));
    let listed = list(metrics, &|n| {
        let kind = ["counted", "spread", "valued"][n % 3];
        format!(
            "{{name: {kind}-{n}-{}, direction: either, margin: 1.5, margin_abs: 0.1, quantile: 0.9}}",
            "m".repeat(100)
        )
    });
    let cohorts = list(16, &|n| {
        format!(
            "{{name: {}, header: {{name: {}, value: v}}}}",
            long("c", n),
            long("h", n)
        )
    });
    let regions = list(4, &|n| format!("{{name: {}, bake: 1h}}", long("r", n)));
    let approvals = list(12, &|n| format!("{{name: {}, at: start}}", long("a", n)));
    for room in (0..100).rev() {
        let body = "b".repeat(10 * room);
        let checks = list(12, &|n| {
            format!(
                "{{name: {}, at: traffic, http: {{url: 'http://a/', body: '{body}'}}}}",
                long("k", n)
            )
        });
        let steps = list(room, &|n| {
            if n % 2 == 0 {
                "{setWeight: 5}"
            } else {
                "{pause: {duration: 10h}}"
            }
            .to_owned()
        });
        let text = format!(
            "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: {service}}}, spec: {{service: {service}, score_wait: 0s, \
             slo_ms: 100, tracks: {{stable: {{url: 'http://{0}'}}, candidate: {{url: 'http://{0}'}}}}, cohorts: [{cohorts}], \
             regions: [{regions}], metrics: [{listed}], gates: {{checks: [{checks}], approvals: [{approvals}]}}, \
             policy: {{steps: [{{setWeight: 5}}, {{pause: {{}}}}, {steps}]}}}}}}",
            "u".repeat(200)
        );
        let fits = |document: Document| Terms::of(&document.spec, &Config::default()).size() <= most;
        if Document::parse(&text).is_ok_and(fits) {
            return text;
        }
    }
    panic!("nothing fits into {most}");
}

fn name(service: &str) -> ServiceName {
    ServiceName::new(service).unwrap()
}

/// The longest report that a router can send.
fn report(service: &str, n: usize, time: Timestamp) -> Applied {
    let text = |c: char| c.to_string().repeat(2_000);
    let capacity = Some(Capacity {
        percent: 100,
        ready: 1_000,
        wanted: 1_000,
    });
    Applied {
        service: name(service),
        decision: Some(FactId::new("d".repeat(256)).unwrap()),
        weight: 5,
        suspended: false,
        instance: format!("{n}{}", "i".repeat(250)),
        report: RouterReport {
            router: text('r'),
            region: text('ä'),
            fault: text('語'),
            drift: (n == 0).then(|| Drift {
                weight: 1,
                wanted: 5,
                since: time,
                by: text('語'),
            }),
            stable: capacity,
            candidate: capacity,
            ..RouterReport::default()
        },
    }
}

/// Everything that many instances of a service report of one second.
fn seconds(
    stage: &Stage,
    service: &str,
    start: Timestamp,
    (metrics, instances): (usize, i32),
) -> Vec<Observation> {
    let blank = stage.batch(start, Second::default()).observations.remove(0);
    let mut out = Vec::new();
    for instance in 0..instances {
        for track in [Track::Stable, Track::Candidate] {
            let one = |metric: String, value| Observation {
                service: name(service),
                track: Some(track),
                instance: format!("proxy-{instance}"),
                metric,
                value,
                ..blank.clone()
            };
            let counts = Value::Counts {
                bad: 1 << 33,
                total: 1 << 43,
            };
            out.push(one("requests".to_owned(), counts.clone()));
            out.push(one("slow".to_owned(), counts.clone()));
            for at in 0..metrics {
                let bounds: Vec<f64> = (0..60)
                    .map(|b| 0.123_456_7 * f64::from(b * (instance + 1)))
                    .collect();
                let histogram = Value::Histogram {
                    counts: vec![1 << 30; bounds.len() + 1],
                    bounds,
                    sum: 1.0,
                };
                let (kind, value) = match at % 3 {
                    0 => ("counted", counts.clone()),
                    1 => ("spread", histogram),
                    _ => ("valued", Value::Gauge(0.123_456_789 * f64::from(instance))),
                };
                out.push(one(format!("{kind}-{at}-{}", "m".repeat(100)), value));
            }
        }
    }
    out
}

/// A project with rollouts of these numbers of metrics under way, and everything grown.
fn grown(rollouts: &[usize], most: usize) -> (Stage, usize) {
    let mut stage = Stage::new(Config::default());
    stage.keeps = false;
    let services: Vec<String> = (0..rollouts.len())
        .map(|n| format!("s{n}-{}", "s".repeat(100)))
        .collect();
    // Twenty that are over, three of them whole, and all the scores that are remembered.
    for n in 0..128 {
        stage.asks = vec![
            "require_manual_approval".to_owned(),
            "enable_conservative_mode".to_owned(),
        ];
        stage.score(EntityKind::Change, &format!("{n}{}", "r".repeat(200)), 0.5);
    }
    let over = document(&services[0], rollouts[0], most);
    for n in 0..24 {
        let document = over.replace("name: s0", &format!("name: e{n}"));
        stage.command("x", Ask::Start { document }).unwrap();
        assert_eq!(stage.state.answers.last().unwrap().refused, "");
        approve(&mut stage, &services[0]);
        let rollout = stage.state.active[&services[0]].name.to_string();
        stage.tick();
        stage.command(&rollout, Ask::Abort).unwrap();
    }
    for (service, metrics) in services.iter().zip(rollouts) {
        let document = document(service, *metrics, most);
        stage.command(service, Ask::Start { document }).unwrap();
        assert_eq!(stage.state.answers.last().unwrap().refused, "");
    }
    for service in &services {
        approve(&mut stage, service);
    }
    let mut greatest = 0;
    // Many instances for a while, and then two minutes of one, in which nothing is closed.
    for round in 0..140 {
        let start = stage.now.boundary(Duration::from_secs(1));
        let away = round >= 15;
        if away {
            stage.now = start + Duration::from_secs(1);
        } else {
            stage.tick();
        }
        for (service, metrics) in services.iter().zip(rollouts) {
            let mut batch = stage.batch(start, Second::default());
            batch.observations = seconds(&stage, service, start, (*metrics, if away { 1 } else { 50 }));
            batch.applied = (0..40).map(|n| report(service, n, stage.now)).collect();
            stage.feed(Fact::Observations(batch)).unwrap();
        }
        // What is not on trial has a past.
        for n in 0..4 {
            let mut batch = stage.batch(start, Second::default());
            let idle = format!("idle-{}", (4 * round + n) % 48);
            batch.observations = seconds(&stage, &idle, start, (0, 8));
            batch.observations.iter_mut().for_each(|o| o.track = None);
            stage.feed(Fact::Observations(batch)).unwrap();
        }
        greatest = greatest.max(size(&stage.state));
    }
    (stage, greatest)
}

/// Every gate is passed with as many words as are kept, every check reported so.
fn approve(stage: &mut Stage, service: &str) {
    let rollout = stage.state.active[service].name.to_string();
    for n in 0..12 {
        let gate = format!("a{n}{}", "x".repeat(56));
        stage
            .command(
                &rollout,
                Ask::Approve {
                    gate,
                    ticket: String::new(),
                },
            )
            .unwrap();
    }
    for n in 0..12 {
        stage.tick();
        let check = format!("k{n}{}", "x".repeat(56));
        let report = CheckReport {
            check,
            attempt: 1,
            passed: true,
            detail: "語".repeat(500),
            started_ms: 0,
        };
        stage.command(&rollout, Ask::Report(report)).unwrap();
    }
}

/// What of it takes how much.
fn parts(state: &State) -> String {
    let sum = |of: &dyn Fn(&Rollout) -> usize| state.active.values().map(|one| of(one)).sum::<usize>();
    format!(
        "terms {}, windows {}, tallies {}, routers {}, last {}, courses {}, ended {}, scores {}, histories {}, all {}",
        sum(&|r| size(&r.terms)),
        sum(&|r| size(&r.window)),
        sum(&|r| size(&r.tally)),
        sum(&|r| size(&r.routers)),
        sum(&|r| size(&r.last)),
        sum(&|r| size(&r.course)),
        size(&state.ended),
        size(&state.scores),
        size(&state.histories),
        size(state)
    )
}

#[test]
fn one_rollout_of_the_largest_document_stays_small() {
    let (stage, greatest) = grown(&[8], MOST);
    println!("{greatest} bytes at most; {}", parts(&stage.state));
    let rollout = stage.state.active.values().next().unwrap();
    assert!(size(rollout) < 150_000, "{}", size(rollout));
    assert!(greatest < 500_000, "{greatest}: {}", parts(&stage.state));
}

#[test]
fn as_many_as_there_may_be_fit_into_one_value_of_the_bus() {
    let (stage, greatest) = grown(&[1; MOST_ACTIVE], MOST_TOGETHER / MOST_ACTIVE);
    println!("{greatest} bytes at most; {}", parts(&stage.state));
    assert!(greatest + OUTBOX < BUS, "{greatest}: {}", parts(&stage.state));
    // Fewer, with more metrics each and larger documents.
    let (stage, greatest) = grown(&[8, 1, 1, 1, 1], MOST);
    println!("{greatest} bytes at most; {}", parts(&stage.state));
    assert!(greatest + OUTBOX < BUS, "{greatest}: {}", parts(&stage.state));
}
