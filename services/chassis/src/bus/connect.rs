//! Reaching the server: addresses, TLS, credentials, version.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::StreamSettings;
use crate::secret::Secret;
use crate::settings::Settings;

/// Section `[nats]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// Servers, comma separated. Empty: `auspex up` starts one of its own.
    pub url: String,
    /// Encrypt, and refuse a server that cannot.
    pub tls: bool,
    /// Root certificates (PEM) to trust beside the system's. Empty: none.
    pub ca_file: String,
    /// User name, with `password`. Empty: none.
    pub user: String,
    /// Password of `user`.
    pub password: Secret,
    /// Seed of an nkey (`SU...`). Empty: none.
    pub nkey_seed: Secret,
    /// Path of a credentials file (JWT and seed). Empty: none.
    pub credentials_file: String,
    /// Path of a nats-server of 2.12 or newer, for the private child. Empty: found or installed.
    pub server_program: String,
    /// When the private child writes to disk: `always` (a PubAck means disk) or `1s`.
    pub sync_interval: crate::broker::Sync,
    /// Into how many shares projects are spread. Fixed for good once facts exist; replicas share them out.
    pub partitions: u16,
    /// Lifetimes and sizes of streams.
    pub streams: StreamSettings,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            tls: false,
            ca_file: String::new(),
            user: String::new(),
            password: Secret::default(),
            nkey_seed: Secret::default(),
            credentials_file: String::new(),
            server_program: String::new(),
            sync_interval: crate::broker::Sync::Always,
            partitions: 8,
            streams: StreamSettings::default(),
        }
    }
}

impl Settings for BusSettings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let ways = [
            !self.user.is_empty(),
            !self.nkey_seed.is_empty(),
            !self.credentials_file.is_empty(),
        ];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            problems.push("user: give one of user, nkey_seed and credentials_file".to_owned());
        }
        if self.url.contains('@') {
            // An address is printed in many places; a secret must not be part of it.
            problems.push("url: holds a user or password; these go to user and password".to_owned());
        } else if !self.url.is_empty() {
            for address in self.url.split(',').map(str::trim) {
                problems.extend(nowhere(address));
            }
        }
        if self.user.is_empty() != self.password.is_empty() {
            problems.push("password: user and password go together".to_owned());
        }
        if let Err(fault) = auspex_proto::Partitions::new(self.partitions) {
            problems.push(fault.to_string());
        }
        problems.extend(
            self.streams
                .problems()
                .into_iter()
                .map(|p| format!("streams.{p}")),
        );
        problems
    }
}

/// Why there can be no server at an address.
fn nowhere(address: &str) -> Option<String> {
    if address.is_empty() {
        return Some("url: an address is empty".to_owned());
    }
    let fault = address.parse::<async_nats::ServerAddr>().err()?;
    Some(format!(
        "url: `{address}` is no address of a NATS server: {fault}"
    ))
}

pub(super) async fn connect(settings: &BusSettings, name: &str) -> anyhow::Result<async_nats::Client> {
    let mut options = async_nats::ConnectOptions::new()
        .name(name)
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(5))
        .request_timeout(Some(Duration::from_secs(5)))
        // A fixed short delay: the log is local to the mesh, and every second of absence is a second of blindness.
        .reconnect_delay_callback(|attempts| Duration::from_millis((50 * attempts.min(20)) as u64))
        .event_callback(|event| async move {
            match event {
                async_nats::Event::Connected => tracing::debug!("bus: connected"),
                event => tracing::warn!(%event, "bus"),
            }
        });
    if settings.tls {
        options = options.require_tls(true);
    }
    if !settings.ca_file.is_empty() {
        options = options.add_root_certificates(PathBuf::from(&settings.ca_file));
    }
    if !settings.user.is_empty() {
        options = options.user_and_password(settings.user.clone(), settings.password.expose().to_owned());
    } else if !settings.nkey_seed.is_empty() {
        options = options.nkey(settings.nkey_seed.expose().to_owned());
    } else if !settings.credentials_file.is_empty() {
        let file = &settings.credentials_file;
        options = options
            .credentials_file(file)
            .await
            .with_context(|| format!("nats.credentials_file {file}"))?;
    }
    let client = options
        .connect(
            settings
                .url
                .split(',')
                .map(str::trim)
                .collect::<Vec<_>>()
                .as_slice(),
        )
        .await
        .with_context(|| format!("connecting to NATS at {}", settings.url))?;
    let version = client.server_info().version;
    match crate::tools::parse_version(&version) {
        Some(version) if version >= (2, 12) => Ok(client),
        _ => bail!(
            "the NATS server at {} is {version}; at least 2.12 is needed",
            settings.url
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_leads_nowhere_is_a_mistake() {
        let of = |url: &str| {
            let settings = BusSettings {
                url: url.to_owned(),
                ..BusSettings::default()
            };
            settings.problems().join("; ")
        };
        for fine in ["", "nats://a:4222", "tls://a, tls://b:4223", "localhost:4222"] {
            assert_eq!(of(fine), "", "{fine}");
        }
        assert!(of("http://a").starts_with("url: `http://a` is no address of a NATS server"));
        assert_eq!(of("nats://a,"), "url: an address is empty");
        assert!(!of("nats://me:secret@a").contains("secret"));
    }
}
