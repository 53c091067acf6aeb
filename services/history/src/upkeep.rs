//! What is done now and then: reading the archive again, giving up what is too old.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auspex_chassis::{Gauge, Metrics, Stop};
use auspex_proto::Timestamp;
use tokio::time::Instant;

use crate::archive::Archive;
use crate::archive::chain::Report;
use crate::config::Config;
use crate::series::TimeSeries;

/// How often what is too old is given up.
const RETENTION: Duration = Duration::from_secs(6 * 3_600);
/// How long after the start the archive is first read: when the rush of the start is over.
const FIRST: Duration = Duration::from_secs(60);

/// What was found when the archive was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// When; 0: not yet.
    pub at: Timestamp,
    /// What.
    pub report: Report,
}

impl Checked {
    /// Keeps what was found now.
    pub fn found(&mut self, report: Report) {
        *self = Self {
            at: auspex_chassis::clock::now(),
            report,
        };
    }
}

/// Looks after what is kept.
pub struct Upkeep {
    /// The archive.
    pub archive: Archive,
    /// The database of metrics.
    pub series: Option<Arc<dyn TimeSeries>>,
    /// For how long, and how often.
    pub config: Config,
    /// Where the last finding goes.
    pub checked: Arc<Mutex<Checked>>,
    /// 1 while the archive is whole.
    pub sound: Gauge,
}

impl std::fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upkeep")
            .field("archive", &self.archive)
            .finish_non_exhaustive()
    }
}

/// The figure that says whether the archive was whole when it was last read.
#[must_use]
pub fn sound(metrics: &Metrics) -> Gauge {
    let sound = metrics.gauge(
        "auspex_history_archive_sound",
        "1 when the archive was whole as it was last read, 0 when not, NaN when it was not read since the start",
    );
    // Nobody is to be woken for a start.
    sound.set(f64::NAN);
    sound
}

impl Upkeep {
    /// Works until told to stop.
    ///
    /// # Errors
    /// None: what fails is said and tried again the next time.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let hours = self.config.archive.verify_hours;
        let mut verify = Some(Instant::now() + FIRST).filter(|_| hours > 0);
        let mut retention = Instant::now() + FIRST;
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep_until(retention) => {
                    self.forget().await;
                    retention = Instant::now() + RETENTION;
                }
                () = at(verify) => {
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        () = self.verify() => {}
                    }
                    verify = Some(Instant::now() + Duration::from_secs(hours * 3_600));
                }
            }
        }
    }

    async fn verify(&self) {
        match self.archive.verify(None).await {
            Ok(report) => {
                self.sound.set(if report.sound { 1.0 } else { 0.0 });
                for fault in &report.faults {
                    tracing::error!(
                        segment = fault.name,
                        fault = fault.fault.as_str(),
                        detail = fault.detail,
                        "the archive is damaged"
                    );
                }
                self.checked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .found(report);
            }
            Err(fault) => tracing::warn!(fault = format!("{fault:#}"), "the archive could not be read"),
        }
    }

    async fn forget(&self) {
        let before = |days: u64| {
            let now = auspex_chassis::clock::now();
            (days > 0).then(|| (now - Duration::from_secs(days * 86_400)).0)
        };
        if let Some(before) = before(self.config.archive.keep_days) {
            match self.archive.forget(before).await {
                Ok(0) => {}
                Ok(segments) => tracing::info!(
                    segments,
                    "given up: all their facts are older than history.archive.keep_days"
                ),
                Err(fault) => tracing::warn!(fault = format!("{fault:#}"), "old segments stay"),
            }
        }
        if let (Some(before), Some(series)) = (before(self.config.metrics.keep_days), &self.series)
            && let Err(fault) = series.forget(before).await
        {
            tracing::warn!(fault = format!("{fault:#}"), "old metrics stay");
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_was_not_read_yet_is_not_called_damaged() {
        let metrics = Metrics::default();
        let gauge = sound(&metrics);
        assert!(metrics.render().contains("\nauspex_history_archive_sound NaN\n"));
        gauge.set(1.0);
        assert!(metrics.render().contains("\nauspex_history_archive_sound 1\n"));
    }
}
