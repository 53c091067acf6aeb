//! A mesh of one's own, started and spoken to by the command line alone: over TLS, with tokens, as in earnest.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod running;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use auspex_chassis::serve::hash_token;
use running::{Running, free_port};

const AUSPEX: &str = env!("CARGO_BIN_EXE_auspex");

/// A running `auspex up`.
struct Up {
    process: Running,
    folder: tempfile::TempDir,
    port: u16,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let entry = |role: &str| {
            format!(
                "[[server.access]]\nname = \"{role}\"\nrole = \"{role}\"\nsha256 = \"{}\"\n",
                hash_token(role)
            )
        };
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n{}{}{}\
             [nats]\npartitions = 2\n[proxy]\nlisten = \"127.0.0.1:{}\"\n",
            at("cert.pem"),
            at("key.pem"),
            entry("publisher"),
            entry("operator"),
            entry("admin"),
            free_port(),
        );
        std::fs::write(folder.path().join("auspex.toml"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(AUSPEX)
            .args(["up", "--config", &at("auspex.toml"), "--data", &at("data")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let up = Self {
            process: Running(child),
            folder,
            port,
        };
        up.insist("operator", &["rollout", "list"]);
        up
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ask(&self, token: &str, arguments: &[&str]) -> Output {
        Command::new(AUSPEX)
            .args(arguments)
            .args(["--server", &format!("https://localhost:{}", self.port)])
            .args([
                "--ca",
                &self.file("cert.pem").display().to_string(),
                "--token",
                token,
            ])
            .output()
            .unwrap()
    }

    /// Until it is done, for half a minute.
    fn insist(&self, token: &str, arguments: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let output = self.ask(token, arguments);
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            let log = std::fs::read_to_string(self.file("log")).unwrap();
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{}\n{log}",
                error(&output)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const DOCUMENT: &str = "apiVersion: auspex.dev/v1
kind: Rollout
metadata: {name: checkout, project: acme/shop}
spec:
  service: checkout
  tracks:
    stable: {revision: aaa, url: \"http://127.0.0.1:9\"}
    candidate: {revision: bbb, url: \"http://127.0.0.1:9\"}
";

fn tell(up: &Up) {
    let publish = [
        "event",
        "publish",
        "--project",
        "acme/shop",
        "--kind",
        "incident",
        "--id",
        "7",
        "--title",
        "slow",
    ];
    let told = up.insist("publisher", &publish);
    assert!(
        told.starts_with("incident of acme/shop: in the log at "),
        "{told}"
    );
    assert!(up.insist("publisher", &publish).contains("where it was already"));

    let cloud =
        r#"{"specversion": "1.0", "id": "1", "source": "/ci", "type": "com.example.unknown", "data": {}}"#;
    let cloud = write(up.folder.path(), "cloud.json", cloud);
    assert!(
        up.insist("publisher", &["event", "publish", "--file", &cloud])
            .starts_with("accepted")
    );
}

fn steer(up: &Up) {
    let document = write(up.folder.path(), "rollout.yaml", DOCUMENT);
    let refused = up.ask("publisher", &["rollout", "start", "-f", &document]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        error(&refused).trim(),
        "auspex: a publisher token may not do this; it needs operator"
    );
    let started = up.insist(
        "operator",
        &["rollout", "start", "-f", &document, "--output", "json"],
    );
    let started: serde_json::Value = serde_json::from_str(&started).unwrap();
    assert_eq!(
        (&started["name"], &started["candidate_revision"]),
        (&"checkout".into(), &"bbb".into())
    );

    assert!(
        up.insist("operator", &["rollout", "pause", "checkout"])
            .contains("paused")
    );
    let over = up.insist("operator", &["rollout", "abort", "checkout", "--note", "enough"]);
    assert!(over.contains("rolled_back"), "{over}");
    let again = up.ask("operator", &["rollout", "resume", "checkout"]);
    assert_eq!(again.status.code(), Some(1), "{}", error(&again));
    let watched = up.insist("operator", &["rollout", "get", "checkout", "--watch"]);
    assert_eq!(watched.lines().count(), 1, "{watched}");

    let broken = write(
        up.folder.path(),
        "broken.yaml",
        &DOCUMENT.replace("kind: Rollout", "kind: Rolout"),
    );
    let broken = up.ask("operator", &["rollout", "start", "-f", &broken]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(
        error(&broken).contains("kind: `Rolout` is not Rollout"),
        "{}",
        error(&broken)
    );

    assert_eq!(
        up.insist("operator", &["dlq", "list"]),
        "there are no dead letters\n"
    );
    assert_eq!(up.ask("admin", &["dlq", "show", "99"]).status.code(), Some(1));
}

/// A deployment with a document that cannot be becomes a dead letter; trying again makes another, for it is still wrong.
fn bury(up: &Up) {
    let list = || -> serde_json::Value {
        serde_json::from_str(&up.insist(
            "operator",
            &["dlq", "list", "--stage", "canary", "--output", "json"],
        ))
        .unwrap()
    };
    let wait = |wanted: usize| {
        let begun = Instant::now();
        while list().as_array().unwrap().len() < wanted {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", list());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let document = write(up.folder.path(), "broken.yaml", "kind: Rolout");
    let deployment =
        "event publish --project acme/shop --kind deployment --service checkout --revision ccc --document";
    let deployment: Vec<&str> = deployment.split(' ').chain([document.as_str()]).collect();
    up.insist("publisher", &deployment);
    wait(1);
    let number = list()[0]["number"].to_string();
    let shown = up.insist("operator", &["dlq", "show", &number]);
    assert!(
        shown.contains("stage    canary") && shown.contains("rollout document"),
        "{shown}"
    );
    assert_eq!(
        up.ask("operator", &["dlq", "retry", &number]).status.code(),
        Some(1),
        "only an admin may"
    );
    let retried = up.insist("admin", &["dlq", "retry", &number]);
    assert!(retried.contains("in the log again at"), "{retried}");
    wait(2);
    let text = up.insist("operator", &["dlq", "list"]);
    assert!(text.starts_with("NUMBER"), "{text}");
}

fn start_over(up: &Up) {
    let recover = |more: &[&str]| {
        let (config, store) = (up.file("auspex.toml"), up.file("data"));
        let mut command = Command::new(AUSPEX);
        command
            .arg("recover")
            .arg("--config")
            .arg(config)
            .arg("--data")
            .arg(store)
            .args(more);
        command.output().unwrap()
    };
    let explained = String::from_utf8(recover(&[]).stdout).unwrap();
    assert!(explained.contains("Nothing has been done"), "{explained}");
    let done = recover(&["--yes"]);
    let done = String::from_utf8(done.stdout.clone()).unwrap() + &error(&done);
    assert!(
        done.contains("cursors deleted") && done.contains("AUSPEX_STATE_canary"),
        "{done}"
    );
}

/// A second mesh keeps its hands off the first one's log; and a server that is killed is started again.
fn endure(up: &Up) {
    let data = up.file("data").display().to_string();
    let second = Command::new(AUSPEX)
        .args(["up", "--data", &data, "--set", "server.listen=127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        error(&second).contains("is in use by another process"),
        "{}",
        error(&second)
    );
    let pid = std::fs::read_to_string(up.file("data").join("nats/nats.pid")).unwrap();
    Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    let publish = "event publish --project acme/shop --kind incident --id 8 --title killed";
    let publish: Vec<&str> = publish.split(' ').collect();
    up.insist("publisher", &publish);
}

#[test]
fn a_mesh_is_started_told_of_events_steered_and_stopped() {
    let mut up = Up::start();
    tell(&up);
    steer(&up);
    bury(&up);
    endure(&up);
    assert_eq!(
        up.process.stop(),
        Some(0),
        "{}",
        std::fs::read_to_string(up.file("log")).unwrap()
    );
    start_over(&up);
}
