//! The log as it lies there, message by message, with its places and headers: what `history` archives and what it puts back.

mod archived;
mod refill;

use auspex_proto::subject::{self, FACT_KINDS, FactKind};
use auspex_proto::{Project, Timestamp};
use bytes::Bytes;

pub use self::refill::{Refill, Refilled};
use crate::bus::{Bus, Raw, Reader, Start, timestamp};

/// A message with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence.
    pub seq: u64,
    /// Its time in the log; of one that was put back the time it had.
    pub time: Timestamp,
    /// Its subject.
    pub subject: String,
    /// Its headers, in order of their names.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub payload: Bytes,
}

impl Entry {
    /// A header's value; empty when it has none of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// Its deduplication key.
    #[must_use]
    pub fn message_id(&self) -> &str {
        self.header("Nats-Msg-Id")
    }

    fn of(raw: Raw) -> Self {
        let headers = raw.headers.as_ref().map(pairs).unwrap_or_default();
        Self {
            seq: raw.seq,
            time: raw.time,
            subject: raw.subject,
            headers,
            payload: raw.payload,
        }
    }
}

fn pairs(headers: &async_nats::HeaderMap) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| (name.to_string(), v.to_string())))
        .collect();
    // The client keeps them in a map of no order; an archive has to be the same whoever writes it.
    pairs.sort();
    pairs
}

/// Where a log begins and ends, and which log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// When it was created: sequences of another log mean something else.
    pub created: Timestamp,
    /// The first sequence that is still there.
    pub first: u64,
    /// The last sequence that was given; 0 in a log that never held anything.
    pub last: u64,
    /// How many are there.
    pub messages: u64,
}

/// A reading of facts as they lie there, in order; it survives absences of the server.
pub struct LogReader(Reader);

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}

impl LogReader {
    /// The next message, and how many more there are at this moment.
    ///
    /// # Errors
    /// When the log has been replaced under the reader.
    pub async fn next(&mut self) -> anyhow::Result<(Entry, u64)> {
        let raw = self.0.next().await?;
        let behind = raw.behind;
        Ok((Entry::of(raw), behind))
    }

    /// The next message if it has already arrived.
    pub fn arrived(&mut self) -> Option<Entry> {
        self.0.arrived().map(Entry::of)
    }
}

impl Bus {
    /// Where the log begins and ends at this moment.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn log_ends(&self) -> anyhow::Result<Ends> {
        let stream = self.js().get_stream(subject::FACTS).await?;
        let known = stream.cached_info();
        Ok(Ends {
            created: timestamp(known.created.unix_timestamp_nanos()),
            first: known.state.first_sequence,
            last: known.state.last_sequence,
            messages: known.state.messages,
        })
    }

    /// The message at a place; `None` when there is none (any more).
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn log_entry(&self, seq: u64) -> anyhow::Result<Option<Entry>> {
        use async_nats::jetstream::stream::RawMessageErrorKind;
        if seq == 0 {
            return Ok(None);
        }
        let stream = self.js().get_stream_no_info(subject::FACTS).await?;
        match stream.get_raw_message(seq).await {
            Ok(found) => {
                let headers = pairs(&found.headers);
                let mut entry = Entry {
                    seq: found.sequence,
                    time: timestamp(found.time.unix_timestamp_nanos()),
                    subject: found.subject.to_string(),
                    headers,
                    payload: found.payload,
                };
                if let Some(origin) = Origin::parse(entry.header(subject::ORIGIN_HEADER)) {
                    entry.time = origin.time;
                }
                Ok(Some(entry))
            }
            Err(fault) if fault.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Reads what the log still holds of a project's facts of some kinds, oldest first.
    #[must_use]
    pub fn read_project(&self, kinds: &[FactKind], project: &Project) -> LogReader {
        let partition = self.partitions().of(project);
        let filters = kinds
            .iter()
            .map(|kind| subject::facts_of_project(partition, *kind, project))
            .collect();
        LogReader(Reader::new(self, subject::FACTS, filters, Start::At(1)))
    }

    /// Reads facts of some kinds from a place on, in the log of that creation time and in no other.
    #[must_use]
    pub fn read_log(&self, kinds: &[FactKind], from: u64, created: Timestamp) -> LogReader {
        let filters = if kinds == FACT_KINDS {
            vec![subject::FACTS_SUBJECTS.to_owned()]
        } else {
            kinds
                .iter()
                .map(|kind| subject::facts_everywhere(*kind))
                .collect()
        };
        LogReader(Reader::new(self, subject::FACTS, filters, Start::At(from)).knows(created))
    }
}

/// Where a fact stood that was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The creation time of its log.
    pub created: Timestamp,
    /// Its sequence there.
    pub seq: u64,
    /// Its time there.
    pub time: Timestamp,
}

impl Origin {
    /// From the header's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (created, seq, time) = (number()?, number()?, number()?);
        Some(Self {
            created: Timestamp(created),
            seq: u64::try_from(seq).ok()?,
            time: Timestamp(time),
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.created, self.seq, self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_back() {
        let origin = Origin {
            created: Timestamp(5),
            seq: 7,
            time: Timestamp(1_700_000_000_123),
        };
        assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
        assert!(
            Origin::parse("").is_none()
                && Origin::parse("1:2").is_none()
                && Origin::parse("1:-2:3").is_none()
        );
    }
}
