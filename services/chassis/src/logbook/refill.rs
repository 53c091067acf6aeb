//! Putting facts back into an empty log, each at the sequence it had.
//!
//! Ids of derived facts are made of the sequence of their cause, so a stage that absorbs what was put back makes the same
//! facts again only where sequences are the same. What was put back keeps its subject, id and bytes; the header
//! [`subject::ORIGIN_HEADER`] says where and when it stood, and whoever reads the log takes its time from there.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use auspex_proto::{Timestamp, subject};

use super::{Ends, Entry, Origin};
use crate::bus::{Bus, BusSettings, Pending};

/// Messages under way at once.
const WINDOW: usize = 512;
/// The most empty places that are laid one by one.
const MOST_EMPTY: u64 = 1_000_000;
/// What no message that is put back keeps: a wish about its lifetime or about what stood before it.
const NOT_KEPT: [&str; 2] = ["Nats-TTL", "Nats-Expected-"];

/// What was put back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refilled {
    /// Facts.
    pub facts: u64,
    /// Facts whose place was taken, and which stand at another one.
    pub moved: u64,
    /// Places left empty.
    pub empty: u64,
    /// Facts that lay there already, from an attempt before.
    pub there: u64,
}

/// A log that is being put back.
#[derive(Debug)]
pub struct Refill {
    bus: Bus,
    settings: BusSettings,
    next: u64,
    messages: u64,
    ids: BTreeSet<String>,
    under_way: VecDeque<(u64, Pending)>,
    done: Refilled,
}

impl Refill {
    /// Opens the log.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn open(settings: &BusSettings) -> anyhow::Result<(Self, Ends)> {
        let bus = Bus::connect(settings, "auspex restore").await?;
        let ends = bus.log_ends().await?;
        let refill = Self {
            bus,
            settings: settings.clone(),
            next: ends.last + 1,
            messages: ends.messages,
            ids: BTreeSet::new(),
            under_way: VecDeque::new(),
            done: Refilled::default(),
        };
        Ok((refill, ends))
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Makes an empty log begin at this sequence.
    ///
    /// # Errors
    /// When it is not empty, or the bus is away.
    pub async fn begin_at(&mut self, first: u64) -> anyhow::Result<()> {
        if self.next == first {
            return Ok(());
        }
        ensure!(
            self.messages == 0,
            "the log holds {} messages: only an empty one can begin elsewhere",
            self.messages
        );
        self.bus.lay_out_facts_at(&self.settings.streams, first).await?;
        self.next = first;
        Ok(())
    }

    /// Says that a fact lies there already.
    pub fn has(&mut self, entry: &Entry) {
        self.ids.insert(entry.message_id().to_owned());
        self.done.there += 1;
    }

    /// Puts a fact back. It lives as long as it had left, and at least `at_least`.
    ///
    /// # Errors
    /// When the bus is away or full, or somebody else writes into the log.
    pub async fn put(&mut self, entry: &Entry, created: Timestamp, at_least: Duration) -> anyhow::Result<()> {
        if entry.seq > self.next && entry.seq - self.next <= MOST_EMPTY {
            while self.next < entry.seq {
                self.send(subject::EMPTY_PLACE, empty()).await?;
                self.done.empty += 1;
            }
        }
        if entry.seq != self.next {
            self.done.moved += 1;
        }
        let origin = Origin {
            created,
            seq: entry.seq,
            time: entry.time,
        };
        let message = self.message(entry, origin, at_least);
        self.send(&entry.subject, message).await?;
        self.done.facts += 1;
        Ok(())
    }

    /// Waits for everything under way.
    ///
    /// # Errors
    /// As [`Refill::put`].
    pub async fn finish(mut self) -> anyhow::Result<Refilled> {
        while !self.under_way.is_empty() {
            self.settle().await?;
        }
        Ok(self.done)
    }

    fn message(&mut self, entry: &Entry, origin: Origin, at_least: Duration) -> PublishMessage {
        let mut headers = HeaderMap::new();
        let kept = |name: &str| !NOT_KEPT.iter().any(|not| name.starts_with(not));
        for (name, value) in entry.headers.iter().filter(|(name, _)| kept(name)) {
            headers.append(name.as_str(), value.as_str());
        }
        // Of where it stood first: what is put back a second time keeps its first place.
        if entry.header(subject::ORIGIN_HEADER).is_empty() {
            headers.insert(subject::ORIGIN_HEADER, origin.to_string());
        }
        let id = entry.message_id();
        if !id.is_empty() && !self.ids.insert(id.to_owned()) {
            // The log had it twice, further apart than the server looks; now they are close together.
            headers.insert(
                async_nats::header::NATS_MESSAGE_ID,
                format!("{id}#again-{}", entry.seq),
            );
        }
        let lifetime = subject::parse(&entry.subject).map_or(at_least, |a| a.kind.lifetime());
        let left = lifetime.saturating_sub(crate::clock::now().since(entry.time));
        PublishMessage::build()
            .payload(entry.payload.clone())
            .headers(headers)
            .ttl(left.max(at_least))
    }

    async fn send(&mut self, to: &str, message: PublishMessage) -> anyhow::Result<()> {
        if self.under_way.len() >= WINDOW {
            self.settle().await?;
        }
        let ack = self.bus.js().send_publish(to.to_owned(), message).await?;
        self.under_way.push_back((self.next, Pending::of(ack, 0)));
        self.next += 1;
        Ok(())
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        let Some((expected, pending)) = self.under_way.pop_front() else {
            return Ok(());
        };
        let receipt = pending.receipt().await.context("putting a fact back")?;
        if receipt.sequence != expected || receipt.duplicate {
            bail!(
                "the fact for place {expected} stands at {}: somebody else writes into the log, or had written; \
                 stop every service and begin again on an empty log",
                receipt.sequence
            );
        }
        Ok(())
    }
}

/// A message that keeps a place, and is gone in a second.
fn empty() -> PublishMessage {
    PublishMessage::build().ttl(Duration::from_secs(1))
}
