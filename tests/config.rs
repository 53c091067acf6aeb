//! `deploy/config/auspex.toml` tells every default, and tells it right.

#![allow(clippy::unwrap_used, reason = "a test may")]

use auspex::services;
use auspex_chassis::Options;
use auspex_tests::top;

/// The file with every default taken out of its comment.
fn uncommented() -> String {
    let text = std::fs::read_to_string(top().join("deploy/config/auspex.toml")).unwrap();
    let mut out = String::new();
    let mut example = false;
    for line in text.lines() {
        // An example is a commented table of its own; it ends at the next blank line.
        example = (example || line.starts_with("# [")) && !line.is_empty();
        let setting = line
            .strip_prefix("# ")
            .filter(|rest| !example && rest.contains(" = ") && !rest.starts_with(' '));
        out.push_str(setting.unwrap_or(line));
        out.push('\n');
    }
    out
}

#[test]
fn the_configuration_file_holds_every_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auspex.toml");
    std::fs::write(&file, uncommented()).unwrap();
    let told = Options {
        config: Some(file),
        ..Options::default()
    }
    .load(&services::ALL)
    .unwrap();
    let defaults = Options::default().load(&services::ALL).unwrap();
    assert_eq!(told.effective(), defaults.effective());
    let text = std::fs::read_to_string(top().join("deploy/config/auspex.toml")).unwrap();
    let missing: Vec<String> = defaults
        .effective()
        .lines()
        .map(|line| {
            line.split(" = ")
                .next()
                .unwrap()
                .rsplit('.')
                .next()
                .unwrap()
                .to_owned()
        })
        .filter(|key| !text.contains(&format!("# {key} = ")))
        .collect();
    assert!(missing.is_empty(), "not in the file: {missing:?}");
}

#[test]
fn the_file_as_it_stands_is_valid() {
    let config = Some(top().join("deploy/config/auspex.toml"));
    Options {
        config,
        ..Options::default()
    }
    .load(&services::ALL)
    .unwrap();
}
