//! The subset of MLflow's REST API that its stock Python client needs to log, register, alias, find and download.
//!
//! Names of paths and fields are MLflow's. What a client would like to delete or rename stays: versions never change.

mod artifacts;
mod experiments;
mod models;
mod tracking;
mod versions;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::catalog::Refusal;
use crate::gate::Gate;
use crate::shelf::Fault;

/// The doors.
pub fn router(gate: Gate) -> axum::Router {
    let most = usize::try_from(gate.most()).unwrap_or(usize::MAX);
    let api = tracking::routes()
        .merge(experiments::routes())
        .merge(models::routes())
        .merge(versions::routes())
        .merge(artifacts::listing());
    axum::Router::new()
        .nest("/api/2.0/mlflow", api.clone())
        // Clients of version 3 ask for some of it under their own number.
        .nest("/ajax-api/2.0/mlflow", api)
        .nest("/api/2.0/mlflow-artifacts", artifacts::routes())
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/health", get(|| async { "OK" }))
        .route(
            "/api/2.0/mlflow/{*rest}",
            post(unknown).get(unknown).patch(unknown).delete(unknown),
        )
        .layer(DefaultBodyLimit::max(most))
        .with_state(gate)
}

async fn unknown(uri: axum::http::Uri) -> Error {
    Error {
        status: StatusCode::NOT_FOUND,
        code: "ENDPOINT_NOT_FOUND",
        text: format!("{} is not among what is answered here", uri.path()),
    }
}

/// An error as MLflow's client reads it.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: &'static str,
    text: String,
}

pub(super) type Answer = Result<Json<Value>, Error>;

impl Error {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "INVALID_PARAMETER_VALUE",
            text: text.into(),
        }
    }

    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "RESOURCE_DOES_NOT_EXIST",
            text: text.into(),
        }
    }

    pub(super) fn exists(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "RESOURCE_ALREADY_EXISTS",
            text: text.into(),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(Refusal::NotFound(text)) => Self::missing(text),
            Fault::Refused(Refusal::Invalid(text) | Refusal::Unmet(text)) => Self::invalid(text),
            Fault::Unavailable(fault) => fault.into(),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(fault: anyhow::Error) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "TEMPORARILY_UNAVAILABLE",
            text: format!("{fault:#}"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Fault::Refused(refusal).into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code, "message": self.text});
        (self.status, Json(body)).into_response()
    }
}

/// What a client sent, as a body or in the query: the same fields either way.
#[derive(Debug, Clone)]
pub(super) struct Asked(Value);

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Error;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Error> {
        let query = request.uri().query().unwrap_or_default();
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        if !query.is_empty() {
            let pairs = pairs.map_err(|fault| Error::invalid(fault.body_text()))?.0;
            let fields = pairs.into_iter().map(|(name, value)| (name, Value::from(value)));
            return Ok(Self(Value::Object(fields.collect())));
        }
        let bytes = axum::body::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|fault| Error::invalid(fault.body_text()))?;
        if bytes.is_empty() {
            return Ok(Self(json!({})));
        }
        let parsed: Result<Json<Value>, JsonRejection> = Json::from_bytes(&bytes);
        Ok(Self(parsed.map_err(|fault| Error::invalid(fault.body_text()))?.0))
    }
}

impl Asked {
    /// A text; empty when it is not there.
    pub(super) fn text(&self, field: &str) -> String {
        match self.0.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&self, field: &str) -> Result<String, Error> {
        let text = self.text(field);
        if text.is_empty() {
            return Err(Error::invalid(format!("{field}: is missing")));
        }
        Ok(text)
    }

    pub(super) fn whole(&self, field: &str) -> Option<i64> {
        let value = self.0.get(field)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    pub(super) fn list(&self, field: &str) -> &[Value] {
        self.0
            .get(field)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// `[{"key", "value"}]`.
    pub(super) fn pairs(&self, field: &str) -> Vec<(String, String)> {
        self.list(field).iter().filter_map(pair).collect()
    }
}

/// `{"key", "value"}`.
pub(super) fn pair(value: &Value) -> Option<(String, String)> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    Some((text("key")?, text("value").unwrap_or_default()))
}

/// Tags as MLflow lists them.
pub(super) fn tags<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Value> {
    tags.into_iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}
