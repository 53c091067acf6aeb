//! From what is on the log to weight 0 at the data plane, through canary and router as they run.
//!
//! Rollouts of several services at half the traffic turn bad together, so that their rollbacks come together too. Evidence is
//! complete when the tick is on the log that closes its interval: that is the cause that the decision names, and its stream
//! time is where the clock starts. It stops when the data plane, asked all the time, has weight 0. The same for a person's
//! word. The evidence itself, from the first bad answer, takes as many intervals as the judge needs, and is only told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use auspex_chassis::broker::Sync;
use auspex_chassis::bus::BusSettings;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Follow, From, House, Mesh, Options, ServiceSpec};
use auspex_proto::command::Ask;
use auspex_proto::observation::{Observation, Value};
use auspex_proto::{
    Command, Fact, FactId, FactKind, Meta, ObservationBatch, Project, RolloutName, ServiceName, Timestamp,
    Track,
};

use super::plane::Plane;
use crate::bench::row::{Better, Row, quantile};
use crate::services;

/// Rollouts at once.
pub(super) const SERVICES: usize = 10;
/// The most that may pass, in milliseconds.
const FLOOR: f64 = 250.0;
/// The longest that one round may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Requests a second and track.
const REQUESTS: u64 = 50;

pub(super) async fn measure(plane: &Plane, folder: &Path, quick: bool) -> anyhow::Result<Vec<Row>> {
    let rounds = if quick { 1 } else { 12 };
    let name = plane.kind.name();
    let mut mesh = start(folder, &plane.settings()?).await?;
    let url = mesh.broker().context("the mesh has a server of its own")?.url();
    let settings = BusSettings {
        url,
        ..BusSettings::default()
    };
    let (house, shutdown) = TestHouse::another(&settings).await?;
    let mut scene = Scene {
        facts: house
            .follow(
                &[FactKind::Tick, FactKind::Command, FactKind::Decision],
                From::All,
            )
            .await?,
        house,
        round: 0,
        times: BTreeMap::new(),
        causes: BTreeMap::new(),
    };
    // The first round warms up and is not counted.
    scene.round(plane, true).await?;
    let (mut evidence, mut words, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let (mut decided, mut carried) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (first, found) = scene.round(plane, true).await?;
        bad.extend(found.iter().map(|f| f.zero - first));
        evidence.extend(found.iter().map(|f| f.zero - f.cause));
        decided.extend(found.iter().map(|f| f.said - f.cause));
        carried.extend(found.iter().map(|f| f.zero - f.said));
        let (_, found) = scene.round(plane, false).await?;
        words.extend(found.iter().map(|f| f.zero - f.cause));
    }
    shutdown.finish(Duration::from_secs(1)).await;
    mesh.stop().await;
    let row = |what: &str, times: &[f64], share: f64| {
        Row::told(format!("{name}: {what}"), quantile(times, share), "ms")
    };
    Ok(vec![
        row("evidence in the log to weight 0: p99", &evidence, 0.99).floor(FLOOR, Better::Less),
        row("evidence in the log to weight 0: p50", &evidence, 0.5),
        row("evidence in the log to weight 0: the longest", &evidence, 1.0),
        row("of it until the decision is in the log: p99", &decided, 0.99),
        row("of it from there to the data plane: p99", &carried, 0.99),
        row("abort in the log to weight 0: p99", &words, 0.99).floor(FLOOR, Better::Less),
        row("abort in the log to weight 0: p50", &words, 0.5),
        row("first bad second to weight 0: p50", &bad, 0.5),
    ])
}

async fn start(folder: &Path, routes: &str) -> anyhow::Result<Mesh> {
    let file = folder.join("auspex.toml");
    tokio::fs::write(&file, routes).await?;
    let wanted = |spec: &ServiceSpec| ["canary", "router"].contains(&spec.name);
    let specs: Vec<ServiceSpec> = services::ALL.into_iter().filter(wanted).collect();
    let options = Options {
        config: Some(file),
        set: vec![
            "server.listen=127.0.0.1:0".to_owned(),
            format!("nats.sync_interval={}", Sync::Always.setting().replace('"', "")),
        ],
        alone: true,
        broker: Some(folder.join("nats")),
        ..Options::default()
    };
    Box::pin(Mesh::start(&specs, &options)).await
}

/// One service's way back, in milliseconds since the epoch.
struct Found {
    cause: f64,
    /// When the decision was in the log.
    said: f64,
    zero: f64,
}

struct Scene {
    house: House,
    facts: Follow,
    round: u64,
    /// Stream times by sequence.
    times: BTreeMap<u64, Timestamp>,
    /// The cause of each service's way back in this round, and when its decision was in the log.
    causes: BTreeMap<String, (u64, Timestamp)>,
}

impl Scene {
    /// All services go to half and back: by evidence, or by a person's word. When the bad began, and what was found.
    async fn round(&mut self, plane: &Plane, by_evidence: bool) -> anyhow::Result<(f64, Vec<Found>)> {
        self.round += 1;
        self.causes.clear();
        self.times.clear();
        for n in 0..SERVICES {
            let document = format!(
                "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {{ name: r{0} }}\n\
                 spec: {{ service: s{n}, mode: act, score_wait: 0, tracks: {{ stable: {{ revision: 'a' }}, \
                 candidate: {{ revision: 'c{0}' }} }}, policy: {{ steps: [{{ setWeight: 50 }}, {{ pause: {{}} }}] }} }}\n",
                self.round
            );
            self.command(n, Ask::Start { document }).await?;
        }
        let begun = Instant::now();
        while plane.weights().await?.iter().any(|weight| *weight != 50) {
            anyhow::ensure!(
                begun.elapsed() < PATIENCE,
                "not all are at half: {:?}",
                plane.weights().await?
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let first = now();
        if !by_evidence {
            for n in 0..SERVICES {
                self.command(n, Ask::Abort).await?;
            }
        }
        let zeros = self.until_zero(plane, by_evidence).await?;
        self.read().await?;
        let mut found = Vec::new();
        for (n, zero) in zeros.into_iter().enumerate() {
            let (cause, said) = self
                .causes
                .get(&format!("s{n}"))
                .context("a way back without a decision")?;
            let cause = self
                .times
                .get(cause)
                .context("a decision without a cause in the log")?;
            found.push(Found {
                cause: millis(*cause),
                said: millis(*said),
                zero,
            });
        }
        Ok((first, found))
    }

    /// Asks the data plane all the time, and makes the candidates bad meanwhile.
    async fn until_zero(&mut self, plane: &Plane, bad: bool) -> anyhow::Result<Vec<f64>> {
        let mut zeros = vec![0.0; SERVICES];
        let begun = Instant::now();
        let mut second = self.house.now().0 / 1_000;
        while zeros.contains(&0.0) {
            for (zero, weight) in zeros.iter_mut().zip(plane.weights().await?) {
                if *zero == 0.0 && weight == 0 {
                    *zero = now();
                }
            }
            let current = self.house.now().0 / 1_000;
            if bad && current > second {
                for n in 0..SERVICES {
                    self.observe(n, Timestamp(second * 1_000)).await?;
                }
                second = current;
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "not all came back: {zeros:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(zeros)
    }

    /// Reads what has been said, until the way back of every service is known.
    async fn read(&mut self) -> anyhow::Result<()> {
        let all = async {
            while self.causes.len() < SERVICES {
                let followed = self.facts.next().await?;
                self.times.insert(followed.seq, followed.time);
                if let Fact::Decision(decision) = followed.fact
                    && decision.weight == 0
                    && decision.previous_weight > 0
                    && decision.rollout.as_str() == format!("r{}", self.round)
                {
                    self.causes
                        .entry(decision.service.to_string())
                        .or_insert((decision.meta.cause, followed.time));
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .context("decisions are missing")?
    }

    async fn command(&self, n: usize, ask: Ask) -> anyhow::Result<()> {
        let id = format!("bench-{}-{n}-{}", self.round, matches!(ask, Ask::Abort));
        let command = Command {
            meta: self.meta(n, &id)?,
            rollout: RolloutName::new(format!("r{}", self.round))?,
            actor: "bench".to_owned(),
            note: String::new(),
            ask,
        };
        self.house.bus().publish(&Fact::Command(command)).await?;
        Ok(())
    }

    /// A second in which every request to the candidate failed.
    async fn observe(&self, n: usize, start: Timestamp) -> anyhow::Result<()> {
        let counts = |track, bad| {
            Ok(Observation {
                service: ServiceName::new(format!("s{n}"))?,
                track: Some(track),
                region: String::new(),
                metric: "requests".to_owned(),
                instance: "bench".to_owned(),
                start,
                length: Duration::from_secs(1),
                value: Value::Counts { bad, total: REQUESTS },
            })
        };
        let batch = ObservationBatch {
            meta: self.meta(n, &format!("seen-{}-{n}-{}", self.round, start.0))?,
            observations: [counts(Track::Stable, 0), counts(Track::Candidate, REQUESTS)]
                .into_iter()
                .collect::<anyhow::Result<_>>()?,
            applied: Vec::new(),
            environment: String::new(),
        };
        self.house.bus().publish(&Fact::Observations(batch)).await?;
        Ok(())
    }

    fn meta(&self, n: usize, id: &str) -> anyhow::Result<Meta> {
        Ok(Meta {
            id: FactId::new(id)?,
            project: Project::new(format!("bench/{n}"))?,
            time: self.house.now(),
            cause: 0,
            source: "bench".to_owned(),
        })
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds since the epoch are below 2^53"
)]
fn millis(time: Timestamp) -> f64 {
    time.0 as f64
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
}
