//! `auspex up` and `auspex run`: services in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use auspex_chassis::Options;
use auspex_chassis::serve::ServerSettings;
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
        let tree = options.load(&services::ALL)?;
        let server: ServerSettings = tree.get("server")?;
        options.set.extend(neighbours(&server, &tree.effective()));
        Ok(Box::pin(auspex_chassis::run(&services::ALL, &options)).await?)
    }
}

/// Where services ask each other when nobody says anything else.
const USUAL: &str = "http://127.0.0.1:7700";

/// Everything is in this process: who asks another service asks here, wherever it listens. With TLS it needs a token and a name
/// that the certificate has, which only configuration knows.
fn neighbours(server: &ServerSettings, effective: &str) -> Vec<String> {
    let Ok(mut listen) = server.listen.parse::<SocketAddr>() else {
        return Vec::new();
    };
    if server.tls() || listen.port() == 0 {
        return Vec::new();
    }
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let usual = |key: &&str| {
        effective
            .lines()
            .any(|line| line == format!("{key} = \"{USUAL}\""))
    };
    let keys = ["analysis.mesh", "operator.control", "trainer.registry"];
    keys.into_iter()
        .filter(usual)
        .map(|key| format!("{key}=http://{listen}"))
        .collect()
}

impl Run {
    pub(crate) async fn carry_out(&self) -> Result<ExitCode, Fault> {
        let specs = services::named(&self.services)?;
        Ok(Box::pin(auspex_chassis::run(&specs, &self.layers.options())).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_one_process_ask_each_other_where_it_listens() {
        let server = |listen: &str, tls_cert_file: &str| ServerSettings {
            listen: listen.to_owned(),
            tls_cert_file: tls_cert_file.to_owned(),
            ..ServerSettings::default()
        };
        let effective = Options::default().load(&services::ALL).unwrap().effective();
        let asked = neighbours(&server("127.0.0.1:7900", ""), &effective);
        let here = ["analysis.mesh", "operator.control", "trainer.registry"];
        assert_eq!(asked, here.map(|key| format!("{key}=http://127.0.0.1:7900")));
        let everywhere = neighbours(&server("0.0.0.0:7900", ""), &effective);
        assert_eq!(everywhere, asked);
        // Who was told where to ask, asks there.
        let told = effective.replace(
            "analysis.mesh = \"http://127.0.0.1:7700\"",
            "analysis.mesh = \"http://a:1\"",
        );
        assert_eq!(neighbours(&server("127.0.0.1:7900", ""), &told), asked[1..]);
        assert_eq!(
            neighbours(&server("127.0.0.1:7900", "cert.pem"), &effective),
            Vec::<String>::new()
        );
        assert_eq!(
            neighbours(&server("127.0.0.1:0", ""), &effective),
            Vec::<String>::new()
        );
    }
}
