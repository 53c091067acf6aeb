//! A data plane under measurement: HAProxy or Envoy as a child, with some services of two versions each.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use crate::bench::site::site;

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Haproxy,
    Envoy,
}

/// One of them, running.
pub(super) struct Plane {
    pub(super) kind: Kind,
    /// Where users of the first service ask.
    pub(super) users: SocketAddr,
    folder: PathBuf,
    admin: SocketAddr,
    services: usize,
    client: reqwest::Client,
    _child: Child,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    /// Its program; `None`, said, when there is none.
    pub(super) async fn program(self) -> Option<PathBuf> {
        let found = match self {
            Self::Haproxy => {
                let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
                let mut places = std::env::split_paths(&path).map(|folder| folder.join("haproxy"));
                places.find(|place| place.is_file()).context("none on PATH")
            }
            Self::Envoy => auspex_chassis::tools::envoy().await,
        };
        found
            .inspect_err(|fault| eprintln!("auspex: {} is not measured: {fault:#}", self.name()))
            .ok()
    }
}

impl Plane {
    /// Starts it in front of two sites, all weight on stable.
    pub(super) async fn start(
        (kind, program): (Kind, &Path),
        folder: &Path,
        services: usize,
    ) -> anyhow::Result<Self> {
        let (stable, candidate) = (site().await?, site().await?);
        let (users, admin) = (free()?, free()?);
        let file = match kind {
            Kind::Haproxy => haproxy(folder, users, (stable, candidate), services),
            Kind::Envoy => envoy((users, admin), (stable, candidate), services),
        }?;
        // Envoy goes by the ending.
        let config = folder.join("plane.yaml");
        tokio::fs::write(&config, file).await?;
        let mut command = Command::new(program);
        match kind {
            Kind::Haproxy => command.args(["-db", "-q", "-f"]).arg(&config),
            Kind::Envoy => command
                .args(["--disable-hot-restart", "--log-level", "error", "-c"])
                .arg(&config),
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let plane = Self {
            kind,
            users,
            folder: folder.to_owned(),
            admin,
            services,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(5))
                .build()?,
            _child: child,
        };
        for _ in 0..600 {
            if TcpStream::connect(users).await.is_ok() && plane.weights().await.is_ok() {
                return Ok(plane);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{} does not answer on {users}", kind.name())
    }

    /// The settings of `[router]` with a route for each service; the projects are `bench/N`.
    pub(super) fn settings(&self) -> anyhow::Result<String> {
        let mut text = "[router]\n".to_owned();
        for n in 0..self.services {
            write!(
                text,
                "[[router.routes]]\nname = \"r{n}\"\nproject = \"bench/{n}\"\nservice = \"s{n}\"\n"
            )?;
            match self.kind {
                Kind::Haproxy => write!(
                    text,
                    "[router.routes.haproxy]\nsockets = [\"unix:{}\"]\nbackend = \"s{n}\"\nstable = [\"stable\"]\n\
                     candidate = [\"candidate\"]\n",
                    self.folder.join("socket").display()
                )?,
                Kind::Envoy => write!(
                    text,
                    "[router.routes.envoy]\nadmin = [\"http://{}\"]\n\
                     stable = {{ cluster = \"stable\", key = \"s{n}.stable\" }}\n\
                     candidate = {{ cluster = \"candidate\", key = \"s{n}.candidate\" }}\n",
                    self.admin
                )?,
            }
        }
        Ok(text)
    }

    /// The weights of all candidates, in order, as the data plane tells them.
    pub(super) async fn weights(&self) -> anyhow::Result<Vec<u32>> {
        match self.kind {
            Kind::Haproxy => {
                let ask: Vec<String> = (0..self.services)
                    .map(|n| format!("get weight s{n}/candidate"))
                    .collect();
                let mut socket = UnixStream::connect(self.folder.join("socket")).await?;
                socket
                    .write_all(format!("{}\n", ask.join(";")).as_bytes())
                    .await?;
                let mut answer = String::new();
                socket.read_to_string(&mut answer).await?;
                let weight = |line: &str| line.split_whitespace().next()?.parse().ok();
                Ok(answer.lines().filter_map(weight).collect())
            }
            Kind::Envoy => {
                let url = format!("http://{}/runtime?format=json", self.admin);
                let text = self.client.get(url).send().await?.text().await?;
                let value: serde_json::Value = serde_json::from_str(&text)?;
                let weight = |n: usize| {
                    let key = format!("s{n}.candidate");
                    let last = value.get("entries")?.get(key)?.get("final_value")?;
                    last.as_str()?.parse().ok()
                };
                Ok((0..self.services).map(|n| weight(n).unwrap_or(0)).collect())
            }
        }
    }
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn haproxy(
    folder: &Path,
    users: SocketAddr,
    (stable, candidate): (SocketAddr, SocketAddr),
    services: usize,
) -> anyhow::Result<String> {
    let mut text = format!(
        "global\n  maxconn 4096\n  stats socket {} mode 600 level admin\n\
         defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n\
         frontend users\n  bind {users}\n  default_backend s0\n",
        folder.join("socket").display()
    );
    for n in 0..services {
        write!(
            text,
            "backend s{n}\n  balance roundrobin\n  server stable {stable} weight 100\n  \
             server candidate {candidate} weight 0\n"
        )?;
    }
    Ok(text)
}

fn envoy(
    (users, admin): (SocketAddr, SocketAddr),
    (stable, candidate): (SocketAddr, SocketAddr),
    services: usize,
) -> anyhow::Result<String> {
    let place = |at: SocketAddr| {
        format!(
            "{{socket_address: {{address: 127.0.0.1, port_value: {}}}}}",
            at.port()
        )
    };
    let cluster = |name: &str, at: SocketAddr| {
        format!(
            "{{name: {name}, connect_timeout: 2s, load_assignment: {{cluster_name: {name}, endpoints: \
             [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}}}",
            place(at)
        )
    };
    let mut routes = String::new();
    for n in 0..services {
        let path = if n == 0 { "/".to_owned() } else { format!("/s{n}") };
        let route = format!(
            "{{match: {{prefix: \"{path}\"}}, route: {{weighted_clusters: {{runtime_key_prefix: s{n}, clusters: \
             [{{name: stable, weight: 100}}, {{name: candidate, weight: 0}}]}}}}}}"
        );
        // The first service takes whatever the others do not.
        routes = if n == 0 {
            route
        } else {
            format!("{route}, {routes}")
        };
    }
    let types = "type.googleapis.com/envoy.extensions.filters";
    Ok(format!(
        "admin: {{address: {}}}\nlayered_runtime: {{layers: [{{name: admin, admin_layer: {{}}}}]}}\n\
         static_resources:\n  clusters: [{}, {}]\n  listeners:\n  - address: {}\n    filter_chains:\n    - filters:\n      \
         - name: users\n        typed_config:\n          \
         \"@type\": {types}.network.http_connection_manager.v3.HttpConnectionManager\n          stat_prefix: users\n          \
         http_filters: [{{name: router, typed_config: {{\"@type\": {types}.http.router.v3.Router}}}}]\n          \
         route_config: {{virtual_hosts: [{{name: all, domains: [\"*\"], routes: [{routes}]}}]}}\n",
        place(admin),
        cluster("stable", stable),
        cluster("candidate", candidate),
        place(users)
    ))
}
