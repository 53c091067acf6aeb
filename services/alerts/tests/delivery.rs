//! Delivery to a real HTTP provider that fails in every way, without the bus: outbox and carrier as the loop runs them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code outside of test functions"
)]

mod provider;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use auspex_alerts::carry::Carrier;
use auspex_alerts::config::Config;
use auspex_alerts::outbox::{End, Outbox, Policy};
use auspex_alerts::query::deliveries;
use auspex_chassis::metrics::Metrics;
use auspex_chassis::{DeadLetter, Errands, Settings, clock};
use auspex_proto::alert::{Kind, Status};
use auspex_proto::wire::DeliveryState;
use auspex_proto::{Alert, Fact, FactKind, Partitions, sample};

use self::provider::{Answer, Provider};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn alert(n: usize, key: &str, status: Status, receivers: &[&str]) -> Alert {
    let meta = sample::meta(&format!("alert-{n}"), "acme/shop", 1).unwrap();
    Alert {
        receivers: receivers.iter().map(|r| (*r).to_owned()).collect(),
        ..sample::alert(meta, key, status)
    }
}

/// The loop's part: what is due is run, its result written back, until nothing waits.
struct Loop {
    outbox: Outbox,
    carrier: Carrier,
    letters: Vec<DeadLetter>,
    metrics: Metrics,
    seq: u64,
}

impl Loop {
    fn new(slack: &Provider, pager: &Provider) -> Self {
        let config: Config = serde_json::from_value(serde_json::json!({
            "slack": {"team": {"webhook_url": slack.url("/services/T/B/x"), "pace_ms": 0}},
            "pagerduty": {"oncall": {"routing_key": KEY, "url": pager.url(""), "pace_ms": 0}},
            "allow_loopback": true,
            "timeout_seconds": 1,
        }))
        .unwrap();
        assert_eq!(config.problems(), Vec::<String>::new());
        let policy = Policy {
            first: Duration::from_millis(50),
            ..config.policy()
        };
        let partitions = Partitions::new(2).unwrap();
        let limits = (policy, Duration::from_secs(2));
        let metrics = Metrics::default();
        let carrier = Carrier::new(config.receivers().unwrap(), limits, partitions, metrics.clone());
        Self {
            outbox: Outbox::default(),
            carrier,
            letters: Vec::new(),
            metrics,
            seq: 0,
        }
    }

    fn tell(&mut self, alert: &Alert) {
        self.seq += 1;
        self.outbox.enqueue(self.seq, alert, clock::now()).unwrap();
    }

    async fn run(&mut self) {
        let begun = Instant::now();
        while self.outbox.waiting().next().is_some() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{:#?}",
                self.outbox.waiting().collect::<Vec<_>>()
            );
            let errands = self
                .carrier
                .due("acme/shop", &self.outbox, clock::now(), &BTreeSet::new());
            if errands.is_empty() {
                let next = self.carrier.next_at(&self.outbox, clock::now());
                let pause = next.map_or(Duration::from_millis(5), |at| at.since(clock::now()));
                tokio::time::sleep(pause.max(Duration::from_millis(5))).await;
            }
            for settle in futures::future::join_all(errands.into_iter().map(|errand| errand.run)).await {
                self.letters.extend(settle(&mut self.outbox, clock::now()));
            }
        }
    }

    fn ends(&self) -> Vec<(&str, End)> {
        self.outbox
            .done()
            .map(|done| (done.receiver.as_str(), done.end))
            .collect()
    }
}

#[tokio::test]
async fn a_channel_that_asks_for_peace_gets_it_to_the_second_and_holds_nobody_else() {
    let slack = Provider::start([Answer::TooMany(2)]).await;
    let pager = Provider::start([Answer::Says(202, "{}"), Answer::Says(202, "{}")]).await;
    let mut mesh = Loop::new(&slack, &pager);
    let begun = Instant::now();
    mesh.tell(&alert(1, "a", Status::Firing, &["team"]));
    mesh.tell(&alert(2, "b", Status::Firing, &["team", "oncall"]));
    mesh.run().await;
    let heard = slack.heard();
    assert_eq!(heard.len(), 3, "{heard:#?}");
    let pause = heard[1].at - heard[0].at;
    assert!(
        pause >= Duration::from_secs(2) && pause < Duration::from_millis(2_700),
        "{pause:?}"
    );
    assert!(heard[1].body["text"].as_str().unwrap().contains("a Firing"));
    assert!(
        pager.heard()[0].at - begun < Duration::from_secs(1),
        "the pager does not wait for Slack"
    );
}

#[tokio::test]
async fn whatever_fails_for_a_while_is_delivered_in_the_end() {
    for fault in [
        Answer::Says(500, "oops"),
        Answer::Says(200, "internal_error"),
        Answer::Hangs,
        Answer::BreaksOff,
    ] {
        let (slack, pager) = (Provider::start([fault.clone()]).await, Provider::start([]).await);
        let mut mesh = Loop::new(&slack, &pager);
        mesh.tell(&alert(1, "a", Status::Firing, &["team"]));
        mesh.run().await;
        assert_eq!(slack.heard().len(), 2, "{fault:?}");
        assert_eq!(mesh.ends(), [("team", End::Delivered)], "{fault:?}");
        assert!(mesh.letters.is_empty());
    }
}

#[tokio::test]
async fn a_provider_that_is_away_loses_nothing() {
    let pager = Provider::start([]).await;
    // Its place is taken by one that resets every connection, then by nobody.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut mesh = Loop::new(&Provider::at(address), &pager);
    mesh.tell(&alert(1, "a", Status::Firing, &["team"]));
    let resets = tokio::spawn(async move {
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    });
    tokio::select! {
        () = mesh.run() => panic!("nobody took it"),
        () = tokio::time::sleep(Duration::from_millis(700)) => {}
    }
    resets.await.unwrap();
    let waiting: Vec<_> = mesh.outbox.waiting().collect();
    assert!(waiting[0].1.attempts >= 3, "{waiting:#?}");
    assert!(
        !waiting[0].1.note.contains("/services/"),
        "a fault holds no secret: {}",
        waiting[0].1.note
    );
}

#[tokio::test]
async fn what_can_never_be_delivered_is_a_dead_letter_that_can_be_retried() {
    for (answer, word) in [
        (Answer::Says(404, "no_service"), "no_service"),
        (Answer::Says(200, "no_service"), "no_service"),
        (Answer::Says(400, "invalid_payload"), "invalid_payload"),
        (Answer::Says(410, "gone"), "answered 410"),
    ] {
        let (slack, pager) = (Provider::start([answer]).await, Provider::start([]).await);
        let mut mesh = Loop::new(&slack, &pager);
        let first = alert(1, "a", Status::Firing, &["team", "oncall"]);
        mesh.tell(&first);
        mesh.run().await;
        let mut ends = mesh.ends();
        ends.sort_by_key(|(receiver, _)| *receiver);
        assert_eq!(ends, [("oncall", End::Delivered), ("team", End::Dead)]);
        let letter = mesh.letters.pop().unwrap();
        assert!(
            letter.reason.starts_with("team: ") && letter.reason.contains(word),
            "{}",
            letter.reason
        );
        // As `auspex dlq retry` does: the payload goes to the log once more.
        let Fact::Alert(again) = Fact::decode(FactKind::Alert, &letter.payload).unwrap() else {
            panic!("no alert")
        };
        assert_eq!(
            (again.receivers.as_slice(), &again.title),
            (["team".to_owned()].as_slice(), &first.title)
        );
        mesh.tell(&again);
        mesh.tell(&again);
        mesh.run().await;
        assert_eq!((slack.heard().len(), pager.heard().len()), (2, 1));
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let inside = Provider::start([]).await;
    let slack = Provider::start([Answer::Redirect(inside.url("/latest/meta-data"))]).await;
    let pager = Provider::start([Answer::Redirect(
        "http://169.254.169.254/latest/meta-data".to_owned(),
    )])
    .await;
    let mut mesh = Loop::new(&slack, &pager);
    mesh.tell(&alert(1, "a", Status::Firing, &["team", "oncall"]));
    mesh.run().await;
    assert_eq!(inside.heard().len(), 0);
    assert_eq!(mesh.letters.len(), 2);
    assert!(
        mesh.letters
            .iter()
            .all(|letter| letter.reason.contains("redirects are not followed"))
    );
}

#[tokio::test]
async fn a_pager_hears_beginning_and_end_under_one_key() {
    let (slack, pager) = (
        Provider::start([]).await,
        Provider::start([Answer::Says(429, "")]).await,
    );
    let mut mesh = Loop::new(&slack, &pager);
    mesh.tell(&alert(1, "a", Status::Firing, &["oncall"]));
    mesh.tell(&alert(2, "b", Status::Firing, &["oncall"]));
    mesh.tell(&alert(3, "a", Status::Resolved, &["oncall"]));
    let mut deployment = alert(4, "d", Status::Notice, &["oncall", "gone"]);
    deployment.kind = Kind::Deployment;
    mesh.tell(&deployment);
    pager.tell(std::iter::repeat_n(
        Answer::Says(202, r#"{"status":"success"}"#),
        3,
    ));
    // 429 without a Retry-After is 30 s of peace: not waited for here.
    tokio::select! {
        () = mesh.run() => panic!("it was to wait"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    assert_eq!(pager.heard().len(), 1);
    assert_eq!(
        mesh.ends(),
        [("oncall", End::Squashed), ("gone", End::Dead)],
        "the first beginning was over"
    );
    let mut mesh = Loop::new(&slack, &pager);
    mesh.tell(&alert(1, "a", Status::Firing, &["oncall"]));
    mesh.run().await;
    mesh.tell(&alert(2, "a", Status::Resolved, &["oncall"]));
    mesh.tell(&deployment);
    mesh.run().await;
    let heard = pager.heard();
    let said: Vec<(&str, &str)> = heard[1..]
        .iter()
        .map(|h| (h.path.as_str(), h.body["event_action"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        said,
        [
            ("/v2/enqueue", "trigger"),
            ("/v2/enqueue", "resolve"),
            ("/v2/change/enqueue", "")
        ]
    );
    assert!(heard.iter().all(|h| h.body["routing_key"] == KEY));
    assert_eq!(heard[1].body["dedup_key"], heard[2].body["dedup_key"]);
}

#[tokio::test]
async fn a_notice_that_a_pager_has_no_place_for_is_not_called_delivered() {
    let (slack, pager) = (Provider::start([]).await, Provider::start([]).await);
    let mut mesh = Loop::new(&slack, &pager);
    let mut promoted = alert(1, "p", Status::Notice, &["oncall", "team"]);
    promoted.kind = Kind::Promoted;
    mesh.tell(&promoted);
    mesh.run().await;
    let mut shown = deliveries(&mesh.outbox);
    shown.sort_by(|a, b| a.receiver.cmp(&b.receiver));
    let [at_pager, in_channel] = shown.as_slice() else {
        panic!("{shown:#?}")
    };
    assert_eq!(at_pager.state(), DeliveryState::PassedOver);
    assert_eq!((at_pager.attempts, at_pager.delivered_ms), (0, 0));
    assert!(at_pager.note.starts_with("nothing was sent"), "{}", at_pager.note);
    assert_eq!(in_channel.state(), DeliveryState::Delivered);
    assert!(pager.heard().is_empty() && mesh.letters.is_empty());
    let told = mesh.metrics.render();
    let counted = r#"auspex_delivery_attempts_total{receiver="oncall",outcome="passed_over"} 1"#;
    assert!(told.contains(counted), "{told}");
}
