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

use auspex_chassis::testing::{again, is_again, not_run};
use parts::keeps;

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

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_reaches_azure() {
    if is_again() {
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
    let address = format!("http://127.0.0.1:{port}");
    again(&[
        ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ("AZURITE_BLOB_STORAGE_URL", &address),
        ("AZURE_ALLOW_HTTP", "true"),
    ])
    .unwrap();
}
