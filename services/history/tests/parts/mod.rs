//! Facts to keep, and ways to look at what was kept.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "each test file uses its own share"
)]

use std::path::Path;
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Bus, Entry};
use auspex_history::archive::{Appended, Archive, segment, store};
use auspex_history::config::{ArchiveConfig, Config};
use auspex_proto::Fact;
use auspex_proto::subject::{FACT_KINDS, FactKind};
use auspex_proto::wire::{self, ArchivedFact};

pub const PROJECT: &str = "acme/shop";

fn meta(id: &str, time_ms: i64) -> Option<wire::Meta> {
    Some(wire::Meta {
        id: id.to_owned(),
        project: PROJECT.to_owned(),
        time_ms,
        cause_seq: 0,
        source: "test".to_owned(),
    })
}

fn fact(kind: FactKind, wire: &impl prost::Message) -> Fact {
    Fact::decode(kind, &wire.encode_to_vec()).unwrap()
}

/// An event of some size.
pub fn event(n: usize) -> Fact {
    let other = wire::Other {
        kind: "x".to_owned(),
        json: format!("{{\"n\":{n},\"pad\":\"{}\"}}", "p".repeat(n % 97)),
    };
    let event = wire::Event {
        meta: meta(&format!("e{n}"), 1_000 * i64::try_from(n).unwrap()),
        body: Some(wire::event::Body::Other(other)),
    };
    fact(FactKind::Event, &event)
}

/// A change of a revision.
pub fn change(id: &str, revision: &str) -> Fact {
    let change = wire::Change {
        revision: revision.to_owned(),
        author: "bob".to_owned(),
        title: "a change".to_owned(),
        ..wire::Change::default()
    };
    let event = wire::Event {
        meta: meta(id, 5),
        body: Some(wire::event::Body::Change(change)),
    };
    fact(FactKind::Event, &event)
}

pub fn command(id: &str, rollout: &str, actor: &str) -> Fact {
    let command = wire::Command {
        meta: meta(id, 6),
        rollout: rollout.to_owned(),
        actor: actor.to_owned(),
        note: "looks good".to_owned(),
        ask: Some(wire::command::Ask::Promote(wire::Promote { full: true })),
    };
    fact(FactKind::Command, &command)
}

pub fn decision(id: &str, rollout: &str, revision: &str) -> Fact {
    let target = |revision: &str| {
        Some(wire::TrackTarget {
            revision: revision.to_owned(),
            url: "http://10.0.0.1:80".to_owned(),
        })
    };
    let decision = wire::Decision {
        meta: meta(id, 7),
        rollout: rollout.to_owned(),
        service: "shop".to_owned(),
        mode: wire::Mode::Act.into(),
        phase: wire::Phase::Progressing.into(),
        action: wire::Action::Advance.into(),
        reason: wire::ReasonCode::BudgetAdmits.into(),
        reason_text: "the budget admits it".to_owned(),
        weight: 20,
        acts: true,
        prior: 0.25,
        posterior: 0.2,
        versions: Some(wire::Versions {
            model: "change-risk@1".to_owned(),
            policy: "budget".to_owned(),
            features: "abc".to_owned(),
        }),
        stable: target("old"),
        candidate: target(revision),
        revision_number: 1,
        ..wire::Decision::default()
    };
    fact(FactKind::Decision, &decision)
}

/// One interval of two tracks: counts, a histogram and a gauge.
pub fn observations(n: i64) -> Fact {
    let observation = |track: wire::Track, metric: &str, value| wire::Observation {
        service: "shop".to_owned(),
        track: track.into(),
        region: "eu".to_owned(),
        metric: metric.to_owned(),
        instance: "proxy-1".to_owned(),
        start_ms: n * 1_000,
        length_ms: 1_000,
        value: Some(value),
    };
    use wire::observation::Value;
    let counts = |bad, total| Value::Counts(wire::Counts { bad, total });
    let histogram = Value::Histogram(wire::Histogram {
        bounds: vec![10.0, 100.0],
        counts: vec![5, 5, 0],
        sum: 300.0,
    });
    let batch = wire::ObservationBatch {
        meta: meta(&format!("o{n}"), n * 1_000),
        observations: vec![
            observation(wire::Track::Stable, "requests", counts(1, 100)),
            observation(wire::Track::Candidate, "requests", counts(2, 10)),
            observation(wire::Track::Stable, "latency_ms", histogram),
            observation(wire::Track::Stable, "cpu", Value::Gauge(n as f64)),
        ],
        ..wire::ObservationBatch::default()
    };
    fact(FactKind::Observation, &batch)
}

/// A configuration in this folder, with small segments that are soon closed.
pub fn config(folder: &Path) -> Config {
    let mut config = Config {
        folder: folder.display().to_string(),
        ..Config::default()
    };
    config.archive.segment_bytes = 4 << 10;
    config.archive.segment_seconds = 1;
    config.archive.verify_hours = 0;
    config.metrics.batch_ms = 50;
    config
}

pub fn archive(folder: &Path) -> Archive {
    let location = folder.join("archive").display().to_string();
    store::open(&location, &ArchiveConfig::default()).unwrap()
}

/// Publishes, and waits for each to be on the log.
pub async fn publish(bus: &Bus, facts: impl IntoIterator<Item = Fact>) -> u64 {
    let mut last = 0;
    for fact in facts {
        last = bus.publish(&fact).await.unwrap().sequence;
    }
    last
}

/// The log as it lies there.
pub async fn log(bus: &Bus) -> Vec<Entry> {
    let ends = bus.log_ends().await.unwrap();
    let mut reader = bus.read_log(&FACT_KINDS, ends.first.max(1), ends.created);
    let mut entries = Vec::new();
    while entries.last().is_none_or(|e: &Entry| e.seq < ends.last) && ends.messages > 0 {
        entries.push(reader.next().await.unwrap().0);
    }
    entries
}

/// Everything that was kept, in its order.
pub async fn kept(archive: &Archive) -> Vec<Entry> {
    let mut entries = Vec::new();
    for link in archive.index().await.unwrap() {
        let (_, facts) = archive.facts(link.head.number).await.unwrap();
        entries.extend(facts.iter().map(segment::entry));
    }
    entries
}

/// Waits until this many facts are kept.
pub async fn kept_at_least(archive: &Archive, count: usize) -> Vec<Entry> {
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let entries = kept(archive).await;
        if entries.len() >= count {
            return entries;
        }
        let waited = tokio::time::Instant::now() < end;
        assert!(waited, "{} of {count} facts are kept after 60 s", entries.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until something holds.
pub async fn until<F, W>(what: &str, mut holds: F)
where
    F: FnMut() -> W,
    W: Future<Output = bool>,
{
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "not within 60 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub async fn stop(house: &TestHouse) {
    let stragglers = house.shutdown.finish(Duration::from_secs(20)).await;
    assert!(stragglers.is_empty(), "{stragglers:?}");
}

/// Facts from a real log into the archive there, read back and verified; then by another writer.
pub async fn keeps(location: &str) {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let mut config = config(folder.path());
    config.archive = ArchiveConfig {
        location: location.to_owned(),
        segment_bytes: 8 << 10,
        segment_seconds: 1,
        verify_hours: 0,
        ..ArchiveConfig::default()
    };
    auspex_history::start(&test.house, &config).await.unwrap();
    publish(test.house.bus(), (0..300).map(event)).await;
    let archive = store::open(location, &config.archive).unwrap();
    let kept = kept_at_least(&archive, 300).await;
    assert_eq!(kept, log(test.house.bus()).await);
    stop(&test).await;
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_history::start(&house, &config).await.unwrap();
    publish(house.bus(), (300..360).map(event)).await;
    kept_at_least(&archive, 360).await;
    shutdown.finish(Duration::from_secs(20)).await;
    let report = archive.verify(None).await.unwrap();
    assert!(
        report.sound && report.segments > 3 && report.facts == 360,
        "{report:?}"
    );
}

/// Bytes that cannot be packed, so that an upload is as long as it is meant to be.
pub fn unpackable(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| random()).collect()
}

/// A segment of one fact of so many bytes.
pub fn sealed(number: u64, previous: &str, bytes: usize) -> segment::Sealed {
    let record = ArchivedFact {
        sequence: number,
        time_ms: 1,
        subject: "auspex.v1.p1.tick.a.tick".to_owned(),
        payload: unpackable(number, bytes),
        ..ArchivedFact::default()
    };
    let place = segment::Place {
        number,
        previous: previous.to_owned(),
        log_created_ms: 5,
        gap_before: 0,
    };
    segment::seal(place, &[record]).unwrap()
}

/// Stores so many segments of 400 kB over a line that breaks, each until it is there; what is there then is whole, and
/// another writer's segment in the place of ours is no fault of the store's.
pub async fn insists(shaky: &Archive, straight: &Archive, count: u64) {
    let mut previous = segment::NOTHING.to_owned();
    for number in 1..=count {
        let sealed = sealed(number, &previous, 400_000);
        let mut attempts = 0;
        while let Err(fault) = shaky.append(&sealed).await.map(|appended| {
            assert_eq!(appended, Appended::Stored, "it is nobody else's");
        }) {
            attempts += 1;
            println!("segment {number}: {fault:#}");
            assert!(attempts < 50, "segment {number} never arrives: {fault:#}");
        }
        previous = sealed.sha256;
    }
    let report = straight.verify(Some(previous)).await.unwrap();
    assert!(report.sound && report.segments == count, "{report:?}");
    let other = sealed(count, segment::NOTHING, 10);
    assert_eq!(straight.append(&other).await.unwrap(), Appended::Taken);
}
