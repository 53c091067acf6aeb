//! A service as the program sees it: a name, a section of settings, and how to build it.

use axum::Router;
use futures::future::BoxFuture;
use tonic::server::NamedService;
use tower::{Service, ServiceExt};

use crate::house::House;
use crate::settings::Section;

/// A service.
#[derive(Debug, Clone, Copy)]
pub struct ServiceSpec {
    /// Its name: that of its crate's folder, its stage and its section.
    pub name: &'static str,
    /// Builds it: it starts its tasks in the house and answers its doors.
    pub build: fn(House) -> BoxFuture<'static, anyhow::Result<Part>>,
    /// Its settings.
    pub section: Section,
}

/// The doors of a service: HTTP routes and gRPC services, served with those of the others on one listener.
#[derive(Debug, Default)]
pub struct Part {
    pub(crate) router: Router,
    pub(crate) grpc: Vec<&'static str>,
}

impl Part {
    /// No doors.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// HTTP routes.
    #[must_use]
    pub fn http(router: Router) -> Self {
        Self {
            router,
            grpc: Vec::new(),
        }
    }

    /// One more gRPC service.
    #[must_use]
    pub fn grpc<S>(mut self, service: S) -> Self
    where
        S: Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
                Error = std::convert::Infallible,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let service = service
            .map_request(|request: http::Request<axum::body::Body>| request.map(tonic::body::Body::new))
            .map_response(|response| response.map(axum::body::Body::new));
        self.router = self
            .router
            .route_service(&format!("/{}/{{*rest}}", S::NAME), service);
        self.grpc.push(S::NAME);
        self
    }
}
