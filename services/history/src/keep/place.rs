//! Where to go on: the end of the archive, found again in the log.

use auspex_chassis::{Bus, Ends, Entry};
use auspex_proto::Timestamp;
use auspex_proto::subject;
use thiserror::Error;

use crate::archive::Archive;
use crate::archive::chain::Link;
use crate::archive::segment::{NOTHING, Place};

/// Where reading begins, and where the next segment goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) created: Timestamp,
    pub(super) from: u64,
    /// The last fact of this log that is in the archive.
    pub(super) last: Option<u64>,
    pub(super) place: Place,
    /// Facts that were put back from the archive are in it already.
    pub(super) skip_restored: bool,
}

/// What no further attempt mends.
#[derive(Debug, Error)]
#[error(
    "the archive ends at {archived}, this log at {last}: facts have been lost from the log. Stop every service, \
     then `auspex history restore` puts them back"
)]
pub(super) struct Impossible {
    archived: u64,
    last: u64,
}

impl Position {
    pub(super) async fn find(bus: &Bus, archive: &Archive) -> anyhow::Result<Self> {
        let ends = bus.log_ends().await?;
        let Some(tip) = archive.tip().await? else {
            return Ok(Self::first(&ends));
        };
        let at_tip = bus.log_entry(tip.head.last_sequence).await?;
        let last = last_fact(archive, &tip).await?;
        Ok(decide(&ends, &tip, at_tip.as_ref(), &last)?)
    }

    fn first(ends: &Ends) -> Self {
        Self {
            created: ends.created,
            from: ends.first.max(1),
            last: None,
            place: Place {
                number: 1,
                previous: NOTHING.to_owned(),
                log_created_ms: ends.created.0,
                gap_before: 0,
            },
            // An archive that was begun anew on a log that was put back takes everything.
            skip_restored: false,
        }
    }
}

async fn last_fact(archive: &Archive, tip: &Link) -> anyhow::Result<Entry> {
    let (_, facts) = archive.facts(tip.head.number).await?;
    let last = facts.last().map(crate::archive::segment::entry);
    last.ok_or_else(|| anyhow::anyhow!("segment {} is empty", tip.head.number))
}

/// The log goes on from the archive, or it is another one.
fn decide(ends: &Ends, tip: &Link, at_tip: Option<&Entry>, last: &Entry) -> Result<Position, Impossible> {
    let same = ends.created.0 == tip.head.log_created_ms;
    let archived = tip.head.last_sequence;
    if same && ends.last < archived {
        return Err(Impossible {
            archived,
            last: ends.last,
        });
    }
    // A log that was put back or copied was created anew, and has the last fact where it was.
    let goes_on = same || at_tip.is_some_and(|entry| is_same(entry, last));
    Ok(Position {
        created: ends.created,
        from: if goes_on { archived + 1 } else { ends.first.max(1) },
        last: goes_on.then_some(archived),
        place: Place {
            number: tip.head.number + 1,
            previous: tip.sha256.clone(),
            log_created_ms: ends.created.0,
            gap_before: 0,
        },
        skip_restored: true,
    })
}

fn is_same(entry: &Entry, last: &Entry) -> bool {
    let id = entry.message_id().split("#again-").next().unwrap_or_default();
    let same = entry.subject == last.subject && entry.payload == last.payload && id == last.message_id();
    same && (entry.time == last.time || entry.header(subject::ORIGIN_HEADER).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::segment::some;

    fn tip() -> (Link, Entry) {
        let sealed = some(3, NOTHING, 10, 5);
        let (_, facts) = crate::archive::segment::open(&sealed.bytes).unwrap();
        let link = Link {
            sha256: sealed.sha256,
            bytes: 0,
            head: sealed.head,
        };
        (link, crate::archive::segment::entry(facts.last().unwrap()))
    }

    fn ends(created: i64, first: u64, last: u64) -> Ends {
        Ends {
            created: Timestamp(created),
            first,
            last,
            messages: last + 1 - first,
        }
    }

    #[test]
    fn it_goes_on_in_the_same_log_and_in_one_that_was_put_back() {
        let (link, last) = tip();
        let position = decide(&ends(5, 1, 20), &link, Some(&last), &last).unwrap();
        assert_eq!((position.from, position.place.number), (15, 4));
        let position = decide(&ends(77, 10, 20), &link, Some(&last), &last).unwrap();
        assert_eq!((position.from, position.place.log_created_ms), (15, 77));
    }

    #[test]
    fn another_log_is_kept_from_its_beginning() {
        let (link, last) = tip();
        let other = Entry {
            payload: vec![9].into(),
            ..last.clone()
        };
        for at_tip in [None, Some(&other)] {
            let position = decide(&ends(77, 1, 20), &link, at_tip, &last).unwrap();
            assert_eq!((position.from, position.skip_restored), (1, true));
        }
    }

    #[test]
    fn a_log_that_ends_before_the_archive_has_lost_facts() {
        let (link, last) = tip();
        let fault = decide(&ends(5, 1, 12), &link, None, &last)
            .unwrap_err()
            .to_string();
        assert!(fault.contains("ends at 14, this log at 12"), "{fault}");
    }
}
