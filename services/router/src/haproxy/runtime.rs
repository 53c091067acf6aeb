//! What HAProxy's answers say, and which commands lead from there to what is wanted. Pure.

use std::collections::BTreeMap;

use auspex_proto::report::Capacity;

use crate::plan::{Write, order};
use crate::router::{Fault, Mark, Shares};

/// The greatest weight of a server.
const GREATEST: u32 = 256;
/// How far a share may be off.
const NEAR: f64 = 0.005;
/// In a check's state: there is one.
const CONFIGURED: u32 = 2;
/// In a server's state: it serves.
const RUNNING: u32 = 2;
/// In a server's administrative state: set to drain, which a weight does not end.
const DRAIN: u32 = 0x08 | 0x10;

/// The servers of both tracks, as the places are now.
#[derive(Debug, Clone, Copy)]
pub struct Servers<'a> {
    stable: &'a [String],
    candidate: &'a [String],
}

/// A server and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) server: String,
    pub(super) weight: u32,
    stable: bool,
}

/// What one HAProxy holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    servers: BTreeMap<String, Server>,
    maps: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) mark: Mark,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Server {
    weight: u32,
    running: bool,
    checked: bool,
    draining: bool,
}

impl<'a> Servers<'a> {
    /// Of these names.
    #[must_use]
    pub fn new(stable: &'a [String], candidate: &'a [String]) -> Self {
        Self { stable, candidate }
    }

    /// The first server of a track.
    pub(super) fn first(&self, stable: bool) -> Option<&'a str> {
        let track = if stable { self.stable } else { self.candidate };
        track.first().map(String::as_str)
    }

    /// The weight of each server, so that the tracks as wholes get their shares, however many servers each has.
    pub(super) fn wanted(&self, weight: u8) -> Vec<Wanted> {
        let shares = Shares::of(weight);
        let (stables, candidates) = (len(self.stable), len(self.candidate));
        let mut used = (stables, candidates);
        let (mut error, mut each) = pair(shares, used);
        // Many small servers beside few large ones: a small share goes to some of them, never more than is wanted to all.
        while error > NEAR && used.0.max(used.1) > 1 {
            if shares.candidate < shares.stable && used.1 > 1 {
                used.1 -= 1;
            } else if used.0 > 1 {
                used.0 -= 1;
            } else {
                break;
            }
            (error, each) = pair(shares, used);
        }
        let of = |names: &[String], (weight, used): (u32, u32), stable: bool| {
            let one = |(server, place): (&String, u32)| Wanted {
                server: server.clone(),
                weight: if place < used { weight } else { 0 },
                stable,
            };
            names.iter().zip(0..).map(one).collect::<Vec<_>>()
        };
        let mut all = of(self.stable, (each.0, used.0), true);
        all.extend(of(self.candidate, (each.1, used.1), false));
        all
    }

    /// What the ready servers of both tracks can take, where they are checked: each track as a whole is taken to be able to
    /// take everything.
    pub(super) fn capacity(&self, state: &State) -> (Option<Capacity>, Option<Capacity>) {
        (state.capacity(self.stable), state.capacity(self.candidate))
    }
}

impl State {
    /// Reads the answers to `show servers state` and `get var`.
    ///
    /// # Errors
    /// [`Fault::Refused`] when HAProxy knows no such backend.
    pub(super) fn parse(answer: &str, backend: &str) -> Result<Self, Fault> {
        let mut state = Self {
            mark: Mark::Missing,
            ..Self::default()
        };
        let mut heads: Vec<&str> = Vec::new();
        for line in answer.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some(names) = line.strip_prefix("# be_id") {
                heads = std::iter::once("be_id").chain(names.split_whitespace()).collect();
            } else if let Some(("", number)) = line.split_once("value=<").map(|(_, v)| ("", v)) {
                let number = number.trim_end_matches('>').parse();
                state.mark = number.map_or(Mark::Missing, Mark::Write);
            } else if words.get(1) == Some(&backend) && words.len() >= heads.len() && !heads.is_empty() {
                let field = |name: &str| {
                    let at = heads.iter().position(|head| *head == name)?;
                    words.get(at).copied()
                };
                let number = |name: &str| field(name).and_then(|w| w.parse::<u32>().ok()).unwrap_or(0);
                let server = Server {
                    weight: number("srv_uweight"),
                    running: number("srv_op_state") == RUNNING,
                    checked: number("srv_check_state") & CONFIGURED != 0,
                    draining: number("srv_admin_state") & DRAIN != 0,
                };
                state
                    .servers
                    .insert(field("srv_name").unwrap_or_default().to_owned(), server);
            }
        }
        if state.servers.is_empty() {
            let said = answer
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("nothing");
            return Err(Fault::Refused(format!(
                "HAProxy has no servers in backend {backend}: it says {said:?}"
            )));
        }
        Ok(state)
    }

    /// Reads the answer to `show map`: on each line a reference, a value, and where it leads.
    ///
    /// # Errors
    /// [`Fault::Refused`] when HAProxy knows no such map.
    pub(super) fn add_map(&mut self, map: &str, answer: &str) -> Result<(), Fault> {
        if answer.contains("Unknown map identifier") {
            return Err(Fault::Refused(format!("HAProxy has no map {map}")));
        }
        let entry = |line: &str| {
            let mut words = line.split_whitespace();
            words.next().filter(|reference| reference.starts_with("0x"))?;
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        };
        self.maps
            .insert(map.to_owned(), answer.lines().filter_map(entry).collect());
        Ok(())
    }

    fn weight(&self, server: &str) -> Option<u32> {
        self.servers.get(server).map(|s| s.weight)
    }

    /// How traffic is split. Where every server has the weight that is wanted of it, it is split as intended, whatever
    /// rounding did.
    pub(super) fn shares(&self, servers: &Servers<'_>, wanted: &[Wanted], weight: u8) -> Option<Shares> {
        let as_wanted = |w: &Wanted| self.weight(&w.server) == Some(w.weight);
        if wanted.iter().all(as_wanted) {
            return Some(Shares::of(weight));
        }
        let sum = |names: &[String]| names.iter().map(|n| self.weight(n)).sum::<Option<u32>>();
        Some(Shares {
            stable: sum(servers.stable)?,
            candidate: sum(servers.candidate)?,
        })
    }

    fn capacity(&self, names: &[String]) -> Option<Capacity> {
        let servers: Vec<Server> = names
            .iter()
            .filter_map(|n| self.servers.get(n).copied())
            .collect();
        if servers.is_empty() || servers.iter().any(|s| !s.checked) {
            return None;
        }
        let serves = |s: &&Server| s.running && !s.draining;
        let ready = u32::try_from(servers.iter().filter(serves).count()).unwrap_or(u32::MAX);
        let wanted = len(names);
        Some(Capacity {
            percent: u8::try_from(ready * 100 / wanted.max(1)).unwrap_or(100),
            ready,
            wanted,
        })
    }

    /// The commands that set the weights, what grows first.
    ///
    /// # Errors
    /// [`Fault::Refused`] when a server is not there.
    pub(super) fn weight_commands(&self, backend: &str, wanted: &[Wanted]) -> Result<Vec<String>, Fault> {
        let mut now = Shares {
            stable: 0,
            candidate: 0,
        };
        let mut goal = now;
        for w in wanted {
            let have = self.weight(&w.server).ok_or_else(|| {
                let server = &w.server;
                Fault::Refused(format!("HAProxy has no server {backend}/{server}"))
            })?;
            if w.stable {
                (now.stable, goal.stable) = (now.stable + have, goal.stable + w.weight);
            } else {
                (now.candidate, goal.candidate) = (now.candidate + have, goal.candidate + w.weight);
            }
        }
        let mut first_stable = true;
        if let Some(Write::Candidate(_)) = order(now, goal).first() {
            first_stable = false;
        }
        let mut sorted: Vec<&Wanted> = wanted.iter().collect();
        sorted.sort_by_key(|w| w.stable != first_stable);
        let command = |w: &&Wanted| format!("set weight {backend}/{} {}", w.server, w.weight);
        Ok(sorted.iter().map(command).collect())
    }

    /// The commands that bring the maps there; what stays is not touched.
    pub(super) fn map_commands(&self, maps: &[(String, Vec<(String, String)>)]) -> Vec<String> {
        let mut commands = Vec::new();
        let nothing = BTreeMap::new();
        for (map, entries) in maps {
            let held = self.maps.get(map).unwrap_or(&nothing);
            let wanted: BTreeMap<&String, &String> = entries.iter().map(|(value, to)| (value, to)).collect();
            for (value, to) in &wanted {
                match held.get(*value) {
                    Some(now) if now == *to => {}
                    Some(_) => commands.push(format!("set map {map} {value} {to}")),
                    None => commands.push(format!("add map {map} {value} {to}")),
                }
            }
            let gone = held.keys().filter(|value| !wanted.contains_key(value));
            commands.extend(gone.map(|value| format!("del map {map} {value}")));
        }
        commands
    }

    /// Whether the maps hold exactly these.
    pub(super) fn has(&self, maps: &[(String, Vec<(String, String)>)]) -> bool {
        self.map_commands(maps).is_empty()
    }
}

fn len(names: &[String]) -> u32 {
    u32::try_from(names.len()).unwrap_or(u32::MAX)
}

/// What one server of each track gets: the pair within HAProxy's range that comes nearest to the shares, and how far off it
/// is.
fn pair(shares: Shares, (stables, candidates): (u32, u32)) -> (f64, (u32, u32)) {
    if stables == candidates || shares.stable == 0 || shares.candidate == 0 {
        // Weights that people recognise.
        return (0.0, (shares.stable, shares.candidate));
    }
    let (stables, candidates) = (f64::from(stables), f64::from(candidates));
    let (stable, candidate) = (f64::from(shares.stable), f64::from(shares.candidate));
    let mut best = (f64::INFINITY, (1, 1));
    for c in 1..=GREATEST {
        let exact = f64::from(c) * candidates * stable / (candidate * stables);
        let s = (1..=GREATEST)
            .rev()
            .find(|s| f64::from(*s) <= exact + 0.5)
            .unwrap_or(1);
        let (got, rest) = (f64::from(c) * candidates, f64::from(s) * stables);
        let error = (got / (got + rest) - candidate / (candidate + stable)).abs();
        if error < best.0 {
            best = (error, (s, c));
        }
    }
    best
}
