//! HAProxy, by its runtime socket.
//!
//! Two weights do not change at once there. Lowered before it is raised, a flip leaves a moment in which neither track takes
//! anything, and users get 503; so what grows is written first, both in one line of commands. A reload brings back the
//! weights of the file: a variable of the process, written with every change, tells that it happened.

mod runtime;
mod talk;

use std::sync::atomic::{AtomicBool, Ordering};

use auspex_proto::intent::{By, Cohort};
use futures::future::{BoxFuture, try_join_all};
use serde::{Deserialize, Serialize};

pub use self::runtime::Servers;
use self::runtime::{State, Wanted};
use self::talk::Socket;
use crate::registry::Site;
use crate::router::{Applied, Capabilities, Fault, Fence, Intent, Mark, Observed, Router, Verified, agree};

/// `[router.routes.haproxy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Runtime sockets with level admin: `unix:/run/haproxy/admin.sock` or `tcp:host:port`. Several: all must hold the weight.
    pub sockets: Vec<String>,
    /// The backend.
    pub backend: String,
    /// Its servers that run stable.
    pub stable: Vec<String>,
    /// Its servers that run the candidate.
    pub candidate: Vec<String>,
    /// Maps by which cohorts are told.
    pub cohorts: Vec<Map>,
}

/// A map of HAProxy's that leads values of a header or cookie to a server. In HAProxy's file:
/// `use-server %[req.hdr(x-beta),map_str(/etc/haproxy/beta.map)] if { req.hdr(x-beta),map_str(/etc/haproxy/beta.map) -m found }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Map {
    /// The header whose values it holds; empty: a cookie's.
    pub header: String,
    /// The cookie whose values it holds.
    pub cookie: String,
    /// Its file, as HAProxy's configuration names it. It belongs to this route: other values in it are removed.
    pub map: String,
}

/// One service at one HAProxy, or at several.
#[derive(Debug)]
pub struct Haproxy {
    settings: Settings,
    sockets: Vec<Socket>,
    variable: String,
    /// It takes no variable: an old HAProxy.
    keeps_no_mark: AtomicBool,
}

impl Settings {
    /// Every mistake.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.sockets.is_empty() {
            found.push("sockets: is empty".to_owned());
        }
        for socket in &self.sockets {
            if let Err(fault) = Socket::parse(socket) {
                found.push(format!("sockets: {socket:?} {fault}"));
            }
        }
        let names = [("stable", &self.stable), ("candidate", &self.candidate)];
        for (key, servers) in names {
            if servers.is_empty() {
                found.push(format!("{key}: is empty"));
            }
            let most = 16;
            if servers.len() > most {
                found.push(format!("{key}: has more than {most} servers"));
            }
        }
        if let Some(both) = self.stable.iter().find(|server| self.candidate.contains(server)) {
            found.push(format!("candidate: {both} is a server of stable too"));
        }
        let servers = self.stable.iter().chain(&self.candidate);
        let maps = self.cohorts.iter().map(|map| &map.map);
        for word in servers.chain([&self.backend]).chain(maps) {
            if !is_word(word) {
                found.push(format!("{word:?} is not a name that HAProxy's socket takes"));
            }
        }
        for map in &self.cohorts {
            if map.header.is_empty() == map.cookie.is_empty() {
                found.push(format!("cohorts: {:?} wants one of header and cookie", map.map));
            }
        }
        found
    }
}

/// Whether it goes into a command as it is: nothing in it may end a command or a word.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@#=+~%".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

impl Haproxy {
    /// The route of this name.
    #[must_use]
    pub fn new(name: &str, settings: &Settings, site: Site) -> Self {
        let letters = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = name.chars().map(letters).collect();
        let sockets = settings.sockets.iter().filter_map(|s| Socket::parse(s).ok());
        Self {
            settings: settings.clone(),
            sockets: sockets.map(|socket| socket.within(site.timeout)).collect(),
            variable: format!("proc.auspex_{name}"),
            keeps_no_mark: AtomicBool::new(false),
        }
    }

    fn servers(&self, swapped: bool) -> Servers<'_> {
        let (stable, candidate) = (&self.settings.stable, &self.settings.candidate);
        if swapped {
            Servers::new(candidate, stable)
        } else {
            Servers::new(stable, candidate)
        }
    }

    async fn state(&self, socket: &Socket) -> Result<State, Fault> {
        let backend = &self.settings.backend;
        let line = format!("show servers state {backend};get var {}", self.variable);
        let mut state = State::parse(&socket.ask(&line).await?, backend)?;
        for map in &self.settings.cohorts {
            let answer = socket.ask(&format!("show map {}", map.map)).await?;
            state.add_map(&map.map, &answer)?;
        }
        Ok(state)
    }

    /// Brings one HAProxy there, and says what it then holds.
    async fn bring(&self, socket: &Socket, intent: &Intent, fence: &dyn Fence) -> Result<Observed, Fault> {
        let before = self.state(socket).await?;
        let servers = self.servers(intent.swapped);
        let wanted = servers.wanted(intent.weight);
        let mut commands = vec![format!(
            "experimental-mode on;set var {} int({})",
            self.variable, intent.mark
        )];
        let maps = self.maps(intent);
        commands.extend(before.map_commands(&maps));
        commands.extend(before.weight_commands(&self.settings.backend, &wanted)?);
        let (commands, line) = (commands.join(";"), socket.open().await?);
        fence.pass().await?;
        let answer = line.ask(&commands).await?;
        let refused = [
            "No such",
            "must be",
            "can only be",
            "Permission denied",
            "Require",
        ];
        if let Some(line) = answer.lines().find(|l| refused.iter().any(|r| l.contains(r))) {
            return Err(Fault::Refused(format!("HAProxy says: {line}")));
        }
        let after = self.state(socket).await?;
        if after.mark == Mark::Missing {
            self.keeps_no_mark.store(true, Ordering::Relaxed);
        }
        Ok(self.observed(&after, intent))
    }

    /// What each map is to hold: values, each with the server that they lead to.
    fn maps(&self, intent: &Intent) -> Vec<(String, Vec<(String, String)>)> {
        let servers = self.servers(intent.swapped);
        let of = |map: &Map| {
            let mine = intent.cohorts.iter().filter(|cohort| map.tells(cohort));
            let entry = |cohort: &Cohort| {
                let value = match &cohort.by {
                    By::Header(m) | By::Cookie(m) => m.value.clone(),
                    By::User(_) => String::new(),
                };
                let value = if value.is_empty() { ANY.to_owned() } else { value };
                Some((value, servers.first(cohort.stable)?.to_owned()))
            };
            (map.map.clone(), mine.filter_map(entry).collect())
        };
        self.settings.cohorts.iter().map(of).collect()
    }

    fn observed(&self, state: &State, intent: &Intent) -> Observed {
        let servers = self.servers(intent.swapped);
        let wanted: Vec<Wanted> = servers.wanted(intent.weight);
        let mark = match state.mark {
            Mark::Missing if self.keeps_no_mark.load(Ordering::Relaxed) => Mark::Unkept,
            mark => mark,
        };
        let beside = (!self.settings.cohorts.is_empty()).then(|| state.has(&self.maps(intent)));
        let (stable, candidate) = servers.capacity(state);
        Observed {
            shares: state.shares(&servers, &wanted, intent.weight),
            mark,
            beside,
            stable,
            candidate,
            ..Observed::default()
        }
    }
}

/// What a map holds for a cohort of everybody who has the header or cookie.
const ANY: &str = "*";

impl Map {
    fn tells(&self, cohort: &Cohort) -> bool {
        match &cohort.by {
            By::Header(m) => m.name.eq_ignore_ascii_case(&self.header) && !self.header.is_empty(),
            By::Cookie(m) => m.name == self.cookie && !self.cookie.is_empty(),
            By::User(_) => false,
        }
    }
}

impl Router for Haproxy {
    fn kind(&self) -> &'static str {
        "haproxy"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: true,
            header: self.settings.cohorts.iter().any(|map| !map.header.is_empty()),
            cookie: self.settings.cohorts.iter().any(|map| !map.cookie.is_empty()),
            user: false,
            mirror: false,
            scale: false,
            atomic: false,
            verified_by: Some("weights read back from the runtime socket"),
        }
    }

    fn cannot(&self, cohort: &Cohort, _: bool) -> Option<String> {
        if self.settings.cohorts.iter().any(|map| map.tells(cohort)) {
            let value = match &cohort.by {
                By::Header(m) | By::Cookie(m) => m.value.as_str(),
                By::User(_) => "",
            };
            return (!value.is_empty() && !is_word(value))
                .then(|| format!("the value {value:?} does not fit into a map of HAProxy's"));
        }
        Some("no map of it is configured (haproxy.cohorts)".to_owned())
    }

    fn apply<'a>(
        &'a self,
        intent: &'a Intent,
        fence: &'a dyn Fence,
    ) -> BoxFuture<'a, Result<Applied, Fault>> {
        Box::pin(async move {
            let all = self
                .sockets
                .iter()
                .map(|socket| self.bring(socket, intent, fence));
            let observed = agree(&try_join_all(all).await?, intent);
            Ok(Applied {
                verified: Verified::by(&observed, intent),
                observed: Some(observed),
            })
        })
    }

    fn read<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<Observed, Fault>> {
        Box::pin(async move {
            let all = self.sockets.iter().map(|socket| async move {
                let state = self.state(socket).await?;
                Ok::<_, Fault>(self.observed(&state, intent))
            });
            Ok(agree(&try_join_all(all).await?, intent))
        })
    }
}

#[cfg(test)]
mod tests;
