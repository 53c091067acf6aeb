//! The bus beyond a private child: TLS with a password, an nkey or a credentials-less stranger; a server that is too old; a trace
//! that goes through.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use auspex_chassis::bus::{Bus, BusSettings};
use auspex_chassis::telemetry::Trace;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Secret, tools};
use parts::{COUNTER, Counter, event, insist, log_with_alerts};

struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A server that asks for TLS, and knows a password and an nkey.
async fn guarded(nkey: &str) -> Server {
    let known = format!(
        "authorization {{ users: [ {{ user: mesh, password: \"a long secret\" }}, {{ nkey: {nkey} }} ] }}"
    );
    server(&known).await
}

/// A server that asks for TLS, and knows these.
async fn server(known: &str) -> Server {
    let program = tools::nats_server(None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let at = folder.path().display();
    let config = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{at}/store\", max_file: 64G }}\n\
         tls {{ cert_file: \"{at}/cert.pem\", key_file: \"{at}/key.pem\" }}\n\
         {known}\n"
    );
    std::fs::write(folder.path().join("nats.conf"), config).unwrap();
    let child = Command::new(program)
        .arg("-c")
        .arg(folder.path().join("nats.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Server { child, port, folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_password_or_an_nkey_lets_in_and_nothing_else_does() {
    let pair = nkeys::KeyPair::new_user();
    let server = guarded(&pair.public_key()).await;
    let ca_file = server.folder.path().join("cert.pem").display().to_string();
    let url = format!("nats://localhost:{}", server.port);
    let base = BusSettings {
        url,
        tls: true,
        ca_file,
        partitions: 2,
        ..BusSettings::default()
    };

    let password = BusSettings {
        user: "mesh".to_owned(),
        password: Secret::new("a long secret"),
        ..base.clone()
    };
    let bus = Bus::connect(&password, "test").await.unwrap();
    assert!(bus.publish(&event("a", "one", "x")).await.unwrap().sequence > 0);
    let nkey = BusSettings {
        nkey_seed: Secret::new(pair.seed().unwrap()),
        ..base.clone()
    };
    let bus = Bus::connect(&nkey, "test").await.unwrap();
    assert!(bus.publish(&event("a", "two", "x")).await.unwrap().sequence > 0);

    let wrong = BusSettings {
        user: "mesh".to_owned(),
        password: Secret::new("guess"),
        ..base.clone()
    };
    let fault = format!("{:#}", Bus::connect(&wrong, "test").await.unwrap_err());
    assert!(
        fault.contains("authorization") && !fault.contains("guess"),
        "{fault}"
    );
    let fault = format!("{:#}", Bus::connect(&base, "test").await.unwrap_err());
    assert!(fault.contains("authorization"), "{fault}");
    let stranger = BusSettings {
        ca_file: String::new(),
        ..password
    };
    let fault = format!("{:#}", Bus::connect(&stranger, "test").await.unwrap_err());
    assert!(
        fault.contains("certificate") || fault.contains("TLS"),
        "an unknown authority is not trusted: {fault}"
    );
}

/// A claim as NATS signs it: a JSON web token under an nkey.
fn signed(by: &nkeys::KeyPair, of: &nkeys::KeyPair, nats: serde_json::Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
    let claims = serde_json::json!({
        "jti": of.public_key(), "iat": 1_700_000_000, "iss": by.public_key(), "sub": of.public_key(), "name": "mesh",
        "nats": nats,
    });
    let head = URL.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let said = format!("{head}.{}", URL.encode(claims.to_string()));
    format!("{said}.{}", URL.encode(by.sign(said.as_bytes()).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_of_an_operator_lets_in() {
    let (operator, user) = (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_user());
    let (system, account) = (nkeys::KeyPair::new_account(), nkeys::KeyPair::new_account());
    let operated = signed(
        &operator,
        &operator,
        serde_json::json!({"type": "operator", "version": 2}),
    );
    // The system account may not store anything.
    let own = |account, storage: i64| {
        let limits = serde_json::json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
        });
        let owned = serde_json::json!({"type": "account", "version": 2, "limits": limits});
        signed(&operator, account, owned)
    };
    let used = serde_json::json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1});
    let used = signed(&account, &user, used);
    let (system_key, key) = (system.public_key(), account.public_key());
    let known = format!(
        "operator: {operated}\nsystem_account: {system_key}\nresolver: MEMORY\n\
         resolver_preload: {{ {system_key}: {}, {key}: {} }}",
        own(&system, 0),
        own(&account, -1)
    );
    let server = server(&known).await;
    let file = server.folder.path().join("mesh.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{used}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    std::fs::write(&file, text).unwrap();
    let settings = BusSettings {
        url: format!("nats://localhost:{}", server.port),
        tls: true,
        ca_file: server.folder.path().join("cert.pem").display().to_string(),
        credentials_file: file.display().to_string(),
        partitions: 2,
        ..BusSettings::default()
    };
    let bus = Bus::connect(&settings, "test").await.unwrap();
    assert!(bus.publish(&event("a", "one", "x")).await.unwrap().sequence > 0);
    let without = BusSettings {
        credentials_file: String::new(),
        ..settings
    };
    let fault = format!("{:#}", Bus::connect(&without, "test").await.unwrap_err());
    assert!(fault.contains("authorization"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_server_that_is_too_old_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("nats-server");
    std::fs::write(&old, "#!/bin/sh\necho 'nats-server: v2.9.10'\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let fault = tools::nats_server(Some(&old)).await.unwrap_err().to_string();
    assert!(
        fault.ends_with("is nats-server 2.9; at least 2.12 is needed"),
        "{fault}"
    );
}

/// A connected server is asked for its version too: this one speaks just enough of the protocol to tell an old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_reached_server_that_is_too_old_is_refused_in_words() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let hello = "INFO {\"server_id\":\"x\",\"server_name\":\"x\",\"version\":\"2.11.4\",\"host\":\"127.0.0.1\",\
                         \"port\":4222,\"max_payload\":1048576,\"proto\":1,\"headers\":true}\r\n";
            stream.write_all(hello.as_bytes()).ok();
            let mut piece = [0; 512];
            while matches!(stream.read(&mut piece), Ok(1..)) {
                stream.write_all(b"PONG\r\n").ok();
            }
        }
    });
    let settings = BusSettings {
        url: format!("nats://127.0.0.1:{port}"),
        ..BusSettings::default()
    };
    let fault = Bus::connect(&settings, "test").await.unwrap_err().to_string();
    assert!(fault.ends_with("is 2.11.4; at least 2.12 is needed"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_a_fact_belongs_to_its_trace() {
    let test = TestHouse::start().await.unwrap();
    test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    insist(test.house.bus(), &event("a", "one", "x")).await;
    let log = log_with_alerts(test.house.bus(), 1).await;
    let client = async_nats::connect(&test.settings.url).await.unwrap();
    let stream = async_nats::jetstream::new(client)
        .get_stream(auspex_proto::subject::FACTS)
        .await
        .unwrap();
    let mut traces = Vec::new();
    for logged in &log {
        let message = stream.get_raw_message(logged.seq).await.unwrap();
        let header = |name| {
            message
                .headers
                .get(name)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let named = header(auspex_proto::subject::TRACE_HEADER);
        assert_eq!(
            named.is_empty(),
            traces.is_empty(),
            "a first fact's trace is known by its id"
        );
        let trace = Trace::of(&named, &header("Nats-Msg-Id"));
        traces.push(trace.as_str().split('-').map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(traces.len(), 2);
    assert_eq!(traces[0][1], traces[1][1], "one trace");
    assert_ne!(traces[0][2], traces[1][2], "two spans");
}
