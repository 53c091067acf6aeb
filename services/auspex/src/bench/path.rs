//! From the event of a change to the decision about its rollout, through features, scoring and canary as they run, against
//! one bare hop: a message published to the log, read from it, scored, published and read again, with nothing of ours in
//! between.
//!
//! Every event is a change that becomes a vector, a score, and known to canary. Some have a rollout, started before the round,
//! that waits for the score: they are decided and counted. The document lets nothing begin, so that no rollout goes on
//! afterwards. Rows for the feature store are not made meanwhile (`features.streams`): they are beside the path, and two cores do
//! not carry both at 2,000 events a second. Both ways begin when a message is due and end where a reader of the log has what came
//! of it. Before a round counts, events come at its rate for as long as quiet changes may wait to be saved, so that as much is saved
//! meanwhile as ever; and after it all of it is saved before the bare server has its turn. A decision counts when the state that
//! knows it is saved: that is looked up afterwards. So are the legs of the way, by the server's own times.

mod change;
mod legs;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use auspex_chassis::broker::Sync;
use auspex_chassis::bus::{BusSettings, Outgoing};
use auspex_chassis::testing::TestHouse;
use auspex_chassis::testing::bare::Bare;
use auspex_chassis::{Bus, Follow, From, House, Mesh, Options, ServiceSpec};
use auspex_proto::{Fact, FactKind, stage};

use self::change::Change;
use self::legs::{Legs, Seen};
use super::hop::Hop;
use super::pace::{Pace, Times};
use super::row::{Better, Row, median_round, quantile};
use crate::services;

/// The most that the path may take, in bare hops: it has four messages and, behind the last, a saved state; a hop has two messages.
const FLOOR: f64 = 3.5;
/// Longer than a quiet change may wait to be saved.
const SAVED_WITHIN: Duration = Duration::from_secs(6);
/// The longest to wait for what was sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured.
struct Scene {
    sync: Sync,
    /// Events a second.
    rate: f64,
    /// Events a round.
    events: usize,
    /// One in so many has a rollout that waits for it.
    decided: usize,
    /// Projects they are spread over; a project has one rollout at a time here.
    projects: usize,
    rounds: usize,
}

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    let rounds = if quick { 1 } else { 5 };
    let busy = Scene {
        sync: Sync::EverySecond,
        rate: 2_000.0,
        events: 4_000,
        decided: 10,
        projects: 4_096,
        rounds,
    };
    let safe = Scene {
        sync: Sync::Always,
        rate: 20.0,
        events: 60,
        decided: 1,
        projects: 240,
        rounds,
    };
    let mut rows = busy.measure().await?;
    rows.extend(safe.measure().await?);
    Ok(rows)
}

impl Scene {
    async fn measure(&self) -> anyhow::Result<Vec<Row>> {
        let folder = super::scratch()?;
        let mut mesh = start(folder.path(), self.sync, &["features", "scoring", "canary"]).await?;
        let url = mesh.broker().context("the mesh has a server of its own")?.url();
        let mut road = Road::open(&url, self.projects, self.decided).await?;
        let mut hop = Hop::open(&url).await?;
        road.settle().await?;
        let mut rounds = Vec::new();
        let mut times = (Vec::new(), Vec::new());
        // The first round warms up and is not counted.
        for round in 0..=self.rounds {
            let bare = hop.round(self.rate, self.events).await?;
            rest().await;
            let path = road.round(self.rate, self.lead(), self.events).await?;
            tokio::time::sleep(SAVED_WITHIN).await;
            if round == 0 {
                road.legs.clear();
            } else {
                rounds.push((quantile(&path, 0.5), quantile(&bare, 0.5)));
                times.0.extend(path);
                times.1.extend(bare);
            }
        }
        let saved = road.saved().await?;
        let log = Bare::connect(&url).await?.log().await?;
        drop(hop);
        road.shutdown.finish(Duration::from_secs(1)).await;
        mesh.stop().await;
        let (p50, limit) = median_round(&rounds);
        let at = format!(
            "{} events/s, sync {}",
            self.rate,
            self.sync.setting().replace('"', "")
        );
        let hop = "bare JetStream hop with ort";
        let mut rows = vec![
            Row::told(format!("event to decision, {at}: p50"), p50, "us")
                .beside(limit, hop)
                .floor(FLOOR, Better::Less),
            Row::told(
                format!("event to decision, {at}: p99"),
                quantile(&times.0, 0.99),
                "us",
            )
            .beside(quantile(&times.1, 0.99), hop),
            Row::told(format!("decisions counted, {at}: saved"), saved, "of 1").floor(1.0, Better::More),
        ];
        rows.extend(road.legs.rows(&log, &at, (limit, hop)));
        Ok(rows)
    }

    /// How many events come before those that count.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    fn lead(&self) -> usize {
        (self.rate * SAVED_WITHIN.as_secs_f64()).ceil() as usize
    }
}

async fn rest() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Services of these names with a server of their own in a folder.
pub(super) async fn start(folder: &std::path::Path, sync: Sync, names: &[&str]) -> anyhow::Result<Mesh> {
    let wanted = |spec: &ServiceSpec| names.contains(&spec.name);
    let specs: Vec<ServiceSpec> = services::ALL.into_iter().filter(wanted).collect();
    let mut set = vec![
        "server.listen=127.0.0.1:0".to_owned(),
        format!("nats.sync_interval={}", sync.setting().replace('"', "")),
    ];
    // Who does not run it has no such section.
    if names.contains(&"features") {
        set.push("features.streams=false".to_owned());
    }
    let options = Options {
        set,
        // Load is made for a server of its own, whatever the shell names.
        alone: true,
        broker: Some(folder.join("nats")),
        ..Options::default()
    };
    Box::pin(Mesh::start(&specs, &options)).await
}

/// The path as it runs, and a connection of our own beside it.
struct Road {
    bus: Bus,
    house: House,
    shutdown: auspex_chassis::shutdown::Shutdown,
    decisions: Follow,
    projects: usize,
    decided: usize,
    sent: usize,
    /// Of each project the greatest cause of a counted decision.
    causes: BTreeMap<String, u64>,
    /// When the changes that count began and ended.
    legs: Legs,
}

impl Road {
    async fn open(url: &str, projects: usize, decided: usize) -> anyhow::Result<Self> {
        let settings = BusSettings {
            url: url.to_owned(),
            ..BusSettings::default()
        };
        let (house, shutdown) = TestHouse::another(&settings).await?;
        let decisions = house.follow(&[FactKind::Decision], From::New).await?;
        Ok(Self {
            bus: house.bus().clone(),
            house,
            shutdown,
            decisions,
            projects,
            decided,
            sent: 0,
            causes: BTreeMap::new(),
            legs: Legs::default(),
        })
    }

    /// Until every partition has its owners: a small round, at leisure.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.round(100.0, 0, 100).await.map(drop)
    }

    /// Sends a round of events, after so many that lead to it; how long each of the round took to its decision.
    async fn round(&mut self, rate: f64, lead: usize, events: usize) -> anyhow::Result<Vec<f64>> {
        let first = self.sent;
        self.sent += lead + events;
        let changes = (first..self.sent)
            .map(Change::new)
            .collect::<anyhow::Result<Vec<Change>>>()?;
        let pack = |fact: Fact| Outgoing::fact(&fact, self.house.partitions(), None);
        let (mut starts, mut told) = (Vec::new(), Vec::new());
        for change in &changes {
            if self.counts(change.number) {
                starts.push((change.number, pack(change.start(&self.house, self.projects)?)));
            }
            told.push((change.number, pack(change.event(&self.house, self.projects)?)));
        }
        self.paced(500.0, starts, None)
            .await
            .context("starting rollouts")?;
        rest().await;
        self.paced(rate, told, Some(lead)).await
    }

    fn counts(&self, number: usize) -> bool {
        number.is_multiple_of(self.decided)
    }

    /// Sends these at a rate; how long each that counts took to the decision that starts its rollout, or, of all but so many at
    /// the beginning, to the one that its score brings.
    async fn paced(
        &mut self,
        rate: f64,
        sent: Vec<(usize, Outgoing)>,
        scored: Option<usize>,
    ) -> anyhow::Result<Vec<f64>> {
        let count = sent.len();
        let (numbers, outgoing): (Vec<usize>, Vec<Outgoing>) = sent.into_iter().unzip();
        let places = numbers
            .into_iter()
            .zip(0..)
            .filter(|(number, _)| self.counts(*number));
        let places: BTreeMap<usize, usize> = places.collect();
        let pace = Pace::per_second(rate);
        let (bus, runtime) = (self.bus.clone(), tokio::runtime::Handle::current());
        let sending = tokio::task::spawn_blocking(move || {
            pace.keep(count, |number| match outgoing.get(number) {
                Some(message) => runtime.block_on(bus.send(message)).map(drop),
                None => Ok(()),
            })
        });
        let mut times = Times::new(places.values().copied());
        let all = async {
            while times.missing() > 0 {
                let Fact::Decision(decision) = self.decisions.next().await?.fact else {
                    continue;
                };
                let number = decision.candidate.revision.parse::<usize>().ok();
                let Some(place) = number.and_then(|number| places.get(&number)) else {
                    continue;
                };
                if decision.score.is_some() == scored.is_some() {
                    times.note(*place);
                    let cause = self.causes.entry(decision.meta.project.to_string()).or_default();
                    *cause = decision.meta.cause.max(*cause);
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .with_context(|| format!("not every one of {count} was decided within {PATIENCE:?}"))??;
        let began = sending.await??;
        let lead = scored.unwrap_or_default();
        if scored.is_some() {
            let clock = (Instant::now(), SystemTime::now());
            let numbers: BTreeMap<usize, usize> =
                places.iter().map(|(number, place)| (*place, *number)).collect();
            let seen = |(place, read): (usize, Instant)| {
                let (number, began) = (numbers.get(&place)?, began.get(place)?);
                Some((*number, Seen::at(*began, read, clock)))
            };
            let counted = times.answered().filter(|(place, _)| *place >= lead);
            self.legs.note(counted.filter_map(seen));
        }
        Ok(times.micros_from(lead, &began))
    }

    /// The share of projects whose saved state knows every decision that was counted.
    async fn saved(&self) -> anyhow::Result<f64> {
        let view = self
            .house
            .view::<auspex_canary::state::State>(stage::CANARY)
            .await?;
        let kept: BTreeMap<String, u64> = view
            .list()
            .await?
            .into_iter()
            .map(|(key, kept)| (key, kept.seq))
            .collect();
        let knows = |(project, cause): &(&String, &u64)| kept.get(*project).is_some_and(|seq| seq >= cause);
        let known = self.causes.iter().filter(knows).count();
        Ok(share(known, self.causes.len()))
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of projects")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}
