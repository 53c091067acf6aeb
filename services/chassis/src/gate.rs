//! When facts may not come in: the log is full, or somebody lags so far that an acknowledged fact could expire unabsorbed.

use std::time::Duration;

use auspex_proto::stage::{Keeps, STAGES};
use auspex_proto::subject;

use crate::bus::Bus;
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
        match look(&bus).await {
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

async fn look(bus: &Bus) -> anyhow::Result<Option<String>> {
    let stream = bus.js().get_stream(subject::FACTS).await?;
    let info = stream.cached_info();
    let (bytes, limit) = (info.state.bytes as f64, info.config.max_bytes as f64);
    if limit > 0.0 && bytes > limit * FULL {
        return Ok(Some(format!("the log is full: {bytes} of {limit} bytes")));
    }
    let cursors = bus.bucket(subject::CURSORS).await?;
    for stage in STAGES.iter().filter(|stage| stage.keeps == Keeps::State) {
        for partition in bus.partitions().iter() {
            let Some(cursor) = cursors.get(subject::post(stage.name, partition)).await? else {
                continue;
            };
            let Some(behind) = crate::stage::lag(&stream, &cursor, stage, partition).await? else {
                continue;
            };
            let age = clock::now().since(behind);
            if age > LAG {
                return Ok(Some(format!(
                    "{} lags {} h behind on {partition}",
                    stage.name,
                    age.as_secs() / 3_600
                )));
            }
        }
    }
    Ok(None)
}
