//! The wiring, on a real bus: decisions move traffic, traffic becomes observations, control holds the lease.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod rig;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::shutdown::Shutdown;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{From, House, Input, Reject, Route, Verb};
use auspex_proto::decision::Phase;
use auspex_proto::observation::Value;
use auspex_proto::stage::CANARY;
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, ObservationBatch, Track};
use auspex_proxy::{Plane, follow};
use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::Response;
use rig::{Served, config, connect, decision, get, server, text};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// Control that decides nothing: it owns its partitions, and so its heart beats.
struct Idle;

impl Verb for Idle {
    type State = bool;

    fn route(&self, _: &Fact) -> Route {
        Route::Nobody
    }

    fn absorb(&self, _: &mut bool, _: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        Ok(Vec::new())
    }
}

/// Starts control; finishing it stops its heart.
async fn control(test: &TestHouse) -> Shutdown {
    let (house, beating) = TestHouse::another(&test.settings).await.unwrap();
    house.run_verb(CANARY, Idle).await.unwrap();
    beating
}

async fn named(name: &'static [u8]) -> Served {
    server(move |_| async move { Response::new(Full::new(Bytes::from_static(name))) }).await
}

async fn open(house: &House, stable: &str, candidate: &str) -> (Arc<Plane>, SocketAddr) {
    let mut config = config(stable, candidate);
    config.lease_ms = 2_500;
    let plane = Plane::new(config, house.partitions()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    follow::start(house, &plane, listener).await.unwrap();
    (plane, address)
}

async fn until(what: &str, plane: &Plane, holds: impl Fn(u8, bool) -> bool) {
    let reached = async {
        loop {
            let now = plane.standings()[0].effective;
            if holds(now.weight, now.suspended) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        timeout(Duration::from_secs(20), reached).await.is_ok(),
        "{what}: {:?}",
        plane.standings()[0].effective
    );
}

async fn send(address: SocketAddr, count: u64) {
    let mut client = connect::<Empty<Bytes>>(address).await;
    for _ in 0..count {
        client.ready().await.unwrap();
        let response = client.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), 200);
        text(response).await;
    }
}

fn requests(batch: &ObservationBatch, track: Option<Track>) -> u64 {
    let ours = batch
        .observations
        .iter()
        .filter(|o| o.metric == "requests" && o.track == track);
    ours.map(|o| match o.value {
        Value::Counts { total, .. } => total,
        _ => 0,
    })
    .sum()
}

/// Reads observations until they tell of this many requests; (stable, candidate).
async fn told(house: &House, total: u64) -> (u64, u64, Vec<ObservationBatch>) {
    let mut facts = house.follow(&[FactKind::Observation], From::All).await.unwrap();
    let (mut stable, mut candidate, mut batches, mut seen) = (0, 0, Vec::new(), BTreeSet::new());
    while stable + candidate < total {
        let next = timeout(Duration::from_secs(20), facts.next()).await;
        let Ok(followed) = next else {
            panic!("only {stable} and {candidate} of {total}")
        };
        let Fact::Observations(batch) = followed.unwrap().fact else {
            continue;
        };
        assert!(seen.insert(batch.meta.id.clone()), "one interval, one report");
        stable += requests(&batch, Some(Track::Stable)) + requests(&batch, None);
        candidate += requests(&batch, Some(Track::Candidate));
        batches.push(batch);
    }
    (stable, candidate, batches)
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_become_traffic_and_traffic_becomes_observations() {
    let mut test = TestHouse::start().await.unwrap();
    let beating = control(&test).await;
    let (stable, candidate) = (named(b"s").await, named(b"c").await);

    // The last decision was made before this proxy began.
    test.house
        .bus()
        .publish(&Fact::Decision(decision(Phase::Progressing, 25, None)))
        .await
        .unwrap();
    let (plane, address) = open(&test.house, &stable.url(), &candidate.url()).await;
    assert_eq!(
        plane.standings()[0].course.weight(),
        25,
        "known before the first user is served"
    );
    until("a pulse", &plane, |weight, suspended| weight == 25 && !suspended).await;
    send(address, 400).await;
    let (s, c, batches) = told(&test.house, 400).await;
    assert_eq!((s, c), (stable.count(), candidate.count()));
    assert!(c.abs_diff(100) <= 3, "{c}");
    let applied = &batches.last().unwrap().applied[0];
    assert_eq!((applied.weight, applied.suspended), (25, false));
    assert_eq!(applied.decision.as_ref().unwrap().as_str(), "d-Progressing-25");

    // Control goes, and comes back.
    beating.finish(Duration::from_secs(10)).await;
    until("the lapse", &plane, |weight, suspended| weight == 0 && suspended).await;
    send(address, 50).await;
    assert_eq!(candidate.count(), c, "everything goes to stable");
    let beating = control(&test).await;
    until("control back", &plane, |weight, suspended| {
        weight == 25 && !suspended
    })
    .await;

    // The bus goes, and comes back: users notice nothing, and every request is told of.
    test.broker.kill().await.unwrap();
    send(address, 50).await;
    sleep(Duration::from_millis(1_200)).await;
    send(address, 50).await;
    test.broker.restart().await.unwrap();
    let (s, c, _) = told(&test.house, 550).await;
    assert_eq!((s, c), (stable.count(), candidate.count()));

    // A promotion makes the candidate what users are on; the process then stops in order and tells the rest.
    test.house
        .bus()
        .publish(&Fact::Decision(decision(Phase::Promoted, 100, None)))
        .await
        .unwrap();
    until("the promotion", &plane, |weight, suspended| {
        weight == 100 && !suspended
    })
    .await;
    let before = candidate.count();
    send(address, 30).await;
    assert_eq!(candidate.count(), before + 30);
    assert_eq!(
        test.shutdown.finish(Duration::from_secs(10)).await,
        Vec::<String>::new()
    );
    let (all, _) = TestHouse::another(&test.settings).await.unwrap();
    let (s, c, _) = told(&all, 580).await;
    assert_eq!(s + c, 580);
    beating.finish(Duration::from_secs(10)).await;
}
