//! Putting back what was kept into a log that was lost.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use auspex_chassis::bus::BusSettings;
use auspex_chassis::{Entry, Refill, Refilled};
use auspex_proto::Timestamp;
use auspex_proto::subject;

use crate::archive::chain::Link;
use crate::archive::survey::Loss;
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

/// What to do with an archive that is damaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Damaged {
    /// It is not put back.
    #[default]
    Refused,
    /// What is before the first damage.
    UpTo,
    /// What is whole; the places of what is lost stay empty.
    Skipped,
}

/// What is to be put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Facts of segments that end before it are left out, for a log that cannot take all.
    pub from: Timestamp,
    /// When the archive is damaged.
    pub damaged: Damaged,
}

/// What will be put back, and what is lost: nothing is changed by it yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Segments, in order.
    wanted: Vec<Link>,
    /// Segment and sequence of the fact that the log ends with; none: the log is empty.
    there: Option<(u64, u64)>,
    /// What the log will not have, in order; empty: everything comes back.
    pub losses: Vec<Loss>,
}

/// Reads the whole archive, and says what can be put back.
///
/// # Errors
/// When the archive is damaged and that was not allowed, the log holds something else, or one of them is out of reach.
pub async fn plan(archive: &Archive, settings: &BusSettings, wish: Wish) -> anyhow::Result<Plan> {
    let survey = archive.survey().await?;
    if wish.damaged == Damaged::Refused
        && let Some(first) = survey.losses.first()
    {
        let others = match survey.losses.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        bail!(
            "the archive is not whole: {first}{others}; nothing is done. --up-to-damage puts back what is before it, \
             --skip-damaged all that is whole"
        );
    }
    let mut losses = survey.losses;
    let end = match (wish.damaged, losses.first()) {
        (Damaged::UpTo, Some(loss)) => loss.first_segment,
        _ => u64::MAX,
    };
    let (mut wanted, behind): (Vec<Link>, Vec<Link>) =
        survey.whole.into_iter().partition(|link| link.head.number < end);
    losses.extend(Loss::behind(&behind));
    losses.sort_by_key(|loss| loss.first_segment);
    wanted.retain(|link| link.head.last_time_ms >= wish.from.0);
    losses.retain(|loss| loss.last_time_ms.is_none_or(|last| last >= wish.from.0));
    ensure!(
        !wanted.is_empty(),
        "the archive has no facts {}",
        if losses.is_empty() {
            "of that time"
        } else {
            "that can be put back"
        }
    );
    let (refill, ends) = Refill::open(settings).await?;
    let mut there = None;
    if ends.messages > 0 {
        let met = meet(archive, &wanted, &refill, ends.last).await?;
        // What the log has gone on behind is not asked of the archive.
        losses.retain(|loss| loss.first_segment > met.0);
        there = Some(met);
    }
    Ok(Plan {
        wanted,
        there,
        losses,
    })
}

impl Plan {
    /// Facts that the log does not have and will have; of the segment in which the log ends all are counted.
    #[must_use]
    pub fn facts(&self) -> u64 {
        let all: u64 = self.wanted.iter().map(|link| link.head.facts).sum();
        let done = |link: &&Link| self.there.is_some_and(|(number, _)| link.head.number < number);
        all - self
            .wanted
            .iter()
            .filter(done)
            .map(|link| link.head.facts)
            .sum::<u64>()
    }

    /// Puts every fact back that is not there.
    ///
    /// # Errors
    /// When archive or bus are out of reach, or somebody else writes into the log. What is put back stays, and the next
    /// attempt goes on from there.
    pub async fn carry_out(self, archive: &Archive, settings: &BusSettings) -> anyhow::Result<Refilled> {
        let (mut refill, ends) = Refill::open(settings).await?;
        if ends.messages == 0
            && let Some(first) = self.wanted.first()
        {
            refill.begin_at(first.head.first_sequence).await?;
        }
        for link in &self.wanted {
            let (_, facts) = archive.facts(link.head.number).await?;
            for record in &facts {
                let entry = segment::entry(record);
                let place = (link.head.number, record.sequence);
                if self.there.is_some_and(|there| place <= there) {
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
}

/// Puts every fact back that is not there. `from`: facts of segments that end before it are left out, for a log that cannot
/// take all. The archive must be whole.
///
/// # Errors
/// When the archive is damaged, the log holds something else, or one of them is out of reach. What is put back stays, and
/// the next attempt goes on from there.
pub async fn restore(archive: &Archive, settings: &BusSettings, from: Timestamp) -> anyhow::Result<Refilled> {
    let wish = Wish {
        from,
        damaged: Damaged::Refused,
    };
    plan(archive, settings, wish)
        .await?
        .carry_out(archive, settings)
        .await
}

/// Finds the end of the log in the archive: segment and sequence of the fact that the log ends with.
async fn meet(archive: &Archive, wanted: &[Link], refill: &Refill, last: u64) -> anyhow::Result<(u64, u64)> {
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
    bail!(
        "the log is not empty, and its last fact ({last}) is not the archive's: only an empty log, or one that ends \
         where the archive was, can be refilled"
    )
}
