//! Flips under load, by controllers in processes of their own that are killed again and again.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use auspex_chassis::House;
use auspex_chassis::testing::TestHouse;
use auspex_proto::{Decision, Fact, Meta, RolloutName, sample};
use tokio::process::{Child, Command};

use super::plane::Plane;
use crate::bench::load::Users;
use crate::bench::row::{Better, Row};

/// Users at once.
const USERS: usize = 32;
/// One flip in so many is cut short.
const KILL: u64 = 25;
/// The least time that users have between two flips.
const BETWEEN: Duration = Duration::from_millis(10);
/// The longest that one flip may take: a lease, and a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[allow(clippy::cast_precision_loss, reason = "counts of requests")]
pub(super) async fn measure(plane: &Plane, folder: &Path, quick: bool) -> anyhow::Result<Vec<Row>> {
    let flips = if quick { 50 } else { 500 };
    let name = plane.kind.name();
    let test = TestHouse::start().await?;
    let file = folder.join("controller.toml");
    let nats = &test.settings;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[nats]\nurl = \"{}\"\npartitions = {}\n[nats.streams]\nlease_seconds = {}\n{}",
        nats.url,
        nats.partitions,
        nats.streams.lease_seconds,
        plane.settings()?
    );
    tokio::fs::write(&file, text).await?;
    let mut controllers = [controller(&file)?, controller(&file)?];
    let mut killed = 0_u32;
    put(&test.house, 1, 0).await?;
    carried_out(&test.house, plane, 1, 0).await?;
    let users = Users::begin(plane.users, USERS).await?;
    for number in 2..2 + flips {
        let weight = if number % 2 == 0 { 100 } else { 0 };
        put(&test.house, number, weight).await?;
        if number % KILL == 0 {
            let at = usize::try_from(number / KILL % 2).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(number * 97 % 4_000)).await;
            if let Some(controller) = controllers.get_mut(at) {
                controller.kill().await?;
                *controller = self::controller(&file)?;
                killed += 1;
            }
        }
        carried_out(&test.house, plane, number, weight).await?;
        tokio::time::sleep(BETWEEN).await;
    }
    let got = users.end().await?;
    Ok(vec![
        Row::told(
            format!("{name}: requests lost in {flips} full flips, {killed} controllers killed"),
            got.lost as f64,
            "requests",
        )
        .floor(0.0, Better::Less),
        Row::told(
            format!("{name}: requests during the flips"),
            got.good as f64,
            "requests",
        ),
    ])
}

fn controller(file: &Path) -> anyhow::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["run", "router", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting a controller")
}

/// Until the data plane has it.
async fn carried_out(house: &House, plane: &Plane, number: u64, weight: u8) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let weights = plane.weights().await?;
        // The first word is the weight that the file has, too: only the record tells that it was said.
        let said = number > 1
            || !house
                .claimed::<auspex_router::record::Record>(auspex_proto::stage::ROUTER)
                .await?
                .is_empty();
        if said && weights.first() == Some(&u32::from(weight)) {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "flip {number} to {weight} % was not carried out within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn put(house: &House, number: u64, weight: u8) -> anyhow::Result<()> {
    let head = Meta {
        time: house.now(),
        ..sample::meta(&format!("flip-{number}"), "bench/0", number)?
    };
    let decision = Decision {
        rollout: RolloutName::new("flips")?,
        weight,
        previous_weight: 100 - weight,
        number,
        ..sample::decision(head, "s0")?
    };
    house.bus().publish(&Fact::Decision(decision)).await?;
    Ok(())
}
