//! Law 2 for what a rollout begins with: the past of its service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use auspex_canary::Config;
use auspex_proto::{EntityKind, Fact, ObservationBatch, ServiceName, Timestamp, Track};
use proptest::prelude::*;
use stage::{Second, Stage, replay};

const DOCUMENT: &str =
    "{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {name: checkout}, spec: {service: checkout}}";

/// What a service that is not on trial reports: milliseconds after the start, how late, bad units, service, track.
type Calm = (i64, i64, u64, u8, u8);

fn calm() -> impl Strategy<Value = Vec<Calm>> {
    let one = (0_i64..90_000, -300_i64..2_600, 0_u64..9, 0_u8..3, 0_u8..4);
    prop::collection::vec(one, 0..200)
}

/// Each as a batch of its own at the time of the log at which it arrives, in the log's order.
fn arrivals(calm: &[Calm]) -> Vec<(Timestamp, ObservationBatch)> {
    let stage = Stage::new(Config::default());
    let mut out: Vec<(Timestamp, ObservationBatch)> = Vec::new();
    for (at, (start, late, bad, service, track)) in calm.iter().enumerate() {
        let second = Second {
            stable: (50, *bad),
            slow: Some((bad / 2, 0)),
            ..Second::default()
        };
        let mut batch = stage.batch(Timestamp(stage::T0 + start), second);
        batch.observations.retain(|o| o.track == Some(Track::Stable));
        for seen in &mut batch.observations {
            seen.instance = format!("proxy-{at}");
            seen.track = [None, None, Some(Track::Stable), Some(Track::Candidate)][usize::from(*track)];
            if *service > 0 {
                seen.service = ServiceName::new("other").unwrap();
            }
        }
        out.push((Timestamp(stage::T0 + start + 1_000 + late), batch));
    }
    out.sort_by_key(|(now, _)| *now);
    out
}

/// The log of a calm time, then of a rollout; within each second of the log in another order, cut and repeated.
fn calm_log(calm: &[Calm], twist: Option<u64>) -> Vec<(u64, Timestamp, Fact)> {
    let mut stage = Stage::new(Config::default());
    let mut arrived = arrivals(calm);
    if let Some(twist) = twist {
        for second in arrived.chunk_by_mut(|a, b| a.0.0.div_euclid(1_000) == b.0.0.div_euclid(1_000)) {
            let times: Vec<Timestamp> = second.iter().map(|(now, _)| *now).collect();
            second.rotate_left(twist as usize % second.len());
            second
                .iter_mut()
                .zip(times)
                .for_each(|(arrival, now)| arrival.0 = now);
        }
    }
    for (now, batch) in arrived {
        stage.now = now;
        if twist.is_some() {
            for seen in batch.observations.iter().rev() {
                let one = ObservationBatch {
                    observations: vec![seen.clone()],
                    ..batch.clone()
                };
                stage.feed(Fact::Observations(one)).unwrap();
            }
        }
        stage.feed(Fact::Observations(batch)).unwrap();
    }
    stage.seq = 10_000;
    stage.now = Timestamp(stage::T0 + 95_000);
    stage.deploy("r", DOCUMENT).unwrap();
    stage.score(EntityKind::Deployment, "r", 0.2);
    for _ in 0..10 {
        stage.traffic(200.0, (0.02, 0.05), None);
    }
    stage.log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn neither_order_nor_batches_nor_repeats_change_the_history_of_a_rollout(calm in calm(), twist in any::<u64>()) {
        let plain = replay(&calm_log(&calm, None));
        let twisted = replay(&calm_log(&calm, Some(twist)));
        prop_assert_eq!(plain.1, twisted.1);
        prop_assert_eq!(plain.0, twisted.0);
    }
}
