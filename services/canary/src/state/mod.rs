//! What is remembered of a project: rollouts under way and ended, recent scores, the portfolio of weights, the past of
//! the services.
//!
//! Bounded: at most [`MOST_ACTIVE`] rollouts, those included that wait for one to be back, whose terms take at most
//! [`crate::terms::size::MOST_TOGETHER`] bytes together (more does not begin, and is told which field is too large); what grows
//! on the way is bounded part by part: 40 passes and 40 checks, 32 routers and [`rollout::MOST_ROUTERS_TOGETHER`] in all;
//! [`MOST_LISTED`] listed metrics of at most 11 kB; open intervals of at most 24 kB; [`MOST_ENDED`] summaries of at most 5 kB, of
//! which [`MOST_WHOLE`] with their terms; [`scores::MOST`] scores, usually of 0.3 kB; [`history`] of at most 100 kB. Some 10 kB in
//! the usual case. With the decisions under way it is one value of the bus, which takes 1 MiB; beyond that its stage stops and
//! says so. `tests/growth.rs` lets all of it grow as far as it can.

mod brief;
pub mod course;
pub mod history;
pub mod metric;
pub mod rollout;
pub mod scores;
pub mod sealed;
pub mod watch;
pub mod window;

use std::collections::BTreeMap;

use auspex_judge::Portfolio;
use auspex_proto::decision::{Decision, Mode, Phase, TrackTarget};
use auspex_proto::seen::Seen;
use auspex_proto::{FactId, RolloutName, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use self::brief::cut;
pub use self::course::{Course, Pass, Run, Toll};
pub use self::history::Histories;
pub use self::rollout::{Prior, Rollout, Router};
pub use self::scores::Scores;
pub use self::sealed::Sealed;
pub use self::watch::Watch;
pub use self::window::Window;

/// Most rollouts under way in a project at once.
pub const MOST_ACTIVE: usize = 12;
/// Most metrics that the documents of a project's rollouts under way may list together.
pub const MOST_LISTED: usize = 12;
/// Most ended rollouts that are remembered.
pub const MOST_ENDED: usize = 20;
/// Most ended rollouts that are remembered whole, so that they can be begun again.
pub const MOST_WHOLE: usize = 3;
/// Most answers to commands that are remembered.
const MOST_ANSWERS: usize = 32;

/// What is remembered of a project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Under way, by service. Boxed: a node of the map has room for eleven, 40 kB of them, moved with every rollout that comes or goes.
    pub active: BTreeMap<String, Box<Rollout>>,
    /// Over, the newest last.
    pub ended: Vec<Sealed<Ended>>,
    /// Of the project's revisions and deployments.
    pub scores: Scores,
    /// Law 8's budget over the project's rollouts.
    pub portfolio: Portfolio,
    /// Events and commands absorbed.
    pub seen: Seen,
    /// What became of the last commands, the newest last.
    pub answers: Vec<Answer>,
    /// The last tick while a rollout was under way.
    #[serde(skip)]
    pub ticked: Ticked,
    /// What users of the services got before their next rollouts.
    pub histories: Histories,
}

/// When a project's rollouts were last looked at. It decides only when they are to be looked at again, and a look before its
/// time changes nothing: so it is neither saved nor compared, and time that passes quietly leaves the state as it was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ticked(pub Timestamp);

impl PartialEq for Ticked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A rollout that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its name.
    pub name: RolloutName,
    /// Its service.
    pub service: ServiceName,
    /// Who drove.
    pub mode: Mode,
    /// How it ended.
    pub phase: Phase,
    /// Its policy's name and version.
    pub policy: String,
    /// 0 or 100.
    pub weight: u8,
    /// P(failure) at its start.
    pub prior: f64,
    /// P(bad) at its end.
    pub posterior: f64,
    /// The version users were on.
    pub stable: TrackTarget,
    /// The version on trial.
    pub candidate: TrackTarget,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Its last decision.
    pub last: Option<Decision>,
    /// What it cost its users.
    #[serde(default)]
    pub toll: Toll,
    /// Requests of the candidate beyond what the baseline's rate explains.
    #[serde(default)]
    pub harmed: u64,
    /// Requests per second of both tracks, at its end.
    #[serde(default)]
    pub traffic: f64,
    /// Nothing goes back: its database was contracted.
    #[serde(default)]
    pub contracted: bool,
    /// All of it, of the newest few: by which it is begun again.
    #[serde(default)]
    pub whole: Option<Box<Rollout>>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which command.
    pub command: FactId,
    /// Empty when carried out; else why not.
    pub refused: String,
}

impl State {
    /// The service whose rollout of this name is under way.
    #[must_use]
    pub fn service_of(&self, name: &RolloutName) -> Option<String> {
        let found = self.active.iter().find(|(_, rollout)| &rollout.name == name);
        found.map(|(service, _)| service.clone())
    }

    /// The newest ended rollout of this name.
    #[must_use]
    pub fn ended(&self, name: &RolloutName) -> Option<&Ended> {
        let mut newest = self.ended.iter().rev();
        newest.find(|ended| &ended.name == name).map(|ended| &**ended)
    }

    /// What users are on now, as far as the rollouts tell: the candidate of the last promotion that moved traffic.
    #[must_use]
    pub fn serving(&self, service: &str) -> Option<&TrackTarget> {
        let last = self.ended.iter().rev().find(|ended| {
            ended.service.as_str() == service && ended.mode == Mode::Act && ended.phase == Phase::Promoted
        });
        last.map(|ended| &ended.candidate)
    }

    /// Moves a rollout that is over to the memory of ended ones.
    pub(crate) fn retire(&mut self, rollout: Rollout, now: Timestamp) {
        if self.ended.len() >= MOST_ENDED {
            self.ended.remove(0);
        }
        self.ended.push(Sealed::new(rollout.into_ended(now)));
        let whole = self.ended.iter_mut().rev().filter(|ended| ended.whole.is_some());
        whole.skip(MOST_WHOLE).for_each(|ended| ended.edit().whole = None);
    }

    /// Notes what became of a command.
    pub(crate) fn answer(&mut self, command: &FactId, refused: String) {
        if self.answers.len() >= MOST_ANSWERS {
            self.answers.remove(0);
        }
        let command = command.clone();
        self.answers.push(Answer { command, refused });
    }
}
