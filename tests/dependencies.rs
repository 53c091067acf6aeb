//! Licences, sources and bans of everything we build on, from `cargo metadata`.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::Command;

use auspex_tests::top;
use serde_json::Value;

const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "BSL-1.0",
    "CC0-1.0",
    "MIT-0",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
];

/// One TLS stack, no second HTTP stack, nothing that needs a C tool chain beyond `cc`.
const BANNED: [(&str, &str); 4] = [
    ("openssl-sys", "one TLS stack: rustls with ring"),
    ("native-tls", "one TLS stack: rustls with ring"),
    ("aws-lc-sys", "one TLS stack: rustls with ring"),
    ("cmake", "a fresh machine has no CMake"),
];

fn packages() -> Vec<Value> {
    let metadata = |more: &[&str]| {
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(more)
            .current_dir(top())
            .output()
            .unwrap()
    };
    // What no build here needs (other platforms, features that are off) may not be at hand yet.
    let offline = metadata(&["--offline"]);
    let output = if offline.status.success() {
        offline
    } else {
        metadata(&[])
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reached: std::collections::BTreeSet<String> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap().to_owned())
        .collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| reached.contains(package["id"].as_str().unwrap()))
        .cloned()
        .collect()
}

/// An SPDX expression holds when one alternative of `OR` has only allowed parts of `AND`.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    plain.split(" OR ").any(|alternative| {
        alternative.split(" AND ").all(|part| {
            let licence = part
                .trim()
                .split(" WITH ")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            LICENCES.contains(&licence.as_str())
        })
    })
}

#[test]
fn licences_are_allowed() {
    let offenders: Vec<String> = packages()
        .iter()
        .filter(|p| !allowed(p["license"].as_str().unwrap_or("none")))
        .map(|p| format!("{}: {}", p["name"], p["license"]))
        .collect();
    assert!(offenders.is_empty(), "{offenders:#?}");
}

#[test]
fn sources_are_the_registry_or_this_tree() {
    let offenders: Vec<String> = packages()
        .iter()
        .filter(|p| {
            p["source"]
                .as_str()
                .is_some_and(|source| !source.starts_with("registry+"))
        })
        .map(|p| format!("{}: {}", p["name"], p["source"]))
        .collect();
    assert!(offenders.is_empty(), "{offenders:#?}");
}

#[test]
fn nothing_banned_is_built() {
    let packages = packages();
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let offenders: Vec<_> = BANNED.iter().filter(|(name, _)| names.contains(name)).collect();
    assert!(offenders.is_empty(), "{offenders:?}");
    assert!(
        names.contains(&"async-nats"),
        "the list of packages is empty: the check checks nothing"
    );
}

/// Who brings a second calendar, because its interface speaks of one: object storage, columnar files, InfluxDB's client.
const CHRONO: [&str; 6] = ["object_store", "parquet", "arrow-", "influxdb2", "s3s", "chrono"];

#[test]
fn one_calendar_for_what_we_write_ourselves() {
    let names_it = |package: &&Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let needed = |d: &&Value| d["name"] == "chrono" && d["optional"] == false && d["kind"].is_null();
        dependencies.iter().any(|d| needed(&d))
    };
    let packages = packages();
    let offenders: Vec<&Value> = packages
        .iter()
        .filter(names_it)
        .map(|package| &package["name"])
        .filter(|name| {
            !CHRONO
                .iter()
                .any(|known| name.as_str().unwrap().starts_with(known))
        })
        .collect();
    assert!(offenders.is_empty(), "jiff is the calendar: {offenders:?}");
}

#[test]
fn an_expression_is_read_as_spdx_means_it() {
    assert!(
        allowed("MIT OR GPL-3.0")
            && allowed("MIT/Apache-2.0")
            && allowed("(MIT OR Apache-2.0) AND Unicode-3.0")
    );
    assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && !allowed("none"));
}
