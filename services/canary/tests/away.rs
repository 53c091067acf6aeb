//! Control was away: what routers report afterwards of that time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use std::time::Duration;

use auspex_canary::Config;
use auspex_proto::decision::{Phase, Reason};
use auspex_proto::{Decision, EntityKind};
use proptest::prelude::*;
use stage::{Second, Stage};

const DOCUMENT: &str = "{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {name: checkout}, spec: {service: checkout, \
    mode: act, policy: {steps: [{setWeight: 20}, {pause: {duration: 1h}}]}}}";

#[test]
fn a_candidate_that_was_taken_back_is_not_silent() {
    let config = Config {
        silent_rolls_back: true,
        ..Config::default()
    };
    let mut stage = Stage::new(config);
    stage.deploy("r", DOCUMENT).unwrap();
    stage.score(EntityKind::Deployment, "r", 0.1);
    for _ in 0..10 {
        stage.traffic(100.0, (0.0, 0.0), None);
    }
    assert_eq!(stage.weight(), 20);
    // The bus is away for a minute; the proxy suspends after ten seconds, and keeps what it has to report. One tick closes all.
    let mut said: Vec<Decision> = stage.away(60, true);
    for _ in 0..10 {
        let start = stage.now.boundary(Duration::from_secs(1));
        stage.now = start + Duration::from_millis(1_010);
        stage.told(start, Some(20), false);
        said.extend(stage.tick());
    }
    let silent: Vec<_> = said
        .iter()
        .filter(|d| d.reason == Reason::SilentCandidate)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
    assert_eq!(stage.rollout().unwrap().phase, Phase::Progressing);
    // Silence that is its own is still seen.
    for _ in 0..10 {
        let second = Second {
            stable: (80, 0),
            ..Second::default()
        };
        said.extend(stage.second(second));
    }
    assert!(said.iter().any(|d| d.reason == Reason::SilentCandidate));
}

/// What happens to a rollout that pauses.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Watched, for so many seconds.
    Seen(u8),
    /// Control is there, and the proxy is suspended.
    Suspended(u8),
    /// Control is away, and learns of it afterwards, or not.
    Away(u8, bool),
    /// Another owner goes on.
    Takeover,
}

impl Part {
    /// The same, look by look: an absence is looked at once, when it is over.
    fn looks(self) -> Vec<Self> {
        match self {
            Self::Seen(n) => vec![Self::Seen(1); n.into()],
            Self::Suspended(n) => vec![Self::Suspended(1); n.into()],
            Self::Away(..) | Self::Takeover => vec![self],
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (1_u8..25).prop_map(Part::Seen),
        1 => (1_u8..40).prop_map(Part::Suspended),
        1 => (12_u8..90, any::<bool>()).prop_map(|(n, tells)| Part::Away(n, tells)),
        1 => Just(Part::Takeover),
    ]
}

/// A second of a suspended proxy, told at its end.
fn suspended(stage: &mut Stage) -> Vec<Decision> {
    let start = stage.now.boundary(Duration::from_secs(1));
    let said = stage.tick();
    stage.now = stage.now + Duration::from_millis(50);
    stage.told(start, None, true);
    said
}

/// What the clock of a pause has to show at each look, in whole seconds. It is ahead of that by the 50 ms between a look and the
/// report after it, once for each gap.
#[derive(Debug, Default)]
struct Shown {
    seconds: u64,
    sight: Sight,
    /// The last report is a second older than the last look.
    late: bool,
}

/// What the looks know of the weight.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Sight {
    #[default]
    Seen,
    /// It is suspended by a report that no look has met yet.
    Told,
    /// The last look has met it.
    Blind,
    /// So it has, and the report after it has the weight again.
    Back,
}

impl Shown {
    /// A suspension costs two seconds more than it lasts: the first look after it knows of nothing but the suspension, and the
    /// next one, which finds the weight again, takes all until itself as unseen.
    fn seen(&mut self) -> u64 {
        self.seconds += u64::from(self.sight == Sight::Seen);
        self.sight = match self.sight {
            Sight::Seen | Sight::Back => Sight::Seen,
            Sight::Told | Sight::Blind => Sight::Back,
        };
        self.late = false;
        self.seconds
    }

    /// Nobody knows yet at the look, and afterwards nothing counts since the report before it.
    fn suspended(&mut self) -> u64 {
        let shown = self.seconds + u64::from(self.sight == Sight::Seen);
        self.seconds -= u64::from(self.late);
        self.late = false;
        self.sight = match self.sight {
            Sight::Seen | Sight::Back => Sight::Told,
            Sight::Told | Sight::Blind => Sight::Blind,
        };
        shown
    }

    /// Of an absence that is told afterwards eleven seconds count, whatever its length: ten in which the proxy has the weight by its
    /// lease, and the one from its last report, with the weight again, to the look. Of one that is not told, or that was begun
    /// suspended, this last one alone. Where the look before was blind nothing counts: a report says when a suspension ended,
    /// and not when all else was well again that a look may have found amiss.
    fn away(&mut self, tells: bool) -> u64 {
        self.seconds += match (self.sight, tells) {
            (Sight::Seen, true) => 11,
            // Nor does that before it, when the report is older than the look.
            (Sight::Seen, false) => u64::from(!self.late),
            (Sight::Told, _) => 1,
            (Sight::Blind | Sight::Back, _) => 0,
        };
        self.late = matches!(self.sight, Sight::Seen | Sight::Told);
        self.sight = Sight::Seen;
        self.seconds
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// A pause of a minute is over at the first look at which a minute of it was seen: not at one before, nor at one after. An
    /// absence has one look for up to eleven seconds that were seen, so the minute may be over by ten then, and by no more.
    #[test]
    fn a_pause_counts_what_is_seen(parts in prop::collection::vec(part(), 1..12)) {
        let mut stage = Stage::new(Config::default());
        let document = DOCUMENT.replace("1h", "60s").replace("}}]}", "}}, {setWeight: 40}, {pause: {}}]}");
        stage.deploy("r", &document).unwrap();
        stage.score(EntityKind::Deployment, "r", 0.1);
        let mut paused = false;
        while !paused {
            let said = stage.traffic(100.0, (0.0, 0.0), None);
            paused = said.iter().any(|d| d.reason == Reason::StepWait);
        }
        let mut clock = Shown::default();
        let parts = parts.into_iter().chain([Part::Seen(120)]);
        for look in parts.flat_map(Part::looks) {
            let (said, shown) = match look {
                Part::Seen(_) => (stage.traffic(100.0, (0.0, 0.0), None), clock.seen()),
                Part::Suspended(_) => (suspended(&mut stage), clock.suspended()),
                Part::Away(n, tells) => (stage.away(n.into(), tells), clock.away(tells)),
                Part::Takeover => {
                    let saved = rmp_serde::to_vec_named(&stage.state).unwrap();
                    stage.state = rmp_serde::from_slice(&saved).unwrap();
                    continue;
                }
            };
            let over = said.iter().any(|d| d.weight == 40);
            prop_assert_eq!(over, shown >= 60, "{} s were seen at {:?}", shown, look);
            if over {
                prop_assert!(shown < 71, "{} s were seen", shown);
                return Ok(());
            }
        }
        prop_assert!(false, "it is never over");
    }
}
