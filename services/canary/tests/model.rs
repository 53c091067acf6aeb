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

/// What must hold in every world; what does not.
fn fault(world: &World) -> Option<&'static str> {
    let traffic = world.router.asked.weight;
    let starved = world.stable < 100 - traffic.min(100);
    let back = (traffic, world.asked.weight) == (0, 0) && world.stable == 100;
    match world.phase {
        _ if world.asked.weight > 100 => Some("a weight above 100"),
        _ if !world.failed && starved => Some("stable is starved"),
        _ if !world.failed && world.candidate < traffic => Some("the candidate is starved"),
        Phase2::RolledBack if !back => Some("an abort that does not end at stable"),
        Phase2::Promoted if traffic != 100 => Some("promoted, and users are elsewhere"),
        _ => None,
    }
}

/// What must hold from one world to the next.
fn fault_between(from: &World, to: &World) -> Option<&'static str> {
    let most = from.seen().candidate;
    let raised = to.asked.weight > from.asked.weight;
    if raised && most.is_none_or(|most| to.asked.weight > most) {
        return Some("a weight above what is ready");
    }
    if from.phase.is_over() && (from.phase, from.asked) != (to.phase, to.asked) {
        return Some("an end that does not absorb");
    }
    let left = from.seen().weights.map(|(least, _)| least);
    let early = left.is_none_or(|left| to.asked.stable < 100 - left);
    let shrinks = to.asked.stable < from.asked.stable && !from.failed;
    (shrinks && early).then_some("stable shrinks too early")
}

/// Every world that can be reached, or what goes wrong in the first that is.
fn explore(rules: Rules, fenced: bool) -> Result<HashSet<World>, String> {
    let mut seen = HashSet::new();
    let mut queue = VecDeque::from([World::new(fenced)]);
    seen.insert(World::new(fenced));
    while let Some(world) = queue.pop_front() {
        if let Some(fault) = fault(&world) {
            return Err(format!("{fault}: {world:?}"));
        }
        for next in world.steps(rules) {
            if let Some(fault) = fault_between(&world, &next) {
                return Err(format!("{fault}: {world:?} -> {next:?}"));
            }
            if !seen.contains(&next) {
                seen.insert(next.clone());
                queue.push_back(next);
            }
        }
    }
    Ok(seen)
}

/// From every world fairness leads to the end that is wished, within so many rounds, and then nothing moves any more. Who is
/// paused stays so: what it sends is delivered in the worlds themselves.
fn ends(worlds: &HashSet<World>, rules: Rules, wills: &[Will], end: Phase2) -> u32 {
    let mut far: HashMap<World, (u32, Phase2)> = HashMap::new();
    let mut longest = 0;
    for start in worlds.iter().filter(|world| world.paused.is_none()) {
        let mut way = Vec::new();
        let mut world = start.clone();
        let (rest, reached) = loop {
            if let Some(known) = far.get(&world) {
                break *known;
            }
            if world.phase.is_over() {
                break (0, world.phase);
            }
            assert!(
                way.len() < 64,
                "no end is reached, or a loop is hot: {start:?} ... {world:?}"
            );
            way.push(world.clone());
            for will in wills {
                world = world.fairly(*will, rules);
            }
        };
        for (back, passed) in way.into_iter().rev().enumerate() {
            let rounds = rest + u32::try_from(back).unwrap() + 1;
            longest = longest.max(rounds);
            far.insert(passed, (rounds, reached));
        }
        let returning = matches!(
            start.phase,
            Phase2::Returning | Phase2::RolledBack | Phase2::Promoted
        );
        assert!(returning || reached == end, "{start:?} ends {reached:?}");
    }
    longest
}

#[test]
fn control_is_safe_and_gets_there_in_every_world() {
    for dynamic in [false, true] {
        let rules = Rules {
            scaled: true,
            dynamic,
        };
        let worlds = explore(rules, true).unwrap();
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

/// The proof is worth something: where an older copy may be saved, two controllers act twice, and that is found.
#[test]
fn without_the_fence_two_controllers_act_twice() {
    let rules = Rules {
        scaled: true,
        dynamic: true,
    };
    let found = explore(rules, false).unwrap_err();
    println!("without the fence: {found}");
}

/// A controller that was paused between saving and sending sends late: what receivers follow is younger.
#[test]
fn what_a_stale_controller_sends_late_moves_nothing() {
    let rules = Rules {
        scaled: true,
        dynamic: true,
    };
    let deliver = |mut world: World| {
        while let Some(next) = world.deliver(0) {
            world = next;
        }
        world
    };
    let mut world = World::new(true);
    for _ in 0..3 {
        world = world.fairly(Will::Half, rules);
    }
    world = deliver(world.send().unwrap_or(world));
    let saved = world.decide(Will::Everything, rules).unwrap();
    let paused = saved.pause().unwrap();
    let mut moved = deliver(paused.send().unwrap());
    moved = moved.fairly(Will::Back, rules);
    let before = (moved.router, moved.scaler);
    let late = moved.sends_late().unwrap();
    assert_eq!(late.mail.len(), 2, "it was sent");
    let after = deliver(late);
    assert_eq!((after.router, after.scaler), before);
}
