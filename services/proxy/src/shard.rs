//! Which shard of a sharded thing belongs to this thread.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than a proxy has workers; threads beyond share.
pub(crate) const SHARDS: usize = 32;

static NEXT: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

/// This thread's.
pub(crate) fn mine() -> usize {
    MINE.with(Cell::get)
}

/// Gives this thread a shard that no other worker has.
pub(crate) fn assign(shard: usize) {
    MINE.with(|mine| mine.set(shard % SHARDS));
}
