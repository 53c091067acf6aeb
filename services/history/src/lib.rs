//! What passed: metrics over time, and every fact in its order, kept for good.
//!
//! *Reads*: every fact, as it lies on the log.
//! *Writes*: nothing on the log; metrics into a time-series database, facts into an archive.
//! *Answers*: `History`: ranges of a metric, the facts of a rollout, exports to Parquet, whether the archive is whole, who
//! asked and what decided.
//! *Remembers*: in the archive how far it is; in its folder how far the metrics are, and those that wait for their database.
//! *Invariants*: a fact is in the archive once, behind every fact before it; no segment is altered, left out or put elsewhere
//! unseen; what is lost before it could be archived is said; a point is written once however often it is sent.

pub mod archive;
pub mod config;
pub mod feed;
#[cfg(feature = "influx")]
pub mod influx;
pub mod keep;
pub mod query;
pub mod restore;
pub mod search;
pub mod series;
pub mod shelf;
pub mod spool;
pub mod sqlite;
pub mod table;
pub mod upkeep;

use std::sync::Arc;

use anyhow::Context as _;
use auspex_chassis::{Group, House, Part, Section, ServiceSpec};
use futures::future::BoxFuture;

use crate::config::Config;
use crate::feed::Feed;
use crate::keep::{Figures, Keeper};
use crate::query::Answers;
use crate::series::TimeSeries;
use crate::shelf::Shelf;
use crate::upkeep::Upkeep;

/// This service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: "history",
    build,
    section: Section::of::<Config>("history"),
};

fn build(house: House) -> BoxFuture<'static, anyhow::Result<Part>> {
    Box::pin(async move {
        let config: Config = house.settings("history")?;
        start(&house, &config).await
    })
}

/// Runs everything with this configuration and answers its door.
///
/// # Errors
/// When folder, archive or database cannot be opened.
pub async fn start(house: &House, config: &Config) -> anyhow::Result<Part> {
    let mut answers = Answers {
        bus: house.bus().clone(),
        shelf: None,
        series: None,
        feed: Arc::default(),
        checked: Arc::default(),
    };
    let Some(location) = config.location().filter(|_| config.keeps()) else {
        tracing::warn!("history.folder is empty: nothing is kept beyond the lifetime of facts on the log");
        house.bus().archives_nothing().await?;
        return Ok(Part::empty().grpc(answers.server()));
    };
    std::fs::create_dir_all(&config.folder).with_context(|| format!("making {}", config.folder))?;
    let shelf = Shelf {
        archive: archive::store::open(&location, &config.archive)?,
        tail: Arc::default(),
    };
    let series = database(config).await?;
    let keeper = Keeper {
        bus: house.bus().clone(),
        archive: shelf.archive.clone(),
        config: config.archive.clone(),
        tail: Arc::clone(&shelf.tail),
        figures: Figures::new(house.metrics()),
    };
    // Last of all, so that what the others write as they stop is kept too.
    house.spawn("history archive", Group::Output, |stop| keeper.run(stop));
    if let Some(series) = &series {
        let from = (house.bus().clone(), shelf.archive.clone());
        let (feed, state) = Feed::new(from, Arc::clone(series), config, house.metrics())?;
        answers.feed = state;
        house.spawn("history metrics", Group::Output, |stop| feed.run(stop));
    }
    let upkeep = Upkeep {
        archive: shelf.archive.clone(),
        series: series.clone(),
        config: config.clone(),
        checked: Arc::clone(&answers.checked),
        sound: upkeep::sound(house.metrics()),
    };
    house.spawn("history upkeep", Group::Output, |stop| upkeep.run(stop));
    (answers.shelf, answers.series) = (Some(shelf), series);
    Ok(Part::empty().grpc(answers.server()))
}

async fn database(config: &Config) -> anyhow::Result<Option<Arc<dyn TimeSeries>>> {
    match config.metrics.database.as_str() {
        "sqlite" => Ok(Some(Arc::new(sqlite::Sqlite::open(
            &config.path("metrics.sqlite"),
        )?))),
        #[cfg(feature = "influx")]
        "influx" => Ok(Some(Arc::new(influx::Influx::open(&config.influx).await?))),
        _ => Ok(None),
    }
}
