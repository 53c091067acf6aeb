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

/// What the operating doors need.
#[derive(Clone)]
struct Ops {
    bus: Bus,
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
    pub(crate) fn new(parts: Vec<Part>, settings: &ServerSettings, bus: &Bus, metrics: &Metrics) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let ops = Ops {
            bus: bus.clone(),
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
                limits::Limits::new(settings, bus, metrics),
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
        if !self.bus.is_connected() {
            return Some("the bus is away".to_owned());
        }
        self.bus.refusal()
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
