//! `compose.yaml`, the image and the code say the same: services, settings, ports, volumes, health.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};

use auspex::services;
use auspex_chassis::Options;
use auspex_chassis::serve::ServerSettings;
use auspex_tests::top;
use serde_yaml_ng::Value;

/// What Kubernetes alone has a use for.
const NOT_HERE: [&str; 1] = ["operator"];

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn compose() -> Value {
    let mut file: Value = serde_yaml_ng::from_str(&read("compose.yaml")).unwrap();
    file.apply_merge().unwrap();
    file
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_sequence().into_iter().flatten();
    all.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The containers of our image, by name.
fn containers(file: &Value) -> BTreeMap<String, Value> {
    let all = file["services"].as_mapping().unwrap().iter();
    all.filter(|(_, container)| container["image"].as_str() == Some("auspex"))
        .map(|(name, container)| (name.as_str().unwrap().to_owned(), container.clone()))
        .collect()
}

/// What a container finds in its environment, `${NAME:-default}` as when nothing is set outside.
fn environment(container: &Value) -> BTreeMap<String, String> {
    let all = container["environment"].as_mapping().unwrap().iter();
    all.map(|(name, value)| {
        let value = value.as_str().unwrap();
        let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let value = inner.map_or(value, |inner| inner.split_once(":-").unwrap().1);
        (name.as_str().unwrap().to_owned(), value.to_owned())
    })
    .collect()
}

/// The same as settings on the command line.
fn settings(container: &Value) -> Vec<String> {
    let all = environment(container).into_iter();
    all.map(|(name, value)| {
        let key = name
            .strip_prefix("AUSPEX__")
            .unwrap()
            .replace("__", ".")
            .to_lowercase();
        format!("{key}={value}")
    })
    .collect()
}

#[test]
fn every_service_has_a_container_that_runs_it_by_settings_there_are() {
    let containers = containers(&compose());
    let names: BTreeSet<&str> = containers.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = services::ALL
        .iter()
        .map(|spec| spec.name)
        .filter(|name| !NOT_HERE.contains(name))
        .collect();
    assert_eq!(names, wanted);
    for (name, container) in &containers {
        let config = "/etc/auspex/auspex.toml";
        assert_eq!(
            texts(&container["command"]),
            ["run", name.as_str(), "--config", config]
        );
        let mounted = format!("./deploy/config/auspex.toml:{config}:ro");
        assert!(
            texts(&container["volumes"]).contains(&mounted),
            "{name} has no {config}"
        );
        let options = Options {
            config: Some(top().join("deploy/config/auspex.toml")),
            set: settings(container),
            known: services::sections(),
            ..Options::default()
        };
        if let Err(mistakes) = options.load(&services::named(std::slice::from_ref(name)).unwrap()) {
            // The image has it; what the tests are built with need not.
            let text = mistakes.to_string();
            let other: Vec<&str> = text
                .lines()
                .skip(1)
                .filter(|line| !line.contains("feature `influx`"))
                .collect();
            assert!(other.is_empty(), "{name}: {other:?}");
        }
    }
}

#[test]
fn doors_health_and_time_to_stop_are_those_of_the_code() {
    for (name, container) in containers(&compose()) {
        let environment = environment(&container);
        let port_of = |key: &str| {
            environment
                .get(key)
                .map(|at| at.rsplit(':').next().unwrap().to_owned())
        };
        let doors: Vec<String> = ["AUSPEX__SERVER__LISTEN", "AUSPEX__PROXY__LISTEN"]
            .into_iter()
            .filter_map(port_of)
            .collect();
        for published in texts(&container["ports"]) {
            let parts: Vec<&str> = published.split(':').collect();
            assert_eq!(parts[0], "127.0.0.1", "{name}: {published} is open to everybody");
            assert!(
                doors.iter().any(|door| door == parts[2]),
                "{name}: nobody listens on {published}"
            );
        }
        let health = format!("http://127.0.0.1:{}", doors[0]);
        let asked = ["CMD", "auspex", "health", "--server", health.as_str()];
        assert_eq!(texts(&container["healthcheck"]["test"]), asked);
        let grace: u64 = container["stop_grace_period"]
            .as_str()
            .unwrap()
            .trim_end_matches('s')
            .parse()
            .unwrap();
        assert!(
            grace * 1_000 > ServerSettings::default().shutdown_ms,
            "{name} is killed while it stops"
        );
    }
}

#[test]
fn what_is_kept_lies_in_volumes() {
    let file = compose();
    let volumes: Vec<&str> = file["volumes"]
        .as_mapping()
        .unwrap()
        .keys()
        .map(|name| name.as_str().unwrap())
        .collect();
    let mut named = BTreeMap::new();
    for (name, container) in file["services"].as_mapping().unwrap() {
        for mount in texts(&container["volumes"]) {
            let parts: Vec<String> = mount.split(':').map(str::to_owned).collect();
            match parts[0].strip_prefix("./") {
                Some(path) => assert!(top().join(path).is_file(), "{path} is not there"),
                None => {
                    assert!(
                        volumes.contains(&parts[0].as_str()),
                        "{} is not declared",
                        parts[0]
                    );
                    named.insert(name.as_str().unwrap().to_owned(), parts[1].clone());
                }
            }
        }
    }
    let nats = read("deploy/nats/nats.conf");
    assert!(nats.contains(&format!("store_dir: \"{}\"", named["nats"])));
    let asked = texts(&file["services"]["nats"]["healthcheck"]["test"]).join(" ");
    let monitor = nats.split("http: \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(asked.contains(&format!("http://{monitor}/healthz")), "{asked}");
    let history = environment(&file["services"]["history"]);
    assert_eq!(history["AUSPEX__HISTORY__FOLDER"], named["history"]);
    // The image's user can write there.
    let image = read("deploy/Dockerfile");
    let owner = image.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(image.contains(&format!(
        "mkdir -p {} && chown -R {owner} /var/lib/auspex",
        named["history"]
    )));
}

#[test]
fn the_image_is_built_of_what_there_is() {
    let image = read("deploy/Dockerfile");
    let build = image.lines().find(|line| line.contains("cargo build")).unwrap();
    let manifest: toml::Table = read("services/auspex/Cargo.toml").parse().unwrap();
    let features = build
        .split("--features ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    for feature in features.split(',') {
        assert!(
            manifest["features"].as_table().unwrap().contains_key(feature),
            "there is no feature {feature}"
        );
    }
    let program = manifest["package"]["name"].as_str().unwrap();
    assert!(
        build.contains(&format!("-p {program} ")) && image.contains(&format!("ENTRYPOINT [\"{program}\"]"))
    );
    // Rust in the image is the newest 1.x; nothing asks for more.
    assert!(image.contains("FROM rust:1-"));
}
