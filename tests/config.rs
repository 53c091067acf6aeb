//! `deploy/config/auspex.toml` tells every default, and tells it right.

#![allow(clippy::unwrap_used, reason = "a test may")]

use auspex::services;
use auspex_chassis::Options;
use auspex_tests::top;
use serde::Deserialize as _;
use serde_json::Value;

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

/// One of the documents of `deploy/kubernetes/operator.yaml`.
fn of_operator(kind: &str) -> Value {
    let text = std::fs::read_to_string(top().join("deploy/kubernetes/operator.yaml")).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .find(|document| document["kind"] == kind)
        .unwrap()
}

#[test]
fn the_operator_starts_as_it_is_deployed_and_its_probes_reach_it() {
    let (map, deployment) = (of_operator("ConfigMap"), of_operator("Deployment"));
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    // The file that it is told to read is in the map that is mounted there.
    assert_eq!(pod["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);
    let folder = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let (file, text) = map["data"].as_object().unwrap().iter().next().unwrap();
    let arguments = container["args"].as_array().unwrap();
    assert_eq!(arguments.last().unwrap(), &format!("{folder}/{file}"));
    // This program may be built without Kubernetes, unlike the image.
    let text = text.as_str().unwrap();
    let read = text.replace("enabled = true", "enabled = false");
    let written = tempfile::tempdir().unwrap();
    let config = Some(written.path().join(file));
    std::fs::write(config.as_ref().unwrap(), read).unwrap();
    let loaded = Options {
        config,
        ..Options::default()
    }
    .load(&services::ALL);
    loaded.unwrap();
    // The kubelet asks the pod's own address, and no port of loopback.
    let told: toml::Table = text.parse().unwrap();
    let listen = told["server"]["listen"].as_str().unwrap();
    for probe in ["readinessProbe", "livenessProbe"] {
        let port = container[probe]["httpGet"]["port"].as_u64().unwrap();
        assert_eq!(listen, format!("0.0.0.0:{port}"), "{probe}");
    }
    assert_eq!(told["operator"]["enabled"].as_bool(), Some(true));
}
