//! What has to be so before a rollout goes on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Span;

/// Most approvals, checks, dependencies and windows, each.
pub const MOST: usize = 12;

/// The gates of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gates {
    /// Persons who have to say yes.
    pub approvals: Vec<Approval>,
    /// When nothing is raised; what goes back always may.
    pub freeze: Vec<Window>,
    /// A change ticket has to be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// The database moves with the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// Other services of the project that have to come first.
    pub dependencies: Vec<Dependency>,
    /// Commands and questions over HTTP that have to succeed.
    pub checks: Vec<Check>,
}

/// A person has to say yes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approval {
    /// What it is called; unique among the gates.
    pub name: String,
    /// Before what: `start`, `traffic`, `promotion`, `end`, `region`, or a leg's name. Default `promotion`.
    pub at: String,
    /// Who may; empty: whoever may command.
    pub by: Vec<String>,
}

/// When nothing is raised: every listed weekday, or from one day to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// What it is called.
    pub name: String,
    /// Weekdays on which it begins: `mon` to `sun`.
    pub days: Vec<String>,
    /// Local time of its beginning, `HH:MM`; empty: midnight.
    pub from: String,
    /// Local time of its end; at or before `from`: on the day after; empty: the end of the day.
    pub to: String,
    /// First day, `YYYY-MM-DD`, in place of weekdays.
    pub start: String,
    /// Last day, inclusive.
    pub end: String,
    /// Whose clock: `Europe/Berlin`; empty: UTC.
    pub zone: String,
}

/// A change ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ticket {
    /// Which; empty: `auspex rollout approve --ticket` names it.
    pub id: String,
    /// What it begins with, as in `CHG-`; empty: whatever.
    pub prefix: String,
}

/// Expand, verify, traffic; contract after the promotion and its bake.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Makes room for both versions, at weight 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expand: Option<Check>,
    /// Shows that both versions can work with it.
    pub verify: Vec<Check>,
    /// Takes away what only the old version needs. After it nothing goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Check>,
    /// How long after the promotion. Default 0 s.
    pub bake: Span,
}

/// Another service of the project has to serve, in a version that will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dependency {
    /// Which.
    pub service: String,
    /// Which versions of it: `>=2.3`, `<4`, several with commas, or exactly one; empty: any that was promoted.
    pub version: String,
}

/// Something that has to succeed: exactly one of `http` and `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// What it is called; unique among the gates.
    pub name: String,
    /// Before what, as in an approval. Default `traffic`.
    pub at: String,
    /// A question over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A program and its arguments; it succeeds with exit code 0. The service must allow commands.
    pub command: Vec<String>,
    /// How long one attempt may take. Default 10 s.
    pub timeout: Span,
    /// How often it is tried. Default 3.
    pub attempts: u32,
    /// How long between attempts. Default 5 s.
    pub every: Span,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            name: String::new(),
            at: String::new(),
            http: None,
            command: Vec::new(),
            timeout: Span::seconds(10),
            attempts: 3,
            every: Span::seconds(5),
        }
    }
}

/// A question over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where.
    pub url: String,
    /// How. Default GET.
    pub method: String,
    /// The answer that is wanted; 0: any of 200 to 299. Default 0.
    pub status: u16,
    /// What the body has to contain; empty: anything.
    pub contains: String,
    /// What is sent.
    pub body: String,
    /// Headers that are sent.
    pub headers: BTreeMap<String, String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            url: String::new(),
            method: "GET".to_owned(),
            status: 0,
            contains: String::new(),
            body: String::new(),
            headers: BTreeMap::new(),
        }
    }
}

impl Gates {
    /// The same where everything comes with the first request: what has its place on the way stands before that.
    #[must_use]
    pub(crate) fn at_first(mut self) -> Self {
        let early = |point: &str| !["start", "end"].contains(&point);
        for approval in self.approvals.iter_mut().filter(|a| early(a.point())) {
            "traffic".clone_into(&mut approval.at);
        }
        for check in self.checks.iter_mut().filter(|c| early(c.point())) {
            "traffic".clone_into(&mut check.at);
        }
        self
    }

    /// Every check there is, with the point before which it has to pass, the database's among them.
    pub fn all_checks(&self) -> impl Iterator<Item = (&'static str, &Check)> {
        let own = self.checks.iter().map(|check| ("", check));
        let database = self.database.iter().flat_map(|database| {
            let expand = database.expand.iter().map(|check| ("expand", check));
            let verify = database.verify.iter().map(|check| ("verify", check));
            let contract = database.contract.iter().map(|check| ("contract", check));
            expand.chain(verify).chain(contract)
        });
        own.chain(database)
    }

    /// A check by its name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.all_checks()
            .map(|(_, check)| check)
            .find(|check| check.name == name)
    }
}

impl Approval {
    /// Before what.
    #[must_use]
    pub fn point(&self) -> &str {
        if self.at.is_empty() { "promotion" } else { &self.at }
    }
}

impl Check {
    /// Before what.
    #[must_use]
    pub fn point(&self) -> &str {
        if self.at.is_empty() { "traffic" } else { &self.at }
    }
}
