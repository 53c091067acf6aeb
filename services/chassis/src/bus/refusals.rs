//! Whether the log takes what is published. A connection that stands does not say so: a server whose disk was full keeps
//! silent to publishers until it is restarted, and answers everything else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::Statistics;

use super::{PublishError, Receipt};

/// For how long nothing may have been taken before that is called a refusal: a change of leaders is over by then.
const LONG: Duration = Duration::from_secs(10);
/// For how long the last refusal says anything: who has not tried for longer does not know.
const FRESH: Duration = Duration::from_secs(60);

/// What became of the facts that this process published last.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// Whether there is anything known: what succeeds looks at nothing else.
    any: AtomicBool,
    known: Mutex<Option<Known>>,
    statistics: Arc<Statistics>,
}

#[derive(Debug)]
struct Known {
    /// On which connection: what a server refused says nothing of the one after it.
    connection: u64,
    first: Instant,
    last: Instant,
    why: String,
}

impl Refusals {
    pub(super) fn new(statistics: Arc<Statistics>) -> Self {
        Self {
            any: AtomicBool::new(false),
            known: Mutex::new(None),
            statistics,
        }
    }

    /// Notes what became of a fact.
    pub(super) fn note(&self, published: &Result<Receipt, PublishError>) {
        match published {
            Ok(_) if self.any.load(Ordering::Acquire) => {
                *self.known() = None;
                self.any.store(false, Ordering::Release);
            }
            Err(PublishError::Full(why) | PublishError::Unavailable(why)) => {
                self.refused(why, Instant::now())
            }
            // These say nothing of the log.
            Ok(_) | Err(PublishError::TooLarge { .. } | PublishError::Stale) => {}
        }
    }

    fn refused(&self, why: &str, now: Instant) {
        let connection = self.connection();
        let mut known = self.known();
        match known.as_mut().filter(|known| known.connection == connection) {
            Some(known) => {
                known.last = now;
                why.clone_into(&mut known.why);
            }
            None => {
                *known = Some(Known {
                    connection,
                    first: now,
                    last: now,
                    why: why.to_owned(),
                });
            }
        }
        self.any.store(true, Ordering::Release);
    }

    /// For how long the log has taken nothing at this moment, and what it says.
    pub(super) fn standing(&self, now: Instant) -> Option<(Duration, String)> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let known = self.known();
        let known = known.as_ref()?;
        let lasting = known.last.saturating_duration_since(known.first) >= LONG;
        let fresh = now.saturating_duration_since(known.last) <= FRESH;
        (lasting && fresh && known.connection == self.connection())
            .then(|| (now.saturating_duration_since(known.first), known.why.clone()))
    }

    fn connection(&self) -> u64 {
        self.statistics.connects.load(Ordering::Relaxed)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_and_is_fresh_is_a_refusal() {
        let statistics = Arc::new(Statistics::default());
        let (refusals, start) = (Refusals::new(Arc::clone(&statistics)), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        refusals.refused("timed out", start);
        refusals.refused("timed out", after(9));
        assert_eq!(refusals.standing(after(9)), None, "a moment");
        assert_eq!(refusals.standing(after(30)), None, "nobody has tried since");
        refusals.refused("maximum bytes exceeded", after(10));
        let standing = Some((Duration::from_secs(12), "maximum bytes exceeded".to_owned()));
        assert_eq!(refusals.standing(after(12)), standing);
        assert_eq!(refusals.standing(after(71)), None, "long ago");
        // The server was restarted.
        statistics.connects.fetch_add(1, Ordering::Relaxed);
        assert_eq!(refusals.standing(after(12)), None);
        refusals.refused("timed out", after(13));
        assert_eq!(refusals.standing(after(14)), None);
        refusals.refused("timed out", after(23));
        assert!(refusals.standing(after(23)).is_some());
        refusals.note(&Err(PublishError::Stale));
        assert!(refusals.standing(after(23)).is_some());
        refusals.note(&Ok(Receipt {
            sequence: 1,
            duplicate: false,
        }));
        assert_eq!(refusals.standing(after(23)), None, "it takes facts again");
    }
}
