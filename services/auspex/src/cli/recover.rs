//! `auspex recover`: start over on the log that is there, after it was replaced or put back from an older copy.

use std::path::PathBuf;

use auspex_chassis::broker::Broker;
use auspex_chassis::bus::BusSettings;
use auspex_chassis::serve::ServerSettings;
use auspex_proto::stage::STAGES;
use clap::Args;

use super::config::Layers;
use super::print;
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

Nothing has been done. Say --yes to do it.
";

/// Starts over.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    #[command(flatten)]
    layers: Layers,
    /// Where the private NATS server keeps the log, when nats.url is empty
    #[arg(long, value_name = "DIR", default_value = ".auspex")]
    data: PathBuf,
    /// Do it; without it, it is only explained
    #[arg(long)]
    yes: bool,
}

impl Recover {
    pub(crate) async fn carry_out(&self) -> Result<(), Fault> {
        let tree = self.layers.options().load(&services::ALL)?;
        if !self.yes {
            return print::text(EXPLAINED);
        }
        let mut nats: BusSettings = tree.get("nats")?;
        let mut private = None;
        if nats.url.is_empty() {
            let folder = self.data.join("nats");
            if !folder.is_dir() {
                let folder = folder.display();
                return Err(Fault::invalid(format!(
                    "nats.url is empty, and there is no log in {folder} (--data)"
                )));
            }
            alone(&tree.get::<ServerSettings>("server")?.listen)?;
            let program =
                Some(PathBuf::from(&nats.server_program)).filter(|path| !path.as_os_str().is_empty());
            let broker = Broker::start(program.as_deref(), &folder, nats.sync_interval).await?;
            nats.url = broker.url();
            private = Some(broker);
        }
        let done = auspex_chassis::recover(&nats, &STAGES).await?;
        drop(private);
        print::line(&format!(
            "{} cursors deleted; states deleted: {}; durables deleted: {}",
            done.cursors,
            list(&done.states),
            list(&done.durables)
        ))
    }
}

/// Starting the private server takes its store from whoever has it: nobody may.
fn alone(listen: &str) -> Result<(), Fault> {
    std::net::TcpListener::bind(listen)
        .map(drop)
        .map_err(|fault| Fault::failed(format!("{listen}: {fault}; stop `auspex up` first")))
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
