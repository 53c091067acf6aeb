//! The model checker's run: every world that can be reached, and from every one of them that fairness leads to an end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod world;

use std::collections::{HashMap, HashSet, VecDeque};

use auspex_canary::control::Rules;
use world::{Phase2, Will, World};

/// What must hold in every world.
fn check(world: &World) {
    assert!(world.asked.weight <= 100, "{world:?}");
    let traffic = world.router.asked.weight;
    if !world.failed {
        assert!(world.stable >= 100 - traffic, "stable is starved: {world:?}");
        assert!(world.candidate >= traffic, "the candidate is starved: {world:?}");
    }
    match world.phase {
        Phase2::RolledBack => {
            assert_eq!(
                (traffic, world.asked.weight),
                (0, 0),
                "an abort ends at stable: {world:?}"
            );
            assert_eq!(world.stable, 100, "{world:?}");
        }
        Phase2::Promoted => assert_eq!(traffic, 100, "promoted, and users are elsewhere: {world:?}"),
        _ => {}
    }
}

/// What must hold from one world to the next.
fn check_step(from: &World, to: &World) {
    if to.asked.weight > from.asked.weight {
        let most = from.seen().candidate;
        assert!(
            most.is_some_and(|most| to.asked.weight <= most),
            "above what is ready: {from:?} -> {to:?}"
        );
    }
    if from.phase.is_over() {
        assert_eq!(
            (from.phase, from.asked),
            (to.phase, to.asked),
            "an end absorbs: {from:?} -> {to:?}"
        );
    }
    if to.asked.stable < from.asked.stable && !from.failed {
        let left = from.seen().weights.map(|(least, _)| least);
        assert!(
            left.is_some_and(|left| to.asked.stable >= 100 - left),
            "stable shrinks too early: {from:?} -> {to:?}"
        );
    }
}

fn explore(rules: Rules) -> HashSet<World> {
    let mut seen = HashSet::new();
    let mut queue = VecDeque::from([World::new()]);
    seen.insert(World::new());
    while let Some(world) = queue.pop_front() {
        check(&world);
        for next in world.steps(rules) {
            check_step(&world, &next);
            if !seen.contains(&next) {
                seen.insert(next.clone());
                queue.push_back(next);
            }
        }
    }
    seen
}

/// From every world fairness leads to the end that is wished, within so many rounds, and then nothing moves any more.
fn ends(worlds: &HashSet<World>, rules: Rules, wills: &[Will], end: Phase2) -> u32 {
    let mut far: HashMap<World, u32> = HashMap::new();
    let mut longest = 0;
    for start in worlds {
        let mut way = Vec::new();
        let mut world = start.clone();
        let rest = loop {
            if let Some(rest) = far.get(&world) {
                break *rest;
            }
            if world.phase.is_over() {
                break 0;
            }
            assert!(
                way.len() < 64,
                "no end is reached, or a loop is hot: {start:?} ... {world:?}"
            );
            way.push(world.clone());
            let mut next = world.clone();
            for will in wills {
                next = next.fairly(*will, rules);
            }
            world = next;
        };
        for (back, passed) in way.into_iter().rev().enumerate() {
            let rounds = rest + u32::try_from(back).unwrap() + 1;
            longest = longest.max(rounds);
            far.insert(passed, rounds);
        }
        let reached = end_of(start, rules, wills);
        let returning = matches!(
            start.phase,
            Phase2::Returning | Phase2::RolledBack | Phase2::Promoted
        );
        assert!(returning || reached == end, "{start:?} ends {reached:?}");
    }
    longest
}

fn end_of(start: &World, rules: Rules, wills: &[Will]) -> Phase2 {
    let mut world = start.clone();
    for _ in 0..64 {
        if world.phase.is_over() {
            return world.phase;
        }
        for will in wills {
            world = world.fairly(*will, rules);
        }
    }
    world.phase
}

#[test]
fn control_is_safe_and_gets_there_in_every_world() {
    for dynamic in [false, true] {
        let rules = Rules {
            scaled: true,
            dynamic,
        };
        let worlds = explore(rules);
        let back = ends(&worlds, rules, &[Will::Back], Phase2::RolledBack);
        let up = ends(
            &worlds,
            rules,
            &[Will::Everything, Will::Settle],
            Phase2::Promoted,
        );
        println!(
            "stable {}: {} states explored; back within {back} fair rounds from each, up within {up}",
            if dynamic {
                "shrinks as the candidate grows"
            } else {
                "stays whole"
            },
            worlds.len()
        );
        assert!(worlds.len() > 1_000);
    }
}

/// A controller that was paused past its lease holds an older copy: what it saves is refused, what it sends late is older
/// than what receivers follow. Both are in the world above (letters arrive late, twice, out of turn); this shows the second.
#[test]
fn what_a_stale_controller_sends_late_moves_nothing() {
    let rules = Rules {
        scaled: true,
        dynamic: true,
    };
    let mut world = World::new();
    for _ in 0..3 {
        world = world.fairly(Will::Half, rules);
    }
    world = world.send().unwrap_or(world);
    while let Some(next) = world.deliver(0) {
        world = next;
    }
    let old = world.decide(Will::Everything, rules).unwrap().send().unwrap();
    let stale = old.mail.clone();
    let mut now = old;
    while let Some(next) = now.deliver(0) {
        now = next;
    }
    let mut moved = now.fairly(Will::Back, rules);
    moved = moved.fairly(Will::Back, rules);
    let before = (moved.router, moved.scaler);
    // Two orders have been given since.
    moved.mail = stale
        .into_iter()
        .map(|mail| world::Mail { age: 2, ..mail })
        .collect();
    while let Some(next) = moved.deliver(0) {
        moved = next;
    }
    assert_eq!((moved.router, moved.scaler), before);
}
