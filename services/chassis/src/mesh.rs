//! Services standing in one process: started, served on one listener, stopped in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::broker::Broker;
use crate::bus::{Bus, BusSettings};
use crate::dead_letters::Letters;
use crate::house::House;
use crate::metrics::Metrics;
use crate::serve::{Door, Doors, ServerSettings};
use crate::service::{Part, ServiceSpec};
use crate::settings::{Mistakes, Section, Tree};
use crate::shutdown::{Group, Shutdown};
use crate::telemetry;

/// The chassis' own sections.
pub const SECTIONS: [Section; 2] = [
    Section::of::<ServerSettings>("server"),
    Section::of::<BusSettings>("nats"),
];

/// What a process is told at its start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// `section.key=value`, over everything else.
    pub set: Vec<String>,
    /// Sections of services that this process does not run but its configuration file may speak of.
    pub known: Vec<Section>,
    /// Whether the environment is left out: what is only tried out must not reach a bus or people that it names.
    pub alone: bool,
    /// Where a private server keeps its store, when `nats.url` is empty; `None`: an empty url is an error.
    pub broker: Option<PathBuf>,
}

/// A running process's worth of services.
#[derive(Debug)]
pub struct Mesh {
    address: SocketAddr,
    house: House,
    shutdown: Shutdown,
    deadline: Duration,
    broker: Option<Broker>,
}

impl Options {
    /// Reads and checks the configuration for these services.
    ///
    /// # Errors
    /// [`Mistakes`], all of them.
    pub fn load(&self, specs: &[ServiceSpec]) -> Result<Tree, Mistakes> {
        let mut sections: Vec<Section> = SECTIONS.to_vec();
        sections.extend(specs.iter().map(|spec| spec.section));
        for known in &self.known {
            if !sections.iter().any(|section| section.name == known.name) {
                sections.push(*known);
            }
        }
        if self.alone {
            return Tree::load_alone(self.config.as_deref(), &self.set, &sections);
        }
        Tree::load(self.config.as_deref(), &self.set, &sections)
    }
}

impl Mesh {
    /// Starts services: sockets first, then the bus, then the parts; ready when all of them are.
    ///
    /// # Errors
    /// Whatever stands in the way, named.
    pub async fn start(specs: &[ServiceSpec], options: &Options) -> anyhow::Result<Self> {
        let tree = options.load(specs)?;
        let server: ServerSettings = tree.get("server")?;
        let mut nats: BusSettings = tree.get("nats")?;
        let door = Door::bind(&server).await?;
        let address = door.address();
        let mut broker = None;
        if nats.url.is_empty() {
            let Some(folder) = &options.broker else {
                anyhow::bail!("nats.url: is empty; name a NATS server, or use `auspex up`, which starts one");
            };
            let program = Some(PathBuf::from(&nats.server_program)).filter(|p| !p.as_os_str().is_empty());
            let started = Broker::start(program.as_deref(), folder, nats.sync_interval).await?;
            nats.url = started.url();
            broker = Some(started);
        }
        let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
        let bus = Bus::connect(&nats, &format!("auspex {}", names.join(","))).await?;
        let (shutdown, metrics) = (Shutdown::default(), Metrics::default());
        let house = House::new(bus.clone(), tree, shutdown.clone(), metrics.clone());
        let mut parts = vec![Part::empty().grpc(Letters::server(&bus))];
        let mut buses = vec![bus.clone()];
        for spec in specs {
            let mut house = house.clone();
            if specs.len() > 1 {
                let own = bus.beside(&nats, &format!("auspex {}", spec.name)).await?;
                buses.push(own.clone());
                house = house.on(own);
            }
            parts.push(
                (spec.build)(house)
                    .await
                    .map_err(|f| f.context(format!("starting {}", spec.name)))?,
            );
        }
        if names.contains(&auspex_proto::stage::INGEST.name) {
            let bus = bus.clone();
            shutdown.spawn("gate", Group::Intake, move |stop| crate::gate::watch(bus, stop));
        }
        if names.contains(&auspex_proto::stage::HISTORY.name) {
            house.tell_lag(auspex_proto::stage::HISTORY);
        }
        let (letters, figures) = (bus.clone(), metrics.clone());
        shutdown.spawn("dead letters", Group::Intake, move |stop| {
            crate::lag::watch_dead_letters(letters, figures, stop)
        });
        let doors = Doors::new(parts, &server, buses, &metrics);
        doors.open().await;
        shutdown.spawn("doors", Group::Intake, move |stop| doors.serve(door, stop));
        tracing::info!(%address, services = names.join(","), "ready");
        Ok(Self {
            address,
            house,
            shutdown,
            deadline: Duration::from_millis(server.shutdown_ms),
            broker,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The house the services stand in.
    #[must_use]
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The private server, when there is one.
    pub fn broker(&mut self) -> Option<&mut Broker> {
        self.broker.as_mut()
    }

    /// Resolves when a task has failed, with its reason.
    pub async fn failed(&self) -> String {
        self.shutdown.failed().await
    }

    /// Stops in order; answers the names of those that did not stop in time.
    pub async fn stop(self) -> Vec<String> {
        let stragglers = self.shutdown.finish(self.deadline).await;
        drop(self.broker);
        stragglers
    }
}

/// Runs services until a signal comes or a task fails. A second signal ends the process at once.
///
/// # Errors
/// Whatever stands in the way, named.
pub async fn run(specs: &[ServiceSpec], options: &Options) -> anyhow::Result<ExitCode> {
    let tree = options.load(specs)?;
    let server: ServerSettings = tree.get("server")?;
    let format = if server.log_format == "text" {
        telemetry::Format::Text
    } else {
        telemetry::Format::Json
    };
    telemetry::init(format, &server.log_level);
    // Heard from the beginning: the first process of a container is deaf to what it does not listen for.
    let mut heard = Box::pin(signal());
    let mut mesh = tokio::select! {
        mesh = Mesh::start(specs, options) => mesh?,
        signal = &mut heard => {
            tracing::info!(signal, "stopping before it was ready");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut broker = mesh.broker.take();
    let failure = tokio::select! {
        signal = heard => { tracing::info!(signal, "stopping"); None }
        fault = mesh.failed() => Some(fault),
        fault = keep(broker.as_mut()) => Some(fault),
    };
    tokio::spawn(async {
        signal().await;
        std::process::exit(130);
    });
    let stragglers = mesh.stop().await;
    drop(broker);
    match failure {
        Some(fault) => anyhow::bail!(fault),
        None if stragglers.is_empty() => Ok(ExitCode::SUCCESS),
        None => anyhow::bail!("did not stop in time: {}", stragglers.join(", ")),
    }
}

/// Starts the private server again when it ends unasked (killed for its memory, say): the services find it at the same place.
/// Resolves only when it cannot be started any more, with the reason.
async fn keep(broker: Option<&mut Broker>) -> String {
    let Some(broker) = broker else {
        return std::future::pending().await;
    };
    loop {
        let how = match broker.ended().await {
            Ok(status) => status.to_string(),
            Err(fault) => fault.to_string(),
        };
        tracing::error!(how, "nats-server ended unasked, and is started again");
        if let Err(fault) = broker.restart().await {
            return format!("nats-server ended ({how}) and cannot be started again: {fault:#}");
        }
        // One that ends over and over is not worth all of the machine.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// What a service's own `main` calls: `NAME [--config FILE] [--set section.key=value]...`
#[must_use]
pub fn main(specs: &[ServiceSpec]) -> ExitCode {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--config", Some(file)) => options.config = Some(file.into()),
            ("--set", Some(pair)) => options.set.push(pair),
            _ => {
                eprintln!("usage: [--config FILE] [--set section.key=value]...");
                return ExitCode::from(2);
            }
        }
    }
    match block_on(run(specs, &options)) {
        Ok(Ok(code)) => code,
        Ok(Err(fault)) => {
            eprintln!("{fault:#}");
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

/// How long threads that wait for the system (for a name server that does not answer, say) may hold up the end of a process:
/// whatever was promised has been waited for by then.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Does the whole work of a process.
///
/// # Errors
/// When its threads cannot be started.
pub fn block_on<F: Future>(work: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LEFTOVERS);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_the_system_does_not_hold_up_the_end() {
        let begun = std::time::Instant::now();
        let answer = block_on(async {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(600)));
            7
        });
        assert_eq!(answer.unwrap(), 7);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
