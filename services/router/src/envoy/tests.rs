//! Keys for an intent, answers as Envoy 1.40 gives them.

use auspex_proto::intent::Match;

use super::*;
use crate::testing::intent;

fn place(cluster: &str) -> Place {
    Place {
        cluster: cluster.to_owned(),
        key: format!("split.shop.{cluster}"),
        mirror_key: format!("mirror.{cluster}"),
    }
}

fn settings() -> Settings {
    let told = |stable: bool| Told {
        header: "x-beta".to_owned(),
        value: "yes".to_owned(),
        stable,
        key: format!("cohort.beta.{}", if stable { "a" } else { "b" }),
        ..Told::default()
    };
    Settings {
        admin: vec!["http://127.0.0.1:9901".to_owned()],
        stable: place("a"),
        candidate: place("b"),
        fraction_key: String::new(),
        cohorts: vec![told(true), told(false)],
    }
}

fn envoy(settings: &Settings) -> Envoy {
    let timeout = Duration::from_secs(1);
    Envoy::new("shop", settings, Site { timeout }).unwrap()
}

fn asked() -> Intent {
    let by = By::Header(Match {
        name: "X-Beta".to_owned(),
        value: "yes".to_owned(),
    });
    Intent {
        cohorts: vec![Cohort {
            name: "beta".to_owned(),
            by,
            stable: false,
        }],
        mirror: 10,
        ..intent(1, 30).unwrap()
    }
}

fn runtime(keys: &BTreeMap<String, String>) -> Runtime {
    let entries: serde_json::Map<String, serde_json::Value> = keys
        .iter()
        .map(|(k, v)| {
            (
                k.clone(),
                serde_json::json!({"layer_values": [v], "final_value": v}),
            )
        })
        .collect();
    Runtime::parse(&serde_json::json!({"entries": entries, "layers": ["admin"]}).to_string()).unwrap()
}

#[test]
fn every_key_of_the_route_is_set_in_one_request() {
    let keys = envoy(&settings()).keys(&asked());
    let told: Vec<(&str, &str)> = keys.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        told,
        [
            ("cohort.beta.a", "0"),
            ("cohort.beta.b", "100"),
            ("mirror.a", "0"),
            ("mirror.b", "10"),
            ("split.shop.a", "70"),
            ("split.shop.b", "30")
        ]
    );
    let swapped = Intent {
        swapped: true,
        ..asked()
    };
    let keys = envoy(&settings()).keys(&swapped);
    assert_eq!(
        (keys["split.shop.a"].as_str(), keys["split.shop.b"].as_str()),
        ("30", "70")
    );
    assert_eq!(
        (keys["cohort.beta.a"].as_str(), keys["mirror.a"].as_str()),
        ("100", "10")
    );
}

#[test]
fn what_was_set_reads_back() {
    let envoy = envoy(&settings());
    for swapped in [false, true] {
        let asked = Intent { swapped, ..asked() };
        let runtime = runtime(&envoy.keys(&asked));
        assert!(envoy.shares(&runtime, swapped).unwrap().is(30));
        assert_eq!(envoy.beside(&runtime, &asked), Some(true));
        let other = Intent { mirror: 0, ..asked };
        assert_eq!(envoy.beside(&runtime, &other), Some(false));
    }
    assert_eq!(
        envoy.shares(&Runtime::default(), false),
        None,
        "the file's weights are not told"
    );
}

#[test]
fn a_fraction_is_of_the_candidates_place() {
    let settings = Settings {
        fraction_key: "fraction".to_owned(),
        ..settings()
    };
    let envoy = envoy(&settings);
    for (swapped, value) in [(false, "30"), (true, "70")] {
        let asked = Intent { swapped, ..asked() };
        let keys = envoy.keys(&asked);
        assert_eq!(keys["fraction"], value);
        assert!(!keys.contains_key("split.shop.a"));
        assert!(envoy.shares(&runtime(&keys), swapped).unwrap().is(30));
    }
}

#[test]
fn figures_are_read_and_counted_from_look_to_look() {
    let text = |a: u64, b: u64| {
        format!(
            r#"{{"stats":[{{"name":"cluster.a.upstream_rq_total","value":{a}}},{{"name":"cluster.b.upstream_rq_total","value":{b}}},
            {{"name":"cluster.b.membership_healthy","value":1}},{{"name":"cluster.b.membership_total","value":4}},{{"histograms":{{}}}}]}}"#
        )
    };
    let stats = |a, b| admin::Stats::parse(&text(a, b)).unwrap();
    assert_eq!(stats(1, 1).capacity("b").unwrap().percent, 25);
    assert_eq!(stats(1, 1).capacity("a"), None);
    let (counts, url) = (Counts::default(), Url::parse("http://127.0.0.1:1").unwrap());
    let since = |a, b| {
        counts
            .since(&url, ("a", "b"), &stats(a, b))
            .map(|s| (s.stable, s.candidate))
    };
    assert_eq!(since(100, 10), None);
    assert_eq!(since(170, 40), Some((70, 30)));
    assert_eq!(since(0, 0), None, "it was restarted");
    assert_eq!(
        admin::filter(&["a.b"]),
        "^cluster\\.(a\\.b)\\.(upstream_rq_total|membership_healthy|membership_total)$"
    );
}

#[test]
fn mistakes_are_told() {
    assert_eq!(settings().problems(), Vec::<String>::new());
    let wrong = Settings {
        admin: vec!["https://user@x".to_owned()],
        candidate: Place::default(),
        ..settings()
    };
    let told = wrong.problems().join("\n");
    for wanted in [
        "is not http://host:port",
        "candidate.cluster: is empty",
        "candidate.key: is empty",
    ] {
        assert!(told.contains(wanted), "{wanted} is not in {told}");
    }
}
