use auspex_proto::event::Body;
use auspex_proto::{Event, Fact, FactId, FactKind, Meta, Project, stage};
use futures::future::BoxFuture;

use super::*;
use crate::bus::DeadLetter;
use crate::testing::TestHouse;
use crate::transform::Transform;
use crate::verb::{Input, Reject, Route, Verb};

struct Nothing;

impl Verb for Nothing {
    type State = u8;

    fn route(&self, fact: &Fact) -> Route {
        Route::Key(fact.project().to_string())
    }

    fn absorb(&self, _state: &mut u8, _input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        Ok(Vec::new())
    }
}

/// Reads events, and is done with them once it is let.
struct Gated(std::sync::Arc<tokio::sync::Semaphore>);

impl Transform for Gated {
    fn apply(&self, batch: Vec<(u64, Fact)>) -> BoxFuture<'_, Vec<Result<Vec<Fact>, Reject>>> {
        Box::pin(async move {
            let _let = self.0.acquire().await;
            batch.iter().map(|_| Ok(Vec::new())).collect()
        })
    }
}

const SHARED: Stage = Stage {
    name: "shared",
    does: "nothing",
    reads: &[FactKind::Event],
    writes: &[],
    keeps: Keeps::Nothing,
};

fn event(project: &Project, id: &str) -> Fact {
    let meta = Meta {
        id: FactId::new(id).unwrap(),
        project: project.clone(),
        time: Timestamp(1),
        cause: 0,
        source: String::new(),
    };
    let body = Body::Other {
        kind: "x".to_owned(),
        json: String::new(),
    };
    Fact::Event(Event { meta, body })
}

/// What the stage has not passed, by partition, once it is this. Panics when it is not within 60 s.
async fn comes_to(bus: &Bus, stage: &Stage, facts: &[u64]) -> Vec<Lag> {
    let mut last = Vec::new();
    for _ in 0..600 {
        last = look(bus, stage).await.unwrap();
        if last.iter().map(|(_, lag)| lag.facts).eq(facts.iter().copied()) {
            return last.into_iter().map(|(_, lag)| lag).collect();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last:?} never came to {facts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stage_has_not_passed_is_counted_partition_by_partition() {
    let test = TestHouse::start().await.unwrap();
    let (bus, began) = (test.house.bus(), crate::clock::now());
    let stage = stage::FEATURES;
    comes_to(bus, &stage, &[0, 0]).await;
    let of = |partition| {
        let projects = (0..).map(|n| Project::new(format!("p{n}")).unwrap());
        projects
            .into_iter()
            .find(|p| bus.partitions().of(p) == partition)
            .unwrap()
    };
    let (zero, one) = (of(Partition::Number(0)), of(Partition::Number(1)));
    for n in 0..3 {
        bus.publish(&event(&zero, &format!("zero{n}"))).await.unwrap();
    }
    bus.publish(&event(&one, "one")).await.unwrap();
    // Nobody works on it: that is what one wants to hear of.
    let lags = comes_to(bus, &stage, &[3, 1]).await;
    for lag in lags {
        assert!(
            lag.since.is_some_and(|since| since.0 >= began.0 - 1_000),
            "{lag:?}"
        );
    }
    // What bears on all is behind in every partition; what is none of the stage's concern nowhere.
    bus.publish(&event(&Project::all(), "all")).await.unwrap();
    comes_to(bus, &stage, &[4, 2]).await;
    comes_to(bus, &stage::STORE, &[0, 0]).await;
    let (house, stopping) = TestHouse::another(&test.settings).await.unwrap();
    house.run_verb(stage, Nothing).await.unwrap();
    let lags = comes_to(bus, &stage, &[0, 0]).await;
    assert!(lags.iter().all(|lag| lag.since.is_none()));
    let shown = |wanted: &str| house.metrics().render().lines().any(|line| line == wanted);
    for _ in 0..600 {
        if shown("auspex_stage_lag_seconds{stage=\"features\",partition=\"p1\"} 0") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(shown(
        "auspex_stage_lag_facts{stage=\"features\",partition=\"p0\"} 0"
    ));
    assert!(stopping.finish(Duration::from_secs(5)).await.is_empty());
    bus.publish(&event(&one, "two")).await.unwrap();
    comes_to(bus, &stage, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_whose_replicas_share_one_reading_is_behind_until_it_acknowledges() {
    let test = TestHouse::start().await.unwrap();
    let bus = test.house.bus();
    for n in 0..3 {
        bus.publish(&event(&Project::new("a").unwrap(), &format!("e{n}")))
            .await
            .unwrap();
    }
    comes_to(bus, &SHARED, &[3]).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gated = Gated(std::sync::Arc::clone(&gate));
    test.house.run_transform(SHARED, gated).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let lags = comes_to(bus, &SHARED, &[3]).await;
    assert!(
        lags.iter().all(|lag| lag.since.is_some()),
        "handed out, and not done: {lags:?}"
    );
    gate.add_permits(100);
    comes_to(bus, &SHARED, &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_behind_by_what_is_not_in_it() {
    let test = TestHouse::start().await.unwrap();
    let bus = test.house.bus();
    for n in 0..3 {
        bus.publish(&event(&Project::new("a").unwrap(), &format!("e{n}")))
            .await
            .unwrap();
    }
    comes_to(bus, &stage::HISTORY, &[]).await;
    let created = bus.log_ends().await.unwrap().created;
    bus.archived(created, 1).await.unwrap();
    comes_to(bus, &stage::HISTORY, &[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_by_their_stage() {
    let test = TestHouse::start().await.unwrap();
    let bus = test.house.bus();
    assert!(dead_letters(bus).await.unwrap().is_empty());
    for (stage, n) in [("features", 1), ("features", 2), ("counter", 1)] {
        let letter = DeadLetter {
            stage: stage.to_owned(),
            sequence: n,
            subject: event(&Project::new(format!("p{n}")).unwrap(), "x").subject(bus.partitions()),
            ..DeadLetter::default()
        };
        bus.dead_letter(&letter).await.unwrap();
    }
    let (metrics, (stop, stopped)) = (Metrics::default(), Stop::pair());
    let watching = tokio::spawn(watch_dead_letters(bus.clone(), metrics.clone(), stopped));
    let shown = |wanted: &str| metrics.render().lines().any(|line| line == wanted);
    for _ in 0..600 {
        if shown("auspex_dead_letters{stage=\"features\"} 2") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        shown("auspex_dead_letters{stage=\"counter\"} 1"),
        "{}",
        metrics.render()
    );
    assert!(
        shown("auspex_dead_letters{stage=\"canary\"} 0"),
        "none is a figure too"
    );
    stop();
    watching.await.unwrap().unwrap();
}
