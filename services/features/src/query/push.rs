//! What is pushed, and what lies offline put in again: rows on their way to the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use auspex_algebra::distinct::hash;
use auspex_algebra::{Row, Value};
use auspex_proto::rows::{FeatureRow, FeatureRows, MOST_ROWS, RowShape};
use auspex_proto::wire::{MaterializeRequest, MaterializeResponse, PushResponse, PushRow};
use auspex_proto::{Fact, FactId, Meta, Project};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::online::READY;
use super::parcel::{Addressed, Unread};
use super::{Answers, away, project};
use crate::definitions::Served;
use crate::extract::STAGE;
use crate::lacking::{lacking, whole};
use crate::offline::{Wanted, Whose};
use crate::online::{Asked, entity_of};
use crate::rows::{wire_row, wire_shape};

/// The most rows of one request.
const AT_ONCE: usize = 10_000;
/// Facts on their way at once.
const WINDOW: usize = 32;
/// How long a caller waits at most until what was pushed can be read.
const VISIBLE: Duration = Duration::from_secs(2);
/// The same of what is put in again: whoever asks twice in a row asks for what is there by then.
const VISIBLE_AGAIN: Duration = Duration::from_secs(20);
/// The greatest size of a number: sums of as many rows as there will ever be, stay numbers.
const GREATEST: f64 = 1e290;
/// How far a caller's clock may run ahead, milliseconds; a row happens at the latest when it becomes known.
const AHEAD: i64 = 5 * 60_000;

impl Answers {
    pub(super) async fn push_rows<R: Unread>(
        &self,
        pushed: Addressed,
        unread: Vec<R>,
    ) -> Result<PushResponse, Status> {
        if unread.is_empty() || unread.len() > AT_ONCE {
            let told = format!("rows: are {}, from 1 to {AT_ONCE} may be pushed", unread.len());
            return Err(Status::invalid_argument(told));
        }
        let project = project(pushed.project)?;
        let known = self.shelf.known();
        let view = known.catalogue.views.get(&pushed.view);
        let view = view.ok_or_else(|| Status::not_found(format!("view: there is no {}", pushed.view)))?;
        if !view.pushed {
            let told = format!(
                "view: {} reads the stream {}, nothing is pushed to it",
                view.name, view.source
            );
            return Err(Status::failed_precondition(told));
        }
        let now = self.house.now().0;
        let mut rows = Vec::with_capacity(unread.len());
        // All are looked at before one is published.
        for (number, row) in unread.into_iter().enumerate() {
            let row = row.read().and_then(|row| self::row(view, row, now));
            rows.push(row.map_err(|fault| Status::invalid_argument(format!("rows[{number}].{fault}")))?);
        }
        let accepted = rows.len() as u64;
        let facts = facts(view, &project, rows, "push");
        let sequence = self.publish(&facts).await?;
        let visible = pushed.wait && self.are_held(&facts, Instant::now() + VISIBLE).await;
        Ok(PushResponse {
            accepted,
            sequence,
            visible,
        })
    }

    /// Publishes facts; answers the last place in the log.
    async fn publish(&self, facts: &[Fact]) -> Result<u64, Status> {
        let (mut sequence, mut under_way) = (0, VecDeque::new());
        let mut facts = facts.iter();
        loop {
            let next = facts.next();
            if let Some(fact) = next {
                under_way.push_back(self.house.bus().publish_later(fact).await.map_err(unpublished)?);
            }
            while under_way.len() >= WINDOW || (next.is_none() && !under_way.is_empty()) {
                let Some(pending) = under_way.pop_front() else {
                    break;
                };
                let receipt = pending.receipt().await.map_err(unpublished)?;
                sequence = sequence.max(receipt.sequence);
            }
            if next.is_none() {
                return Ok(sequence);
            }
        }
    }

    /// Waits until all their rows can be read.
    async fn are_held(&self, facts: &[Fact], until: Instant) -> bool {
        for fact in facts {
            let Fact::Rows(rows) = fact else { continue };
            while !self.online.holds(rows) {
                if Instant::now() >= until {
                    return false;
                }
                sleep(Duration::from_millis(2)).await;
            }
        }
        true
    }

    pub(super) async fn put_in_again(
        &self,
        asked: MaterializeRequest,
    ) -> Result<MaterializeResponse, Status> {
        let project = project(asked.project)?;
        let known = self.shelf.known();
        let pushed = || known.catalogue.views.values().filter(|view| view.pushed);
        let named = |name: &String| {
            let found = known.catalogue.views.get(name);
            found.ok_or_else(|| Status::not_found(format!("views: there is no {name}")))
        };
        let views: Vec<_> = match asked.views.is_empty() {
            true => pushed().collect(),
            false => asked.views.iter().map(named).collect::<Result<_, _>>()?,
        };
        let to = if asked.to_ms == 0 {
            self.house.now().0
        } else {
            asked.to_ms
        };
        if to < asked.from_ms {
            return Err(Status::invalid_argument("to_ms: lies before from_ms"));
        }
        if !self.online.is_ready(READY).await {
            return Err(Status::unavailable(
                "the online store is being read; try again in a moment",
            ));
        }
        let (mut done, mut sources) = (MaterializeResponse::default(), BTreeSet::new());
        for view in views {
            // Views of one source read the same rows.
            if sources.insert((&view.source, &view.digest)) {
                self.source_again(view, &project, (asked.from_ms, to), &mut done)
                    .await?;
            }
        }
        Ok(done)
    }

    /// Share by share: a long span of a busy source would not fit into memory.
    async fn source_again(
        &self,
        view: &Served,
        project: &Project,
        span: (i64, i64),
        done: &mut MaterializeResponse,
    ) -> Result<(), Status> {
        let (offline, events) = (self.offline()?, whole(&view.shape, span));
        let shares = offline.shares(project.as_str(), &view.source, events);
        let shares = shares.await.map_err(away)?;
        for share in 0..shares {
            let wanted = Wanted {
                project: project.as_str(),
                source: &view.source,
                shape: &view.shape,
                events,
                whose: Whose::Share(share, shares),
            };
            let (now, mut rows) = (self.house.now().0, Vec::new());
            let stored = offline.rows(&wanted, None).await.map_err(away)?;
            let mut stored = stored.into_iter().peekable();
            while let Some(first) = stored.next() {
                let mut own = vec![first];
                while let Some(next) =
                    stored.next_if(|next| own.last().is_some_and(|s| s.entity == next.entity))
                {
                    own.push(next);
                }
                let entity = own.last().map(|s| s.entity.clone()).unwrap_or_default();
                let within = own.iter().filter(|s| (span.0..=span.1).contains(&s.row.event));
                let many = within.count() as u64;
                let lacks = self.online.look(project.as_str(), view, &entity, |ledger| {
                    lacking(&view.shape, ledger, own, span, now)
                });
                done.there += many.saturating_sub(lacks.len() as u64);
                rows.extend(lacks.into_iter().map(|s| wire_row(&view.shape, s.entity, &s.row)));
            }
            done.rows += rows.len() as u64;
            let facts = facts(view, project, rows, "materialize");
            done.sequence = done.sequence.max(self.publish(&facts).await?);
        }
        let until = Instant::now() + VISIBLE_AGAIN;
        self.barrier.passed(project, done.sequence, until).await;
        Ok(())
    }
}

/// Rows as facts, at most so many in each.
fn facts(view: &Served, project: &Project, rows: Vec<FeatureRow>, by: &str) -> Vec<Fact> {
    let shape = wire_shape(&view.shape);
    let mut rows = rows.into_iter();
    let chunks = std::iter::from_fn(|| {
        let chunk: Vec<FeatureRow> = rows.by_ref().take(MOST_ROWS).collect();
        (!chunk.is_empty()).then_some(chunk)
    });
    chunks.map(|rows| fact(view, &shape, project, rows, by)).collect()
}

fn fact(view: &Served, shape: &RowShape, project: &Project, rows: Vec<FeatureRow>, by: &str) -> Fact {
    // The same rows of the same shape are the same fact: a caller may try again.
    let mut digest = Sha256::new();
    digest.update(format!("{}\n{}\n", view.source, view.digest));
    for row in &rows {
        digest.update(format!(
            "{}\n{}\n{}\n{}\n",
            row.entity, row.event, row.created, row.id
        ));
    }
    let id = format!("{by}:{}", hex::encode(digest.finalize()));
    let newest = rows.iter().map(|row| row.created).max().unwrap_or_default();
    Fact::Rows(FeatureRows {
        meta: Meta {
            id: FactId::outside("features", &id),
            project: project.clone(),
            time: newest,
            cause: 0,
            source: format!("{STAGE}/{by}"),
        },
        source: view.source.clone(),
        shape: shape.clone(),
        rows,
    })
}

/// When it happened and when it became known: never after now, and never the one after the other.
fn times(event: i64, created: i64, now: i64) -> Result<(i64, i64), String> {
    let known = if created == 0 { now } else { created };
    let event = if event == 0 { known } else { event };
    for (name, at) in [("event_ms", event), ("created_ms", known)] {
        if at < 0 {
            return Err(format!("{name}: lies before 1970"));
        }
        if at > now.saturating_add(AHEAD) {
            return Err(format!("{name}: lies in the future"));
        }
    }
    if event > known.saturating_add(AHEAD) {
        return Err("event_ms: lies after created_ms: nothing is known before it happens".to_owned());
    }
    let created = known;
    let created = created.min(now);
    Ok((event.min(created), created))
}

fn columns(
    numbers: impl IntoIterator<Item = (String, f64)>,
    texts: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut columns: BTreeMap<String, Value> = BTreeMap::new();
    for (name, number) in numbers {
        let value = match number {
            number if number.abs() <= GREATEST => Value::Number(number),
            // As everybody says that there is none.
            number if number.is_nan() => Value::Null,
            number if number.is_finite() => return Err(format!("{name}: is larger than 1e290")),
            _ => return Err(format!("{name}: is infinite")),
        };
        columns.insert(name, value);
    }
    for (name, text) in texts {
        if text.len() > 1_024 {
            return Err(format!("{name}: is longer than 1,024 bytes"));
        }
        let value = if text.is_empty() {
            Value::Null
        } else {
            Value::Text(text)
        };
        if columns.insert(name.clone(), value).is_some() {
            return Err(format!("{name}: is told twice"));
        }
    }
    Ok(columns)
}

fn row(view: &Served, pushed: PushRow, now: i64) -> Result<FeatureRow, String> {
    let asked = Asked {
        keys: pushed.keys.into_iter().collect(),
        request: BTreeMap::new(),
    };
    if let Some(unknown) = asked.keys.keys().find(|key| !view.keys.contains(key)) {
        return Err(format!("keys: {unknown} is no join key of {}", view.name));
    }
    if asked.keys.values().any(String::is_empty) {
        return Err("keys: one is empty".to_owned());
    }
    let entity = entity_of(view, &asked).ok_or_else(|| format!("keys: it needs {}", view.keys.join(", ")))?;
    if entity.len() > auspex_proto::rows::LONGEST_ENTITY {
        return Err("keys: are too long".to_owned());
    }
    let (event, created) = times(pushed.event_ms, pushed.created_ms, now)?;
    // As it was told: a clock that runs ahead is put right, and a row that is sent again is the same row.
    let told = if pushed.event_ms == 0 {
        event
    } else {
        pushed.event_ms
    };
    let columns = columns(pushed.numbers, pushed.texts)?;
    let identity = match pushed.id.as_str() {
        "" => format!("{entity}\n{told}\n{columns:?}"),
        id => id.to_owned(),
    };
    let row = Row {
        event,
        created,
        id: hash(identity.as_bytes()),
        ..view.row(columns)?
    };
    Ok(wire_row(&view.shape, entity, &row))
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn unpublished(fault: auspex_chassis::PublishError) -> Status {
    Status::unavailable(fault.to_string())
}
