//! Cohorts and copies at their steps, in every course of events: short policies are played through with everything that
//! people, time and instances may do at each moment, and every decision is held to what the document says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use std::collections::BTreeSet;

use auspex_canary::Config;
use auspex_canary::document::Step;
use auspex_canary::policy::Policy;
use auspex_proto::Decision;
use auspex_proto::command::Ask;
use auspex_proto::decision::{Action, Phase};
use stage::{Chance, Second, Stage};

/// Policies of which each shows another way for a cohort or a mirror to come, change and go.
const POLICIES: &[&str] = &[
    "{setWeight: 20}, {cohorts: [staff]}, {pause: {}}, {cohorts: []}, {pause: {}}",
    "{cohorts: [staff]}, {pause: {duration: 1s}}, {cohorts: [beta]}, {setWeight: 50}, {pause: {}}",
    "{mirror: 30}, {pause: {}}, {mirror: 0}, {setWeight: 40}, {mirror: 5}, {pause: {duration: 1s}}",
    "{pause: {duration: 1s}}, {cohorts: [beta, staff]}, {mirror: 10}, {setWeight: 100}, {cohorts: [staff]}, {pause: {}}",
    "{setWeight: 5}, {pause: {duration: 1s}}, {cohorts: []}, {pause: {duration: 1s}}, {pause: {duration: 2s}}, {pause: {}}, {pause: {}}",
    "{setWeight: 0}, {cohorts: [staff, beta]}, {setWeight: 30}, {pause: {}}, {setWeight: 10}, {cohorts: []}",
];

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Second,
    Pause,
    Resume,
    Promote,
    Full,
    Abort,
    Again,
}

const TURNS: &[Turn] = &[
    Turn::Second,
    Turn::Pause,
    Turn::Resume,
    Turn::Promote,
    Turn::Full,
    Turn::Abort,
    Turn::Again,
];

fn document(steps: &str, scaled: bool) -> String {
    let scale = if scaled { "scale: {replicas: 4}, " } else { "" };
    format!(
        "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: checkout}}, spec: {{service: checkout, min_samples: 0, \
         score_wait: 0s, {scale}cohorts: [{{name: staff, header: {{name: x-staff}}}}, {{name: beta, cookie: {{name: beta}}}}, \
         {{name: bank, header: {{name: x-bank}}, stable: true}}], policy: {{steps: [{steps}]}}}}}}"
    )
}

/// What the steps before this one say, read anew: names and percent.
fn expected(steps: &[Step], index: usize) -> (BTreeSet<String>, u8) {
    let (mut names, mut mirror) = (BTreeSet::new(), 0);
    for step in steps.iter().take(index) {
        if let Some(cohorts) = &step.cohorts {
            names = cohorts.iter().cloned().collect();
        }
        mirror = step.mirror.unwrap_or(mirror);
    }
    let is_named = |name: &str| {
        let mut named = steps.iter().filter_map(|step| step.cohorts.as_ref()).flatten();
        named.any(|one| one == name)
    };
    let others = ["staff", "beta", "bank"]
        .into_iter()
        .filter(|name| !is_named(name));
    names.extend(others.map(str::to_owned));
    (names, mirror)
}

struct World {
    stage: Stage,
    /// What the last decision asks of the candidate's size.
    size: u8,
    /// The last decision that sent users to the candidate besides its weight.
    users: u64,
    /// The last decision that routers have said they know of.
    known: u64,
}

impl World {
    fn new(steps: &str, scaled: bool) -> Self {
        let mut stage = Stage::new(Config::default());
        stage.keeps = false;
        stage.scaler = scaled.then_some(None);
        let mut world = Self {
            stage,
            size: 0,
            users: 0,
            known: 0,
        };
        let said = world.stage.deploy("bbb", &document(steps, scaled)).unwrap();
        world.hold(&said);
        world
    }

    fn take(&mut self, turn: Turn) {
        let ask = match turn {
            Turn::Second => {
                let last = self.stage.rollout().and_then(|rollout| rollout.last.as_ref());
                let known = last.map_or(0, |last| last.number);
                let said = self.stage.second(Second::default());
                self.hold(&said);
                self.tells();
                self.known = known;
                return;
            }
            Turn::Pause => Ask::Pause,
            Turn::Resume => Ask::Resume,
            Turn::Promote => Ask::Promote { full: false },
            Turn::Full => Ask::Promote { full: true },
            Turn::Abort => Ask::Abort,
            Turn::Again => Ask::Retry,
        };
        let said = self.stage.command("checkout", ask).unwrap();
        self.hold(&said);
    }

    /// No step is made in silence: who follows the decisions knows at which it stands.
    fn tells(&self) {
        let Some(rollout) = self.stage.rollout().filter(|rollout| rollout.course.leg == 0) else {
            return;
        };
        let told = rollout.last.as_ref().and_then(|last| last.step);
        assert_eq!(
            told,
            u32::try_from(rollout.cursor.index).ok(),
            "{:?}",
            rollout.last
        );
    }

    /// Holds decisions to what the document says.
    fn hold(&mut self, said: &[Decision]) {
        for (at, decision) in said.iter().enumerate() {
            let intent = decision.intent.clone().unwrap_or_default();
            let names: BTreeSet<String> = intent.cohorts.iter().map(|cohort| cohort.name.clone()).collect();
            let size = intent.candidate.map_or(100, |scale| scale.percent);
            let over = decision.phase.is_terminal() || decision.phase == Phase::Returning;
            if over {
                assert!(names.is_empty() && intent.mirror == 0, "{decision:?}");
            }
            if self.stage.scaler.is_some() {
                self.hold_size(decision, (&names, intent.mirror, size));
            }
            // Of several that one fact brought, the state tells the last one's step.
            if let Some(rollout) = self.stage.rollout().filter(|_| !over && at + 1 == said.len()) {
                let Policy::Steps(steps) = &rollout.terms.policy else {
                    panic!("steps")
                };
                let past = rollout.course.leg > 0;
                let at = if past { steps.len() } else { rollout.cursor.index };
                assert_eq!(decision.step, u32::try_from(at).ok(), "{decision:?}");
                let (wanted, mirror) = match rollout.course.open {
                    true if rollout.course.leg == 0 => expected(steps, rollout.cursor.index),
                    true => expected(steps, steps.len()),
                    false => (BTreeSet::new(), 0),
                };
                let mirror = if decision.weight < 100 { mirror } else { 0 };
                if rollout.is_scaled() {
                    // Not before an instance is ready.
                    assert!(
                        names.is_subset(&wanted) && intent.mirror <= mirror,
                        "{decision:?}"
                    );
                } else {
                    assert_eq!((&names, intent.mirror), (&wanted, mirror), "{decision:?}");
                }
            }
            self.size = size;
        }
    }

    /// Users come to an instance, and the last one stays until routers know that they are to leave.
    fn hold_size(&mut self, decision: &Decision, (names, mirror, size): (&BTreeSet<String>, u8, u8)) {
        let users = mirror > 0 || names.iter().any(|name| name != "bank");
        assert!(!users || size > 0, "users without an instance: {decision:?}");
        if decision.action == Action::Start {
            (self.users, self.known, self.size) = (0, 0, size);
        }
        let left = self.users == 0 || self.known > self.users;
        assert!(
            size >= self.size || left,
            "smaller before users have left: {decision:?}"
        );
        if users {
            self.users = decision.number;
        }
    }
}

fn play(steps: &str, scaled: bool, turns: &[Turn]) -> World {
    let mut world = World::new(steps, scaled);
    for turn in turns {
        world.take(*turn);
    }
    world
}

/// From wherever it stands, a patient person brings it to its end.
fn ends(mut world: World) {
    for _ in 0..60 {
        if world.stage.rollout().is_none() {
            return;
        }
        world.take(Turn::Second);
        world.take(Turn::Promote);
    }
    panic!("no end: {:?}", world.stage.rollout());
}

/// Every course of three turns, and some of nine, with a second between any two, so that what one moves can be seen.
fn courses() -> Vec<Vec<Turn>> {
    let mut chance = Chance(7);
    let number = TURNS.len();
    let every = (0..number.pow(3)).map(|n| vec![n % number, n / number % number, n / number / number]);
    let mut all: Vec<Vec<usize>> = every.collect();
    all.extend((0..400).map(|_| {
        let turn = |_| (chance.unit() * number as f64) as usize % number;
        (0..9).map(turn).collect()
    }));
    let spread = |course: Vec<usize>| {
        let turns = course.into_iter().map(|at| TURNS[at]);
        turns.flat_map(|turn| [turn, Turn::Second]).collect()
    };
    all.into_iter().map(spread).collect()
}

#[test]
fn cohorts_and_copies_follow_the_steps_in_every_course_of_events() {
    let mut played = 0_u32;
    for steps in POLICIES {
        for scaled in [false, true] {
            for (number, turns) in courses().iter().enumerate() {
                let world = play(steps, scaled, turns);
                if number % 16 == 0 {
                    ends(world);
                }
                played += 1;
            }
        }
    }
    println!("{played} courses of events");
}
