//! What of a project's state is saved soon because somebody may look at it, and what a rollout that waits takes up in it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use auspex_canary::Config;
use auspex_canary::state::Rollout;
use auspex_canary::state::rollout::Tally;
use auspex_chassis::Verb;
use auspex_proto::command::Ask;
use auspex_proto::{EntityKind, Fact, Tick, sample};
use stage::Stage;

/// A rollout of r1 that waits for its score.
fn waiting() -> Stage {
    let mut stage = Stage::new(Config::default());
    let document = "apiVersion: auspex.dev/v1
kind: Rollout
metadata: {name: checkout}
spec:
  service: checkout
  mode: act
  tracks: {stable: {revision: r0}, candidate: {revision: r1}}
";
    let document = document.to_owned();
    stage.command("checkout", Ask::Start { document }).unwrap();
    assert!(stage.rollout().is_some());
    stage
}

fn score(revision: &str) -> Fact {
    let mut score = sample::score(sample::meta("s", "acme/shop", 1).unwrap(), revision, 0.2).unwrap();
    score.entity.kind = EntityKind::Change;
    Fact::Score(score)
}

fn tick(stage: &Stage) -> Fact {
    Fact::Tick(Tick {
        meta: stage.meta("tick"),
        boundary: stage.now,
        previous: None,
    })
}

#[test]
fn what_a_rollout_under_way_hears_of_is_seen() {
    let mut stage = waiting();
    let sees = |stage: &Stage, fact: &Fact| stage.decide.is_seen(&stage.state, fact);
    assert!(sees(&stage, &score("r1")) && !sees(&stage, &score("r2")));
    assert!(
        !sees(&stage, &tick(&stage)),
        "time shows nothing of one that waits"
    );
    let batch = Fact::Observations(stage.batch(stage.now, stage::Second::default()));
    assert!(sees(&stage, &batch));
    stage.score(EntityKind::Change, "r1", 0.05);
    stage.command("checkout", Ask::Promote { full: false }).ok();
    assert!(stage.rollout().is_some());
    assert!(sees(&stage, &tick(&stage)), "it does of one that goes on");
    stage.command("checkout", Ask::Abort).unwrap();
    assert!(stage.rollout().is_none());
    assert!(!sees(&stage, &score("r1")) && !sees(&stage, &batch));
}

/// What a rollout has seen nothing for is not written down, and reads as it did when it was.
#[test]
fn a_rollout_that_waits_is_small_and_one_saved_with_zeros_reads_the_same() {
    let stage = waiting();
    let rollout = stage.rollout().unwrap();
    let mut saved = rmp_serde::to_vec_named(rollout).unwrap();
    assert!(saved.len() < 3_000, "{} bytes", saved.len());
    // A map of so many entries, to which one is added: the tally with two tests that have seen nothing.
    let text = |text: &str| rmp_serde::to_vec(text).unwrap();
    let test = rmp_serde::to_vec_named(&Tally::default().requests).unwrap();
    assert!(test.len() > 1_000, "it is written whole by itself");
    let [0xde, high, low] = saved[..3] else {
        panic!("not a map of 16 to 65,535 entries")
    };
    let count = u16::from_be_bytes([high, low]) + 1;
    saved[1..3].copy_from_slice(&count.to_be_bytes());
    saved.extend([text("tally"), vec![0x82]].concat());
    saved.extend([text("requests"), test.clone(), text("slow"), test].concat());
    let read: Rollout = rmp_serde::from_slice(&saved).unwrap();
    assert_eq!(&read, rollout);
}
