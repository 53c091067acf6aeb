//! However much happens, the state of a project stays far below what one value of the store may hold.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;

use auspex_features::state::State;
use auspex_proto::event::{Body, DeploymentState, Outcome};
use auspex_proto::observation::Value;
use facts::*;

fn size(state: &State) -> usize {
    rmp_serde::to_vec_named(state).unwrap().len()
}

/// A name as long as names may be.
fn long(prefix: &str, n: i64) -> String {
    format!("{prefix}{n:0>250}")
}

#[test]
fn the_largest_state_fits() {
    let mut log = Log::default();
    for n in 0..2_100 {
        let (at, revision) = (NOON + n * SECOND, long("r", n % 600));
        let mut change = with_stats(&revision);
        change.author = long("a", n);
        change.paths = (0..20).map(|p| format!("d{p}/f{p}.rs")).collect();
        change.stats.as_mut().unwrap().lines_added = Some(n as f64 + 0.123_456_789);
        log.event(&format!("c{n}"), at, Body::Change(change));
        for r in 0..10 {
            log.event(
                &format!("r{n}/{r}"),
                at,
                run(
                    &long("n", r * 7 + n % 7),
                    &revision,
                    4_000_000_000,
                    Outcome::Cancellation,
                ),
            );
        }
    }
    for n in 0..40 {
        for d in 0..40 {
            let id = long("d", n * 40 + d);
            let mut asked = deployment(&id, "r");
            if let Body::Deployment(asked) = &mut asked {
                asked.service = auspex_proto::ServiceName::new(long("s", n)).unwrap();
            }
            log.event(&format!("a{id}"), NOON + DAY, asked);
            let mut ended = status(&id, DeploymentState::RolledBack);
            if let Body::DeploymentStatus(ended) = &mut ended {
                ended.service = Some(auspex_proto::ServiceName::new(long("s", n)).unwrap());
            }
            log.event(&format!("e{id}"), NOON + DAY, ended);
            log.event(&format!("i{id}"), NOON + DAY, incident(&id, d % 2 == 0));
        }
    }
    let events = size(&log.state);
    // One service at its largest; twenty-four are remembered.
    let mut health = Log::default();
    for hour in 0..5 * 168 {
        for sample in 0..31 {
            let full = hour == 5 * 168 - 1 && sample > 20;
            let at = NOON + hour * HOUR + sample * 10 * SECOND;
            health.at(
                at,
                &batch(&format!("b{hour}/{sample}"), at, largest("service", at, full)),
            );
        }
    }
    let one = size(&health.state);
    assert!(
        events > 200_000 && one > 5_000,
        "{events} B and {one} B: the test does not fill what it should"
    );
    assert!(
        events + 24 * one < 600_000,
        "{events} B of events, {one} B of each service"
    );
}

fn largest(service: &str, at: i64, full: bool) -> Vec<auspex_proto::Observation> {
    let counts = Value::Counts {
        bad: u64::MAX / 3,
        total: u64::MAX / 2,
    };
    let mut all = vec![observation(service, "requests", at, counts)];
    if full {
        let bounds: Vec<f64> = (1..=64).map(|b| f64::from(b) * 1.1).collect();
        let counts = vec![u64::MAX / 99; 65];
        all.push(observation(
            service,
            "latency_ms",
            at,
            Value::Histogram {
                bounds,
                counts,
                sum: 0.0,
            },
        ));
        all.extend(
            (0..10).map(|g| observation(service, &format!("gauge-{g}"), at, Value::Gauge(at as f64 * 0.1))),
        );
    }
    all
}

#[test]
fn services_are_forgotten_before_there_are_too_many() {
    let mut log = Log::default();
    let size_with = |log: &mut Log, services: std::ops::Range<i64>| {
        for s in services {
            for n in 0..5 {
                let at = NOON + (s * 5 + n) * 10 * SECOND;
                log.at(
                    at,
                    &batch(
                        &format!("{s}/{n}"),
                        at,
                        largest(&format!("service-{s}"), at, true),
                    ),
                );
            }
        }
        let mut state = State::default();
        state.health = log.state.health.clone();
        size(&state)
    };
    let most = size_with(&mut log, 0..24);
    let many = size_with(&mut log, 24..80);
    assert!(many <= most + 64, "{many} B, {most} B for twenty-four");
}

#[test]
fn a_busy_project_is_small() {
    let mut log = Log::default();
    for n in 0..300 {
        let revision = format!("{n:040}");
        let mut change = with_stats(&revision);
        change.author = format!("a{}", n % 20);
        log.event(&format!("c{n}"), NOON + n * HOUR, Body::Change(change));
        for name in ["ci", "lint"] {
            log.event(
                &format!("{name}{n}"),
                NOON + n * HOUR,
                run(name, &revision, 1, Outcome::Success),
            );
        }
        if n % 10 == 0 {
            log.event(
                &format!("d{n}"),
                NOON + n * HOUR,
                deployment(&format!("d{n}"), &revision),
            );
        }
    }
    let all = size(&log.state);
    assert!(all < 75_000, "{all} B");
}
