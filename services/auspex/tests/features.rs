//! The feature store by the command line alone: what `docs/features.md` says to try; features of an environment, told by the
//! proxy and by a build; and the archive where `auspex up --data` put it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test tells its story in one go"
)]

mod running;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use running::{Running, free_port};
use serde_json::Value;

const AUSPEX: &str = env!("CARGO_BIN_EXE_auspex");

/// A running `auspex up`, with a proxy in an environment.
struct Up {
    process: Running,
    folder: tempfile::TempDir,
    port: u16,
    proxy: u16,
}

/// Answers everything with 200, until the process ends.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut line in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut asked = [0; 4_096];
                while line.read(&mut asked).is_ok_and(|n| n > 0) {
                    line.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
                        .ok();
                }
            });
        }
    });
    port
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, proxy) = (free_port(), free_port());
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\n[nats]\npartitions = 2\n[history.archive]\nsegment_seconds = 1\n\
             [proxy]\nlisten = \"127.0.0.1:{proxy}\"\nenvironment = \"staging\"\nregion = \"eu\"\n\
             [[proxy.routes]]\nservice = \"till\"\nproject = \"acme/shop\"\nstable = \"http://127.0.0.1:{}\"\n",
            backend()
        );
        std::fs::write(folder.path().join("auspex.toml"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(AUSPEX)
            .current_dir(folder.path())
            .args(["up", "--config", "auspex.toml", "--data", "elsewhere"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let up = Self {
            process: Running(child),
            folder,
            port,
            proxy,
        };
        up.until("the mesh is ready", || {
            up.ask(&["features", "list"]).status.success()
        });
        up
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        Command::new(AUSPEX)
            .current_dir(self.folder.path())
            .env("AUSPEX_SERVER", format!("http://127.0.0.1:{}", self.port))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn told(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(&[arguments, &["--output", "json"]].concat())).unwrap()
    }

    /// A value of the one entity asked for, when it is there.
    fn value(&self, entity: &str, project: &str, feature: &str) -> Option<f64> {
        let found = self.json(&["features", "get", entity, "--project", project]);
        let cell = &found["entities"][0]["features"][feature];
        (cell["status"] == "PRESENT")
            .then(|| cell["value"].as_f64())
            .flatten()
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "not within a minute: {what}\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The documents that the page says to apply.
fn documents() -> &'static str {
    let page = include_str!("../../../docs/features.md");
    let (_, rest) = page.split_once("<<'YAML'\n").unwrap();
    rest.split_once("\nYAML\n").unwrap().0
}

/// What the page says to try.
fn trying(up: &Up) {
    let file = |name: &str, text: &str| std::fs::write(up.folder.path().join(name), text).unwrap();
    file("orders.yaml", documents());
    file(
        "rows.json",
        r#"{"customer": "ada", "amount": 12.5, "coupon": "SPRING"}"#,
    );
    // A name that nobody has is one answer, wherever it stands; a word that is none of the question's is another.
    let get = ["features", "get", "customer=ada", "--project", "shop"];
    for (asked, code, told) in [
        (
            &["--service", "nosuch"][..],
            1,
            "feature_service: there is no nosuch",
        ),
        (&["--features", "nosuch"], 1, "features: there is no view nosuch"),
        (
            &["--features", "nosuch:a"],
            1,
            "features: there is no view nosuch",
        ),
    ] {
        let answer = up.ask(&[&get[..], asked].concat());
        assert_eq!(answer.status.code(), Some(code), "{asked:?}");
        assert_eq!(
            String::from_utf8_lossy(&answer.stderr).trim(),
            format!("auspex: {told}")
        );
    }
    let push = [
        "features",
        "push",
        "nosuch",
        "--project",
        "shop",
        "--file",
        "rows.json",
    ];
    let answer = up.ask(&push);
    assert_eq!(answer.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&answer.stderr).trim(),
        "auspex: view: there is no nosuch"
    );
    let kind = up.ask(&["features", "list", "--kind", "View"]);
    assert_eq!(kind.status.code(), Some(2));
    let planned = up.told(&["features", "plan", "orders.yaml"]);
    assert!(
        planned.contains("+ FeatureView/orders version 1 (create)"),
        "{planned}"
    );
    up.told(&["features", "apply", "orders.yaml"]);
    let again = up.told(&["features", "plan", "orders.yaml"]);
    assert!(
        !again.contains("(create)") && !again.contains("(update)"),
        "{again}"
    );
    // Words change no version, meaning does.
    file(
        "words.yaml",
        &documents().replace("what was ordered", "all orders"),
    );
    file("meaning.yaml", &documents().replace("window: 7d", "window: 14d"));
    assert!(!up.told(&["features", "plan", "words.yaml"]).contains("version 2"));
    assert!(
        up.told(&["features", "plan", "meaning.yaml"])
            .contains("FeatureView/orders version 2")
    );
    up.told(&[
        "features",
        "push",
        "orders",
        "--project",
        "shop",
        "--file",
        "rows.json",
    ]);
    let asked = [
        "features",
        "get",
        "customer=ada",
        "--project",
        "shop",
        "--service",
        "fraud",
    ];
    let found = up.json(&[&asked[..], &["--request", "amount=3"]].concat());
    let features = &found["entities"][0]["features"];
    assert_eq!(features["orders__amount_1h"]["value"], 12.5, "{found}");
    assert_eq!(features["basket__share"]["value"], 0.24, "{found}");
    let then = up.json(&[
        "features",
        "get",
        "customer=ada",
        "--project",
        "shop",
        "--as-of",
        "2h",
    ]);
    assert_eq!(
        then["entities"][0]["features"]["orders__amount_1h"]["status"], "NOT_FOUND",
        "{then}"
    );
    let now = jiff::Timestamp::now();
    file(
        "labels.csv",
        &format!("customer,event_timestamp\nada,2026-01-01T00:00:00Z\nada,{now}\n"),
    );
    let joined = [
        "features",
        "history",
        "--project",
        "shop",
        "--service",
        "fraud",
        "--entities",
        "labels.csv",
    ];
    let said = up.told(&[&joined[..], &["--out", "training.parquet", "--keep"]].concat());
    assert!(said.contains("2 rows of 4 features"), "{said}");
    let bytes = std::fs::read(up.folder.path().join("training.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert!(up.told(&["features", "freshness"]).contains("orders"));
}

/// Users' traffic and a build, each where they are.
fn environments(up: &Up) {
    let entity = "environment=staging,service=till";
    let mut line = TcpStream::connect(("127.0.0.1", up.proxy)).unwrap();
    let mut answer = [0; 4_096];
    up.until("health of the environment", || {
        for _ in 0..20 {
            line.write_all(b"GET / HTTP/1.1\r\nhost: till\r\n\r\n").unwrap();
            assert!(line.read(&mut answer).unwrap() > 0);
        }
        up.value(entity, "acme/shop", "environment_health__requests_5m")
            .is_some_and(|n| n >= 20.0)
    });
    assert_eq!(
        up.value(entity, "acme/shop", "environment_trend__error_share_5m"),
        Some(0.0)
    );
    assert!(
        up.value(
            "region=eu,service=till",
            "acme/shop",
            "region_health__requests_5m"
        )
        .is_some()
    );
    let elsewhere = "environment=production,service=till";
    assert_eq!(
        up.value(elsewhere, "acme/shop", "environment_health__requests_5m"),
        None
    );
    let publish = [
        "event",
        "publish",
        "--project",
        "acme/shop",
        "--kind",
        "run",
        "--outcome",
        "failure",
    ];
    let placed = [
        "--id",
        "r1",
        "--revision",
        "abc",
        "--runner",
        "ubuntu-24.04",
        "--duration-ms",
        "9000",
    ];
    up.told(&[publish, placed].concat());
    up.until("the build where it ran", || {
        up.value(
            "runner=ubuntu-24.04",
            "acme/shop",
            "runner_history__failure_rate_7d",
        ) == Some(1.0)
    });
}

#[test]
fn the_page_can_be_tried_and_environments_are_told_apart() {
    let mut up = Up::start();
    trying(&up);
    environments(&up);
    assert_eq!(up.process.stop(), Some(0));
    // The archive lies where the mesh was told to keep its files, and is looked for where one says.
    let lost = up.ask(&["history", "verify"]);
    let error = String::from_utf8(lost.stderr).unwrap();
    assert!(
        !lost.status.success() && error.contains(".auspex") && error.contains("--data DIR"),
        "{error}"
    );
    let found = up.json(&["history", "verify", "--data", "elsewhere"]);
    assert_eq!(
        (&found["sound"], &found["archive"]),
        (&true.into(), &"elsewhere/history/archive".into())
    );
    assert!(found["facts"].as_u64().unwrap() >= 5, "{found}");
    assert!(!Path::new(up.folder.path()).join(".auspex/history").exists());
}
