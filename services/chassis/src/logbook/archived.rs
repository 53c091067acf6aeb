//! How far an archive is in the log. It lies beside the cursors of the stages, because intake closes by it as by them: what the
//! log gives up before it is archived is lost for good.

use auspex_proto::{Partition, Timestamp, stage, subject};
use serde::{Deserialize, Serialize};

use crate::bus::Bus;

#[derive(Serialize, Deserialize)]
struct Mark {
    /// Of which log.
    created: Timestamp,
    /// The last fact in the archive.
    seq: u64,
}

impl Bus {
    /// How far the archive is in the log of this creation time: of another log it has nothing. `None`: nothing is archived.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn archived_upto(&self, created: Timestamp) -> anyhow::Result<Option<u64>> {
        let cursors = self.bucket(subject::CURSORS).await?;
        let Some(mark) = cursors.get(place()).await? else {
            return Ok(None);
        };
        let mark: Mark = rmp_serde::from_slice(&mark)?;
        Ok(Some(if mark.created == created { mark.seq } else { 0 }))
    }

    /// Says that the facts of this log are archived up to this sequence. Once said, intake closes when the archive is so far
    /// behind that facts could expire before they are in it.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn archived(&self, created: Timestamp, seq: u64) -> anyhow::Result<()> {
        let value = rmp_serde::to_vec_named(&Mark { created, seq })?;
        let cursors = self.bucket(subject::CURSORS).await?;
        cursors.put(place(), value.into()).await?;
        Ok(())
    }

    /// Says that nothing is archived any more: nobody waits for it.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn archives_nothing(&self) -> anyhow::Result<()> {
        let cursors = self.bucket(subject::CURSORS).await?;
        if cursors.get(place()).await?.is_some() {
            cursors.purge(place()).await?;
        }
        Ok(())
    }
}

fn place() -> String {
    subject::post(stage::HISTORY.name, Partition::All)
}
