//! The one consumer loop: what the owner of a partition does, again and again.
//!
//! 1. read the cursor, load the keys, publish again what a key saved beyond the cursor;
//! 2. absorb what has arrived, in order;
//! 3. save each changed key as *state + last absorbed sequence + outbox*, by compare-and-set: at once when something is to be
//!    published or a command was absorbed, else within half a second, or within five where [nobody looks](Verb::is_seen), a few at
//!    a time, and before the cursor passes it;
//! 4. publish the outboxes, pipelined; 5. move the cursor, lazily.
//!
//! What a verb says may go out [right before the save](Speech::Fenced) or [long before it](Speech::First): whoever takes over absorbs
//! the same messages again and says the same.
//!
//! While the outboxes are under way the next messages are absorbed and saved; they are published when those have arrived.
//!
//! After a crash at any point the next owner begins at 1: a message that a key's sequence covers is not absorbed again, and
//! its saved outbox goes out once more under the same ids. Any error here takes the same way, so that the way is well trodden.

mod commit;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv;
use auspex_proto::subject::{self, FactKind};
use auspex_proto::{Fact, Partition, Timestamp};

use super::aging::Aging;
use super::cursor::Cursor;
use super::errands::{Book, Done, Errands};
use super::slots::{Ages, Arrived, Slots, Which};
use super::ticks::Ticker;
use super::under_way::{self, Arrived as Landed, UnderWay};
use super::{Fault, Post};
use crate::bus::{Bus, DeadLetter, Outgoing, Raw, Reader, Start, newest, snapshot};
use crate::shutdown::Stop;
use crate::verb::{Speech, Verb};

/// The most that is absorbed before it is saved.
const BATCH: usize = 256;
/// The most keys that are absorbed into and not saved: beyond it, the longest waiting are saved, whatever their age, before more is
/// absorbed.
const KEYS: usize = 1_024;
/// The most changes that nobody waits for which are saved at once: what is urgent must not wait behind many of them.
const BITE: usize = 32;
/// How often keys that are over are looked for, and how many are taken away at once.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
const SWEPT: usize = 4_096;
/// The most an outbox may hold before it is saved, in bytes: it is saved with its state, below the server's 1 MB, and what follows
/// from one message (at most 64 kB) may come on top. A state may so grow to 800 kB.
const OUTBOX: usize = 128 * 1024;
/// How far the cursor may trail: it only decides how much is read again after a crash.
const CURSOR_EVERY: Duration = Duration::from_millis(500);

/// How long an orderly stop waits for errands under way: most providers answer within it.
const LAST_ERRANDS: Duration = Duration::from_secs(3);

/// A partition in the hands of its owner.
pub(super) struct Owner<V: Verb> {
    bus: Bus,
    post: Post,
    slots: Slots<V>,
    bucket: kv::Store,
    cursor: Cursor,
    reader: Reader,
    ticker: Option<Ticker>,
    errands: Option<Book<V::State>>,
    under_way: UnderWay,
    /// How long changes that nobody waits for have waited.
    aging: Aging,
    /// The last message absorbed.
    position: u64,
    /// How far everything is saved and published too, and the time of the log there: as far as the cursor may move.
    settled: (u64, Timestamp),
}

impl<V: Verb> Owner<V> {
    /// Step 1.
    pub(super) async fn take(
        bus: &Bus,
        post: Post,
        verb: Arc<V>,
        errands: Option<Arc<dyn Errands<V::State>>>,
        poison: BTreeSet<u64>,
    ) -> Result<Self, Fault> {
        let stage = post.stage;
        let cursor = Cursor::load(bus, &post, verb.rebuilds()).await?;
        let bucket = bus.bucket(&subject::state_bucket(stage.name)).await?;
        let speech = verb.speech();
        let mut slots = Slots::new(stage, (post.partition, bus.partitions()), verb, cursor.now);
        slots.poison = poison;
        let (states, pattern) = (
            subject::state_bucket(stage.name),
            subject::state_keys(post.partition),
        );
        let kept = match speech {
            // Said before anybody has fenced it: so not of a state that is a moment old.
            Speech::First => newest(bus, &states, &pattern).await?,
            Speech::Saved | Speech::Fenced => snapshot(bus, &states, &pattern).await?,
        };
        for entry in kept {
            let key =
                subject::key_of(&entry.key).ok_or_else(|| anyhow::anyhow!("{} is not a key", entry.key))?;
            slots.load(key, entry.revision, &entry.value)?;
        }
        let unsure: Vec<Outgoing> = slots
            .iter()
            .filter(|(_, slot)| slot.seq > cursor.seq || slot.owes)
            .flat_map(|(_, slot)| slot.outbox.iter().cloned())
            .collect();
        under_way::publish(bus, unsure).await?;
        let mut filters = stage.subjects(post.partition);
        filters.extend(stage.subjects(Partition::All));
        let reader =
            Reader::new(bus, subject::FACTS, filters, Start::At(cursor.seq + 1)).knows(cursor.created);
        let ticker = match stage.writes.contains(&FactKind::Tick) {
            true => Some(Ticker::new(bus, post.partition).await?),
            false => None,
        };
        let (position, settled) = (cursor.seq, (cursor.seq, cursor.now));
        let mut errands = errands.map(Book::new);
        if let Some(book) = &mut errands {
            book.ask(slots.iter().map(|(key, _)| key.clone()));
        }
        Ok(Self {
            bus: bus.clone(),
            post,
            slots,
            bucket,
            cursor,
            reader,
            ticker,
            errands,
            under_way: UnderWay::default(),
            aging: Aging::default(),
            position,
            settled,
        })
    }

    /// Steps 2 to 5, until told to stop.
    pub(super) async fn run(mut self, stop: Stop) -> Result<(), Fault> {
        let mut lazily = tokio::time::interval(CURSOR_EVERY);
        lazily.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut pulse = tokio::time::interval(Duration::from_secs(1));
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        self.start_errands();
        loop {
            let tick_in = self
                .ticker
                .as_ref()
                .and_then(|t| t.next_in(self.slots.earliest_due()));
            let errand_in = self
                .errands
                .as_ref()
                .and_then(|book| book.next_in(crate::clock::now()));
            let bite_at = self.aging.next_at();
            let has_room = self.under_way.bytes < OUTBOX / 2;
            // What is seldom due comes first: a log that never pauses must not keep it waiting.
            tokio::select! {
                biased;
                () = stop.requested() => return self.leave().await,
                _ = pulse.tick(), if self.ticker.is_some() => {
                    // A lost heartbeat is what it is for: routers judge by silence.
                    self.bus.client().publish(subject::pulse(self.post.partition), "".into()).await.ok();
                }
                _ = lazily.tick() => self.cursor.move_to(self.settled.0, self.settled.1).await?,
                _ = sweep.tick() => self.sweep().await?,
                () = sleep(tick_in), if tick_in.is_some() => {
                    if let Some(ticker) = &mut self.ticker { ticker.write(&self.bus, self.slots.earliest_due()).await?; }
                }
                landed = self.under_way.arrive(), if self.under_way.is_open() => self.land(landed?),
                done = done(&mut self.errands) => {
                    self.settle(done);
                    self.commit(Which::Urgent).await?;
                }
                () = sleep_until(bite_at), if bite_at.is_some() => self.bite().await?,
                () = sleep(errand_in), if errand_in.is_some() => self.start_errands(),
                raw = self.reader.next(), if has_room => {
                    let first = raw.map_err(|fault| Fault::Fatal(fault.into()))?;
                    self.absorb_arrived(&first);
                    // What waits to be saved has its bound.
                    let full = self.slots.touched() >= KEYS;
                    let which = if full { Which::Until(Ages::ALL, BITE) } else { Which::Urgent };
                    self.commit(which).await?;
                    if self.slots.touched() > 0 {
                        self.aging.note(Instant::now(), self.position);
                    }
                }
            }
        }
    }

    /// Step 2.
    fn absorb_arrived(&mut self, first: &Raw) {
        self.absorb(first);
        for _ in 1..BATCH {
            if self.slots.outbox_bytes + self.under_way.bytes >= OUTBOX || self.slots.touched() >= KEYS {
                break;
            }
            match self.reader.arrived() {
                Some(raw) => self.absorb(&raw),
                None => break,
            }
        }
    }

    fn absorb(&mut self, raw: &Raw) {
        self.position = raw.seq;
        let message_id = raw.header("Nats-Msg-Id");
        let decoded =
            subject::parse(&raw.subject).and_then(|address| Fact::decode(address.kind, &raw.payload));
        match decoded {
            Ok(fact) => {
                if let (Some(ticker), Fact::Tick(tick)) = (&mut self.ticker, &fact) {
                    ticker.seen(raw.seq, tick.boundary);
                }
                let trace = raw.header(subject::TRACE_HEADER);
                let (subject, payload) = (raw.subject.as_str(), raw.payload.as_ref());
                let message = Arrived {
                    seq: raw.seq,
                    fact: &fact,
                    subject,
                    message_id,
                    payload,
                    trace,
                };
                self.slots.absorb(raw.time, &message);
            }
            Err(fault) => {
                self.slots.now = self.slots.now.max(raw.time);
                self.undecodable(raw, message_id, fault.to_string());
            }
        }
    }

    fn undecodable(&mut self, raw: &Raw, message_id: &str, reason: String) {
        let letter = DeadLetter {
            stage: self.post.stage.name.to_owned(),
            subject: raw.subject.clone(),
            sequence: raw.seq,
            message_id: message_id.to_owned(),
            reason,
            payload: raw.payload.to_vec(),
            attempt: 0,
            time_ms: raw.time.0,
        };
        self.cursor
            .owes
            .push(Outgoing::dead_letter(&letter, self.post.partition));
    }

    /// Saves what has spoken, and some of what nobody waits for and has waited long enough.
    async fn bite(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let until = self.aging.until(now);
        self.commit(Which::Until(until, BITE)).await?;
        let all = !self.slots.is_due(until);
        self.aging.bitten(now, all);
        Ok(())
    }

    /// Takes away keys that are over. Only what was saved last goes: had a newer owner written, it would stay.
    async fn sweep(&mut self) -> Result<(), Fault> {
        let over = self.slots.over(SWEPT);
        if over.is_empty() {
            return Ok(());
        }
        let bucket = subject::state_bucket(self.post.stage.name);
        let stream = self.bus.stream_of(&bucket).await?;
        for (key, revision) in over {
            let subject = subject::bucket_key(&bucket, &subject::state_key(self.post.partition, &key));
            stream.purge().filter(subject).sequence(revision + 1).await?;
            self.slots.forget(&key);
        }
        Ok(())
    }

    /// What was under way has arrived.
    fn land(&mut self, landed: Landed) {
        for key in &landed.keys {
            self.slots.acknowledged(key);
        }
        self.slots.stands(landed.places);
        self.settled = landed.settled.unwrap_or(self.settled);
    }

    /// Errands under way get a moment to end, so that an orderly stop repeats none; then step 5, for the last time.
    async fn leave(mut self) -> Result<(), Fault> {
        let end = tokio::time::Instant::now() + LAST_ERRANDS;
        let mut last = self.errands.take();
        while let Some(book) = last.as_mut().filter(|book| !book.is_idle()) {
            let Ok(done) = tokio::time::timeout_at(end, book.done()).await else {
                break;
            };
            let (key, settle) = book.close(done);
            self.slots.settle(&key, settle, crate::clock::now());
            self.commit(Which::All).await?;
        }
        self.commit(Which::All).await?;
        let landed = self.under_way.arrive().await?;
        self.land(landed);
        self.cursor.move_to(self.settled.0, self.settled.1).await
    }

    /// These are saved: they are asked for errands.
    fn ask(&mut self, saved: Vec<String>) {
        if let Some(book) = &mut self.errands {
            book.ask(saved);
            self.start_errands();
        }
    }

    fn start_errands(&mut self) {
        let slots = &self.slots;
        // An errand is run by what is saved, so that a crash repeats it rather than forgets it.
        let saved = |key: &str| {
            slots
                .get(key)
                .filter(|slot| !slot.touched)
                .map(|slot| &slot.state)
        };
        if let Some(book) = &mut self.errands {
            book.start(crate::clock::now(), saved);
        }
    }

    fn settle(&mut self, done: Done<V::State>) {
        if let Some(book) = &mut self.errands {
            let (key, settle) = book.close(done);
            self.slots.settle(&key, settle, crate::clock::now());
        }
    }
}

async fn done<S: 'static>(book: &mut Option<Book<S>>) -> Done<S> {
    match book {
        Some(book) => book.done().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn sleep(duration: Option<Duration>) {
    tokio::time::sleep(duration.unwrap_or(Duration::MAX)).await;
}

/// The time an absence of the owner may take before somebody looks at it again.
pub(super) fn pause(attempt: u32) -> Duration {
    Duration::from_millis(50 << attempt.min(6))
}
