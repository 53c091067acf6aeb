//! The ground that a scenario is played on: a mesh of its own in a temporary folder, the sample service in two versions,
//! receivers, and users.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::{Mesh, Options};
use tempfile::TempDir;

use super::ci::{Ci, REPOSITORY, SERVICE};
use super::load::{Crowd, Load};
use super::receivers::{ROUTING_KEY, Receivers, SLACK_PATH};
use super::shop::{Habits, Shop};
use crate::services;

/// An answer later than this counts as bad, for users and for the judge.
pub const SLO: Duration = Duration::from_millis(250);

/// Users: 400 requests a second over 40 connections.
pub const CROWD: Crowd = Crowd {
    rate: 400.0,
    users: 40,
    patience: SLO,
};

/// Everything that runs.
#[derive(Debug)]
pub struct Ground {
    mesh: Mesh,
    /// Users at work.
    pub load: Load,
    /// Slack and PagerDuty.
    pub receivers: Receivers,
    /// What users are on.
    pub stable: Version,
    /// Where users' traffic arrives.
    pub proxy: SocketAddr,
    secret: String,
    // Last: the store goes when everything else has gone.
    folder: TempDir,
}

/// A running version of the sample service.
#[derive(Debug)]
pub struct Version {
    /// Its revision.
    pub revision: String,
    /// The version itself.
    pub shop: Shop,
}

impl Version {
    /// Starts one under a fresh revision.
    ///
    /// # Errors
    /// When no port or randomness can be had.
    pub async fn start(habits: Habits) -> anyhow::Result<Self> {
        let revision = crate::cli::id::random_hex(20)?;
        let shop = Shop::open(&revision, habits).await?;
        Ok(Self { revision, shop })
    }
}

impl Ground {
    /// Starts everything. `ports` are those wished for the mesh and the proxy; taken ones are replaced.
    ///
    /// # Errors
    /// Whatever stands in the way, named.
    pub async fn start(ports: (u16, u16)) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("auspex-demo-").tempdir()?;
        let stable = Version::start(Habits::healthy()).await?;
        let receivers = Receivers::open().await?;
        let proxy = free(ports.1)?;
        let secret = crate::cli::id::random_hex(20)?;
        let addresses = Addresses {
            server: free(ports.0)?,
            proxy,
            stable: stable.shop.url(),
            receivers: receivers.url(),
        };
        let file = folder.path().join("auspex.toml");
        std::fs::write(&file, configuration(&addresses, &secret))?;
        let mesh = Box::pin(Mesh::start(&services::ALL, &options(&file, folder.path()))).await?;
        let load = Load::begin(proxy, CROWD);
        Ok(Self {
            mesh,
            load,
            receivers,
            stable,
            proxy,
            secret,
            folder,
        })
    }

    /// Where the mesh answers.
    #[must_use]
    pub fn server(&self) -> String {
        format!("http://{}", self.mesh.address())
    }

    /// CI that can get in.
    ///
    /// # Errors
    /// When the mesh is out of reach.
    pub async fn ci(&self) -> anyhow::Result<Ci> {
        Ci::at(&self.server(), &self.secret).await
    }

    /// Resolves when a service has failed, with its reason.
    pub async fn failed(&self) -> String {
        self.mesh.failed().await
    }

    /// The folder that goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Rollout document for a candidate.
    #[must_use]
    pub fn document(&self, candidate: &Version) -> String {
        document(&candidate.shop.url())
    }

    /// Stops users first, then the mesh in order.
    ///
    /// # Errors
    /// Names what did not stop in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.load);
        let stragglers = self.mesh.stop().await;
        anyhow::ensure!(
            stragglers.is_empty(),
            "did not stop in time: {}",
            stragglers.join(", ")
        );
        Ok(())
    }
}

fn options(file: &Path, folder: &Path) -> Options {
    Options {
        config: Some(file.to_owned()),
        set: Vec::new(),
        known: Vec::new(),
        // What the shell names may be in earnest: no made-up deployment goes there.
        alone: true,
        broker: Some(folder.join("nats")),
    }
}

/// The wished port when it is free, else any that is.
pub(super) fn free(wished: u16) -> anyhow::Result<SocketAddr> {
    let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port));
    let listener = bind(wished)
        .or_else(|_| bind(0))
        .context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

struct Addresses {
    server: SocketAddr,
    proxy: SocketAddr,
    stable: String,
    receivers: String,
}

fn configuration(at: &Addresses, secret: &str) -> String {
    let Addresses {
        server,
        proxy,
        stable,
        receivers,
    } = at;
    format!(
        r#"
[server]
listen = "{server}"

[nats]
partitions = 2

[ingest]
github_secret = "{secret}"

[proxy]
listen = "{proxy}"

[[proxy.routes]]
service = "{SERVICE}"
project = "{REPOSITORY}"
stable = "{stable}"

[alerts]
allow_loopback = true

[alerts.slack.team]
webhook_url = "{receivers}{SLACK_PATH}"

[alerts.pagerduty.oncall]
routing_key = "{ROUTING_KEY}"
url = "{receivers}"
"#
    )
}

/// A document as a team would write it; only the dwell time and the least number of requests are smaller than usual, for a
/// person is waiting. Where stable is, is left to the routing table, and after a promotion to what was promoted.
fn document(candidate: &str) -> String {
    let slo = SLO.as_millis();
    format!(
        "apiVersion: auspex.dev/v1
kind: Rollout
metadata:
  name: {SERVICE}
  project: {REPOSITORY}
spec:
  service: {SERVICE}
  criticality: medium
  slo_ms: {slo}
  margin_abs: 0.02
  min_dwell: 2s
  min_samples: 20
  tracks:
    candidate: {{url: \"{candidate}\"}}
  policy:
    budget: {{harmed: 60}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_one_that_control_takes() {
        let text = document("http://127.0.0.1:2");
        let read = auspex_canary::document::Document::parse(&text).unwrap();
        assert_eq!(read.spec.service, SERVICE);
        assert_eq!(read.spec.tracks.candidate.url, "http://127.0.0.1:2");
    }

    #[test]
    fn the_configuration_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auspex.toml");
        let at = Addresses {
            server: "127.0.0.1:1".parse().unwrap(),
            proxy: "127.0.0.1:2".parse().unwrap(),
            stable: "http://127.0.0.1:3".to_owned(),
            receivers: "http://127.0.0.1:4".to_owned(),
        };
        std::fs::write(&file, configuration(&at, &"s".repeat(40))).unwrap();
        options(&file, folder.path()).load(&services::ALL).unwrap();
    }
}
