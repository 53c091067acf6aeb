//! A server in a process of its own: what the kernel says of it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;

/// `auspex run features` on a bus; it is killed when this is dropped.
pub(super) struct Child {
    process: tokio::process::Child,
    pid: u32,
    address: String,
}

impl Child {
    /// Starts it, and waits until it is ready.
    pub(super) async fn start(bus: &str) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("http://127.0.0.1:{port}");
        let process = tokio::process::Command::new(std::env::current_exe()?)
            .args(["run", "features", "--set", &format!("nats.url={bus}")])
            .args([
                "--set",
                &format!("server.listen=127.0.0.1:{port}"),
                "--set",
                "server.log_level=warn",
            ])
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting auspex run features")?;
        let pid = process.id().context("it has ended")?;
        let mut child = Self {
            process,
            pid,
            address,
        };
        child.ready().await?;
        Ok(child)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let url = format!("{}/readyz", self.address);
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait()? {
                anyhow::bail!("auspex run features has ended: {status}");
            }
            if reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("auspex run features is not ready after a minute")
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// CPU time of all of its threads, as the kernel counts it.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanos: u64 = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            // A thread may end meanwhile.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            nanos += text
                .split_whitespace()
                .next()
                .context("no time")?
                .parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Its memory, MB.
    pub(super) fn resident(&self) -> anyhow::Result<f64> {
        resident(self.pid)
    }
}

/// The resident memory of a process, MB (of 1,000,000 bytes).
pub(super) fn resident(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("memory is read from /proc")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 = line
        .and_then(|l| l.split_whitespace().next())
        .context("no memory")?
        .parse()?;
    Ok(kilobytes * 1_024.0 / 1e6)
}
