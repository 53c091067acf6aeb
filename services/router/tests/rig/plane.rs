//! Real data planes: HAProxy and Envoy as children, and what they hold by their own word.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use super::{ROUTE, free, until};

/// What both have in common.
pub(crate) trait Plane {
    fn users(&self) -> SocketAddr;
    /// The route's settings.
    fn settings(&self) -> String;
    /// Weights of stable and candidate; `None`: it does not tell.
    fn weights(&self) -> impl Future<Output = Option<(u32, u32)>>;
    /// Somebody else's change.
    fn move_to(&self, stable: u32, candidate: u32) -> impl Future<Output = ()>;
    /// A restart: what was set at run time is forgotten.
    fn restart(&mut self) -> impl Future<Output = ()>;
}

pub(crate) struct Haproxy {
    program: PathBuf,
    folder: PathBuf,
    users: SocketAddr,
    child: Child,
}

impl Haproxy {
    /// `None`, said plainly, where there is none.
    pub(crate) async fn start(folder: &Path, stable: SocketAddr, candidate: SocketAddr) -> Option<Self> {
        let path = format!(
            "{}:/usr/sbin:/usr/local/sbin",
            std::env::var("PATH").unwrap_or_default()
        );
        let program = std::env::split_paths(&path)
            .map(|f| f.join("haproxy"))
            .find(|p| p.is_file());
        let Some(program) = program else {
            auspex_chassis::testing::not_run("there is no haproxy here (apt-get install haproxy)");
            return None;
        };
        let users = free();
        let map = folder.join("beta.map");
        std::fs::write(&map, "").unwrap();
        let (socket, map) = (folder.join("haproxy.sock"), map.display());
        let text = format!(
            "global\n  maxconn 1024\n  stats socket {} mode 600 level admin\n\
             defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n  \
             option redispatch\n  retries 3\n\
             frontend users\n  bind {users}\n  default_backend shop\n\
             backend shop\n  balance random\n  \
             use-server %[req.hdr(x-beta),map_str({map})] if {{ req.hdr(x-beta),map_str({map}) -m found }}\n  \
             server old {stable} weight 100\n  server new {candidate} weight 0\n",
            socket.display()
        );
        std::fs::write(folder.join("haproxy.cfg"), text).unwrap();
        let child = Self::spawn(&program, folder);
        let plane = Self {
            program,
            folder: folder.to_owned(),
            users,
            child,
        };
        plane.ready().await;
        Some(plane)
    }

    fn spawn(program: &Path, folder: &Path) -> Child {
        Command::new(program)
            .args(["-db", "-q", "-f"])
            .arg(folder.join("haproxy.cfg"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn ready(&self) {
        until("haproxy", || async {
            self.weights().await.is_some() && TcpStream::connect(self.users).await.is_ok()
        })
        .await;
    }

    async fn ask(&self, line: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.folder.join("haproxy.sock")).await.ok()?;
        socket.write_all(format!("{line}\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }
}

impl Plane for Haproxy {
    fn users(&self) -> SocketAddr {
        self.users
    }

    fn settings(&self) -> String {
        format!(
            "[router.routes.haproxy]\nsockets = [\"unix:{}\"]\nbackend = \"shop\"\nstable = [\"old\"]\n\
             candidate = [\"new\"]\n[[router.routes.haproxy.cohorts]]\nheader = \"x-beta\"\nmap = \"{}\"\n",
            self.folder.join("haproxy.sock").display(),
            self.folder.join("beta.map").display()
        )
    }

    async fn weights(&self) -> Option<(u32, u32)> {
        let answer = self.ask("get weight shop/old;get weight shop/new").await?;
        let mut weights = answer
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok());
        Some((weights.next()?, weights.next()?))
    }

    async fn move_to(&self, stable: u32, candidate: u32) {
        let line = format!("set weight shop/old {stable};set weight shop/new {candidate}");
        self.ask(&line).await.unwrap();
    }

    async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = Self::spawn(&self.program, &self.folder);
        self.ready().await;
    }
}

pub(crate) struct Envoy {
    program: PathBuf,
    folder: PathBuf,
    users: SocketAddr,
    admin: SocketAddr,
    child: Child,
    client: reqwest::Client,
}

impl Envoy {
    /// `None`, said plainly, where there is none and none can be installed.
    pub(crate) async fn start(folder: &Path, stable: SocketAddr, candidate: SocketAddr) -> Option<Self> {
        let program = match auspex_chassis::tools::envoy().await {
            Ok(program) => program,
            Err(fault) => {
                auspex_chassis::testing::not_run(&format!(
                    "there is no envoy here, and none can be installed: {fault:#}"
                ));
                return None;
            }
        };
        let (users, admin) = (free(), free());
        let (u, a) = (users.port(), admin.port());
        let text = include_str!("envoy.yaml")
            .replace("ADMIN", &a.to_string())
            .replace("USERS", &u.to_string())
            .replace("STABLE", &stable.port().to_string())
            .replace("CANDIDATE", &candidate.port().to_string());
        std::fs::write(folder.join("envoy.yaml"), text).unwrap();
        let child = Self::spawn(&program, folder);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let plane = Self {
            program,
            folder: folder.to_owned(),
            users,
            admin,
            child,
            client,
        };
        plane.ready().await;
        Some(plane)
    }

    fn spawn(program: &Path, folder: &Path) -> Child {
        Command::new(program)
            .args([
                "--concurrency",
                "2",
                "--log-level",
                "error",
                "--disable-hot-restart",
                "-c",
            ])
            .arg(folder.join("envoy.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn ready(&self) {
        until("envoy", || async {
            let ready = self
                .client
                .get(format!("http://{}/ready", self.admin))
                .send()
                .await;
            ready.is_ok_and(|answer| answer.status().is_success())
                && TcpStream::connect(self.users).await.is_ok()
        })
        .await;
    }
}

impl Plane for Envoy {
    fn users(&self) -> SocketAddr {
        self.users
    }

    fn settings(&self) -> String {
        format!(
            "[router.routes.envoy]\nadmin = [\"http://{}\"]\n\
             stable = {{ cluster = \"old\", key = \"split.shop.old\" }}\n\
             candidate = {{ cluster = \"new\", key = \"split.shop.new\", mirror_key = \"mirror.new\" }}\n\
             [[router.routes.envoy.cohorts]]\nheader = \"x-beta\"\nvalue = \"yes\"\nkey = \"cohort.beta\"\n",
            self.admin
        )
    }

    async fn weights(&self) -> Option<(u32, u32)> {
        let url = format!("http://{}/runtime?format=json", self.admin);
        let text = self.client.get(url).send().await.ok()?.text().await.ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        let weight = |key: &str, default: u32| {
            let value = value["entries"][key]["final_value"].as_str();
            value.map_or(Some(default), |text| text.parse().ok())
        };
        Some((weight("split.shop.old", 100)?, weight("split.shop.new", 0)?))
    }

    async fn move_to(&self, stable: u32, candidate: u32) {
        let url = format!(
            "http://{}/runtime_modify?split.shop.old={stable}&split.shop.new={candidate}",
            self.admin
        );
        self.client.post(url).send().await.unwrap();
    }

    async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = Self::spawn(&self.program, &self.folder);
        self.ready().await;
    }
}

/// The settings of `[router]` with this plane as its only route.
pub(crate) fn settings(plane: &impl Plane, more: &str) -> String {
    format!(
        "[router]\ncheck_ms = 200\nlease_ms = 1500\n[[router.routes]]\nname = \"{ROUTE}\"\nproject = \"acme/shop\"\n\
         service = \"shop\"\n{more}\n{}",
        plane.settings()
    )
}
