//! What control is told.

use std::time::Duration;

use auspex_chassis::Bus;
use auspex_proto::observation::Applied;
use auspex_proto::report::{RouterReport, Verified as Told};
use auspex_proto::{Fact, FactId, Meta, ObservationBatch, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::course::Course;
use crate::record::Record;
use crate::router::{Observed, Shares, Verified};

/// The bus has this long to take a report; the next one says the same or better.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells what one route does.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) bus: Bus,
    pub(crate) route: String,
    pub(crate) process: String,
    pub(crate) region: String,
    pub(crate) count: u64,
    /// The last report, while it is on its way.
    pub(crate) under_way: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Sends a report behind the one before. Nobody waits for the log to have it: the next decision is carried out meanwhile.
    pub(crate) fn tell(&mut self, course: &Course, record: &Record, seen: Option<&Observed>, now: Timestamp) {
        self.count += 1;
        let source = format!("router/{}", self.route);
        let batch = ObservationBatch {
            meta: Meta {
                id: FactId::outside(&source, &format!("{}/{}", self.process, self.count)),
                project: course.project.clone(),
                time: now,
                cause: 0,
                source: source.clone(),
            },
            observations: Vec::new(),
            applied: vec![applied(course, record, seen, (&source, &self.region))],
            environment: String::new(),
        };
        let fact = Fact::Observations(batch);
        let (bus, route, before) = (self.bus.clone(), self.route.clone(), self.under_way.take());
        self.under_way = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // It ends within its patience, whatever became of it.
                before.await.ok();
            }
            match timeout(PATIENCE, bus.publish(&fact)).await {
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => tracing::warn!(route, %fault, "a report is lost"),
                Err(_) => tracing::warn!(route, "a report is lost: the bus does not answer"),
            }
        }));
    }
}

/// What a record says to control. `place`: the reporter's name and its region.
fn applied(course: &Course, record: &Record, seen: Option<&Observed>, place: (&str, &str)) -> Applied {
    let settled = record.settled.as_ref();
    let found = seen
        .and_then(|seen| seen.shares)
        .and_then(Shares::weight)
        .or(record.observed);
    let weight = found
        .or(settled.map(|settled| settled.intent.weight))
        .unwrap_or(0);
    let verified = match settled.map(|settled| (&settled.verified, settled.held)) {
        _ if record.drift.is_some() => Told::No,
        Some((Verified::Verified, _)) => Told::Yes,
        Some((Verified::Unverified(_), false)) => Told::No,
        Some((Verified::Unverified(_), true)) | None => Told::Unknown,
    };
    let report = RouterReport {
        router: record.face.kind.clone(),
        verified,
        drift: record.drift.clone(),
        stable: seen.and_then(|seen| seen.stable),
        candidate: seen.and_then(|seen| seen.candidate),
        region: place.1.to_owned(),
        fault: record.fault(),
        scaler: record.face.scaler,
    };
    Applied {
        service: course.service.clone(),
        decision: settled.map(|settled| settled.intent.decision.clone()),
        weight,
        suspended: settled.is_some_and(|settled| settled.intent.suspended),
        instance: place.0.to_owned(),
        report,
    }
}
