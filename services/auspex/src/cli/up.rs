//! `auspex up` and `auspex run`: services in this process.

use std::path::PathBuf;
use std::process::ExitCode;

use auspex_chassis::Options;
use clap::Args;

use super::config::Layers;
use crate::fault::Fault;
use crate::services;

/// Everything in one process.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    layers: Layers,
    /// Where the private NATS server keeps the log
    #[arg(long, value_name = "DIR", default_value = ".auspex")]
    data: PathBuf,
}

/// Some services, on a bus that is there.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Names of services, or `all`
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    layers: Layers,
}

impl Up {
    pub(crate) async fn carry_out(&self) -> Result<ExitCode, Fault> {
        let mut options = Options {
            broker: Some(self.data.join("nats")),
            ..self.layers.options()
        };
        let history: auspex_history::config::Config = options.load(&services::ALL)?.get("history")?;
        if !history.keeps() {
            let folder = self.data.join("history");
            options.set.push(format!("history.folder={}", folder.display()));
        }
        let features: auspex_features::Config = options.load(&services::ALL)?.get("features")?;
        if features.offline.is_empty() {
            let folder = self.data.join("features");
            options.set.push(format!("features.offline={}", folder.display()));
        }
        Ok(Box::pin(auspex_chassis::run(&services::ALL, &options)).await?)
    }
}

impl Run {
    pub(crate) async fn carry_out(&self) -> Result<ExitCode, Fault> {
        let specs = services::named(&self.services)?;
        Ok(Box::pin(auspex_chassis::run(&specs, &self.layers.options())).await?)
    }
}
