//! A log once more, through fresh verbs.

use auspex_canary::state::State;
use auspex_canary::{Config, Decide};
use auspex_chassis::Verb;
use auspex_proto::{Fact, Tick, Timestamp};

use super::absorb;

/// The same log as the owners of its partition have it: ticks wake only who waits for them, and now and then, by these bits,
/// another owner goes on from what was saved.
pub fn replay_owned(log: &[(u64, Timestamp, Fact)], takeovers: u64) -> (State, Vec<Vec<u8>>) {
    let decide = Decide::new(Config::default());
    let mut state = State::default();
    let mut bytes = Vec::new();
    for (n, (seq, now, fact)) in log.iter().enumerate() {
        let waits = |tick: &Tick| {
            decide
                .due(&state)
                .is_some_and(|due| due <= tick.boundary.max(*now))
        };
        if !matches!(fact, Fact::Tick(tick) if !waits(tick)) {
            for decision in absorb(&decide, &mut state, (*seq, *now, fact)).unwrap() {
                bytes.push(Fact::Decision(decision).encode());
            }
        }
        if takeovers >> (n % 64) & 1 == 1 {
            state = rmp_serde::from_slice(&rmp_serde::to_vec_named(&state).unwrap()).unwrap();
        }
    }
    (state, bytes)
}

/// A log into fresh verbs, from one saved state to the next; the last state and the bytes of the decisions.
pub fn replay(log: &[(u64, Timestamp, Fact)]) -> (State, Vec<Vec<u8>>) {
    let decide = Decide::new(Config::default());
    let mut state = State::default();
    let mut bytes = Vec::new();
    for (seq, now, fact) in log {
        for decision in absorb(&decide, &mut state, (*seq, *now, fact)).unwrap() {
            bytes.push(Fact::Decision(decision).encode());
        }
        // Any replica may go on from what was saved.
        let saved = rmp_serde::to_vec_named(&state).unwrap();
        let read: State = rmp_serde::from_slice(&saved).unwrap();
        assert_eq!(read, state);
        assert!(saved.len() < 200_000, "{}", saved.len());
        state = read;
    }
    (state, bytes)
}
