//! The service on the real bus: facts in, messages at the providers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code outside of test functions"
)]

mod provider;

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_alerts::config::Config;
use auspex_alerts::outbox::Outbox;
use auspex_alerts::query;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{House, Settings, View};
use auspex_proto::decision::{Action, Phase, Reason};
use auspex_proto::event::{Body, Deployment};
use auspex_proto::score::Contribution;
use auspex_proto::wire::DeliveryState;
use auspex_proto::{
    Decision, Entity, EntityKind, Event, Fact, Meta, Revision, Score, ServiceName, Timestamp, sample, stage,
};

use self::provider::{Answer, Provider};

fn meta(project: &str, n: u64) -> Meta {
    Meta {
        time: Timestamp(sample::TIME.0 + i64::try_from(n).unwrap() * 1_000),
        ..sample::meta(&format!("fact-{n}"), project, n).unwrap()
    }
}

fn deployment(project: &str, n: u64) -> Fact {
    Fact::Event(Event {
        meta: meta(project, n),
        body: Body::Deployment(Deployment {
            deployment_id: format!("d{n}"),
            service: ServiceName::new("checkout").unwrap(),
            environment: "production".to_owned(),
            revision: Revision::new("v2").unwrap(),
            stable_revision: None,
            document: String::new(),
            actor: "ada".to_owned(),
        }),
    })
}

fn score(n: u64) -> Fact {
    let sample = sample::score(meta("acme/shop", n), "v2", 0.8).unwrap();
    Fact::Score(Score {
        entity: Entity {
            kind: EntityKind::Deployment,
            id: "d1".to_owned(),
            service: ServiceName::new("checkout").ok(),
            ..sample.entity
        },
        reasons: vec![Contribution {
            feature: "lines_added".to_owned(),
            value: 812.0,
            log_odds: 1.5,
        }],
        ..sample
    })
}

fn decision(n: u64, action: Action, phase: Phase) -> Fact {
    Fact::Decision(Decision {
        phase,
        action,
        reason: Reason::EvidenceWorse,
        reason_text: "errors are 18 times as frequent".to_owned(),
        previous_weight: 10,
        prior: 0.8,
        posterior: 0.99,
        harmed: 7,
        number: n,
        ..sample::decision(meta("acme/shop", n), "checkout").unwrap()
    })
}

fn config(slack: &Provider, pager: &Provider) -> Config {
    let config: Config = serde_json::from_value(serde_json::json!({
        "slack": {"team": {"webhook_url": slack.url("/services/T/B/x"), "pace_ms": 0}},
        "pagerduty": {"oncall": {
            "routing_key": "0123456789abcdef0123456789abcdef", "url": pager.url(""), "pace_ms": 0
        }},
        "allow_loopback": true,
        "timeout_seconds": 30,
        "retry_first_seconds": 1,
    }))
    .unwrap();
    assert_eq!(config.problems(), Vec::<String>::new());
    config
}

async fn publish(house: &House, facts: impl IntoIterator<Item = Fact>) {
    for fact in facts {
        house.bus().publish(&fact).await.unwrap();
    }
}

/// Waits until nothing waits, and answers how every delivery ended.
async fn ends(house: &House, wanted: usize) -> Vec<(String, DeliveryState)> {
    let view: View<Outbox> = house.view(stage::DELIVERY).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..600 {
        let outboxes = view.list().await.unwrap();
        all = outboxes
            .iter()
            .flat_map(|(_, kept)| query::deliveries(&kept.state))
            .collect();
        if all.len() >= wanted && all.iter().all(|d| d.state() != DeliveryState::Queued) {
            return all.into_iter().map(|d| (d.receiver.clone(), d.state())).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {wanted} deliveries ended within 30 s: {all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_change_is_told_before_and_after_in_order() {
    let test = TestHouse::start().await.unwrap();
    let (slack, pager) = (Provider::start([]).await, Provider::start([]).await);
    auspex_alerts::start(&test.house, &config(&slack, &pager))
        .await
        .unwrap();
    // Facts that come all at once would squash the risk's beginning by its end: people are told of what goes on.
    publish(&test.house, [deployment("acme/shop", 1), score(2)]).await;
    slack.hears(2).await;
    pager.hears(2).await;
    publish(
        &test.house,
        [
            decision(3, Action::Start, Phase::Progressing),
            decision(4, Action::RollBack, Phase::RolledBack),
        ],
    )
    .await;
    let heard = slack.hears(4).await;
    let titles: Vec<&str> = heard.iter().map(|h| h.body["text"].as_str().unwrap()).collect();
    assert!(
        titles[0].contains("Deploying checkout v2 to production by ada"),
        "{titles:?}"
    );
    assert!(
        titles[1].contains("High risk: checkout v2 fails with a probability of 80 %"),
        "{titles:?}"
    );
    assert!(
        titles[2].contains("Rolled back: checkout v2, errors are 18 times as frequent"),
        "{titles:?}"
    );
    assert!(titles[3].contains("Resolved: High risk"), "{titles:?}");
    let heard = pager.hears(4).await;
    let said: Vec<&str> = heard
        .iter()
        .map(|h| h.body["event_action"].as_str().unwrap_or(&h.path))
        .collect();
    assert_eq!(said, ["/v2/change/enqueue", "trigger", "trigger", "resolve"]);
    assert_eq!(heard[1].body["dedup_key"], heard[3].body["dedup_key"]);
    let all = ends(&test.house, 8).await;
    assert!(
        all.iter().all(|(_, state)| *state == DeliveryState::Delivered),
        "{all:?}"
    );
}

/// The owner goes away while a message is under way and the answer not yet there: the worst moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_repeats_at_most_what_was_under_way() {
    let test = TestHouse::start().await.unwrap();
    let (slack, pager) = (Provider::start([Answer::Hangs]).await, Provider::start([]).await);
    auspex_alerts::start(&test.house, &config(&slack, &pager))
        .await
        .unwrap();
    publish(&test.house, (1..=5).map(|n| deployment("acme/shop", n))).await;
    slack.hears(1).await;
    let late = test.shutdown.finish(Duration::from_secs(5)).await;
    assert_eq!(
        late,
        Vec::<String>::new(),
        "what is under way does not keep the owner"
    );
    let (second, _shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_alerts::start(&second, &config(&slack, &pager))
        .await
        .unwrap();
    let all = ends(&second, 10).await;
    assert!(
        all.iter().all(|(_, state)| *state == DeliveryState::Delivered),
        "{all:?}"
    );
    assert_eq!(slack.heard().len(), 6, "one repeat");
    // The pager may have been answering at that very moment; it knows a repeat by its key.
    assert!((5..=6).contains(&pager.heard().len()), "{}", pager.heard().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_tell_everything_once() {
    let mut test = TestHouse::start().await.unwrap();
    let (slack, pager) = (Provider::start([]).await, Provider::start([]).await);
    let (second, _shutdown) = TestHouse::another(&test.settings).await.unwrap();
    for house in [&test.house, &second] {
        auspex_alerts::start(house, &config(&slack, &pager))
            .await
            .unwrap();
    }
    let projects = ["a", "b", "c", "d", "e", "f"];
    publish(&second, projects.iter().map(|project| deployment(project, 1))).await;
    // The bus goes away in the middle of it.
    test.broker.kill().await.unwrap();
    test.broker.restart().await.unwrap();
    let all = ends(&second, 12).await;
    assert!(
        all.iter().all(|(_, state)| *state == DeliveryState::Delivered),
        "{all:?}"
    );
    // What was under way when the bus went was saved by nobody: one message per project, told once more at most.
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for message in slack.heard() {
        *told.entry(message.body.to_string()).or_default() += 1;
    }
    assert_eq!(told.len(), 6, "{told:#?}");
    assert!(told.values().all(|times| *times <= 2), "{told:#?}");
}
