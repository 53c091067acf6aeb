//! The settings of `[proxy]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use auspex_chassis::Settings;
use auspex_proto::{Project, ServiceName};
use serde::{Deserialize, Serialize};

use crate::origin::Origin;
use crate::plan::Listed;
use crate::route;
use crate::shard::SHARDS;

/// The settings of `[proxy]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where users' traffic arrives, plain HTTP/1.1. Loopback: opening it to a network is a decision of the operator's.
    pub listen: String,
    /// Whether `listen` may be beyond loopback although it is plain HTTP and asks nobody who they are.
    pub insecure: bool,
    /// Where this proxy stands, as observations say; empty when there is one region only.
    pub region: String,
    /// The environment its services run in, as in `production`; empty: not told. Features of health are kept for each.
    pub environment: String,
    /// Which requests go where. A service that is not listed is not served, whatever a decision says.
    pub routes: Vec<Route>,
    /// Whether targets named by a decision replace the listed ones. False pins the listed ones: for where those who may
    /// deploy must not choose where users' traffic goes.
    pub follow_targets: bool,
    /// Whether what the client says of its way here (`X-Forwarded-*`, `X-Real-IP`, `Forwarded`) is passed on: only behind a
    /// balancer that sets them.
    pub trust_forwarded: bool,
    /// Milliseconds that a weight under way holds without a pulse of control. Pulses come each second; ten of them may be lost.
    pub lease_ms: u64,
    /// Threads that serve users, at most 32; 0: one per core.
    pub workers: usize,
    /// Connections from users at one time; further ones wait. Bounds memory: each holds up to about half a megabyte.
    pub max_connections: usize,
    /// How long each part of an exchange may take.
    pub timeouts: Timeouts,
    /// How targets are asked whether they are ready.
    pub health: Health,
}

/// One route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// The service, as its decisions call it.
    pub service: String,
    /// The project whose decisions are followed.
    pub project: String,
    /// Host name without a port; empty: any.
    pub host: String,
    /// Begin of the path, whole segments; it is passed on to the target as it is. Empty: any.
    pub path_prefix: String,
    /// `http://host:port` of what users are on.
    pub stable: String,
    /// `http://host:port` of what is on trial; empty: decisions say.
    pub candidate: String,
}

/// Milliseconds, all above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To reach a target: on one network, more than a second is a fault.
    pub connect_ms: u64,
    /// From the sent request to the head of the answer.
    pub first_byte_ms: u64,
    /// Between two pieces of a body, either way.
    pub idle_ms: u64,
    /// A connection to a target is kept unused this long: below the 5 s after which common servers close theirs, so that a
    /// request seldom meets a closing connection.
    pub pool_idle_ms: u64,
    /// A user's connection is kept waiting this long for its next request's head.
    pub client_idle_ms: u64,
    /// Exchanges under way have this long to end when the process stops.
    pub drain_ms: u64,
}

/// How targets are asked whether they are ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Path of a GET that must answer 200..=399; empty: a TCP connection is enough.
    pub path: String,
    /// Milliseconds between two checks of a target.
    pub interval_ms: u64,
    /// Milliseconds that a check may take.
    pub timeout_ms: u64,
    /// Failures in a row that make a target down; one success makes it up. Two: one lost packet is no outage.
    pub fall: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7780".to_owned(),
            insecure: false,
            region: String::new(),
            environment: String::new(),
            routes: Vec::new(),
            follow_targets: true,
            trust_forwarded: false,
            lease_ms: 10_000,
            workers: 0,
            max_connections: 10_000,
            timeouts: Timeouts::default(),
            health: Health::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 1_000,
            first_byte_ms: 30_000,
            idle_ms: 60_000,
            pool_idle_ms: 4_000,
            client_idle_ms: 60_000,
            drain_ms: 5_000,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: String::new(),
            interval_ms: 1_000,
            timeout_ms: 1_000,
            fall: 2,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        self.mistakes()
    }
}

impl Config {
    fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        match self.listen.parse::<SocketAddr>() {
            Ok(address) if !address.ip().is_loopback() && !self.insecure => found.push(format!(
                "listen: {address} is beyond loopback, and users' traffic is plain HTTP: put TLS before it and set insecure = true"
            )),
            Ok(_) => {}
            Err(_) => found.push(format!("listen: {:?} is not address:port", self.listen)),
        }
        if self.workers > SHARDS {
            found.push(format!("workers: {} is above {SHARDS}", self.workers));
        }
        if self.max_connections == 0 {
            found.push("max_connections: is 0".to_owned());
        }
        if !self.health.path.is_empty() && !self.health.path.starts_with('/') {
            found.push(format!(
                "health.path: {:?} does not begin with /",
                self.health.path
            ));
        }
        let Timeouts {
            connect_ms,
            first_byte_ms,
            idle_ms,
            pool_idle_ms,
            client_idle_ms,
            drain_ms,
        } = self.timeouts;
        for (key, value) in [
            ("lease_ms", self.lease_ms),
            ("timeouts.connect_ms", connect_ms),
            ("timeouts.first_byte_ms", first_byte_ms),
            ("timeouts.idle_ms", idle_ms),
            ("timeouts.pool_idle_ms", pool_idle_ms),
            ("timeouts.client_idle_ms", client_idle_ms),
            ("timeouts.drain_ms", drain_ms),
            ("health.interval_ms", self.health.interval_ms),
            ("health.timeout_ms", self.health.timeout_ms),
            ("health.fall", u64::from(self.health.fall)),
        ] {
            if value == 0 {
                found.push(format!("{key}: is 0"));
            }
        }
        for (i, route) in self.routes.iter().enumerate() {
            if let Err(mistakes) = route.listed() {
                found.extend(mistakes.into_iter().map(|m| format!("routes[{i}].{m}")));
            }
        }
        found.extend(self.contradictions());
        found
    }

    /// How many threads serve users.
    pub(crate) fn worker_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.workers == 0 {
            cores().min(SHARDS)
        } else {
            self.workers
        }
    }

    /// Routes that cannot both hold: one place for two services, or two homes of one service.
    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut places = BTreeMap::new();
        let mut homes = BTreeMap::new();
        for (i, route) in self.routes.iter().enumerate() {
            let place = (route.host.to_ascii_lowercase(), route.prefix());
            if let Some(first) = places.insert(place, i) {
                found.push(format!(
                    "routes[{i}]: has the host and path_prefix of routes[{first}]"
                ));
            }
            let home = (&route.stable, &route.candidate);
            let (first, other) = *homes.entry((&route.project, &route.service)).or_insert((i, home));
            if other != home {
                found.push(format!(
                    "routes[{i}]: names other targets of the same service than routes[{first}]"
                ));
            }
        }
        found
    }

    /// The services, each once, and the table that leads to them by index.
    ///
    /// # Errors
    /// Every mistake in the routes.
    pub fn table(&self) -> Result<(Vec<Listed>, route::Table), Vec<String>> {
        let (mut services, mut routes, mut mistakes) =
            (Vec::<Listed>::new(), Vec::new(), self.contradictions());
        for (i, route) in self.routes.iter().enumerate() {
            match route.listed() {
                Ok(listed) => {
                    let known = services.iter().position(|s| *s == listed);
                    let lane = known.unwrap_or(services.len());
                    if known.is_none() {
                        services.push(listed);
                    }
                    let host = (!route.host.is_empty()).then(|| route.host.to_ascii_lowercase());
                    routes.push(route::Route {
                        host,
                        prefix: route.prefix(),
                        lane,
                    });
                }
                Err(found) => mistakes.extend(found.into_iter().map(|m| format!("routes[{i}].{m}"))),
            }
        }
        if mistakes.is_empty() {
            Ok((services, route::Table::new(routes)))
        } else {
            Err(mistakes)
        }
    }
}

impl Route {
    fn prefix(&self) -> String {
        if self.path_prefix.is_empty() {
            "/".to_owned()
        } else {
            self.path_prefix.clone()
        }
    }

    fn listed(&self) -> Result<Listed, Vec<String>> {
        let mut mistakes = Vec::new();
        if !self.prefix().starts_with('/') {
            mistakes.push(format!(
                "path_prefix: {:?} does not begin with /",
                self.path_prefix
            ));
        }
        if self.host.contains('/') {
            mistakes.push(format!("host: {:?} is not a host name", self.host));
        }
        let mut note =
            |key: &str, fault: auspex_proto::Invalid| mistakes.push(format!("{key}: {}", fault.reason));
        let project = Project::new(&*self.project).map_err(|f| note("project", f));
        let service = ServiceName::new(&*self.service).map_err(|f| note("service", f));
        let stable = Origin::parse(&self.stable).map_err(|f| note("stable", f));
        let candidate = match self.candidate.as_str() {
            "" => Ok(None),
            url => Origin::parse(url).map(Some).map_err(|f| note("candidate", f)),
        };
        match (project, service, stable, candidate) {
            (Ok(project), Ok(service), Ok(stable), Ok(candidate)) if mistakes.is_empty() => Ok(Listed {
                project,
                service,
                stable,
                candidate,
            }),
            _ => Err(mistakes),
        }
    }
}

impl Timeouts {
    pub(crate) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(crate) fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(crate) fn pool_idle(&self) -> Duration {
        Duration::from_millis(self.pool_idle_ms)
    }

    pub(crate) fn client_idle(&self) -> Duration {
        Duration::from_millis(self.client_idle_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

#[cfg(test)]
mod tests;
