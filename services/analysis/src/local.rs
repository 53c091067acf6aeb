//! A Prometheus of one's own, for the demo and for tests: a child process that ends with its value.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

/// It has this long to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A Prometheus on loopback that scrapes every second.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _child: Child,
}

impl Prometheus {
    /// Starts `prometheus` from PATH in a folder, for these targets (`host:port`) and itself; `None`: there is none on PATH.
    ///
    /// # Errors
    /// It cannot be started, or is not ready after a minute.
    pub async fn start(folder: &Path, targets: &[String]) -> anyhow::Result<Option<Self>> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let own = address.to_string();
        let targets = targets.iter().chain([&own]);
        let targets: Vec<String> = targets.map(|target| format!("\"{target}\"")).collect();
        let file = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: local\n  static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        );
        std::fs::write(&file, text)?;
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("prometheus").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = match started {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            started => started.context("prometheus cannot be started")?,
        };
        let prometheus = Self {
            address,
            _child: child,
        };
        let begun = Instant::now();
        loop {
            let answer = reqwest::get(format!("{}/-/ready", prometheus.url())).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(Some(prometheus));
            }
            if begun.elapsed() > READY_WITHIN {
                bail!("prometheus is not ready after {} s", READY_WITHIN.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
