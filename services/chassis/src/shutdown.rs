//! Ordered shutdown: intake stops first, output last, under one deadline that names the straggler.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// When a task stops, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What lets facts in.
    Intake,
    /// What turns facts into facts.
    Work,
    /// What acts outside, and telemetry.
    Output,
}

/// The word to stop, as a task hears it.
#[derive(Debug, Clone)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Resolves when it is time to stop.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// A word that never comes, for tests and benches.
    #[must_use]
    pub fn never() -> Self {
        Self(CancellationToken::new())
    }

    /// A word of one's own, and the way to give it.
    pub fn pair() -> (impl Fn() + Send + Sync + 'static, Self) {
        let token = CancellationToken::new();
        let given = token.clone();
        (move || given.cancel(), Self(token))
    }
}

struct Task {
    name: String,
    group: Group,
    handle: JoinHandle<anyhow::Result<()>>,
}

/// All tasks of a process and the words that stop them.
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

struct Inner {
    groups: [CancellationToken; 3],
    tasks: Mutex<Vec<Task>>,
    failed: CancellationToken,
    fault: Mutex<Option<String>>,
}

impl std::fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shutdown").finish_non_exhaustive()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        let inner = Inner {
            groups: [
                CancellationToken::new(),
                CancellationToken::new(),
                CancellationToken::new(),
            ],
            tasks: Mutex::new(Vec::new()),
            failed: CancellationToken::new(),
            fault: Mutex::new(None),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl Shutdown {
    /// Starts a task. One that ends with an error, or panics, brings the process down: half a mesh is worse than none.
    pub fn spawn<F, T>(&self, name: impl Into<String>, group: Group, task: F)
    where
        F: FnOnce(Stop) -> T,
        T: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let name = name.into();
        let future = task(self.stop(group));
        let (inner, named) = (Arc::clone(&self.inner), name.clone());
        let handle = tokio::spawn(async move {
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            let result = ended.unwrap_or_else(|panic| Err(anyhow::anyhow!("panicked: {}", said(&*panic))));
            if let Err(fault) = &result {
                tracing::error!(task = %named, fault = format!("{fault:#}"), "task failed");
                let mut first = inner.fault.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| format!("{named}: {fault:#}"));
                inner.failed.cancel();
            }
            result
        });
        self.tasks().push(Task { name, group, handle });
    }

    /// The word to stop for a group.
    #[must_use]
    pub fn stop(&self, group: Group) -> Stop {
        Stop(self.inner.groups[group as usize].clone())
    }

    /// Resolves when a task has failed.
    pub async fn failed(&self) -> String {
        self.inner.failed.cancelled().await;
        let fault = self.inner.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone().unwrap_or_default()
    }

    /// Stops the groups in order, all within one deadline; returns the names of those that did not stop in time.
    pub async fn finish(&self, deadline: Duration) -> Vec<String> {
        let end = tokio::time::Instant::now() + deadline;
        let mut stragglers = Vec::new();
        for group in [Group::Intake, Group::Work, Group::Output] {
            self.inner.groups[group as usize].cancel();
            let mine: Vec<Task> = {
                let mut tasks = self.tasks();
                let (mine, rest) = tasks.drain(..).partition(|task| task.group == group);
                *tasks = rest;
                mine
            };
            for mut task in mine {
                if tokio::time::timeout_at(end, &mut task.handle).await.is_err() {
                    tracing::warn!(task = %task.name, "did not stop in time");
                    task.handle.abort();
                    stragglers.push(task.name);
                }
            }
        }
        stragglers
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<Task>> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn groups_stop_in_order_and_the_straggler_is_named() {
        let shutdown = Shutdown::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        for (name, group) in [
            ("out", Group::Output),
            ("in", Group::Intake),
            ("work", Group::Work),
        ] {
            let order = Arc::clone(&order);
            shutdown.spawn(name, group, move |stop| async move {
                stop.requested().await;
                order.lock().unwrap().push(name);
                Ok(())
            });
        }
        shutdown.spawn("deaf", Group::Output, |_| async {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert_eq!(shutdown.finish(Duration::from_millis(200)).await, ["deaf"]);
        assert_eq!(*order.lock().unwrap(), ["in", "work", "out"]);
    }

    #[tokio::test]
    async fn a_failed_task_is_heard() {
        let shutdown = Shutdown::default();
        shutdown.spawn("frail", Group::Work, |_| async { anyhow::bail!("no disk") });
        assert_eq!(shutdown.failed().await, "frail: no disk");
    }

    #[tokio::test]
    async fn a_task_that_panics_has_failed() {
        let shutdown = Shutdown::default();
        shutdown.spawn("frail", Group::Work, |_| async { panic!("no {}", "luck") });
        let heard = tokio::time::timeout(Duration::from_secs(5), shutdown.failed()).await;
        assert_eq!(heard.unwrap(), "frail: panicked: no luck");
    }
}
