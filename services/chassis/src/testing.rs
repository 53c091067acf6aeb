//! Real parts for tests: a private `nats-server` with a store of its own, and a house on it.

pub mod bare;
pub mod cluster;
pub mod gcs;

use std::path::PathBuf;

use auspex_proto::subject::FactKind;

use crate::broker::{Broker, Sync};
use crate::bus::{Bus, BusSettings, Outgoing, PublishError, StreamSettings};
use crate::house::House;
use crate::metrics::Metrics;
use crate::settings::Tree;
use crate::shutdown::Shutdown;

/// Says that a test did not run, and why. Written past the test harness, which shows what a passing test prints to nobody.
pub fn not_run(why: &str) {
    use std::io::Write as _;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Who has no standard error has nobody to tell.
    writeln!(std::io::stderr(), "NOT RUN: {test}: {why}").ok();
}

const AGAIN: &str = "AUSPEX_TEST_AGAIN";

/// Runs the test that calls this once more, in a process of its own with these variables: they cannot be set from within.
///
/// # Errors
/// When it fails there.
pub fn again(variables: &[(&str, &str)]) -> anyhow::Result<()> {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args([name, "--exact", "--nocapture"]).env(AGAIN, name);
    let status = command.envs(variables.iter().copied()).status()?;
    anyhow::ensure!(status.success(), "{name} failed in a process of its own");
    Ok(())
}

/// Whether this is such a process.
#[must_use]
pub fn is_again() -> bool {
    std::env::var(AGAIN).is_ok_and(|name| std::thread::current().name() == Some(&name))
}

/// A server, a bus and a house; all gone when this is dropped.
#[derive(Debug)]
pub struct TestHouse {
    /// The server: kill it, restart it.
    pub broker: Broker,
    /// The house.
    pub house: House,
    /// Its tasks.
    pub shutdown: Shutdown,
    /// How it is connected; for a second house on the same server.
    pub settings: BusSettings,
    folder: PathBuf,
}

impl TestHouse {
    /// Starts a server and a house on it, with short leases and a short duplicate window.
    ///
    /// # Errors
    /// When the server cannot be found, installed or started.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(StreamSettings {
            lease_seconds: 2,
            duplicate_window_seconds: 1,
            ..StreamSettings::default()
        })
        .await
    }

    /// The same, with settings of one's own.
    ///
    /// # Errors
    /// When the server cannot be found, installed or started.
    pub async fn start_with(streams: StreamSettings) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("auspex-test-{}", nuid::next()));
        let broker = Broker::start(None, &folder, Sync::EverySecond).await?;
        let settings = BusSettings {
            url: broker.url(),
            partitions: 2,
            streams,
            ..BusSettings::default()
        };
        let (house, shutdown) = Self::another(&settings).await?;
        Ok(Self {
            broker,
            house,
            shutdown,
            settings,
            folder,
        })
    }

    /// One more house on the same server: another replica.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn another(settings: &BusSettings) -> anyhow::Result<(House, Shutdown)> {
        let bus = Bus::connect(settings, "test").await?;
        let shutdown = Shutdown::default();
        Ok((
            House::new(bus, Tree::default(), shutdown.clone(), Metrics::default()),
            shutdown,
        ))
    }
}

impl Drop for TestHouse {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Bus {
    /// Loses all states of a stage, as when a disk is lost: its cursors stay.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn lose_states(&self, stage: &str) -> anyhow::Result<()> {
        let bucket = auspex_proto::subject::state_bucket(stage);
        self.js().delete_key_value(bucket.as_str()).await?;
        self.lay_out_state(stage).await
    }

    /// Loses all documents of a bucket.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn lose_documents(&self, bucket: &str) -> anyhow::Result<()> {
        self.js().delete_key_value(bucket).await?;
        self.lay_out_documents(bucket).await.map(drop)
    }

    /// Puts any bytes where a fact should be: for tests of what happens then.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_raw(
        &self,
        subject: &str,
        id: &str,
        kind: FactKind,
        bytes: Vec<u8>,
    ) -> Result<(), PublishError> {
        let outgoing = Outgoing::raw(
            subject.to_owned(),
            id.to_owned(),
            kind.token(),
            kind.lifetime(),
            bytes,
        );
        self.send(&outgoing).await?.receipt().await.map(|_| ())
    }
}
