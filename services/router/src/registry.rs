//! Which adapter a route gets, by its configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Route, Via};
use crate::envoy::Envoy;
use crate::haproxy::Haproxy;
use crate::router::Router;
use crate::webhook::Webhook;

/// What every adapter is told.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// How long one exchange with a data plane may take.
    pub timeout: Duration,
}

/// The adapter of a route.
///
/// # Errors
/// What is wrong with its configuration, or stands in the way of reaching it at all.
pub async fn build(route: &Route, site: Site) -> anyhow::Result<Arc<dyn Router>> {
    let name = route.name();
    match route.via().map_err(|fault| anyhow::anyhow!("{name}: {fault}"))? {
        Via::Envoy(settings) => Ok(Arc::new(Envoy::new(&name, settings, site)?)),
        Via::Haproxy(settings) => Ok(Arc::new(Haproxy::new(&name, settings, site))),
        Via::Webhook(settings) => Ok(Arc::new(Webhook::new(route, settings, site)?)),
        #[cfg(feature = "kubernetes")]
        Via::Istio(settings) => Ok(Arc::new(crate::kubernetes::Route::istio(settings).await?)),
        #[cfg(feature = "kubernetes")]
        Via::GatewayApi(settings) => Ok(Arc::new(crate::kubernetes::Route::gateway(settings).await?)),
        #[cfg(feature = "kubernetes")]
        Via::Kubernetes(settings) => Ok(Arc::new(crate::kubernetes::Scaler::new(settings).await?)),
        #[cfg(not(feature = "kubernetes"))]
        via @ (Via::Istio(_) | Via::GatewayApi(_) | Via::Kubernetes(_)) => {
            anyhow::bail!(
                "{name}: this build knows no Kubernetes, which {} needs",
                via.kind()
            )
        }
    }
}
