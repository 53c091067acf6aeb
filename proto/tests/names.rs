//! The contracts are for every language's compiler: what `protox` lets pass and `protoc` refuses must not come in.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;

/// Words that stand in parentheses on a line of a method: what it takes and what it answers.
fn types(line: &str) -> Vec<&str> {
    let inside = line.split('(').skip(1).filter_map(|rest| rest.split(')').next());
    inside
        .map(|name| name.trim_start_matches("stream ").trim())
        .collect()
}

/// Within a service `protoc` takes a bare name for the method of that name, and says "is not a message type".
fn shadowed(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for service in text.split("\nservice ").skip(1) {
        let body = service.split("\n}").next().unwrap();
        let methods: Vec<&str> = body
            .lines()
            .filter(|l| l.trim_start().starts_with("rpc "))
            .collect();
        let names: BTreeSet<&str> = methods
            .iter()
            .filter_map(|line| line.trim_start().strip_prefix("rpc ")?.split('(').next())
            .collect();
        let wrong = |line: &&&str| types(line).iter().any(|name| names.contains(name));
        found.extend(methods.iter().filter(wrong).map(|line| line.trim().to_owned()));
    }
    found
}

#[test]
fn no_method_hides_the_message_it_names() {
    let bad = "\nservice Scoring {\n  rpc Score(ScoreRequest) returns (Score);\n}\n";
    assert_eq!(shadowed(bad).len(), 1);
    let mut seen = 0;
    for folder in ["auspex/v1", "open_inference"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            seen += text.matches("\n  rpc ").count();
            assert_eq!(shadowed(&text), Vec::<String>::new(), "{}", path.display());
        }
    }
    assert!(seen > 50, "{seen} methods were looked at");
}
