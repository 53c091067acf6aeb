//! `auspex check-config`: everything that is wrong with a configuration, or what it amounts to.

use std::path::PathBuf;

use auspex_chassis::Options;
use clap::Args;

use super::print;
use crate::fault::Fault;
use crate::services;

/// The layers that every command with a configuration takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Layers {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, over file and environment
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl Layers {
    /// As the mesh takes them.
    pub(crate) fn options(&self) -> Options {
        Options {
            config: self.config.clone(),
            set: self.set.clone(),
            known: services::sections(),
            ..Options::default()
        }
    }
}

/// Checks a configuration.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    layers: Layers,
    /// Print every value that holds in the end, secrets hidden
    #[arg(long)]
    effective: bool,
}

impl CheckConfig {
    pub(crate) fn carry_out(&self) -> Result<(), Fault> {
        let tree = self.layers.options().load(&services::ALL)?;
        if self.effective {
            return print::text(&tree.effective());
        }
        print::line("the configuration is sound")
    }
}
