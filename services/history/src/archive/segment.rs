//! One segment: facts of one log in their order, compressed, with a head that says what they are and what came before.
//!
//! ```text
//! "AUSPEXA1" · length of the head (4 bytes, big endian) · head (JSON) · body (zstd of facts, each behind its length)
//! ```
//! The head holds the SHA-256 of the body and that of the whole segment before, so that no segment can be altered, left out
//! or put elsewhere without the one behind it telling.

use auspex_proto::wire::{ArchivedFact, FactHeader};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::summary::Summary;

const MAGIC: &[u8; 8] = b"AUSPEXA1";
/// Where the head begins.
const PREAMBLE: usize = 12;
/// The longest head that is read, in bytes: a summary is bounded far below it.
const MAX_HEAD: usize = 1 << 20;
/// The largest body that is unpacked, in bytes: a hundred times the default size of a segment.
const MAX_BODY: u64 = 1 << 30;
/// Compression: level 3 packs facts about six to one at some 300 MB a second.
const LEVEL: i32 = 3;

/// What is before the first segment.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// SHA-256 of the whole segment before it, in hex; zeros before the first.
    pub previous: String,
    /// When the log was created that its sequences belong to, in unix milliseconds.
    pub log_created_ms: i64,
    /// The first fact's sequence.
    pub first_sequence: u64,
    /// The last fact's.
    pub last_sequence: u64,
    /// The first fact's time in the log.
    pub first_time_ms: i64,
    /// The latest time in it.
    pub last_time_ms: i64,
    /// How many facts.
    pub facts: u64,
    /// Sequences between the segment before and this one whose facts had expired before they could be archived.
    #[serde(default)]
    pub gap_before: u64,
    /// Bytes of the body unpacked.
    pub unpacked_bytes: u64,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// SHA-256 of the body, in hex.
    pub body_sha256: String,
    /// What it is about, to pass it over without reading.
    #[serde(default)]
    pub summary: Summary,
}

/// Where a segment goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub number: u64,
    /// The hash of the one before.
    pub previous: String,
    /// Which log.
    pub log_created_ms: i64,
    /// Sequences lost before it.
    pub gap_before: u64,
}

/// A segment ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it says of itself.
    pub head: Head,
    /// All of it.
    pub bytes: Vec<u8>,
    /// SHA-256 of all of it, in hex.
    pub sha256: String,
}

/// Why a segment cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// It ends too early.
    #[error("it has {has} of {wants} bytes")]
    Truncated {
        /// Its bytes.
        has: u64,
        /// Those it should have.
        wants: u64,
    },
    /// Something in it is not what was written.
    #[error("{0}")]
    Altered(String),
}

/// SHA-256 in hex.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A fact as the archive keeps it.
#[must_use]
pub fn record(entry: &auspex_chassis::Entry) -> ArchivedFact {
    let header = |(name, value): &(String, String)| FactHeader {
        name: name.clone(),
        value: value.clone(),
    };
    ArchivedFact {
        sequence: entry.seq,
        time_ms: entry.time.0,
        subject: entry.subject.clone(),
        headers: entry.headers.iter().map(header).collect(),
        payload: entry.payload.to_vec(),
        log_created_ms: 0,
    }
}

/// The message that a record was made of.
#[must_use]
pub fn entry(record: &ArchivedFact) -> auspex_chassis::Entry {
    let pair = |header: &FactHeader| (header.name.clone(), header.value.clone());
    auspex_chassis::Entry {
        seq: record.sequence,
        time: auspex_proto::Timestamp(record.time_ms),
        subject: record.subject.clone(),
        headers: record.headers.iter().map(pair).collect(),
        payload: record.payload.clone().into(),
    }
}

/// Makes a segment of facts: the same facts give the same bytes.
///
/// # Errors
/// When there are none, or they cannot be packed.
pub fn seal(place: Place, records: &[ArchivedFact]) -> anyhow::Result<Sealed> {
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        anyhow::bail!("a segment without facts");
    };
    let mut unpacked = Vec::new();
    let mut summary = Summary::default();
    for record in records {
        record.encode_length_delimited(&mut unpacked)?;
        summary.add(record);
    }
    let body = zstd::bulk::compress(&unpacked, LEVEL)?;
    let head = Head {
        number: place.number,
        previous: place.previous,
        log_created_ms: place.log_created_ms,
        first_sequence: first.sequence,
        last_sequence: last.sequence,
        first_time_ms: first.time_ms,
        last_time_ms: records.iter().map(|r| r.time_ms).max().unwrap_or_default(),
        facts: records.len() as u64,
        gap_before: place.gap_before,
        unpacked_bytes: unpacked.len() as u64,
        body_bytes: body.len() as u64,
        body_sha256: hash(&body),
        summary,
    };
    let text = serde_json::to_vec(&head)?;
    let mut bytes = Vec::with_capacity(PREAMBLE + text.len() + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(text.len())?.to_be_bytes());
    bytes.extend_from_slice(&text);
    bytes.extend_from_slice(&body);
    let sha256 = hash(&bytes);
    Ok(Sealed { head, bytes, sha256 })
}

/// Reads what a segment says of itself; answers where its body begins, too.
///
/// # Errors
/// [`Flaw`].
pub fn head(bytes: &[u8]) -> Result<(Head, usize), Flaw> {
    let short = |wants: usize| Flaw::Truncated {
        has: bytes.len() as u64,
        wants: wants as u64,
    };
    let preamble = bytes.get(..PREAMBLE).ok_or_else(|| short(PREAMBLE))?;
    let length = match preamble
        .strip_prefix(MAGIC)
        .and_then(|l| <[u8; 4]>::try_from(l).ok())
    {
        Some(length) => usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX),
        None => return Err(Flaw::Altered("it does not begin as a segment".to_owned())),
    };
    if length > MAX_HEAD {
        return Err(Flaw::Altered(format!("its head would have {length} bytes")));
    }
    let end = PREAMBLE + length;
    let text = bytes.get(PREAMBLE..end).ok_or_else(|| short(end))?;
    let head: Head =
        serde_json::from_slice(text).map_err(|fault| Flaw::Altered(format!("its head: {fault}")))?;
    Ok((head, end))
}

/// Reads a whole segment, and checks everything that it can be checked by alone.
///
/// # Errors
/// [`Flaw`].
pub fn open(bytes: &[u8]) -> Result<(Head, Vec<ArchivedFact>), Flaw> {
    let altered = |what: String| Err(Flaw::Altered(what));
    let (head, at) = head(bytes)?;
    let body = bytes.get(at..).unwrap_or_default();
    let (has, wants) = (bytes.len() as u64, at as u64 + head.body_bytes);
    if has < wants {
        return Err(Flaw::Truncated { has, wants });
    }
    if has > wants {
        return altered(format!("it has {} bytes more than it should", has - wants));
    }
    if hash(body) != head.body_sha256 {
        return altered("its body has another checksum".to_owned());
    }
    if head.unpacked_bytes > MAX_BODY {
        return altered(format!("its body would unpack to {} bytes", head.unpacked_bytes));
    }
    let room = usize::try_from(head.unpacked_bytes).unwrap_or_default();
    let unpacked = match zstd::bulk::decompress(body, room) {
        Ok(unpacked) => unpacked,
        Err(fault) => return altered(format!("its body: {fault}")),
    };
    let mut rest = unpacked.as_slice();
    let mut records: Vec<ArchivedFact> = Vec::new();
    while !rest.is_empty() {
        match ArchivedFact::decode_length_delimited(&mut rest) {
            Ok(record) => records.push(record),
            Err(fault) => return altered(format!("fact {}: {fault}", records.len() + 1)),
        }
    }
    let ends = (
        records.first().map_or(0, |r| r.sequence),
        records.last().map_or(0, |r| r.sequence),
    );
    if records.len() as u64 != head.facts || ends != (head.first_sequence, head.last_sequence) {
        return altered("its head speaks of other facts".to_owned());
    }
    let ascending = |pair: &[ArchivedFact]| matches!(pair, [a, b] if a.sequence < b.sequence);
    if !records.windows(2).all(ascending) {
        return altered("its facts are not in their order".to_owned());
    }
    Ok((head, records))
}

#[cfg(test)]
pub(crate) fn some(number: u64, previous: &str, from: u64, count: u64) -> Sealed {
    let record = |n: u64| ArchivedFact {
        sequence: from + n,
        time_ms: 1_000 * i64::try_from(from + n).unwrap(),
        subject: "auspex.v1.p1.tick.a.tick".to_owned(),
        payload: vec![u8::try_from(n % 251).unwrap(); 20],
        ..ArchivedFact::default()
    };
    let place = Place {
        number,
        previous: previous.to_owned(),
        log_created_ms: 5,
        gap_before: 0,
    };
    seal(place, &(0..count).map(record).collect::<Vec<_>>()).unwrap()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_segment_reads_back_and_is_the_same_whoever_seals_it() {
        let sealed = some(1, NOTHING, 10, 300);
        let (head, records) = open(&sealed.bytes).unwrap();
        assert_eq!(head, sealed.head);
        assert_eq!(
            (records.len(), head.first_sequence, head.last_sequence),
            (300, 10, 309)
        );
        assert_eq!((head.first_time_ms, head.last_time_ms), (10_000, 309_000));
        assert_eq!(sealed, some(1, NOTHING, 10, 300));
    }

    proptest! {
        #[test]
        fn whatever_is_cut_or_changed_is_noticed(at in 0_usize..2_000, bit in 0_u8..8) {
            let sealed = some(1, NOTHING, 10, 300);
            let at = at % sealed.bytes.len();
            let cut = open(&sealed.bytes[..at]).unwrap_err();
            let is_truncated = matches!(cut, Flaw::Truncated { .. });
            prop_assert!(is_truncated, "{}", cut);
            let mut changed = sealed.bytes.clone();
            changed[at] ^= 1 << bit;
            // A change within the head may leave a head that reads: the hash of the whole tells it.
            prop_assert!(open(&changed).is_err() || hash(&changed) != sealed.sha256);
        }

        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = MAGIC.to_vec();
            framed.extend(&bytes);
            prop_assert!(open(&bytes).is_err() && open(&framed).is_err());
        }
    }
}
