//! The figures of a route at `/metrics`.

use auspex_chassis::metrics::Metrics;
use auspex_chassis::{Counter, Gauge};

use crate::plan::Why;
use crate::record::Record;
use crate::router::Observed;

/// The figures of one route; labels are names of configuration.
#[derive(Debug)]
pub(crate) struct Figures {
    metrics: Metrics,
    route: String,
    service: String,
    kind: &'static str,
    held: Gauge,
    asked: Gauge,
    observed: Gauge,
    verified: Gauge,
    drift: Gauge,
    suspended: Gauge,
    faults: Counter,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics, route: &str, service: &str, kind: &'static str) -> Self {
        let labels = [("route", route), ("service", service), ("kind", kind)];
        let gauge =
            |name: &str, help: &str| metrics.gauge_with(&format!("auspex_router_{name}"), help, &labels);
        Self {
            metrics: metrics.clone(),
            route: route.to_owned(),
            service: service.to_owned(),
            kind,
            held: gauge("held", "1 while this process acts on the route"),
            asked: gauge("weight", "The candidate's share that is asked for, in percent"),
            observed: gauge(
                "observed_weight",
                "The candidate's share that was read at the data plane, in percent; NaN: it does not tell",
            ),
            verified: gauge(
                "verified",
                "1 while what is asked was read back at the data plane",
            ),
            drift: gauge("drift", "1 while somebody else's change of the weight stands"),
            suspended: gauge("suspended", "1 while the watchdog keeps traffic on stable"),
            faults: metrics.counter_with(
                "auspex_router_faults_total",
                "Exchanges with the data plane that failed",
                &labels,
            ),
        }
    }

    /// The claim is another's: its process shows the rest.
    pub(crate) fn stand(&self) {
        self.held.set(0.0);
        for gauge in [&self.verified, &self.drift, &self.suspended] {
            gauge.set(0.0);
        }
        self.asked.set(f64::NAN);
        self.observed.set(f64::NAN);
    }

    pub(crate) fn show(&self, record: &Record, seen: Option<&Observed>) {
        let flag = |gauge: &Gauge, on: bool| gauge.set(f64::from(u8::from(on)));
        flag(&self.held, true);
        let asked = record.asked.as_ref().map(|asked| asked.intent.weight);
        self.asked.set(asked.map_or(f64::NAN, f64::from));
        self.observed.set(record.observed.map_or(f64::NAN, f64::from));
        flag(&self.verified, record.is_verified());
        flag(&self.drift, record.drift.is_some());
        flag(
            &self.suspended,
            record
                .settled
                .as_ref()
                .is_some_and(|settled| settled.intent.suspended),
        );
        if let Some(seen) = seen.and_then(|seen| seen.seen) {
            for (track, requests) in [("stable", seen.stable), ("candidate", seen.candidate)] {
                let labels = [("route", self.route.as_str()), ("track", track)];
                let help = "Requests since the last look, as the data plane counts them";
                let gauge = self
                    .metrics
                    .gauge_with("auspex_router_seen_requests", help, &labels);
                #[allow(clippy::cast_precision_loss, reason = "a count of requests")]
                gauge.set(requests as f64);
            }
        }
    }

    pub(crate) fn flip(&self, why: Why) {
        let why = match why {
            Why::Asked => "asked",
            Why::Again => "again",
            Why::Forgotten => "forgotten",
            Why::LateWrite => "late_write",
            Why::CutShort => "cut_short",
        };
        let labels = [
            ("route", self.route.as_str()),
            ("service", self.service.as_str()),
            ("kind", self.kind),
            ("why", why),
        ];
        let help = "Intents carried out, by why";
        self.metrics
            .counter_with("auspex_router_flips_total", help, &labels)
            .inc();
    }

    pub(crate) fn fault(&self) {
        self.faults.inc();
    }
}
