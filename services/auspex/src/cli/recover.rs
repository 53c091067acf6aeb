//! `auspex recover`: start over on the log that is there, after it was replaced or put back from an older copy.

use std::path::{Path, PathBuf};

use auspex_chassis::broker::Broker;
use auspex_chassis::bus::BusSettings;
use auspex_chassis::serve::ServerSettings;
use auspex_proto::stage::STAGES;
use clap::Args;

use super::config::Layers;
use super::history::{self, Place, Restore};
use super::{Output, print};
use crate::fault::Fault;
use crate::services;

/// What it does, told before it is done.
const EXPLAINED: &str = "\
recover is for a log that was replaced, or put back from an older copy: then stages refuse to go on, because their cursors
speak of another log. It deletes all cursors and all states of all stages. At their next start they absorb what the log
holds from its beginning, and arrive at the states that follow from it.

- Facts are not touched. What was in the old log alone is gone from states as well.
- What stages make of the log is published once more, under the ids it had. Receivers may hear of old alerts again.
- Every service must be stopped meanwhile.

Where an archive was kept (`auspex history`), --from-archive puts what the log has lost back first; then nothing is gone from
states.

Nothing has been done. Say --yes to do it.
";

/// Starts over.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    #[command(flatten)]
    place: Place,
    /// First put back what the archive has and the log has lost
    #[arg(long)]
    from_archive: bool,
    /// Do it; without it, it is only explained
    #[arg(long)]
    yes: bool,
}

impl Recover {
    pub(crate) async fn carry_out(self) -> Result<(), Fault> {
        self.place.layers.options().load(&services::ALL)?;
        if !self.yes {
            return print::text(EXPLAINED);
        }
        if self.from_archive {
            let restore = Restore {
                place: self.place,
                from: None,
                up_to_damage: false,
                skip_damaged: false,
                yes: true,
                output: Output::Text,
            };
            return Box::pin(restore.carry_out()).await;
        }
        let log = log(&self.place.layers, &self.place.data).await?;
        if let Some(offer) = history::offer(&self.place, &log.nats).await {
            print::line(&format!(
                "{offer}; --from-archive would put back what the log has lost"
            ))?;
        }
        let done = auspex_chassis::recover(&log.nats, &STAGES).await?;
        drop(log.private);
        print::line(&format!(
            "{} cursors deleted; states deleted: {}; durables deleted: {}",
            done.cursors,
            list(&done.states),
            list(&done.durables)
        ))
    }
}

/// The log, with the private server it is on when it has one.
pub(crate) struct Log {
    pub(crate) nats: BusSettings,
    pub(crate) private: Option<Broker>,
}

/// Reaches the log while no service runs.
pub(crate) async fn log(layers: &Layers, data: &Path) -> Result<Log, Fault> {
    let tree = layers.options().load(&services::ALL)?;
    let mut nats: BusSettings = tree.get("nats")?;
    if !nats.url.is_empty() {
        return Ok(Log { nats, private: None });
    }
    let folder = data.join("nats");
    if !data.is_dir() {
        let folder = folder.display();
        return Err(Fault::invalid(format!(
            "nats.url is empty, and there is no log in {folder} (--data)"
        )));
    }
    alone(&tree.get::<ServerSettings>("server")?.listen)?;
    let program = Some(PathBuf::from(&nats.server_program)).filter(|path| !path.as_os_str().is_empty());
    let broker = Broker::start(program.as_deref(), &folder, nats.sync_interval).await?;
    nats.url = broker.url();
    Ok(Log {
        nats,
        private: Some(broker),
    })
}

/// Starting the private server takes its store from whoever has it: nobody may.
fn alone(listen: &str) -> Result<(), Fault> {
    std::net::TcpListener::bind(listen)
        .map(drop)
        .map_err(|fault| Fault::failed(format!("{listen}: {fault}; stop `auspex up` first")))
}

pub(crate) fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
