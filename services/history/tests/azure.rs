//! An archive on Azure: on Azurite, where it is. `AUSPEX_AZURITE` names its script (`npm install azurite`, then
//! `node_modules/.bin/azurite-blob`).

#![cfg(feature = "clouds")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod parts;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use auspex_chassis::testing::{TestHouse, not_run};
use auspex_history::archive::store;
use auspex_history::config::ArchiveConfig;
use parts::{config, event, kept_at_least, log, publish, stop};

/// Makes a container, signed with the key that every Azurite has.
const CONTAINER: &str = r#"
const [crypto, http] = [require('crypto'), require('http')];
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const date = new Date().toUTCString();
const text = ['PUT', ...Array(11).fill(''), 'x-ms-date:' + date, 'x-ms-version:2021-08-06',
  '/devstoreaccount1/devstoreaccount1/bucket', 'restype:container'].join('\n');
const sign = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64');
const headers = { 'x-ms-date': date, 'x-ms-version': '2021-08-06', 'Content-Length': 0,
  Authorization: 'SharedKey devstoreaccount1:' + sign };
const ask = { method: 'PUT', port: process.argv[1], host: '127.0.0.1', headers, path: '/devstoreaccount1/bucket?restype=container' };
http.request(ask, answer => process.exit(answer.statusCode === 201 ? 0 : 1)).on('error', () => process.exit(2)).end();
"#;

/// A server; it is killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn start(program: &str, arguments: &[&str]) -> Server {
    let mut command = Command::new(program);
    let quiet = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Server(quiet.spawn().unwrap())
}

/// Tries until it is done.
fn insist(what: &str, mut attempt: impl FnMut() -> bool) {
    for _ in 0..300 {
        if attempt() {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("not within a minute: {what}");
}

/// The provider's variables cannot be set from within (`unsafe_code` is forbidden): the test runs itself with them.
fn again(name: &str, variables: &[(&str, String)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture"])
        .env("AUSPEX_WITHIN", name);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    assert!(command.status().unwrap().success(), "{name} failed");
}

fn is_within(name: &str) -> bool {
    std::env::var("AUSPEX_WITHIN").as_deref() == Ok(name)
}

/// Facts from a real log into the archive there, read back and verified; then by another writer.
async fn keeps(location: &str) {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let mut config = config(folder.path());
    config.archive = ArchiveConfig {
        location: location.to_owned(),
        segment_bytes: 8 << 10,
        segment_seconds: 1,
        verify_hours: 0,
        ..ArchiveConfig::default()
    };
    auspex_history::start(&test.house, &config).await.unwrap();
    publish(test.house.bus(), (0..300).map(event)).await;
    let archive = store::open(location, &config.archive).unwrap();
    let kept = kept_at_least(&archive, 300).await;
    assert_eq!(kept, log(test.house.bus()).await);
    stop(&test).await;
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_history::start(&house, &config).await.unwrap();
    publish(house.bus(), (300..360).map(event)).await;
    kept_at_least(&archive, 360).await;
    shutdown.finish(Duration::from_secs(20)).await;
    let report = archive.verify(None).await.unwrap();
    assert!(
        report.sound && report.segments > 3 && report.facts == 360,
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_reaches_azure() {
    let name = "every_fact_reaches_azure";
    if is_within(name) {
        return keeps("az://bucket/some/prefix").await;
    }
    let Ok(program) = std::env::var("AUSPEX_AZURITE") else {
        return not_run("AUSPEX_AZURITE is not set: nothing was asked of a server of Azure's kind");
    };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port().to_string());
    let root = folder.path().display().to_string();
    let arguments = [
        "--silent",
        "--skipApiVersionCheck",
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        &port,
    ];
    let _server = start(&program, &[arguments.as_slice(), &["--location", &root]].concat());
    insist("the container is made", || {
        let made = Command::new("node").args(["-e", CONTAINER, &port]).status();
        made.is_ok_and(|status| status.success())
    });
    let variables = [
        ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
        ("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{port}")),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
    ];
    again(name, &variables);
}
