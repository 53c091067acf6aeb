//! When facts may not come in: the log is full, or somebody lags so far that an acknowledged fact could expire unabsorbed.

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::stream::Stream;
use auspex_proto::stage::{Keeps, STAGES, Stage};
use auspex_proto::{Timestamp, subject};

use crate::bus::{Bus, timestamp};
use crate::clock;
use crate::shutdown::Stop;

/// Half of the shortest lifetime of a fact.
const LAG: Duration = Duration::from_secs(7 * 86_400 / 2);
/// Share of the log's size at which it counts as full: room for what the mesh itself still has to write.
const FULL: f64 = 0.95;

pub(crate) async fn watch(bus: Bus, stop: Stop) -> anyhow::Result<()> {
    let mut rounds = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = rounds.tick() => {}
        }
        match look(&bus, LAG).await {
            Ok(closed) => {
                if let Some(reason) = &closed {
                    tracing::warn!(%reason, "intake is closed");
                }
                bus.set_intake(closed);
            }
            // The server is away: publishing itself says so.
            Err(fault) => tracing::debug!(fault = format!("{fault:#}"), "the gate could not look"),
        }
    }
}

async fn look(bus: &Bus, most: Duration) -> anyhow::Result<Option<String>> {
    let stream = bus.js().get_stream(subject::FACTS).await?;
    let info = stream.cached_info();
    let (bytes, limit) = (info.state.bytes as f64, info.config.max_bytes as f64);
    if limit > 0.0 && bytes > limit * FULL {
        return Ok(Some(format!("the log is full: {bytes} of {limit} bytes")));
    }
    let cursors = bus.bucket(subject::CURSORS).await?;
    for stage in &STAGES {
        let behind = match stage.keeps {
            Keeps::State => furthest_behind(bus, &stream, &cursors, stage).await?,
            Keeps::Nothing => unacknowledged(&stream, stage).await?,
            Keeps::Archive => unarchived(bus, &stream).await?,
            Keeps::Door | Keeps::Follows | Keeps::Claims => None,
        };
        let age = behind.map_or(Duration::ZERO, |behind| clock::now().since(behind));
        if age > most {
            return Ok(Some(format!(
                "{} lags {} s behind the log",
                stage.name,
                age.as_secs()
            )));
        }
    }
    Ok(None)
}

/// The oldest fact that a stateful stage has not absorbed, over all partitions it has ever owned.
async fn furthest_behind(
    bus: &Bus,
    stream: &Stream,
    cursors: &kv::Store,
    stage: &Stage,
) -> anyhow::Result<Option<Timestamp>> {
    let mut oldest = None;
    for partition in bus.partitions().iter() {
        let Some(cursor) = cursors.get(subject::post(stage.name, partition)).await? else {
            continue;
        };
        let behind = crate::stage::lag(stream, &cursor, stage, partition).await?;
        oldest = oldest.into_iter().chain(behind).min();
    }
    Ok(oldest)
}

/// The oldest fact that is not in the archive; `None` where nothing is archived.
async fn unarchived(bus: &Bus, stream: &Stream) -> anyhow::Result<Option<Timestamp>> {
    let created = timestamp(stream.cached_info().created.unix_timestamp_nanos());
    let Some(upto) = bus.archived_upto(created).await? else {
        return Ok(None);
    };
    oldest(stream, upto, [subject::FACTS_SUBJECTS.to_owned()].into_iter()).await
}

/// The oldest fact that a stateless stage has not acknowledged; `None` when it has never run.
async fn unacknowledged(stream: &Stream, stage: &Stage) -> anyhow::Result<Option<Timestamp>> {
    let Ok(info) = stream.consumer_info(subject::durable(stage.name)).await else {
        return Ok(None);
    };
    let filters = stage.everywhere().into_iter();
    self::oldest(stream, info.ack_floor.stream_sequence, filters).await
}

/// The time of the first message behind this sequence that matches one of these.
pub(crate) async fn oldest(
    stream: &Stream,
    seq: u64,
    filters: impl Iterator<Item = String>,
) -> anyhow::Result<Option<Timestamp>> {
    if seq >= stream.cached_info().state.last_sequence {
        return Ok(None);
    }
    let mut oldest = None;
    for filter in filters {
        if let Ok(next) = stream.direct_get_next_for_subject(filter, Some(seq + 1)).await {
            oldest = oldest
                .into_iter()
                .chain([timestamp(next.time.unix_timestamp_nanos())])
                .min();
        }
    }
    Ok(oldest)
}

#[cfg(test)]
mod tests {
    use auspex_proto::event::Body;
    use auspex_proto::{Event, Fact, FactId, Meta, Project, stage};

    use super::*;
    use crate::testing::TestHouse;
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

    fn event(id: &str) -> Fact {
        let meta = Meta {
            id: FactId::new(id).unwrap(),
            project: Project::new("a").unwrap(),
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

    #[tokio::test(flavor = "multi_thread")]
    async fn intake_closes_when_a_stage_lags_and_opens_when_it_is_back() {
        let test = TestHouse::start().await.unwrap();
        let (house, stopping) = TestHouse::another(&test.settings).await.unwrap();
        house.run_verb(stage::FEATURES, Nothing).await.unwrap();
        let bus = test.house.bus();
        let most = Duration::from_millis(1_500);
        bus.publish(&event("one")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(look(bus, most).await.unwrap(), None, "absorbed, however old");
        assert!(stopping.finish(Duration::from_secs(5)).await.is_empty());
        bus.publish(&event("two")).await.unwrap();
        assert_eq!(look(bus, most).await.unwrap(), None, "not absorbed, and young");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let closed = look(bus, most).await.unwrap().unwrap();
        assert!(closed.starts_with("features lags 2 s behind"), "{closed}");
        bus.set_intake(Some(closed));
        assert!(matches!(bus.intake(), crate::Intake::Closed { .. }));
        // Whatever connection of the process a publisher's facts would go by.
        let beside = bus.beside(&test.settings, "beside").await.unwrap();
        let number = |bus: &crate::Bus| bus.client().server_info().client_id;
        assert_ne!(number(bus), number(&beside));
        assert!(beside.refusal().is_some());
        beside.set_intake(None);
        assert_eq!(bus.intake(), crate::Intake::Open);
        test.house.run_verb(stage::FEATURES, Nothing).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(look(bus, most).await.unwrap(), None, "absorbed at last");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn intake_closes_when_the_archive_lags_and_opens_when_it_is_back_or_given_up() {
        let test = TestHouse::start().await.unwrap();
        let (bus, most) = (test.house.bus(), Duration::from_millis(1_500));
        let one = bus.publish(&event("one")).await.unwrap().sequence;
        let two = bus.publish(&event("two")).await.unwrap().sequence;
        let created = bus.log_ends().await.unwrap().created;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(look(bus, most).await.unwrap(), None, "nobody archives");
        bus.archived(created, one).await.unwrap();
        let closed = look(bus, most).await.unwrap().unwrap();
        assert!(closed.starts_with("history lags "), "{closed}");
        bus.archived(created, two).await.unwrap();
        assert_eq!(look(bus, most).await.unwrap(), None, "archived, however old");
        // The archive of another log has nothing of this one.
        bus.archived(Timestamp(1), two).await.unwrap();
        assert!(look(bus, most).await.unwrap().is_some());
        bus.archives_nothing().await.unwrap();
        assert_eq!(look(bus, most).await.unwrap(), None, "nobody waits for it");
    }
}
