//! The client: one request, one limit of time, one answer as JSON or a [`Fault`].

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request};
use serde_json::Value;

use crate::access::{Asked, Grant};
use crate::fault::Fault;
use crate::patch::Patch;
use crate::place::Place;

/// Whom the server lists as the writer of fields that are changed through here.
pub const WRITER: &str = "auspex";
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// How the server is reached.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// A kubeconfig file; empty: `KUBECONFIG`, `~/.kube/config`, or the pod's own service account.
    pub kubeconfig: String,
    /// A context of it; empty: the current one.
    pub context: String,
    /// How long one request may take.
    pub timeout: Duration,
}

/// An API server, asked within declared grants; cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    timeout: Duration,
    grants: &'static [Grant],
    asked: Arc<Mutex<BTreeSet<Asked>>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads how the server is reached. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the kubeconfig or the service account cannot be used.
    pub async fn reach(reach: &Reach, grants: &'static [Grant]) -> Result<Self, Fault> {
        let unusable = |fault: &dyn fmt::Display| Fault::Refused(format!("no way to a cluster: {fault}"));
        let options = kube::config::KubeConfigOptions {
            context: Some(reach.context.clone()).filter(|context| !context.is_empty()),
            ..kube::config::KubeConfigOptions::default()
        };
        let config = if !reach.kubeconfig.is_empty() {
            let file =
                kube::config::Kubeconfig::read_from(&reach.kubeconfig).map_err(|fault| unusable(&fault))?;
            kube::Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|fault| unusable(&fault))?
        } else if options.context.is_some() {
            kube::Config::from_kubeconfig(&options)
                .await
                .map_err(|fault| unusable(&fault))?
        } else {
            kube::Config::infer().await.map_err(|fault| unusable(&fault))?
        };
        Self::with(config, reach.timeout, grants)
    }

    /// The server of a configuration.
    ///
    /// # Errors
    /// [`Fault::Refused`] when its credentials cannot be used.
    pub fn with(
        mut config: kube::Config,
        timeout: Duration,
        grants: &'static [Grant],
    ) -> Result<Self, Fault> {
        config.connect_timeout = Some(CONNECT);
        // Whoever asks knows better whether asking again makes sense.
        config.default_retry = false;
        let client = kube::Client::try_from(config);
        let client = client.map_err(|fault| Fault::Refused(format!("no way to a cluster: {fault}")))?;
        Ok(Self {
            client,
            timeout,
            grants,
            asked: Arc::default(),
        })
    }

    /// What has been asked so far, as rules would name it: what its roles must grant.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .map(|asked| asked.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The object; `None` when there is none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn get(&self, place: &Place) -> Result<Option<Value>, Fault> {
        match self.ask(Method::GET, &place.path(), None).await {
            Ok(object) => Ok(Some(object)),
            Err(Fault::Missing(text)) if text.contains('"') => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`Fault::Conflict`] when there is one already; others.
    pub async fn create(&self, all: &Place, object: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={WRITER}", all.path());
        self.ask(Method::POST, &path, Some(("application/json", object)))
            .await
    }

    /// Puts an object in the place of the one whose `resourceVersion` it carries.
    ///
    /// # Errors
    /// [`Fault::Conflict`] when that is not the last one; others.
    pub async fn replace(&self, place: &Place, object: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={WRITER}", place.path());
        self.ask(Method::PUT, &path, Some(("application/json", object)))
            .await
    }

    /// Changes fields of an object.
    ///
    /// # Errors
    /// [`Fault::Conflict`] when a test of the patch fails; others.
    pub async fn patch(&self, place: &Place, patch: &Patch) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={WRITER}", place.path());
        let body = serde_json::to_value(patch).map_err(|fault| Fault::Refused(fault.to_string()))?;
        self.ask(Method::PATCH, &path, Some(("application/json-patch+json", &body)))
            .await
    }

    /// Merges fields into an object (RFC 7396).
    ///
    /// # Errors
    /// [`Fault::Conflict`] when it names another `resourceVersion` than the last one; others.
    pub async fn merge(&self, place: &Place, fields: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={WRITER}", place.path());
        self.ask(
            Method::PATCH,
            &path,
            Some(("application/merge-patch+json", fields)),
        )
        .await
    }

    /// Deletes an object; one that is not there is none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn delete(&self, place: &Place) -> Result<(), Fault> {
        match self.ask(Method::DELETE, &place.path(), None).await {
            Ok(_) | Err(Fault::Missing(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// One request, within the limit of time.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, Fault> {
        let request = self.request(method, path, body)?;
        let asking = self.client.request::<Value>(request);
        match tokio::time::timeout(self.timeout, asking).await {
            Ok(answer) => answer.map_err(of_kube),
            Err(_) => Err(Fault::Away(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// A watch: its first answer within the limit of time, then lines for as long as the server sends them.
    pub(crate) async fn events(
        &self,
        path: &str,
    ) -> Result<impl futures::Stream<Item = Result<kube::core::WatchEvent<Value>, kube::Error>> + use<>, Fault>
    {
        let opening = self
            .client
            .request_events::<Value>(self.request(Method::GET, path, None)?);
        match tokio::time::timeout(self.timeout, opening).await {
            Ok(answer) => answer.map_err(of_kube),
            Err(_) => Err(Fault::Away(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// A request, when it is one of those that are declared: there is no other way out of this process.
    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Request<Vec<u8>>, Fault> {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let asked = Asked::of(method.as_str(), bare, query).filter(|asked| asked.within(self.grants));
        let mut asked = asked.ok_or_else(|| Fault::Undeclared(format!("{method} {bare}")))?;
        asked.namespace.clear();
        if let Ok(mut seen) = self.asked.lock() {
            seen.insert(asked);
        }
        let mut builder = Request::builder().method(method).uri(path);
        let mut bytes = Vec::new();
        if let Some((kind, value)) = body {
            builder = builder.header(http::header::CONTENT_TYPE, kind);
            bytes = serde_json::to_vec(value).map_err(|fault| Fault::Refused(fault.to_string()))?;
        }
        builder
            .body(bytes)
            .map_err(|fault| Fault::Refused(fault.to_string()))
    }
}

/// What a failure of the client means.
pub(crate) fn of_kube(fault: kube::Error) -> Fault {
    match fault {
        kube::Error::Api(status) => of_status(&status),
        kube::Error::Auth(inner) => Fault::Denied(inner.to_string()),
        kube::Error::SerdeError(inner) => Fault::Away(format!("an answer that is no JSON: {inner}")),
        other => Fault::Away(chain(&other)),
    }
}

pub(crate) fn of_status(status: &kube::core::Status) -> Fault {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    let causes: Vec<&str> = causes.iter().map(|cause| cause.message.as_str()).collect();
    Fault::answer(status.code, &status.message, &causes)
}

/// A fault with its causes: "connection refused" stands at the end of the chain.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut next = fault.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
