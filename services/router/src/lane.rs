//! What the reader of decisions and the worker of a route share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auspex_proto::{Decision, Partition};
use tokio::sync::Notify;

use crate::course::{Course, Outcome};
use crate::silence::Silence;

/// One route.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) partition: Partition,
    course: Mutex<Course>,
    silence: Arc<Mutex<Silence>>,
    /// A decision has come.
    pub(crate) changed: Notify,
}

impl Lane {
    pub(crate) fn new(course: Course, partition: Partition, silence: Arc<Mutex<Silence>>) -> Self {
        Self {
            partition,
            course: Mutex::new(course),
            silence,
            changed: Notify::new(),
        }
    }

    pub(crate) fn absorb(&self, decision: &Decision, seq: u64) -> Outcome {
        let outcome = locked(&self.course).absorb(decision, seq);
        if outcome == Outcome::Followed {
            self.changed.notify_one();
        }
        outcome
    }

    pub(crate) fn course(&self) -> Course {
        locked(&self.course).clone()
    }

    pub(crate) fn silence(&self) -> std::time::Duration {
        locked(&self.silence).of(self.partition)
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
