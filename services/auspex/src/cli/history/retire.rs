//! `auspex history retire`: the archive is given up for good.

use std::path::PathBuf;

use auspex_chassis::Bus;
use clap::Args;

use crate::cli::config::Layers;
use crate::cli::{print, recover};
use crate::fault::Fault;

/// Gives the archive up.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    #[command(flatten)]
    layers: Layers,
    /// Folder of `auspex up`, when configuration names no server
    #[arg(long, value_name = "DIR", default_value = ".auspex")]
    data: PathBuf,
    /// Do it; without it, it is only explained
    #[arg(long)]
    yes: bool,
}

/// What it does, told before it is done.
const EXPLAINED: &str = "\
retire is for a mesh whose history is stopped for good. The log remembers that an archive was kept, and intake closes when it
falls half a fact's life behind. This takes that mark away: nobody waits for the archive any more.

- What is in the archive stays there. Facts that are not in it expire with the log.
- `history` must be stopped: it would say again how far it is. Everything else may run.

Nothing has been done. Say --yes to do it.
";

impl Retire {
    pub(super) async fn carry_out(self) -> Result<(), Fault> {
        let log = recover::log(&self.layers, &self.data).await?;
        let bus = Bus::connect(&log.nats, "auspex history retire").await?;
        let ends = bus.log_ends().await?;
        let Some(upto) = bus.archived_upto(ends.created).await? else {
            return print::line("no archive is waited for");
        };
        print::line(&format!(
            "the archive has the log up to {upto}, the log ends at {}",
            ends.last
        ))?;
        if !self.yes {
            return print::text(EXPLAINED);
        }
        bus.archives_nothing().await?;
        drop(log.private);
        print::line("no archive is waited for any more")
    }
}
