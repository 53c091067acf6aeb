//! The promise of delivery, against receivers that fail in every way, owners that crash and repeats of facts.

use auspex_proto::{Meta, sample, stage};
use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(60),
    horizon: Duration::from_secs(3_600),
};

fn alert(id: usize, key: &str, status: Status, receivers: &[&str]) -> Alert {
    let meta = Meta {
        source: stage::ALERTS.name.to_owned(),
        ..sample::meta(&format!("alert-{id}"), "acme/shop", 1).unwrap()
    };
    Alert {
        receivers: receivers.iter().map(|r| (*r).to_owned()).collect(),
        ..sample::alert(meta, key, status)
    }
}

fn retry(after: Option<u64>) -> DeliveryError {
    DeliveryError::Retry {
        after: after.map(Duration::from_secs),
        reason: "later".to_owned(),
    }
}

fn next(outbox: &Outbox, receiver: &str, now: i64) -> Option<u64> {
    outbox.next(receiver, Timestamp(now)).map(|(seq, _)| seq)
}

#[test]
fn what_another_stage_made_is_routed_and_our_own_silence_is_kept() {
    use auspex_chassis::{Input, Route, Verb};
    use auspex_proto::Fact;
    let queue = Queue {
        everybody: vec!["pager".to_owned(), "team".to_owned()],
        routes: Vec::new(),
    };
    let mut of_scoring = alert(1, "model", Status::Notice, &[]);
    of_scoring.meta.source = "scoring".to_owned();
    let silent = Fact::Alert(alert(2, "muted", Status::Notice, &[]));
    assert_eq!(queue.route(&silent), Route::Nobody);
    let fact = Fact::Alert(of_scoring);
    assert_eq!(queue.route(&fact), Route::Key("acme/shop".to_owned()));
    let mut outbox = Outbox::default();
    let input = Input {
        key: "acme/shop",
        fact: &fact,
        seq: 7,
        now: Timestamp(0),
    };
    queue.absorb(&mut outbox, &input).unwrap();
    assert_eq!(
        (next(&outbox, "pager", 0), next(&outbox, "team", 0)),
        (Some(7), Some(7))
    );
}

#[test]
fn at_once_is_not_at_once() {
    let mut outbox = Outbox::default();
    outbox
        .enqueue(1, &alert(1, "a", Status::Firing, &["team"]), Timestamp(0))
        .unwrap();
    outbox.failed(("team", 1), &retry(Some(0)), &POLICY, Timestamp(1_000));
    assert_eq!(next(&outbox, "team", 2_999), None);
    assert_eq!(next(&outbox, "team", 3_000), Some(1));
}

#[test]
fn a_lane_that_is_held_holds_nobody_else_and_to_the_second() {
    let mut outbox = Outbox::default();
    let both = ["pager", "team"];
    outbox
        .enqueue(1, &alert(1, "a", Status::Firing, &both), Timestamp(0))
        .unwrap();
    outbox
        .enqueue(2, &alert(2, "b", Status::Firing, &both), Timestamp(0))
        .unwrap();
    assert_eq!(
        outbox.failed(("team", 1), &retry(Some(30)), &POLICY, Timestamp(1_000)),
        None
    );
    assert_eq!(
        next(&outbox, "team", 30_999),
        None,
        "the channel is held, not the message alone"
    );
    assert_eq!(outbox.wake("team"), Some(Timestamp(31_000)));
    assert_eq!(next(&outbox, "team", 31_000), Some(1));
    assert_eq!(next(&outbox, "pager", 1_000), Some(1));
}

#[test]
fn a_message_that_fails_holds_its_key_alone() {
    let mut outbox = Outbox::default();
    outbox
        .enqueue(1, &alert(1, "a", Status::Firing, &["team"]), Timestamp(0))
        .unwrap();
    outbox
        .enqueue(2, &alert(2, "a", Status::Firing, &["team"]), Timestamp(0))
        .unwrap();
    outbox
        .enqueue(3, &alert(3, "b", Status::Firing, &["team"]), Timestamp(0))
        .unwrap();
    outbox.failed(("team", 1), &retry(None), &POLICY, Timestamp(0));
    assert_eq!(next(&outbox, "team", 0), Some(3));
    outbox.delivered("team", 3, "ok", Timestamp(0));
    assert_eq!(next(&outbox, "team", 0), None, "2 may not overtake 1");
    assert_eq!(next(&outbox, "team", 2_500), Some(1));
}

#[test]
fn what_is_over_before_it_was_told_is_squashed() {
    let mut outbox = Outbox::default();
    outbox
        .enqueue(
            1,
            &alert(1, "a", Status::Firing, &["pager", "team"]),
            Timestamp(0),
        )
        .unwrap();
    outbox.delivered("team", 1, "ok", Timestamp(0));
    outbox
        .enqueue(
            2,
            &alert(2, "a", Status::Resolved, &["pager", "team"]),
            Timestamp(5),
        )
        .unwrap();
    assert_eq!(
        (next(&outbox, "pager", 5), next(&outbox, "team", 5)),
        (Some(2), Some(2))
    );
    let ends: Vec<(&str, End)> = outbox.done().map(|d| (d.receiver.as_str(), d.end)).collect();
    assert_eq!(ends, [("team", End::Delivered), ("pager", End::Squashed)]);
    // It had been on its way all along.
    outbox.delivered("pager", 1, "ok", Timestamp(6));
    assert!(outbox.done().all(|d| d.end == End::Delivered));
    // A later matter under the same key begins anew.
    outbox
        .enqueue(3, &alert(3, "a", Status::Firing, &["pager"]), Timestamp(7))
        .unwrap();
    outbox.delivered("pager", 2, "ok", Timestamp(8));
    assert_eq!(next(&outbox, "pager", 8), Some(3));
}

#[test]
fn what_is_given_up_says_why() {
    let mut outbox = Outbox::default();
    outbox
        .enqueue(1, &alert(1, "a", Status::Firing, &["team"]), Timestamp(0))
        .unwrap();
    let death = outbox.failed(
        ("team", 1),
        &DeliveryError::Final("no_service".to_owned()),
        &POLICY,
        Timestamp(1),
    );
    assert_eq!(death.map(|d| d.reason), Some("no_service".to_owned()));
    outbox
        .enqueue(2, &alert(2, "b", Status::Firing, &["team"]), Timestamp(0))
        .unwrap();
    assert_eq!(
        outbox.failed(("team", 2), &retry(None), &POLICY, Timestamp(1)),
        None
    );
    let death = outbox
        .failed(("team", 2), &retry(None), &POLICY, Timestamp(3_600_000))
        .unwrap();
    assert_eq!(
        (death.reason.as_str(), death.attempts),
        ("given up after 2 attempts: later", 2)
    );
    assert_eq!(outbox.waiting().count(), 0);
    assert!(outbox.alerts.is_empty(), "nothing is kept that nobody waits for");
    assert_eq!(
        outbox.failed(("team", 2), &retry(None), &POLICY, Timestamp(0)),
        None,
        "it has ended"
    );
}

#[test]
fn a_full_outbox_refuses_beginnings_but_takes_ends_and_stays_small() {
    let receivers = ["r1", "r2", "r3", "r4"];
    let mut outbox = Outbox::default();
    let mut taken = 0;
    for n in 0..500 {
        let mut beginning = alert(n, &format!("{n:0>255}"), Status::Firing, &receivers);
        beginning.text = "x".repeat(2_400);
        taken += usize::from(outbox.enqueue(n as u64, &beginning, Timestamp(0)).is_ok());
    }
    assert!((50..200).contains(&taken), "{taken}");
    for n in 0..taken {
        for receiver in receivers {
            let last = n + 20 < taken;
            if last {
                outbox.delivered(receiver, n as u64, &"r".repeat(300), Timestamp(1));
            }
        }
        outbox
            .enqueue(
                1_000 + n as u64,
                &alert(1_000 + n, &format!("{n:0>255}"), Status::Resolved, &receivers),
                Timestamp(1),
            )
            .unwrap();
    }
    let bytes = rmp_serde::to_vec_named(&outbox).unwrap().len();
    assert!(bytes < 900_000, "{bytes} bytes");
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Takes,
    TakesButCrash,
    CrashBefore,
    Wait(u64),
    Later,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(Answer::Takes),
        1 => Just(Answer::TakesButCrash),
        1 => Just(Answer::CrashBefore),
        1 => (1_u64..20).prop_map(Answer::Wait),
        2 => Just(Answer::Later),
    ]
}

proptest! {
    /// Whatever receivers answer and wherever an owner dies: every alert is heard or squashed by its end, each key in its
    /// order, and the number of repeats is at most the number of crashes after sending.
    #[test]
    fn nothing_is_lost_or_out_of_order(
        alerts in prop::collection::vec((0_u8..4, any::<bool>()), 1..40),
        answers in prop::collection::vec(answer(), 0..80),
    ) {
        let mut outbox = Outbox::default();
        let (mut heard, mut crashes) = (Vec::new(), 0);
        let mut answers = answers.into_iter();
        let mut alerts_in = alerts.iter().enumerate().map(|(n, (key, end))| {
            let status = if *end { Status::Resolved } else { Status::Firing };
            (n as u64 + 1, alert(n, &format!("k{key}"), status, &["team"]))
        });
        let mut now = Timestamp(0);
        loop {
            let arrived = alerts_in.next();
            if let Some((seq, alert)) = &arrived {
                outbox.enqueue(*seq, alert, now).unwrap();
                outbox.enqueue(*seq + 1_000, alert, now).unwrap();
            }
            let Some(seq) = outbox.next("team", now).map(|(seq, _)| seq) else {
                match outbox.wake("team") {
                    Some(at) => now = at.max(now),
                    None if arrived.is_none() => break,
                    None => {}
                }
                continue;
            };
            match answers.next().unwrap_or(Answer::Takes) {
                Answer::Takes => { heard.push(seq); outbox.delivered("team", seq, "ok", now); }
                // The state that was saved is the one from before: the attempt leaves no trace.
                Answer::TakesButCrash => { heard.push(seq); crashes += 1; }
                Answer::CrashBefore => {}
                Answer::Wait(s) => prop_assert_eq!(outbox.failed(("team", seq), &retry(Some(s)), &POLICY, now), None),
                Answer::Later => prop_assert_eq!(outbox.failed(("team", seq), &retry(None), &POLICY, now), None),
            }
        }
        let first_heard = |seq: u64| heard.iter().position(|h| *h == seq);
        for (n, (key, end)) in alerts.iter().enumerate() {
            let seq = n as u64 + 1;
            let ended_later = alerts.iter().skip(n + 1).any(|(k, e)| k == key && *e);
            prop_assert!(first_heard(seq).is_some() || (!end && ended_later), "{} was lost", seq);
            for (m, _) in alerts.iter().enumerate().skip(n + 1).filter(|(_, (k, _))| k == key) {
                let later = first_heard(m as u64 + 1);
                let order = first_heard(seq).zip(later).is_none_or(|(a, b)| a < b);
                prop_assert!(order, "{} overtook {}", m + 1, seq);
            }
        }
        let mut distinct = heard.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert!(heard.len() - distinct.len() <= crashes);
        prop_assert_eq!(outbox.waiting().count(), 0);
    }
}
