//! The command line as a person meets it: the program itself, its output and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;
use std::process::{Command, Output};

fn auspex(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auspex"))
        .args(arguments)
        .env_remove("AUSPEX_TOKEN")
        .env_remove("AUSPEX_SERVER")
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn topology_names_every_stage_stream_and_bucket() {
    let text = out(&auspex(&["topology"]));
    for part in [
        "ingest",
        "delivery",
        "FACTS",
        &auspex_proto::subject::facts_everywhere(auspex_proto::FactKind::Decision),
        "AUSPEX_LEASES",
        "durable auspex-scoring",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&out(&auspex(&["topology", "--output", "json"]))).unwrap();
    assert_eq!(json["streams"][0]["stream"], "FACTS");
    assert!(
        json["stages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["bucket"] == "AUSPEX_STATE_canary")
    );
}

#[test]
fn a_sound_configuration_is_said_to_be_sound_and_shown() {
    let sound = auspex(&["check-config"]);
    assert!(sound.status.success(), "{}", err(&sound));
    let effective = auspex(&[
        "check-config",
        "--effective",
        "--set",
        "nats.user=me",
        "--set",
        "nats.password=hunter2",
    ]);
    let text = out(&effective);
    assert!(
        text.contains("server.listen = \"127.0.0.1:7700\"") && text.contains("nats.user = \"me\""),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auspex.toml");
    std::fs::write(
        &file,
        "[server]\nlistn = 1\n[nats]\npartitions = \"many\"\n[shop]\nx = 1\n",
    )
    .unwrap();
    let wrong = auspex(&["check-config", "--config", file.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2));
    let text = err(&wrong);
    for part in [
        "server.listn: no such key",
        "nats.partitions:",
        "shop: no such section",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_containers_of_compose_have_sound_settings() {
    let compose =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose.yaml")).unwrap();
    let settings = compose.lines().filter_map(|line| {
        let (key, value) = line.trim().split_once(": ")?;
        let value = if value.starts_with("${") { "" } else { value };
        // The image is built with InfluxDB's adapter, this program perhaps without.
        let built = cfg!(feature = "influx") || key != "AUSPEX__HISTORY__METRICS__DATABASE";
        (key.starts_with("AUSPEX__") && built).then(|| (key, value.trim_matches('"')))
    });
    let checked = Command::new(env!("CARGO_BIN_EXE_auspex"))
        .arg("check-config")
        .envs(settings)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", err(&checked));
}

#[test]
fn a_token_is_fresh_and_its_entry_is_a_configuration() {
    let token = || -> serde_json::Value {
        serde_json::from_str(&out(&auspex(&[
            "token",
            "ci",
            "--role",
            "publisher",
            "--output",
            "json",
        ])))
        .unwrap()
    };
    let (one, two) = (token(), token());
    assert_ne!(one["token"], two["token"]);
    assert_eq!(
        one["access"]["sha256"],
        auspex_chassis::serve::hash_token(one["token"].as_str().unwrap())
    );

    let text = out(&auspex(&["token", "the \"ci\"", "--role", "admin"]));
    let entry = text.split_once("[[server.access]]").unwrap().1;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auspex.toml");
    std::fs::write(&file, format!("[[server.access]]{entry}")).unwrap();
    let checked = auspex(&["check-config", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", err(&checked));
}

#[test]
fn wrong_use_is_2_and_a_server_out_of_reach_is_1_in_one_sentence() {
    assert_eq!(auspex(&["rollout", "lst"]).status.code(), Some(2));
    assert_eq!(auspex(&["token", "x", "--role", "king"]).status.code(), Some(2));
    assert_eq!(auspex(&["run", "shop"]).status.code(), Some(2));
    let missing = auspex(&[
        "event",
        "publish",
        "--kind",
        "deployment",
        "--project",
        "acme/shop",
    ]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(err(&missing).trim(), "auspex: --service: is needed for this kind");
    let nothing = auspex(&["event", "publish"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(
        err(&nothing).trim(),
        "auspex: one of --file, --from-git and --kind is needed"
    );
    for asked in [&["rollout", "list"][..], &["health"]] {
        let address = auspex(&[asked, &["--server", "localhost:7700"]].concat());
        assert_eq!(address.status.code(), Some(2), "{}", err(&address));
        assert_eq!(
            err(&address).trim(),
            "auspex: --server localhost:7700: is not http(s)://host:port"
        );
    }
    let weight = auspex(&["rollout", "gate", "shop", "--weight", "101"]);
    assert_eq!(weight.status.code(), Some(2), "{}", err(&weight));
    let away = auspex(&["rollout", "list", "--server", "http://127.0.0.1:9"]);
    assert_eq!(away.status.code(), Some(1));
    let text = err(&away);
    assert!(
        text.contains("127.0.0.1:9 cannot be reached") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn a_file_that_is_not_what_it_is_for_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (here, text) = (
        folder.path().display().to_string(),
        folder.path().join("text.yaml"),
    );
    let nothing = auspex(&["convert", "-f", &here]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(
        err(&nothing).contains("holds no file that ends with .yaml"),
        "{}",
        err(&nothing)
    );
    std::fs::write(&text, "just words").unwrap();
    let text = text.display().to_string();
    let words = auspex(&["convert", "-f", &text]);
    assert_eq!(words.status.code(), Some(1), "refused by name");
    assert!(err(&words).contains("is no mapping of fields"), "{}", err(&words));
    let ca = auspex(&[
        "rollout",
        "list",
        "--server",
        "https://127.0.0.1:9",
        "--ca",
        &text,
    ]);
    assert_eq!(ca.status.code(), Some(2));
    assert!(err(&ca).contains("holds no certificate in PEM"), "{}", err(&ca));
}

#[test]
fn a_server_that_answers_without_tls_is_said_to() {
    // Somebody who answers without TLS: after that the address is mended, and nothing is looked for elsewhere.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut line in plain.incoming().flatten() {
            line.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .ok();
        }
    });
    let secure = format!("https://127.0.0.1:{port}");
    for asked in [&["rollout", "list"][..], &["health"]] {
        let scheme = auspex(&[asked, &["--server", &secure]].concat());
        assert_eq!(scheme.status.code(), Some(1));
        assert!(err(&scheme).contains("answers without TLS"), "{}", err(&scheme));
    }
}

#[test]
fn a_file_of_measurements_is_judged_and_bad_rows_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let rows = (0..20).map(|t| format!("{t},baseline,errors,1,400\n{t},candidate,errors,20,100\n"));
    std::fs::write(
        &file,
        format!("time,track,metric,bad,total\n{}", rows.collect::<String>()),
    )
    .unwrap();
    let input = file.to_str().unwrap();
    let text = out(&auspex(&["judge", "--input", input]));
    assert!(
        text.starts_with("worse (harm_proven)") && text.contains(" alarm\n"),
        "{text}"
    );
    let json = out(&auspex(&["judge", "--input", input, "--output", "json"]));
    assert_eq!(json.lines().count(), 20);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["final"], &last["verdict"]),
        (&true.into(), &"worse".into())
    );

    std::fs::write(&file, "time,track,metric,bad,total\n1,neither,errors,1,2\n").unwrap();
    let wrong = auspex(&["judge", "--input", input]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("rows.csv:2: track:"), "{}", err(&wrong));

    let plan = [
        "judge", "plan", "--rate", "50", "--share", "0.05", "--base", "0.01", "--effect", "2",
    ];
    assert!(out(&auspex(&plan)).starts_with("called worse, with 2 times the failures: "));
}

/// A shell that knows the way to a mesh in earnest must not send made-up deployments there.
#[test]
fn the_demonstration_heeds_no_environment_and_tells_programs_how_it_ended() {
    let played = Command::new(env!("CARGO_BIN_EXE_auspex"))
        .args(["demo", "--scenario", "good", "--output", "json"])
        .env("AUSPEX__NATS__URL", "nats://127.0.0.1:9")
        .output()
        .unwrap();
    assert!(played.status.success(), "{}{}", out(&played), err(&played));
    let told: serde_json::Value = serde_json::from_str(&out(&played)).unwrap();
    assert_eq!(told["ok"], true);
    assert_eq!(told["scenarios"][0]["outcome"], "promoted");
}
