//! The laws about the code. Each rule prints every offender, so that one run shows all there is to mend.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "architecture/pure.rs"]
mod pure;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use auspex_tests::{files, top};
use pure::{PURE, belongs};

/// What a pure file must not name, and why.
const IMPURE: [(&str, &str); 14] = [
    ("async fn", "verbs do not wait"),
    (".await", "verbs do not wait"),
    ("tokio", "verbs do not wait"),
    ("SystemTime", "time is in the log"),
    ("Instant::now", "time is in the log"),
    ("Timestamp::now", "time is in the log"),
    ("clock::now", "time is in the log"),
    ("std::env", "what a verb knows it is told"),
    ("std::fs", "what a verb knows it is told"),
    ("std::net::Tcp", "what a verb knows it is told"),
    ("reqwest", "what a verb knows it is told"),
    ("rand::", "a replay must give the same"),
    ("HashMap", "its order differs from run to run"),
    ("tracing::", "a verb answers, it does not log"),
];

/// Names that a trait from outside asks for.
const FOREIGN: [&str; 2] = ["connect_info", "Data"];

const FORBIDDEN_WORDS: [&str; 9] = [
    "manager",
    "helper",
    "util",
    "common",
    "misc",
    "processor",
    "engine",
    "data",
    "info",
];

fn sources() -> Vec<PathBuf> {
    ["proto", "services", "tests"]
        .iter()
        .flat_map(|folder| files(&top().join(folder), ".rs"))
        .collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(top()).unwrap_or(path).display().to_string()
}

/// The code of a file above its unit tests. That their module is declared (`#[cfg(test)] mod tests;`) ends no code.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let mut code = String::new();
    for (n, part) in text.split("#[cfg(test)]\n").enumerate() {
        let declared = part.lines().find(|line| !line.starts_with("#["));
        if n > 0 && !declared.is_some_and(|line| line.ends_with(';')) {
            break;
        }
        code.push_str(part);
    }
    code
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("testing")
}

fn none(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

fn manifests() -> Vec<(String, toml::Table)> {
    let read = |path: PathBuf| {
        (
            relative(&path),
            std::fs::read_to_string(&path).unwrap().parse().unwrap(),
        )
    };
    ["proto", "services", "tests"]
        .iter()
        .flat_map(|folder| files(&top().join(folder), "Cargo.toml"))
        .map(read)
        .collect()
}

fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let table = |name: &str| {
        manifest
            .get(name)
            .and_then(toml::Value::as_table)
            .cloned()
            .unwrap_or_default()
    };
    table("dependencies").keys().cloned().collect()
}

#[test]
fn only_the_chassis_names_the_nats_client() {
    let mut offenders: Vec<String> = manifests()
        .into_iter()
        .filter(|(path, manifest)| dependencies(manifest).contains("async-nats") && !path.contains("chassis"))
        .map(|(path, _)| path)
        .collect();
    let elsewhere = |path: &str| !path.starts_with("services/chassis") && !path.starts_with("tests/");
    for path in sources().iter().filter(|path| elsewhere(&relative(path))) {
        if code(path).contains("async_nats") {
            offenders.push(relative(path));
        }
    }
    none(&offenders, "law 11: only `chassis` names async-nats");
}

#[test]
fn no_service_depends_on_a_service() {
    let above = [
        "services/auspex/Cargo.toml",
        "services/trainer/Cargo.toml",
        "tests/Cargo.toml",
        "tests/kubernetes/Cargo.toml",
    ];
    let allowed = [
        "auspex-proto",
        "auspex-chassis",
        "auspex-judge",
        "auspex-algebra",
        "auspex-model",
        "auspex-argo",
        "auspex-cluster",
    ];
    let mut offenders = Vec::new();
    for (path, manifest) in manifests() {
        for dependency in dependencies(&manifest)
            .iter()
            .filter(|d| d.starts_with("auspex-"))
        {
            let downwards = match path.as_str() {
                "proto/Cargo.toml"
                | "services/canary/judge/Cargo.toml"
                | "services/analysis/argo/Cargo.toml" => false,
                "services/scoring/model/Cargo.toml" => dependency == "auspex-proto",
                "services/chassis/Cargo.toml" => dependency == "auspex-proto",
                path if above.contains(&path) => true,
                _ => allowed.contains(&dependency.as_str()),
            };
            if !downwards {
                offenders.push(format!("{path} depends on {dependency}"));
            }
        }
    }
    none(
        &offenders,
        "dependencies point down: proto <- chassis <- services <- {trainer, auspex, tests}",
    );
}

#[test]
fn subject_strings_stand_in_one_module() {
    let marks = [
        "auspex.v1.{",
        "auspex.v1.*",
        "auspex.v1.>",
        "auspex.dead",
        "auspex.pulse",
        "$KV",
        "$JS",
    ];
    let offenders: Vec<String> = sources()
        .iter()
        .filter(|path| !["proto/src/subject.rs", "tests/architecture.rs"].contains(&relative(path).as_str()))
        .filter(|path| marks.iter().any(|mark| code(path).contains(&format!("\"{mark}"))))
        .map(|path| relative(path))
        .collect();
    none(
        &offenders,
        "law 11: only proto/src/subject.rs holds subject strings",
    );
}

#[test]
fn verbs_are_pure() {
    let mut offenders = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources() {
        let name = relative(&path);
        let modules = PURE.iter().filter(|module| belongs(&name, module));
        let modules: Vec<&str> = modules.copied().collect();
        if is_test(&name) {
            continue;
        }
        let code = code(&path);
        if modules.is_empty() {
            if code.contains(" Verb for ") {
                offenders.push(format!("{name}: a verb that the list does not name"));
            }
            continue;
        }
        seen.extend(modules);
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in lines.enumerate() {
            for (word, why) in IMPURE.iter().filter(|(word, _)| line.contains(word)) {
                offenders.push(format!("{name} (code line {}): {word}: {why}", number + 1));
            }
        }
    }
    none(&offenders, "law 3 and the anatomy: verbs are pure");
    let stale: Vec<&&str> = PURE.iter().filter(|module| !seen.contains(**module)).collect();
    assert!(
        stale.is_empty(),
        "the list of pure modules names what is not there: {stale:?}"
    );
}

#[test]
fn files_are_small() {
    let mut offenders = Vec::new();
    for path in sources() {
        let (name, lines) = (
            relative(&path),
            std::fs::read_to_string(&path).unwrap().lines().count(),
        );
        let limit = if name.ends_with("/lib.rs") { 120 } else { 400 };
        if lines > limit {
            offenders.push(format!("{name}: {lines} lines, at most {limit}"));
        }
    }
    none(&offenders, "files stay small");
}

#[test]
fn names_are_the_fields_own_words() {
    let mut offenders = Vec::new();
    for path in sources().into_iter().filter(|path| !is_test(&relative(path))) {
        let name = relative(&path);
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if FORBIDDEN_WORDS.contains(&stem.as_str()) {
            offenders.push(name.clone());
        }
        for line in code(&path).lines() {
            let Some(item) = item_name(line).filter(|item| !FOREIGN.contains(item)) else {
                continue;
            };
            if words(item)
                .iter()
                .any(|word| FORBIDDEN_WORDS.contains(&word.as_str()))
            {
                offenders.push(format!("{name}: {item}"));
            }
        }
    }
    none(
        &offenders,
        "DESIGN section 6: words that say nothing are not used",
    );
}

fn item_name(line: &str) -> Option<&str> {
    let line = line
        .trim_start()
        .trim_start_matches("pub ")
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub(super) ");
    let rest = ["struct ", "enum ", "trait ", "mod ", "fn ", "async fn ", "type "]
        .iter()
        .find_map(|k| line.strip_prefix(k))?;
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    Some(&rest[..end])
}

fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if (c.is_uppercase() || c == '_') && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c != '_', words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[test]
fn every_service_has_the_one_anatomy() {
    let mut offenders = Vec::new();
    for service in auspex_proto::stage::STAGES
        .iter()
        .filter(|s| !["delivery", "store", "builds", "offline", "feedback", "training"].contains(&s.name))
    {
        let folder = top().join("services").join(service.name);
        let main = std::fs::read_to_string(folder.join("src/main.rs")).unwrap_or_default();
        let lib = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
        for word in ["*Reads*", "*Writes*", "*Answers*", "*Remembers*", "*Invariants*"] {
            if !lib.contains(word) {
                offenders.push(format!("{}/src/lib.rs: its doc has no {word}", service.name));
            }
        }
        if !main.contains("auspex_chassis::main(&[") {
            offenders.push(format!(
                "{}/src/main.rs does not run this service alone",
                service.name
            ));
        }
        if !folder.join("src/config.rs").exists() {
            offenders.push(format!("{}/src/config.rs is missing", service.name));
        }
    }
    none(&offenders, "one service, one anatomy");
}

#[test]
fn the_tree_speaks_of_the_product_alone() {
    let marks = [
        "/work/",
        "/root/",
        "/home/",
        "/tmp/house",
        "helper-",
        "Claude",
        "subagent",
    ];
    let mut offenders = Vec::new();
    for ending in [
        ".rs",
        ".md",
        ".toml",
        ".yaml",
        ".yml",
        ".py",
        ".proto",
        ".json",
        "Dockerfile",
        "run",
    ] {
        for path in files(&top(), ending) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for mark in marks
                .iter()
                .filter(|mark| text.contains(**mark) && !path.ends_with("architecture.rs"))
            {
                offenders.push(format!("{}: {mark}", relative(&path)));
            }
        }
    }
    none(&offenders, "no machine paths, no word of how it is built");
}

#[test]
fn no_test_is_switched_off() {
    let attribute = concat!("#[ign", "ore");
    let offenders: Vec<String> = sources()
        .iter()
        .filter(|path| std::fs::read_to_string(path).unwrap().contains(attribute))
        .map(|path| relative(path))
        .collect();
    none(&offenders, "a test that does not run is no test");
}
