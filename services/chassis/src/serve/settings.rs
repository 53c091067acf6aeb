//! Section `[server]`.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::access::Role;
use crate::settings::Settings;

/// Where a process listens and for whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address of the one listener: HTTP/1.1, HTTP/2 and gRPC.
    pub listen: String,
    /// Certificate chain (PEM). Needed beyond loopback.
    pub tls_cert_file: String,
    /// Its private key (PEM).
    pub tls_key_file: String,
    /// Who may come in. Needed beyond loopback; none on loopback means everybody on this machine.
    pub access: Vec<Token>,
    /// Listen beyond loopback without TLS or tokens all the same.
    pub insecure: bool,
    /// Requests under way at once; more are answered 503 or UNAVAILABLE at once.
    pub max_in_flight: usize,
    /// Longest time to an answer, in milliseconds; a caller may ask for less (`grpc-timeout`).
    pub deadline_ms: u64,
    /// Time an orderly stop may take, in milliseconds.
    pub shutdown_ms: u64,
    /// `json` or `text`.
    pub log_format: String,
    /// Filter of the log, as in `info,auspex_canary=debug`.
    pub log_level: String,
}

/// A token, hashed at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose; what is asked with it is kept under this name, and approvals go by it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Lower-case hex sha256 of the token; `auspex token` makes both.
    pub sha256: String,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7700".to_owned(),
            tls_cert_file: String::new(),
            tls_key_file: String::new(),
            access: Vec::new(),
            insecure: false,
            max_in_flight: 1_024,
            deadline_ms: 30_000,
            shutdown_ms: 15_000,
            log_format: "json".to_owned(),
            log_level: "info".to_owned(),
        }
    }
}

impl ServerSettings {
    /// Whether TLS is on.
    #[must_use]
    pub fn tls(&self) -> bool {
        !self.tls_cert_file.is_empty()
    }

    fn loopback(&self) -> bool {
        match self.listen.parse::<std::net::SocketAddr>() {
            Ok(address) => address.ip().is_loopback(),
            Err(_) => self.listen.starts_with("localhost:"),
        }
    }
}

impl Settings for ServerSettings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.tls_cert_file.is_empty() != self.tls_key_file.is_empty() {
            problems.push("tls_key_file: tls_cert_file and tls_key_file go together".to_owned());
        }
        if !self
            .listen
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        {
            problems.push(format!("listen: {:?} is not address:port", self.listen));
        } else if !self.loopback() && !self.insecure {
            if !self.tls() {
                problems.push(format!(
                    "listen: {} is beyond loopback and has no TLS (or say insecure = true)",
                    self.listen
                ));
            }
            if self.access.is_empty() {
                problems.push(format!(
                    "access: {} is beyond loopback and has no tokens (or say insecure = true)",
                    self.listen
                ));
            }
        }
        for token in &self.access {
            if token.sha256.len() != 64 || !token.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                problems.push(format!(
                    "access.{}: sha256 is not 64 hexadecimal digits",
                    token.name
                ));
            }
        }
        if self.max_in_flight == 0 {
            problems.push("max_in_flight: is below 1".to_owned());
        }
        if self.deadline_ms == 0 {
            problems.push("deadline_ms: is below 1".to_owned());
        }
        if let Err(fault) = EnvFilter::try_new(&self.log_level) {
            problems.push(format!("log_level: `{}` is no filter: {fault}", self.log_level));
        }
        if !matches!(self.log_format.as_str(), "json" | "text") {
            problems.push(format!(
                "log_format: {} is neither json nor text",
                self.log_format
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_to_answer_is_a_mistake() {
        let hasty = ServerSettings {
            deadline_ms: 0,
            ..ServerSettings::default()
        };
        assert_eq!(hasty.problems(), ["deadline_ms: is below 1"]);
    }

    #[test]
    fn a_filter_that_filters_nothing_is_a_mistake() {
        let of = |log_level: &str| {
            let settings = ServerSettings {
                log_level: log_level.to_owned(),
                ..ServerSettings::default()
            };
            settings.problems().join("; ")
        };
        for fine in ["debug", "info,auspex_canary=debug", "warn,hyper=off"] {
            assert_eq!(of(fine), "");
        }
        assert!(of("info,blah==").starts_with("log_level: `info,blah==` is no filter"));
    }

    #[test]
    fn nothing_listens_beyond_loopback_unprotected() {
        let open = ServerSettings {
            listen: "0.0.0.0:7700".to_owned(),
            ..ServerSettings::default()
        };
        assert_eq!(open.problems().len(), 2, "{:?}", open.problems());
        assert!(
            ServerSettings {
                insecure: true,
                ..open
            }
            .problems()
            .is_empty()
        );
        assert!(ServerSettings::default().problems().is_empty());
        let wrong = ServerSettings {
            listen: "7700".to_owned(),
            ..ServerSettings::default()
        };
        assert_eq!(wrong.problems(), ["listen: \"7700\" is not address:port"]);
    }
}
