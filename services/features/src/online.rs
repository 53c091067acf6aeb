//! The online store: what every entity has come to, in memory, as the store's states are saved; and the vectors made of it.
//!
//! Each replica has all of it, whoever owns the partitions. A vector is assembled once per entity and service, and served until
//! one of its rows or tiles changes, a window's tail moves, or a row expires.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use auspex_algebra::{Cell, Ledger, evaluate, steady_until};
use auspex_chassis::Changed;
use auspex_proto::rows::FeatureRows;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::definitions::{Recipe, Served};
use crate::rows::{entity, shape};
use crate::store::{State, account, account_of};

/// The most vectors that are kept assembled; beyond it all are made anew.
const VECTORS: usize = 200_000;

/// The store in memory.
#[derive(Debug, Default)]
pub struct Online {
    /// Each in a place of its own: a table keeps up to half of its places free.
    accounts: RwLock<HashMap<Box<str>, Box<Account>>>,
    vectors: RwLock<HashMap<String, Vector>>,
    changes: AtomicU64,
    /// How far it has come in the store's changes.
    place: AtomicU64,
    /// Whether all that was saved has been read once.
    ready: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Account {
    ledger: Ledger,
    /// Another one after each change, over all accounts.
    stamp: u64,
}

#[derive(Debug)]
struct Vector {
    stamps: Vec<u64>,
    from: i64,
    until: i64,
    cells: Vec<Cell>,
}

/// Who is asked about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Join keys and their values.
    pub keys: BTreeMap<String, String>,
    /// What comes with the request.
    pub request: BTreeMap<String, f64>,
}

/// How one source of a project stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many entities.
    pub entities: u64,
    /// The newest event, milliseconds.
    pub newest: i64,
}

/// The name of the entity that a view reads of, when all of its keys are given.
#[must_use]
pub fn entity_of(view: &Served, asked: &Asked) -> Option<String> {
    let mut pairs = Vec::with_capacity(view.keys.len());
    for key in &view.keys {
        pairs.push((key.as_str(), asked.keys.get(key)?.as_str()));
    }
    Some(entity(pairs))
}

impl Online {
    /// Whether all that was saved has been read; waits so long for it. Before, what is known would look unknown.
    pub async fn is_ready(&self, within: Duration) -> bool {
        let mut ready = self.ready.subscribe();
        let read = ready.wait_for(|ready| *ready);
        tokio::time::timeout(within, read)
            .await
            .is_ok_and(|read| read.is_ok())
    }

    /// Says that all that was saved has been read.
    pub fn complete(&self) {
        self.ready
            .send_if_modified(|ready| !std::mem::replace(ready, true));
    }

    /// Forgets everything: it is read anew.
    pub fn clear(&self) {
        self.ready.send_replace(false);
        self.place.store(0, Ordering::Relaxed);
        self.accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.vectors
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Takes in changes as they were saved.
    pub fn put(&self, changes: Vec<Changed<State>>) {
        let place = changes.last().map(|last| last.place);
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        for Changed { key, kept, .. } in changes {
            let name = account_of(&key);
            let stamp = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
            let Some(kept) = kept else {
                accounts.remove(name);
                continue;
            };
            if !accounts.contains_key(name) {
                accounts.insert(name.into(), Box::default());
            }
            if let Some(account) = accounts.get_mut(name) {
                account.stamp = stamp;
                match kept.state {
                    State::Latest(latest) => account.ledger.latest = Some(latest),
                    State::Tile(tile) => account.ledger.put(tile),
                    State::Empty => {}
                }
            }
        }
        if let Some(place) = place {
            self.place.store(place, Ordering::Release);
        }
    }

    /// Forgets what nobody can ask for any more.
    pub fn forget(&self, now: i64) {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, account| {
            account.ledger.forget(now);
            let over = account
                .ledger
                .latest
                .as_ref()
                .is_none_or(|l| l.over_at().is_some_and(|over| over <= now));
            account.ledger.tiles() > 0 || !over
        });
        drop(accounts);
        self.vectors
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, vector| vector.until >= now);
    }

    /// Whether everything up to a place in the store's changes has been taken in; waits for it until then.
    pub async fn has_read(&self, place: u64, until: Instant) -> bool {
        while self.place.load(Ordering::Acquire) < place {
            if Instant::now() >= until {
                return false;
            }
            sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Whether these rows can be read.
    #[must_use]
    pub fn holds(&self, batch: &FeatureRows) -> bool {
        let shape = shape(&batch.shape);
        let (project, digest) = (batch.meta.project.as_str(), shape.digest());
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        batch.rows.iter().all(|row| {
            let account = accounts.get(account(project, &batch.source, &digest, &row.entity).as_str());
            account.is_some_and(|account| {
                let order = (row.event.0, row.created.0, row.id);
                account.ledger.holds(&shape, order)
            })
        })
    }

    /// Reads what has come to an entity's account; nothing of one that is not known.
    pub fn look<T>(&self, project: &str, view: &Served, entity: &str, read: impl FnOnce(&Ledger) -> T) -> T {
        let name = account(project, &view.source, &view.digest, entity);
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        match accounts.get(name.as_str()) {
            Some(account) => read(&account.ledger),
            None => read(&Ledger::default()),
        }
    }

    /// How many entities' accounts it holds, over all sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector of an entity at this time.
    #[must_use]
    pub fn read(
        &self,
        recipe: &Recipe,
        project: &str,
        asked: &Asked,
        (at, scaled): (i64, bool),
    ) -> Vec<Cell> {
        let names: Vec<Option<String>> = recipe
            .parts
            .iter()
            .map(|view| {
                Some(account(
                    project,
                    &view.source,
                    &view.digest,
                    &entity_of(view, asked)?,
                ))
            })
            .collect();
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<Option<&Account>> = names
            .iter()
            .map(|name| accounts.get(name.as_ref()?.as_str()).map(|account| &**account))
            .collect();
        let stamps: Vec<u64> = found
            .iter()
            .map(|account| account.map_or(0, |a| a.stamp))
            .collect();
        let keep = !recipe.service.is_empty() && !recipe.wants_request;
        let key = keep.then(|| {
            format!(
                "{}\n{scaled}\n{project}\n{}",
                recipe.service,
                entity(asked.pairs())
            )
        });
        if let Some(cells) = key.as_ref().and_then(|key| self.assembled(key, &stamps, at)) {
            return cells;
        }
        let none = Ledger::default();
        let mut until = i64::MAX;
        let parts: Vec<Vec<Cell>> = recipe
            .parts
            .iter()
            .zip(&found)
            .map(|(view, account)| {
                let ledger = account.map_or(&none, |account| &account.ledger);
                until = until.min(steady_until(ledger, &view.view, at));
                evaluate(ledger, &view.shape, &view.view, at)
            })
            .collect();
        drop(accounts);
        let cells = recipe.assemble(&parts, &asked.request, scaled);
        if let Some(key) = key.filter(|_| until > at) {
            let vector = Vector {
                stamps,
                from: at,
                until,
                cells: cells.clone(),
            };
            self.keep(key, vector);
        }
        cells
    }

    fn assembled(&self, key: &str, stamps: &[u64], at: i64) -> Option<Vec<Cell>> {
        let vectors = self.vectors.read().unwrap_or_else(PoisonError::into_inner);
        let vector = vectors.get(key)?;
        let good = vector.stamps == stamps && (vector.from..=vector.until).contains(&at);
        good.then(|| vector.cells.clone())
    }

    fn keep(&self, key: String, vector: Vector) {
        let mut vectors = self.vectors.write().unwrap_or_else(PoisonError::into_inner);
        if vectors.len() >= VECTORS {
            vectors.clear();
        }
        vectors.insert(key, vector);
    }

    /// How each source of each project stands.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<(String, String), Standing> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let mut standings: BTreeMap<(String, String), Standing> = BTreeMap::new();
        for (name, account) in accounts.iter() {
            let Some((project, source)) = split(name) else {
                continue;
            };
            let standing = standings
                .entry((project.to_owned(), source.to_owned()))
                .or_default();
            standing.entities += 1;
            let newest = account.ledger.latest.as_ref().map_or(0, |latest| latest.order.0);
            standing.newest = standing.newest.max(newest);
        }
        standings
    }
}

/// Project and source of an account: a source has no `/`, an entity may have, and so may a project.
fn split(account: &str) -> Option<(&str, &str)> {
    let (head, _) = account.match_indices('@').find_map(|(at, _)| {
        let digest = account.get(at + 1..at + 9)?;
        let whole =
            digest.bytes().all(|b| b.is_ascii_hexdigit()) && account.as_bytes().get(at + 9) == Some(&b'/');
        whole.then(|| account.split_at(at))
    })?;
    head.rsplit_once('/')
}

impl Asked {
    /// Its join keys.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_says_whose_it_is() {
        let name = account("acme/a@b", "orders", "0123abcd", "path=x/y@zz|service=s");
        assert_eq!(split(&name), Some(("acme/a@b", "orders")));
        assert_eq!(split("nothing"), None);
    }
}
