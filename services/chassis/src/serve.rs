//! The one listener of a process: every service's doors behind the same authentication, deadlines and load shedding.

mod access;
mod drain;
mod limits;
mod listener;
mod reflection;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tonic_health::server::HealthReporter;

pub use self::access::{Caller, Role, hash_token};
pub use self::listener::{Door, Peer};
pub use self::settings::{ServerSettings, Token};
use crate::bus::Bus;
use crate::metrics::Metrics;
use crate::service::Part;
use crate::shutdown::Stop;

/// The connections of a process: it is as well as the worst of them.
#[derive(Clone)]
struct Buses(Arc<[Bus]>);

/// What the operating doors need.
#[derive(Clone)]
struct Ops {
    buses: Buses,
    metrics: Metrics,
    ready: Arc<AtomicBool>,
}

/// All doors of a process.
pub(crate) struct Doors {
    router: Router,
    ready: Arc<AtomicBool>,
    health: HealthReporter,
    names: Vec<&'static str>,
}

impl Doors {
    /// Merges the parts and puts the common layers around them.
    pub(crate) fn new(
        parts: Vec<Part>,
        settings: &ServerSettings,
        buses: Vec<Bus>,
        metrics: &Metrics,
    ) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let buses = Buses(buses.into());
        let ops = Ops {
            buses: buses.clone(),
            metrics: metrics.clone(),
            ready: Arc::clone(&ready),
        };
        let (health, health_service) = tonic_health::server::health_reporter();
        let mut names = Vec::new();
        let mut router = Part::empty().grpc(health_service).router;
        for part in parts {
            names.extend(part.grpc);
            router = router.merge(part.router);
        }
        match reflection::doors(&names) {
            Ok(part) => router = router.merge(part.router),
            Err(fault) => tracing::warn!(%fault, "gRPC reflection is not served"),
        }
        let router = router
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz).with_state(ops.clone()))
            .route("/metrics", get(figures).with_state(ops))
            .layer(axum::middleware::from_fn_with_state(
                limits::Limits::new(settings, buses, metrics),
                limits::limit,
            ))
            .layer(axum::middleware::from_fn_with_state(
                access::Access::new(settings),
                access::check,
            ))
            .layer(axum::middleware::from_fn(drain::drain));
        Self {
            router,
            ready,
            health,
            names,
        }
    }

    /// Says that everything is up.
    pub(crate) async fn open(&self) {
        for name in &self.names {
            self.health
                .set_service_status(*name, tonic_health::ServingStatus::Serving)
                .await;
        }
        self.health
            .set_service_status("", tonic_health::ServingStatus::Serving)
            .await;
        self.ready.store(true, Ordering::Release);
    }

    /// Serves until told to stop; what is under way is finished.
    pub(crate) async fn serve(self, door: Door, stop: Stop) -> anyhow::Result<()> {
        let ready = Arc::clone(&self.ready);
        let finish = async move {
            stop.requested().await;
            ready.store(false, Ordering::Release);
        };
        axum::serve(
            door,
            self.router
                .into_make_service_with_connect_info::<listener::Peer>(),
        )
        .with_graceful_shutdown(finish)
        .await?;
        Ok(())
    }
}

impl Ops {
    /// Why it is not ready.
    fn unready(&self) -> Option<String> {
        if !self.ready.load(Ordering::Acquire) {
            return Some("starting or stopping".to_owned());
        }
        if !self.buses.are_connected() {
            return Some("the bus is away".to_owned());
        }
        self.buses.0.iter().find_map(Bus::refusal)
    }
}

impl Buses {
    fn are_connected(&self) -> bool {
        self.0.iter().all(Bus::is_connected)
    }
}

async fn readyz(State(ops): State<Ops>) -> (StatusCode, String) {
    match ops.unready() {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

async fn figures(State(ops): State<Ops>) -> ([(&'static str, &'static str); 1], String) {
    let help = "1 when /readyz says ready, else 0.";
    let ready = f64::from(u8::from(ops.unready().is_none()));
    ops.metrics.gauge("auspex_ready", help).set(ready);
    (
        [("content-type", "text/plain; version=0.0.4")],
        ops.metrics.render(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestHouse;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_process_is_as_ready_as_the_worst_of_its_connections() {
        let (near, far) = (
            TestHouse::start().await.unwrap(),
            TestHouse::start().await.unwrap(),
        );
        let ops = Ops {
            buses: Buses(vec![near.house.bus().clone(), far.house.bus().clone()].into()),
            metrics: Metrics::default(),
            ready: Arc::new(AtomicBool::new(true)),
        };
        assert_eq!(ops.unready(), None);
        far.house.bus().set_intake(Some("the log is full".to_owned()));
        assert_eq!(
            ops.unready().as_deref(),
            Some("intake is closed: the log is full")
        );
        far.house.bus().set_intake(None);
        assert_eq!(ops.unready(), None);
        let bus = far.house.bus().clone();
        drop(far);
        for _ in 0..200 {
            if !bus.is_connected() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(ops.unready().as_deref(), Some("the bus is away"));
    }
}
