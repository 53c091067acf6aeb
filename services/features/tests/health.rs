//! What a vector says of the running system.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;

use auspex_proto::observation::Value;
use auspex_proto::vector::Status;
use auspex_proto::{Fact, Observation, Track};
use facts::*;
use proptest::prelude::*;

fn second(service: &str, at: i64, bad: u64, track: Track) -> Vec<auspex_proto::Observation> {
    let latency = Value::Histogram {
        bounds: vec![10.0, 20.0, 50.0],
        counts: vec![80, 15, 5, 0],
        sum: 0.0,
    };
    let mut made = vec![
        observation(service, "requests", at, Value::Counts { bad, total: 100 }),
        observation(service, "latency_ms", at, latency),
        observation(service, "memory", at, Value::Gauge(5.0)),
    ];
    made.iter_mut().for_each(|o| o.track = Some(track));
    made
}

#[test]
fn health_is_that_of_the_stable_version_and_grows_old() {
    let mut log = Log::default();
    for n in 0..600 {
        let at = NOON + n * SECOND;
        let mut all = second("checkout", at, u64::from(n >= 560) * 20, Track::Stable);
        all.extend(second("checkout", at, 100, Track::Candidate));
        log.at(at, &batch(&format!("b{n}"), at, all));
    }
    let at = NOON + 600 * SECOND;
    let vector = log.event("d", at, deployment("d", "r")).unwrap();
    let errors = value(&vector, "system_error_rate").unwrap();
    assert!(0.0 < errors && errors < 0.1, "{errors}: candidates do not count");
    assert!(value(&vector, "system_error_deviation").unwrap() > 0.1);
    assert!((value(&vector, "system_latency_p95_ms").unwrap() - 20.0).abs() < 1e-6);
    assert_eq!(value(&vector, "system_gauge_deviation"), Some(0.0));
    assert!(
        (value(&vector, "requests_per_second").unwrap() - 200.0).abs() < 1e-6,
        "all versions"
    );
    // Told late, of a time before it all: what came after is not shown.
    let late = log
        .at(at, &event("late", NOON - HOUR, deployment("l", "r")))
        .unwrap();
    assert!(late.context.iter().all(|f| !f.name.starts_with("system_")));
    // Half an hour later it is too old to say anything about now.
    let old = log.event("o", at + HOUR / 2, deployment("o", "r")).unwrap();
    let expired = old
        .context
        .iter()
        .find(|f| f.name == "system_error_rate")
        .unwrap();
    assert_eq!(expired.status, Status::Expired);
}

#[test]
fn a_deployment_reads_the_health_of_its_own_environment() {
    let told = |environment: Option<&str>, asked: &str| {
        let mut log = Log::default();
        for n in 0..120 {
            let at = NOON + n * SECOND;
            for (place, bad) in [("production", 1), ("staging", 50)] {
                let Fact::Observations(mut all) = batch(
                    &format!("{place}/{n}"),
                    at,
                    second("checkout", at, bad, Track::Stable),
                ) else {
                    unreachable!()
                };
                // Nobody told of the first where it runs.
                all.environment = environment.map_or(String::new(), |_| place.to_owned());
                if environment.is_some() || place == "production" {
                    log.at(at, &Fact::Observations(all));
                }
            }
        }
        let mut body = deployment("d", "r");
        if let auspex_proto::event::Body::Deployment(deployment) = &mut body {
            deployment.environment = asked.to_owned();
        }
        let vector = log.event("d", NOON + 120 * SECOND, body).unwrap();
        value(&vector, "system_error_rate").map(|rate| (rate * 100.0).round())
    };
    assert_eq!(told(Some("each"), "production"), Some(1.0));
    assert_eq!(told(Some("each"), "staging"), Some(50.0));
    assert_eq!(told(Some("each"), "canary"), None, "of which nothing is known");
    assert_eq!(told(Some("each"), ""), Some(50.0), "of all: the worst");
    assert_eq!(
        told(None, "production"),
        Some(1.0),
        "nobody tells environments apart"
    );
}

/// Ten minutes of one instance, a batch a second.
fn minutes(instance: &str) -> Vec<Fact> {
    let fact = |n: i64| {
        let mut all = second("checkout", NOON + n * SECOND, 3, Track::Stable);
        all.iter_mut()
            .for_each(|o: &mut Observation| o.instance = instance.to_owned());
        batch(&format!("{instance}/{n}"), NOON + n * SECOND, all)
    };
    (0..600).map(fact).collect()
}

#[test]
fn two_instances_add_up_and_one_batch_twice_does_not() {
    let read = |facts: &[Fact]| {
        let mut log = Log::default();
        facts
            .iter()
            .for_each(|fact| assert_eq!(log.at(fact.meta().time.0, fact), None));
        log.event("d", NOON + 600 * SECOND, deployment("d", "r"))
            .unwrap()
            .context
    };
    let rate = |context: &[auspex_proto::vector::Feature]| {
        context
            .iter()
            .find(|f| f.name == "requests_per_second")
            .unwrap()
            .value
    };
    let one = read(&minutes("a"));
    assert!((rate(&one) - 100.0).abs() < 1e-6);
    let twice: Vec<_> = minutes("a")
        .into_iter()
        .flat_map(|fact| [fact.clone(), fact])
        .collect();
    assert_eq!(read(&twice), one);
    let mut both: Vec<_> = minutes("a").into_iter().chain(minutes("b")).collect();
    both.sort_by_key(|fact| fact.meta().time);
    assert!((rate(&read(&both)) - 200.0).abs() < 1e-6);
}

#[test]
fn silence_is_no_zero() {
    let mut log = Log::default();
    for n in 0..60 {
        let at = NOON + n * SECOND;
        log.at(
            at,
            &batch(
                &format!("{n}"),
                at,
                vec![observation("checkout", "memory", at, Value::Gauge(1.0))],
            ),
        );
    }
    let vector = log.event("d", NOON + 60 * SECOND, deployment("d", "r")).unwrap();
    let names: Vec<&str> = vector.context.iter().map(|f| f.name.as_str()).collect();
    assert!(
        !names.contains(&"system_error_rate") && !names.contains(&"requests_per_second"),
        "{names:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn nine_seconds_of_lateness_change_nothing(order in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let facts = minutes("a");
        let read = |order: &[usize]| {
            let mut log = Log::default();
            for nine in facts.chunks(9) {
                order.iter().filter_map(|place| nine.get(*place)).for_each(|fact| {
                    log.at(NOON + 600 * SECOND, fact);
                });
            }
            log.event("d", NOON + 600 * SECOND, deployment("d", "r")).unwrap().context
        };
        prop_assert_eq!(read(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), read(&order));
    }
}
