//! Putting back what was kept into a log that was lost.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use auspex_chassis::bus::BusSettings;
use auspex_chassis::{Entry, Refill, Refilled};
use auspex_proto::Timestamp;
use auspex_proto::subject;

use crate::archive::chain::{Link, SegmentFault, Wrong};
use crate::archive::{Archive, segment};

/// The shortest life of a fact that is put back: longer than any stage may lag.
const AT_LEAST: Duration = Duration::from_secs(7 * 86_400);

/// What is in an archive, and in the log that it may go into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Facts in the archive.
    pub facts: u64,
    /// The first one's sequence.
    pub first: u64,
    /// The last one's.
    pub last: u64,
    /// The last one's time, in unix milliseconds.
    pub last_time_ms: i64,
    /// Messages on the log.
    pub on_log: u64,
    /// The last sequence that the log gave.
    pub log_last: u64,
}

/// What restoring would do.
///
/// # Errors
/// When archive or bus are out of reach, or the archive is empty.
pub async fn outlook(archive: &Archive, settings: &BusSettings) -> anyhow::Result<Outlook> {
    let (_, ends) = Refill::open(settings).await?;
    let index = archive.index().await?;
    let (first, last) = index
        .first()
        .zip(index.last())
        .with_context(|| format!("the archive at {} is empty", archive.location()))?;
    Ok(Outlook {
        facts: index.iter().map(|link| link.head.facts).sum(),
        first: first.head.first_sequence,
        last: last.head.last_sequence,
        last_time_ms: last.head.last_time_ms,
        on_log: ends.messages,
        log_last: ends.last,
    })
}

/// Puts every fact back that is not there. `from`: facts of segments that end before it are left out, for a log that cannot
/// take all. The archive must be whole.
///
/// # Errors
/// When the archive is damaged, the log holds something else, or one of them is out of reach. What is put back stays, and
/// the next attempt goes on from there.
pub async fn restore(archive: &Archive, settings: &BusSettings, from: Timestamp) -> anyhow::Result<Refilled> {
    let report = archive.verify(None).await?;
    let of_facts = |fault: &&SegmentFault| fault.fault != Wrong::Index;
    if let Some(fault) = report.faults.iter().find(of_facts) {
        anyhow::bail!(
            "the archive is not whole: {} is {} ({}); see `auspex history verify`",
            fault.name,
            fault.fault.as_str(),
            fault.detail
        );
    }
    let index = archive.index().await?;
    let wanted: Vec<&Link> = index
        .iter()
        .filter(|link| link.head.last_time_ms >= from.0)
        .collect();
    let first = wanted.first().context("the archive has no facts of that time")?;
    let (mut refill, ends) = Refill::open(settings).await?;
    let mut there = None;
    if ends.messages == 0 {
        refill.begin_at(first.head.first_sequence).await?;
    } else {
        there = Some(meet(archive, &wanted, &refill, ends.last).await?);
    }
    for link in wanted {
        let (_, facts) = archive.facts(link.head.number).await?;
        for record in &facts {
            let entry = segment::entry(record);
            let place = (link.head.number, record.sequence);
            if there.is_some_and(|there| place <= there) {
                refill.has(&entry);
            } else {
                refill
                    .put(&entry, Timestamp(link.head.log_created_ms), AT_LEAST)
                    .await?;
            }
        }
    }
    refill.finish().await
}

/// Finds the end of the log in the archive: segment and sequence of the fact that the log ends with.
async fn meet(archive: &Archive, wanted: &[&Link], refill: &Refill, last: u64) -> anyhow::Result<(u64, u64)> {
    let end = refill.bus().log_entry(last).await?;
    let end = end.with_context(|| format!("the log's last fact {last} cannot be read"))?;
    let sequence = auspex_chassis::Origin::parse(end.header(subject::ORIGIN_HEADER)).map_or(last, |o| o.seq);
    for link in wanted.iter().rev() {
        if link.head.first_sequence > sequence || link.head.last_sequence < sequence {
            continue;
        }
        let (_, facts) = archive.facts(link.head.number).await?;
        let same = |entry: &Entry| {
            entry.seq == sequence && entry.payload == end.payload && entry.subject == end.subject
        };
        if facts.iter().map(segment::entry).any(|entry| same(&entry)) {
            return Ok((link.head.number, sequence));
        }
    }
    ensure!(
        false,
        "the log is not empty, and its last fact ({last}) is not the archive's: only an empty log, or one that ends \
         where the archive was, can be refilled"
    );
    Ok((0, 0))
}
