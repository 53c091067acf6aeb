//! A private `nats-server` child: on a free loopback port, with a store of its own. For `auspex up`, the demo and the tests.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

/// Where the server writes what it says, beside its store.
const LOG: &str = "nats.log";

/// How often the server flushes to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// At every write: a PubAck means disk. About 30 times slower.
    #[default]
    Always,
    /// Once a second: a power loss may cost the last second of acknowledged facts.
    #[serde(rename = "1s")]
    EverySecond,
}

impl Sync {
    /// The value of `sync_interval`.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "\"1s\"",
        }
    }
}

/// A running child; it dies with this value.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    sync: Sync,
    /// Held for as long as the store is ours; the system lets it go when the process ends, however it ends.
    _ours: File,
}

impl Broker {
    /// Starts a server that keeps its store in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// When another process has a server on that store, or the program cannot be found, installed or started.
    pub async fn start(program: Option<&Path>, folder: &Path, sync: Sync) -> anyhow::Result<Self> {
        let program = crate::tools::nats_server(program).await?;
        tokio::fs::create_dir_all(folder).await?;
        let folder = std::path::absolute(folder)?;
        let ours = claim(&folder).await?;
        dismiss_orphan(&folder).await;
        tokio::fs::remove_file(folder.join(LOG)).await.ok();
        let port = free_port()?;
        let child = launch(&program, &folder, port, sync).await?;
        let broker = Self {
            child,
            program,
            folder,
            port,
            sync,
            _ours: ours,
        };
        broker.answers().await?;
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process id, for faults.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it without a word, as a power loss of the process would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Starts it again, on the same port and store.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.ok();
        self.child = launch(&self.program, &self.folder, self.port, self.sync).await?;
        self.answers().await
    }

    /// Resolves when it has ended, which it does not do unasked.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    async fn answers(&self) -> anyhow::Result<()> {
        for _ in 0..400 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!(
            "nats-server did not answer on port {} within 10 s; its log is in {}",
            self.port,
            self.folder.display()
        )
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn launch(program: &Path, folder: &Path, port: u16, sync: Sync) -> anyhow::Result<Child> {
    let config = folder.join("nats.conf");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\nmax_payload: 1MB\npid_file: \"{0}/nats.pid\"\n\
         jetstream {{ store_dir: \"{0}/store\", max_mem: 256M, max_file: 64G, sync_interval: {1} }}\n",
        folder.display(),
        sync.setting(),
    );
    tokio::fs::write(&config, text).await?;
    // Added to what is there: started again, it must not wipe out why it ended.
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(LOG))?;
    Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // A Ctrl-C at the terminal is for us: we stop in order, the server last.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

/// The store for this process alone: two servers on one store would destroy it, and a second `auspex up` in the same folder
/// must not take the first one's server for an orphan.
async fn claim(folder: &Path) -> anyhow::Result<File> {
    let lock = File::create(folder.join("lock"))?;
    // A child that is being started holds a copy of the lock for a moment, until its own program runs.
    for _ in 0..20 {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(25)).await,
            Err(TryLockError::Error(fault)) => {
                return Err(fault).with_context(|| format!("locking {}", folder.display()));
            }
        }
    }
    bail!(
        "the log in {} is in use by another process; stop that one, or keep another log (--data)",
        folder.display()
    )
}

/// A server left over from a process that was killed still holds the store: it is asked to go.
async fn dismiss_orphan(folder: &Path) {
    let Ok(pid) = tokio::fs::read_to_string(folder.join("nats.pid")).await else {
        return;
    };
    let Ok(pid) = pid.trim().parse::<u32>() else {
        return;
    };
    let command_line = tokio::fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .await
        .unwrap_or_default();
    if command_line.contains(&folder.join("nats.conf").display().to_string()) {
        tracing::warn!(pid, "a nats-server left over from an earlier run is stopped");
        Command::new("kill").arg(pid.to_string()).status().await.ok();
        for _ in 0..100 {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
