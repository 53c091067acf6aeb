//! A project's state is saved in one piece: what would make it too large does not begin, and the field is named.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use auspex_canary::Config;
use auspex_canary::state::MOST_ACTIVE;
use auspex_canary::terms::size::{MOST, MOST_TOGETHER};
use auspex_proto::command::Ask;
use stage::{Second, Stage};

/// A document of a service with so many checks of a kilobyte.
fn document(service: &str, checks: usize) -> String {
    let body = "x".repeat(1_000);
    let check = |n| {
        format!(
            "{{name: c{n}, at: end, http: {{url: \"http://a/\", method: POST, body: {body}}}, timeout: 5s}}"
        )
    };
    let checks: Vec<String> = (0..checks).map(check).collect();
    format!(
        "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: {service}}}, spec: {{service: {service}, score_wait: 0s, \
         gates: {{checks: [{}]}}}}}}",
        checks.join(", ")
    )
}

fn start(stage: &mut Stage, service: &str, checks: usize) -> String {
    let document = document(service, checks);
    stage.command(service, Ask::Start { document }).unwrap();
    stage.state.answers.last().unwrap().refused.clone()
}

#[test]
fn what_does_not_fit_beside_the_others_is_refused_by_its_greatest_field() {
    let mut stage = Stage::new(Config::default());
    let mut begun = 0;
    let refused = loop {
        let refused = start(&mut stage, &format!("s{begun}"), 11);
        if !refused.is_empty() {
            break refused;
        }
        begun += 1;
    };
    assert!((4..MOST_ACTIVE).contains(&begun), "{begun}");
    assert!(
        refused.starts_with("spec.gates: the documents of the project's rollouts under way would take ")
            && refused.contains("at most 120"),
        "{refused}"
    );
    let sizes: Vec<usize> = stage.state.active.values().map(|one| one.terms.size()).collect();
    assert!(sizes.iter().all(|bytes| *bytes <= MOST) && sizes.iter().sum::<usize>() <= MOST_TOGETHER);
    // A small one still fits.
    assert_eq!(start(&mut stage, "small", 0), "");
    let saved = rmp_serde::to_vec_named(&stage.state).unwrap().len();
    assert!(saved < 300_000, "{saved}");
}

#[test]
fn what_begins_again_needs_room_as_well() {
    let mut stage = Stage::new(Config::default());
    assert_eq!(start(&mut stage, "checkout", 0), "");
    stage.second(Second::default());
    stage.command("checkout", Ask::Abort).unwrap();
    for n in 0..MOST_ACTIVE {
        assert_eq!(start(&mut stage, &format!("s{n}"), 0), "");
    }
    stage.command("checkout", Ask::Retry).unwrap();
    let refused = &stage.state.answers.last().unwrap().refused;
    assert!(refused.contains("the most there may be"), "{refused}");
    assert_eq!(stage.state.active.len(), MOST_ACTIVE);
}
