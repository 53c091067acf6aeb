//! A real `kube-apiserver` with its `etcd`, on loopback, with a store of its own.
//!
//! The binaries are those of the folder that `KUBEBUILDER_ASSETS` names; `tests/kubernetes/build` makes them. Each user is a
//! token of the same name, so that roles are enforced as in a cluster.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::access::Grant;
use crate::client::Cluster;

/// Who may do everything.
const ADMIN: &str = "admin";
/// How long the server may take to be ready, on a machine that is busy.
const READY: Duration = Duration::from_secs(120);

/// The folder with `kube-apiserver` and `etcd`; `None`, with a word about it, when there is none.
#[must_use]
pub fn assets() -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let whole = |folder: &PathBuf| {
        ["kube-apiserver", "etcd"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    let found = folder.filter(whole);
    if found.is_none() {
        // Past the test harness, which shows what a passing test prints to nobody. Who has no standard error is told nothing.
        let told = b"NOT RUN: KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd; tests/kubernetes/build makes one\n";
        std::io::Write::write_all(&mut std::io::stderr(), told).ok();
    }
    found
}

/// The server; it is gone when this is dropped, or the process ends.
#[derive(Debug)]
pub struct ApiServer {
    folder: tempfile::TempDir,
    assets: PathBuf,
    address: SocketAddr,
    store: SocketAddr,
    ca: String,
    etcd: Process,
    server: Process,
}

/// A child that ends with its parent, however that ends: a shell stands between, and waits for the end of its input.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(binary: &Path, args: &[String], log: &Path) -> anyhow::Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let script = r#""$0" "$@" <&- & pid=$!; read -r _; kill -9 $pid; wait $pid"#;
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .arg(binary)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{}", binary.display()))?;
        Ok(Self(child))
    }

    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl ApiServer {
    /// Starts both, and waits until the server is ready. `users`: names, each with the groups of a service account.
    ///
    /// # Errors
    /// When they do not start; the log is in the error.
    pub async fn start(assets: &Path, users: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (address, store, peer) = (free()?, free()?, free()?);
        let ca = certificates(folder.path())?;
        let mut tokens = format!("{ADMIN},{ADMIN},{ADMIN},\"system:masters\"\n");
        for user in users {
            let groups = "\"system:serviceaccounts,system:authenticated\"";
            tokens.push_str(&format!("{user},{user},{user},{groups}\n"));
        }
        std::fs::write(folder.path().join("tokens.csv"), tokens)?;
        let args = [
            format!("--data-dir={}", folder.path().join("etcd").display()),
            format!("--listen-client-urls=http://{store}"),
            format!("--advertise-client-urls=http://{store}"),
            format!("--listen-peer-urls=http://{peer}"),
            format!("--initial-advertise-peer-urls=http://{peer}"),
            format!("--initial-cluster=default=http://{peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=error".to_owned(),
        ];
        let etcd = Process::start(&assets.join("etcd"), &args, &folder.path().join("etcd.log"))?;
        let server = serve(assets, folder.path(), address, store)?;
        let whole = Self {
            folder,
            assets: assets.to_owned(),
            address,
            store,
            ca,
            etcd,
            server,
        };
        whole.wait().await?;
        Ok(whole)
    }

    /// Kills the server and starts it anew on the same store: what it kept in memory is gone, old versions of watches too.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.server.end();
        self.server = serve(&self.assets, self.folder.path(), self.address, self.store)?;
        self.wait().await
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of this user within its grants, by way of `address`: the server's own, or a line to it.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn client(
        &self,
        user: &str,
        address: SocketAddr,
        timeout: Duration,
        grants: &'static [Grant],
    ) -> anyhow::Result<Cluster> {
        Ok(Cluster::with(self.config(user, address)?, timeout, grants)?)
    }

    /// One who may do everything, with everything declared.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn admin(&self) -> anyhow::Result<kube::Client> {
        Ok(kube::Client::try_from(self.config(ADMIN, self.address)?)?)
    }

    /// Writes a kubeconfig of this user, and says where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, user: &str, address: SocketAddr) -> anyhow::Result<PathBuf> {
        let file = self
            .folder
            .path()
            .join(format!("{}.kubeconfig", user.replace(':', "_")));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority": self.folder.path().join("ca.crt"),
            } }],
            "users": [{ "name": user, "user": { "token": user } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": user } }],
        });
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }

    fn config(&self, user: &str, address: SocketAddr) -> anyhow::Result<kube::Config> {
        let mut config = kube::Config::new(format!("https://{address}").parse()?);
        let der = pem(&self.ca)?;
        config.root_cert = Some(vec![der]);
        config.auth_info = serde_json::from_value(json!({ "token": user }))?;
        Ok(config)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let begin = tokio::time::Instant::now();
        let admin = self.admin()?;
        loop {
            let ask = http::Request::get("/readyz").body(Vec::new())?;
            match admin.request_text(ask).await {
                Ok(text) if text == "ok" => return Ok(()),
                answer if begin.elapsed() > READY => {
                    let log =
                        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
                    let end: Vec<&str> = log.lines().rev().take(20).collect();
                    anyhow::bail!("the API server is not ready: {answer:?}\n{}", end.join("\n"));
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Creates every object of a file of YAML documents, and waits until kinds that it defines are served.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn create_all(&self, text: &str) -> anyhow::Result<()> {
        use serde::Deserialize as _;
        let admin = self.admin()?;
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            let object = Value::deserialize(document)?;
            if !object.is_object() {
                continue;
            }
            let path = collection(&object)?;
            let ask = http::Request::post(&path)
                .header("content-type", "application/json")
                .body(serde_json::to_vec(&object)?)?;
            let name = object
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            admin
                .request::<Value>(ask)
                .await
                .with_context(|| format!("{path} {name}"))?;
            if object
                .get("kind")
                .is_some_and(|kind| kind == "CustomResourceDefinition")
            {
                served(&admin, &object).await?;
            }
        }
        Ok(())
    }
}

/// Waits until objects of a new kind can be listed.
async fn served(admin: &kube::Client, crd: &Value) -> anyhow::Result<()> {
    let text = |path: &str| {
        crd.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let path = format!(
        "/apis/{}/{}/{}",
        text("/spec/group"),
        text("/spec/versions/0/name"),
        text("/spec/names/plural")
    );
    for _ in 0..300 {
        let ask = http::Request::get(&path).body(Vec::new())?;
        if admin.request::<Value>(ask).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("{path} is not served")
}

/// Where objects like this one are created.
fn collection(object: &Value) -> anyhow::Result<String> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let version = text("/apiVersion").context("apiVersion is missing")?;
    let kind = text("/kind").context("kind is missing")?;
    let lower = kind.to_lowercase();
    let plural = match lower.as_str() {
        plural if plural.ends_with('y') => format!("{}ies", plural.trim_end_matches('y')),
        plural if plural.ends_with('s') => format!("{plural}es"),
        plural => format!("{plural}s"),
    };
    let root = if version.contains('/') { "apis" } else { "api" };
    Ok(match text("/metadata/namespace") {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("/{root}/{version}/{plural}"),
    })
}

fn serve(assets: &Path, folder: &Path, address: SocketAddr, store: SocketAddr) -> anyhow::Result<Process> {
    let file = |name: &str| folder.join(name).display().to_string();
    let args = [
        format!("--etcd-servers=http://{store}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", address.port()),
        format!("--cert-dir={}", file("certs")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        format!("--service-account-key-file={}", file("account.pub")),
        format!("--service-account-signing-key-file={}", file("account.key")),
        "--service-account-issuer=https://test.local".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
    ];
    Process::start(&assets.join("kube-apiserver"), &args, &folder.join("server.log"))
}

/// Makes an authority, a certificate of the server, and the key of service accounts. Answers the authority's certificate.
fn certificates(folder: &Path) -> anyhow::Result<String> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = params.signed_by(&server_key, &issuer)?;
    let account = KeyPair::generate()?;
    for (name, text) in [
        ("ca.crt", ca.pem()),
        ("server.crt", server.pem()),
        ("server.key", server_key.serialize_pem()),
        ("account.key", account.serialize_pem()),
        ("account.pub", account.public_key_pem()),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(ca.pem())
}

/// The bytes of a certificate.
fn pem(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut reader = text.as_bytes();
    let first = rustls_pemfile::certs(&mut reader)
        .next()
        .context("no certificate")??;
    Ok(first.to_vec())
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // The server first: it would cry for its store.
        self.server.end();
        self.etcd.end();
    }
}
