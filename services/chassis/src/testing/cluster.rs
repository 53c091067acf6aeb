//! Three servers that keep every message three times, as in production: one of them may die.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_nats::jetstream::{self, stream::Config};
use futures::TryStreamExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::bus::{BusSettings, StreamSettings};

/// How long a cluster may take to agree on anything: it shares a machine with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// The servers; all gone when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    program: PathBuf,
    folder: PathBuf,
}

#[derive(Debug)]
struct Node {
    port: u16,
    child: Child,
}

impl Cluster {
    /// Starts three servers, and waits until they keep a stream together.
    ///
    /// # Errors
    /// When the program cannot be found, installed or started, or they do not find each other.
    pub async fn start() -> anyhow::Result<Self> {
        let program = crate::tools::nats_server(None).await?;
        let folder = std::env::temp_dir().join(format!("auspex-test-{}", nuid::next()));
        let ports = free_ports(6)?;
        let (ports, routes) = ports.split_at(3);
        let mut cluster = Self {
            nodes: Vec::new(),
            program,
            folder,
        };
        let others = routes.iter().map(|port| format!("nats://127.0.0.1:{port}"));
        let others = others.collect::<Vec<_>>().join(", ");
        for (n, (port, route)) in ports.iter().zip(routes).enumerate() {
            cluster.write(n, *port, *route, &others)?;
            let child = cluster.launch(n, *port).await?;
            cluster.nodes.push(Node { port: *port, child });
        }
        cluster.agrees().await?;
        Ok(cluster)
    }

    /// How to reach it: by all addresses, with three copies of every stream, short leases and a short duplicate window.
    #[must_use]
    pub fn settings(&self) -> BusSettings {
        let urls = self.nodes.iter().map(|node| url(node.port));
        BusSettings {
            url: urls.collect::<Vec<_>>().join(","),
            partitions: 2,
            streams: StreamSettings {
                replicas: 3,
                lease_seconds: 2,
                duplicate_window_seconds: 1,
                ..StreamSettings::default()
            },
            ..BusSettings::default()
        }
    }

    /// How many servers there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Kills a server without a word.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self, n: usize) -> anyhow::Result<()> {
        Ok(self.nodes[n].child.kill().await?)
    }

    /// Starts it again, and waits until every copy has caught up: until then another must not die.
    ///
    /// # Errors
    /// When it cannot be started, or does not catch up.
    pub async fn restart(&mut self, n: usize) -> anyhow::Result<()> {
        self.nodes[n].child = self.launch(n, self.nodes[n].port).await?;
        self.has_copies(None).await
    }

    /// Waits until each stream there is has as many copies as asked for, all of them as far as its leader.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn has_copies(&self, copies: Option<usize>) -> anyhow::Result<()> {
        let js = self.client().await?;
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let missing = behind(&js, copies).await;
            match &missing {
                Ok(None) => return Ok(()),
                _ => ensure!(tokio::time::Instant::now() < end, "not caught up: {missing:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn write(&self, n: usize, port: u16, route: u16, others: &str) -> anyhow::Result<()> {
        let folder = self.folder.join(n.to_string());
        std::fs::create_dir_all(&folder)?;
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nserver_name: n{n}\nmax_payload: 1MB\n\
             cluster {{ name: auspex, listen: \"127.0.0.1:{route}\", routes: [{others}] }}\n\
             jetstream {{ store_dir: \"{}/store\", max_mem: 256M, max_file: 64G, sync_interval: \"1s\" }}\n",
            folder.display(),
        );
        Ok(std::fs::write(folder.join("nats.conf"), text)?)
    }

    /// Starts a server and waits until it listens. One whose port another process has for a moment ends, and is started again.
    async fn launch(&self, n: usize, port: u16) -> anyhow::Result<Child> {
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut child = self.spawn(n)?;
        loop {
            if child.try_wait()?.is_some() {
                child = self.spawn(n)?;
            } else if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(child);
            }
            let folder = self.folder.display();
            ensure!(
                tokio::time::Instant::now() < end,
                "server {n} does not listen; its log is in {folder}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn spawn(&self, n: usize) -> anyhow::Result<Child> {
        let folder = self.folder.join(n.to_string());
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("nats.log"))?;
        Command::new(&self.program)
            .arg("-c")
            .arg(folder.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))
    }

    async fn client(&self) -> anyhow::Result<jetstream::Context> {
        let urls: Vec<String> = self.nodes.iter().map(|node| url(node.port)).collect();
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        Ok(jetstream::new(options.connect(urls).await?))
    }

    /// Whether they keep a stream together.
    async fn agrees(&self) -> anyhow::Result<()> {
        let js = self.client().await?;
        let probe = || Config {
            name: "probe".to_owned(),
            num_replicas: self.nodes.len(),
            ..Config::default()
        };
        let end = tokio::time::Instant::now() + PATIENCE;
        while let Err(fault) = js.create_stream(probe()).await {
            if tokio::time::Instant::now() > end {
                bail!("no cluster: {fault}; its logs are in {}", self.folder.display());
            }
            tokio::time::sleep(PAUSE).await;
        }
        js.delete_stream("probe").await?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

/// Held together until all are known: else one would be given twice.
fn free_ports(number: usize) -> anyhow::Result<Vec<u16>> {
    let held: Vec<_> = (0..number)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    Ok(held
        .iter()
        .map(std::net::TcpListener::local_addr)
        .map(|at| at.map(|at| at.port()))
        .collect::<Result<_, _>>()?)
}

/// A stream of which a copy is not as far as its leader, or is away; or that has not so many.
async fn behind(js: &jetstream::Context, copies: Option<usize>) -> anyhow::Result<Option<String>> {
    let mut streams = js.streams();
    while let Some(info) = streams.try_next().await? {
        let cluster = info.cluster.context("no cluster")?;
        let whole = copies.is_none_or(|copies| info.config.num_replicas == copies)
            && cluster.leader.is_some()
            && cluster.replicas.len() + 1 == info.config.num_replicas
            && cluster.replicas.iter().all(|copy| copy.current && !copy.offline);
        if !whole {
            return Ok(Some(info.config.name));
        }
    }
    Ok(None)
}
