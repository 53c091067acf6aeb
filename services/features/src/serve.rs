//! The service put together: its stages, what follows their states, and its door.

use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::{Group, House, Stop, View};
use auspex_proto::stage;

use crate::barrier::Barrier;
use crate::builds::Builds;
use crate::config::Config;
use crate::extract::Extract;
use crate::offline::{self, Log, Offline, Writer};
use crate::online::Online;
use crate::query::Answers;
use crate::query::parcel::Door;
use crate::shelf::Shelf;
use crate::store::{State, Store};

/// The largest question: 200,000 labels of a training set.
const LARGEST: usize = 64 << 20;
/// How many changes are taken in at once.
const AT_ONCE: usize = 512;

/// The door for these answers.
#[must_use]
pub fn door(answers: Answers) -> Door {
    Door::new(answers, LARGEST)
}

/// Starts the stages, and answers what they come to.
///
/// # Errors
/// When the settings are wrong, which [`Config`]'s own check has told before, the offline store cannot be opened, or the bus is
/// away.
pub async fn open(house: &House, config: &Config) -> anyhow::Result<Answers> {
    let extract = Extract {
        hours: config.hours()?,
        around: config.around()?,
    };
    let view = house.run_verb(stage::FEATURES, extract.clone()).await?;
    let states = house.run_verb(stage::STORE, Store).await?;
    let offline = match config.offline.as_str() {
        "" => None,
        location => Some(offline::open(location)?),
    };
    if let Some(offline) = &offline {
        house
            .run_transform(stage::OFFLINE, Writer::new(offline.clone()))
            .await?;
    }
    let online = Arc::default();
    let answers = Answers {
        house: house.clone(),
        view,
        extract: Arc::new(extract),
        barrier: Barrier::new(states.clone(), &online),
        online,
        shelf: Arc::new(Shelf::open(house.bus(), offline.as_ref()).await?),
        offline,
        log: Arc::default(),
        retention: config.offline_days.saturating_mul(86_400_000),
    };
    if !config.builds.is_empty() {
        let builds = Builds::of(&answers, &config.builds);
        house.run_transform(stage::BUILDS, builds).await?;
    }
    start(house, &answers, states, config);
    Ok(answers)
}

fn start(house: &House, answers: &Answers, states: View<State>, config: &Config) {
    let online = Arc::clone(&answers.online);
    let at = house.clone();
    house.spawn("features-online", Group::Work, move |stop| {
        follow(at, states, online, stop)
    });
    let shelf = Arc::clone(&answers.shelf);
    house.spawn("features-shelf", Group::Work, move |stop| look(shelf, stop));
    if let Some(offline) = answers.offline.clone() {
        let (at, log) = (house.clone(), Arc::clone(&answers.log));
        let every = Duration::from_secs(config.compact_seconds);
        let retention = answers.retention;
        house.spawn("features-offline", Group::Work, move |stop| async move {
            keep(at, (offline, log), (every, retention), stop).await
        });
    }
}

/// Takes in the store's states, and begins anew when they were lost.
async fn follow(house: House, states: View<State>, online: Arc<Online>, stop: Stop) -> anyhow::Result<()> {
    let mut forget = tokio::time::interval(Duration::from_secs(600));
    while !stop.is_requested() {
        online.clear();
        let mut watch = states.watch();
        let empty = states.count().await.is_ok_and(|count| count == 0);
        if empty {
            online.complete();
        }
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = forget.tick() => online.forget(house.now().0),
                changed = watch.next() => match gather(changed, &mut watch) {
                    Ok(changes) => {
                        let all = changes.last().is_some_and(|last| last.behind == 0);
                        online.put(changes);
                        if all {
                            online.complete();
                        }
                    }
                    Err(fault) => {
                        tracing::warn!(fault = format!("{fault:#}"), "reading the states of the store anew");
                        break;
                    }
                },
            }
        }
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
    Ok(())
}

type Changed = auspex_chassis::Changed<State>;

fn gather(
    first: anyhow::Result<Changed>,
    watch: &mut auspex_chassis::Watch<State>,
) -> anyhow::Result<Vec<Changed>> {
    let mut changes = vec![first?];
    while changes.len() < AT_ONCE {
        match watch.arrived()? {
            Some(changed) => changes.push(changed),
            None => break,
        }
    }
    Ok(changes)
}

/// Looks for definitions that others have applied.
async fn look(shelf: Arc<Shelf>, stop: Stop) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        if let Err(fault) = shelf.refresh().await {
            tracing::debug!(fault = format!("{fault:#}"), "definitions are not read now");
        }
    }
}

/// Writes what was served, and keeps the offline store tidy.
async fn keep(
    house: House,
    (offline, log): (Offline, Arc<Log>),
    (every, retention): (Duration, i64),
    stop: Stop,
) -> anyhow::Result<()> {
    let mut flush = tokio::time::interval(Duration::from_secs(10));
    let mut tidy = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    loop {
        let now = || house.now().0;
        let done = tokio::select! {
            () = stop.requested() => {
                return log.flush(&offline, house.instance(), now()).await;
            }
            _ = flush.tick() => log.flush(&offline, house.instance(), now()).await,
            _ = tidy.tick() => tidied(&offline, now(), retention).await,
        };
        if let Err(fault) = done {
            tracing::warn!(fault = format!("{fault:#}"), "the offline store is away");
        }
    }
}

async fn tidied(offline: &Offline, now: i64, retention: i64) -> anyhow::Result<()> {
    offline.compact(Some(now - retention)).await?;
    offline.forget_served(now - 14 * 86_400_000).await
}
