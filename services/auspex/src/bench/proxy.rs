//! Requests a second through the proxy, against HAProxy in front of the same site under the same load; and requests lost
//! while all traffic moves from one version to the other and back.

use std::time::Duration;

use super::load::{Users, ask_for};
use super::row::{Better, Row, median_round};
use super::site::{Haproxy, Ours, SERVICE, site};

/// Users at once.
const USERS: usize = 32;
/// Share of HAProxy's rate that must be reached.
const OF_HAPROXY: f64 = 0.5;
/// Share of the site's own rate, where there is no HAProxy: a proxy does at least twice the work of the site.
const OF_SITE: f64 = 0.25;
const FLIPS: u32 = 200;
/// Between two flips.
const BETWEEN: Duration = Duration::from_millis(20);

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    let (rounds, time) = if quick {
        (1, Duration::from_millis(500))
    } else {
        (7, Duration::from_secs(1))
    };
    let folder = super::scratch()?;
    let (stable, candidate) = (site().await?, site().await?);
    let ours = Ours::start(stable, candidate).await?;
    ours.plane.set_weight(SERVICE, 50);
    let haproxy = Haproxy::start(folder.path(), stable, candidate).await?;
    let (limit_at, limit_name, floor) = match &haproxy {
        Some(haproxy) => (haproxy.address, "HAProxy", OF_HAPROXY),
        None => (stable, "the site itself (no haproxy on PATH)", OF_SITE),
    };
    let mut found = Vec::new();
    let mut lost = 0;
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        let limit = ask_for(limit_at, USERS, time).await?;
        let got = ask_for(ours.address, USERS, time).await?;
        lost += got.lost;
        if round > 0 {
            found.push((got.rate(), limit.rate()));
        }
    }
    let (value, limit) = median_round(&found);
    let mut rows = vec![
        Row::told(
            format!("requests through the proxy, {USERS} users"),
            value,
            "requests/s",
        )
        .beside(limit, limit_name)
        .floor(floor, Better::More),
    ];
    rows.extend(flips(&ours, lost).await?);
    Ok(rows)
}

/// All traffic to the candidate and back, again and again, under load.
#[allow(clippy::cast_precision_loss, reason = "counts of requests")]
async fn flips(ours: &Ours, lost_before: u64) -> anyhow::Result<Vec<Row>> {
    let users = Users::begin(ours.address, USERS).await?;
    for flip in 0..FLIPS {
        let weight = if flip % 2 == 0 { 100 } else { 0 };
        anyhow::ensure!(
            ours.plane.set_weight(SERVICE, weight),
            "the proxy does not know {SERVICE}"
        );
        tokio::time::sleep(BETWEEN).await;
    }
    let got = users.end().await?;
    let lost = got.lost + lost_before;
    Ok(vec![
        Row::told(
            format!("requests lost in {FLIPS} full flips under load"),
            lost as f64,
            "requests",
        )
        .floor(0.0, Better::Less),
        Row::told("requests during the flips", got.good as f64, "requests"),
    ])
}
