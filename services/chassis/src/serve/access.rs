//! Who may do what: bearer tokens with roles, hashed at rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::limits::refuse;
use super::settings::ServerSettings;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publish events and observations.
    Publisher,
    /// Look at everything.
    Reader,
    /// Look, and steer rollouts.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    fn may(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(needed, Self::Operator | Self::Reader),
            other => other == needed,
        }
    }
}

/// The hash under which a token is kept.
#[must_use]
pub fn hash_token(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Whose token came with a request: the only name that is proven. Among the request's extensions where tokens are configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub String);

#[derive(Debug, Clone)]
pub(super) struct Access {
    tokens: Arc<BTreeMap<String, (Role, Caller)>>,
}

impl Access {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let tokens = settings
            .access
            .iter()
            .map(|t| (t.sha256.to_ascii_lowercase(), (t.role, Caller(t.name.clone()))))
            .collect();
        Self {
            tokens: Arc::new(tokens),
        }
    }
}

/// What a door needs; `None`: it is open, or has a lock of its own.
fn needed(method: &Method, path: &str) -> Option<Role> {
    match path {
        "/livez" | "/readyz" => return None,
        // Signed by their senders.
        path if path.starts_with("/webhooks/") => return None,
        path if path.starts_with("/grpc.health.v1.Health/") => return None,
        "/events" => return Some(Role::Publisher),
        path if path.starts_with("/auspex.v1.EventService/") => return Some(Role::Publisher),
        "/auspex.v1.DeadLetters/Retry" => return Some(Role::Admin),
        "/auspex.v1.RolloutService/Start"
        | "/auspex.v1.RolloutService/Command"
        | "/auspex.v1.AnalysisService/Put" => return Some(Role::Operator),
        "/auspex.v1.ModelRegistry/Register"
        | "/auspex.v1.ModelRegistry/SetAlias"
        | "/auspex.v1.ModelRegistry/Rollback"
        | "/auspex.v1.Experiments/Start"
        | "/auspex.v1.Experiments/Stop"
        | "/auspex.v1.Trainer/TrainNow" => return Some(Role::Operator),
        "/auspex.v1.FeatureStore/Push" => return Some(Role::Publisher),
        "/auspex.v1.FeatureStore/Apply"
        | "/auspex.v1.FeatureStore/Materialize"
        | "/auspex.v1.FeatureStore/Compact" => return Some(Role::Operator),
        // Asking a model changes nothing.
        path if path.starts_with("/inference.") || path.starts_with("/v2/") => return Some(Role::Reader),
        path if path.starts_with("/auspex.v1.") || path.starts_with("/grpc.reflection.") => {
            return Some(Role::Reader);
        }
        _ => {}
    }
    Some(if matches!(*method, Method::GET | Method::HEAD) {
        Role::Reader
    } else {
        Role::Operator
    })
}

/// Lets a request in, or says why not. With no tokens configured (loopback only) everybody may.
pub(super) async fn check(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let Some(needed) = needed(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    if access.tokens.is_empty() {
        return next.run(request).await;
    }
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let token = bearer.and_then(|text| text.strip_prefix("Bearer "));
    // Hashes are compared, so the time it takes tells nothing about the token.
    let known = token.and_then(|token| access.tokens.get(&hash_token(token)));
    match known {
        Some((role, caller)) if role.may(needed) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Some((role, _)) => {
            let article = match role {
                Role::Operator | Role::Admin => "an",
                Role::Publisher | Role::Reader => "a",
            };
            let text =
                format!("{article} {role:?} token may not do this; it needs {needed:?}").to_lowercase();
            refuse(&request, tonic::Code::PermissionDenied, &text)
        }
        None => refuse(
            &request,
            tonic::Code::Unauthenticated,
            "a valid bearer token is needed",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Everything that the contracts ask for, as `Service/Method`.
    fn calls() -> BTreeSet<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/auspex/v1");
        let mut calls = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let mut service = "";
            for line in text.lines().map(str::trim) {
                let name = |rest: &'static str| {
                    let rest = line.strip_prefix(rest)?;
                    rest.split([' ', '(']).next()
                };
                service = name("service ").unwrap_or(service);
                calls.extend(name("rpc ").map(|method| format!("{service}/{method}")));
            }
        }
        calls
    }

    #[test]
    fn whoever_may_only_look_changes_nothing() {
        let of = |call: &str| needed(&Method::POST, &format!("/auspex.v1.{call}"));
        // A call that is added is open to readers until it is named: think of it here.
        let reads = |call: &str| {
            let (service, method) = call.split_once('/').unwrap();
            let asks = [
                "Get", "List", "Show", "Watch", "History", "Gate", "Score", "Explain",
            ];
            let looks = [
                "Freshness",
                "Plan",
                "Drift",
                "Consistency",
                "Recalibrate",
                "Download",
            ];
            service == "History" || asks.iter().chain(&looks).any(|word| method.starts_with(word))
        };
        let calls = calls();
        assert!(calls.len() > 50, "{calls:?}");
        let open: Vec<&String> = calls
            .iter()
            .filter(|call| of(call) == Some(Role::Reader) && !reads(call))
            .collect();
        assert!(open.is_empty(), "readers may call {open:?}");
        assert_eq!(of("Trainer/TrainNow"), Some(Role::Operator));
    }

    #[test]
    fn roles_reach_their_doors_only() {
        let post = Method::POST;
        assert_eq!(needed(&post, "/webhooks/github"), None);
        assert_eq!(
            needed(&post, "/auspex.v1.EventService/Publish"),
            Some(Role::Publisher)
        );
        assert_eq!(
            needed(&post, "/auspex.v1.RolloutService/Command"),
            Some(Role::Operator)
        );
        assert_eq!(needed(&post, "/auspex.v1.RolloutService/Get"), Some(Role::Reader));
        assert_eq!(needed(&Method::GET, "/metrics"), Some(Role::Reader));
        assert!(!Role::Publisher.may(Role::Reader) && !Role::Reader.may(Role::Publisher));
        assert!(Role::Operator.may(Role::Reader) && !Role::Operator.may(Role::Admin));
        assert!(Role::Admin.may(Role::Publisher));
    }
}
