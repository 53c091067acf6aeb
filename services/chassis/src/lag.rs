//! How far stages are behind the log, and how many dead letters there are: what operators want to be told of, at `/metrics`.
//!
//! The server is asked every ten seconds, by each process for the stages it runs and for all their partitions, whoever owns
//! them: a partition that nobody works on is behind too. Replicas say the same, so one takes the greatest.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use auspex_proto::stage::{Keeps, STAGES, Stage};
use auspex_proto::{Partition, Timestamp, subject};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::bus::{Bus, snapshot, timestamp};
use crate::metrics::{Gauge, Metrics};
use crate::shutdown::Stop;

const EVERY: Duration = Duration::from_secs(10);

/// How far behind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Lag {
    /// Facts of its concern that it has not passed.
    facts: u64,
    /// Since when the oldest of them has been on the log.
    since: Option<Timestamp>,
}

/// Says how far a stage is behind, until told to stop.
pub(crate) async fn watch(bus: Bus, stage: Stage, metrics: Metrics, stop: Stop) -> anyhow::Result<()> {
    let mut figures = Figures {
        stage,
        metrics,
        known: BTreeMap::new(),
    };
    let mut rounds = rounds();
    loop {
        let looked = tokio::select! {
            () = stop.requested() => return Ok(()),
            looked = async { rounds.tick().await; look(&bus, &stage).await } => looked,
        };
        match looked {
            Ok(lags) => figures.say(lags),
            Err(fault) => {
                let fault = format!("{fault:#}");
                tracing::debug!(stage = stage.name, fault, "its lag is not known");
                figures.say_nothing();
            }
        }
    }
}

/// Says how many dead letters there are, until told to stop.
pub(crate) async fn watch_dead_letters(bus: Bus, metrics: Metrics, stop: Stop) -> anyhow::Result<()> {
    let help = "Dead letters there are, by the stage that could not absorb them; they are kept for 90 days.";
    let of = |stage: &str| metrics.gauge_with("auspex_dead_letters", help, &[("stage", stage)]);
    // A stage without letters says so: what begins with the first letter shows no growth.
    let stages = STAGES.iter().map(|stage| stage.name.to_owned());
    let mut known: BTreeMap<String, Gauge> = stages.map(|stage| (stage.clone(), of(&stage))).collect();
    let mut rounds = rounds();
    loop {
        let counted = tokio::select! {
            () = stop.requested() => return Ok(()),
            counted = async { rounds.tick().await; dead_letters(&bus).await } => counted,
        };
        match counted {
            Ok(mut counts) => {
                for (stage, gauge) in &known {
                    gauge.set(number(counts.remove(stage).unwrap_or_default()));
                }
                for (stage, count) in counts {
                    let gauge = known.entry(stage.clone()).or_insert_with(|| of(&stage));
                    gauge.set(number(count));
                }
            }
            Err(fault) => {
                tracing::debug!(fault = format!("{fault:#}"), "the dead letters are not counted");
                known.values().for_each(|gauge| gauge.set(f64::NAN));
            }
        }
    }
}

fn rounds() -> tokio::time::Interval {
    let mut rounds = tokio::time::interval(EVERY);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    rounds
}

struct Figures {
    stage: Stage,
    metrics: Metrics,
    known: BTreeMap<Option<Partition>, (Gauge, Gauge)>,
}

impl Figures {
    fn say(&mut self, lags: Vec<(Option<Partition>, Lag)>) {
        let now = crate::clock::now();
        for (partition, lag) in lags {
            let (stage, metrics) = (self.stage.name, &self.metrics);
            let (facts, seconds) = self
                .known
                .entry(partition)
                .or_insert_with(|| gauges(metrics, stage, partition));
            facts.set(number(lag.facts));
            seconds.set(lag.since.map_or(0.0, |since| now.since(since).as_secs_f64()));
        }
    }

    /// What is not known is no figure: the last one would be taken for today's.
    fn say_nothing(&self) {
        for (facts, seconds) in self.known.values() {
            facts.set(f64::NAN);
            seconds.set(f64::NAN);
        }
    }
}

fn gauges(metrics: &Metrics, stage: &str, partition: Option<Partition>) -> (Gauge, Gauge) {
    let partition = partition.map(|partition| partition.to_string());
    let mut labels = vec![("stage", stage)];
    labels.extend(partition.as_deref().map(|partition| ("partition", partition)));
    let facts = "Facts on the log that the stage has not passed.";
    let seconds = "For how long the oldest fact that the stage has not passed has been on the log; 0 when it has passed all.";
    (
        metrics.gauge_with("auspex_stage_lag_facts", facts, &labels),
        metrics.gauge_with("auspex_stage_lag_seconds", seconds, &labels),
    )
}

fn number(count: u64) -> f64 {
    // Exact up to 2^53.
    count as f64
}

/// By partition; of a stage whose replicas share one reading of all, and of the archive, without.
async fn look(bus: &Bus, stage: &Stage) -> anyhow::Result<Vec<(Option<Partition>, Lag)>> {
    let stream = bus.js().get_stream(subject::FACTS).await?;
    let created = timestamp(stream.cached_info().created.unix_timestamp_nanos());
    Ok(match stage.keeps {
        Keeps::State => by_partition(bus, &stream, stage).await?,
        Keeps::Nothing => vec![(None, shared(&stream, stage).await?)],
        Keeps::Archive => match bus.archived_upto(created).await? {
            Some(upto) => vec![(
                None,
                behind(&stream, upto, vec![subject::FACTS_SUBJECTS.to_owned()]).await?,
            )],
            None => Vec::new(),
        },
        Keeps::Door | Keeps::Follows | Keeps::Claims => Vec::new(),
    })
}

async fn by_partition(
    bus: &Bus,
    stream: &Stream,
    stage: &Stage,
) -> anyhow::Result<Vec<(Option<Partition>, Lag)>> {
    let created = timestamp(stream.cached_info().created.unix_timestamp_nanos());
    let mut places = BTreeMap::new();
    for cursor in snapshot(bus, subject::CURSORS, &subject::posts(stage.name)).await? {
        places.insert(cursor.key, crate::stage::place(&cursor.value, created)?);
    }
    let mut lags = Vec::with_capacity(usize::from(bus.partitions().count()));
    for partition in bus.partitions().iter() {
        // Where there is no cursor nothing has been absorbed yet.
        let place = places
            .get(&subject::post(stage.name, partition))
            .copied()
            .unwrap_or_default();
        let lag = behind(stream, place, crate::stage::subjects(stage, partition)).await?;
        lags.push((Some(partition), lag));
    }
    Ok(lags)
}

async fn shared(stream: &Stream, stage: &Stage) -> anyhow::Result<Lag> {
    let filters = || stage.everywhere().into_iter();
    let Ok(durable) = stream.consumer_info(subject::durable(stage.name)).await else {
        return behind(stream, 0, filters().collect()).await;
    };
    let facts = durable.num_pending + u64::try_from(durable.num_ack_pending).unwrap_or_default();
    let since = match facts {
        0 => None,
        _ => crate::gate::oldest(stream, durable.ack_floor.stream_sequence, filters()).await?,
    };
    Ok(Lag { facts, since })
}

/// What lies behind this sequence and matches one of these.
async fn behind(stream: &Stream, seq: u64, filters: Vec<String>) -> anyhow::Result<Lag> {
    if seq >= stream.cached_info().state.last_sequence {
        return Ok(Lag::default());
    }
    // Opening a consumer is how the server counts: it tells how much it would deliver.
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: seq + 1,
        },
        ack_policy: AckPolicy::None,
        filter_subjects: filters,
        headers_only: true,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: EVERY,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let facts = consumer.cached_info().num_pending;
    let since = if facts > 0 {
        let first = consumer.fetch().max_messages(1).expires(Duration::from_secs(2));
        match first.messages().await?.next().await {
            Some(Ok(message)) => {
                let place = message.info().map_err(|fault| anyhow::anyhow!("{fault}"))?;
                Some(timestamp(place.published.unix_timestamp_nanos()))
            }
            _ => None,
        }
    } else {
        None
    };
    // It would go by itself, later.
    stream.delete_consumer(&consumer.cached_info().name).await.ok();
    Ok(Lag { facts, since })
}

async fn dead_letters(bus: &Bus) -> anyhow::Result<BTreeMap<String, u64>> {
    let stream = bus.js().get_stream_no_info(subject::DEAD).await?;
    let mut by_subject = stream.info_with_subjects(subject::DEAD_SUBJECTS).await?;
    let mut counts = BTreeMap::new();
    while let Some((place, count)) = by_subject.try_next().await? {
        if let Some(stage) = subject::stage_of_dead(&place) {
            *counts.entry(stage).or_default() += count as u64;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests;
