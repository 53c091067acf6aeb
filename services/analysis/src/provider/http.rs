//! Asking over HTTP: time, size and credentials bounded.

use std::time::Duration;

use auspex_argo::provider::{Authentication, Header, OAuth2};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value as Json;

/// Largest answer that is read, in bytes.
const LARGEST: usize = 8 * 1024 * 1024;

/// A client that gives up after this long.
///
/// # Errors
/// A sentence, when it cannot be made.
pub fn client(timeout: Duration, insecure: bool) -> Result<Client, String> {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .redirect(Policy::limited(5))
        .danger_accept_invalid_certs(insecure)
        .build()
        .map_err(told)
}

/// A fault of the client's with its causes, without the address's credentials.
#[must_use]
pub fn told(fault: reqwest::Error) -> String {
    let fault = fault.without_url();
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(&fault);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Headers as a document has them.
///
/// # Errors
/// A name or value that no header can have.
pub fn headers(given: &[Header]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in given {
        let name = HeaderName::try_from(&header.key)
            .map_err(|_| format!("headers: `{}` is no header's name", header.key))?;
        let value = HeaderValue::try_from(&header.value)
            .map_err(|_| format!("headers: the value of {} is no header's", header.key))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Adds a token where credentials are given.
///
/// # Errors
/// The credentials are incomplete, or no token is had for them.
pub async fn authenticated(
    client: &Client,
    request: RequestBuilder,
    authentication: &Authentication,
) -> Result<RequestBuilder, String> {
    let oauth = &authentication.oauth2;
    if oauth.token_url.is_empty() {
        return Ok(request);
    }
    Ok(request.bearer_auth(token(client, oauth).await?))
}

async fn token(client: &Client, oauth: &OAuth2) -> Result<String, String> {
    if oauth.client_id.is_empty() || oauth.client_secret.is_empty() {
        return Err("missing mandatory parameter in metric for OAuth2 setup".to_owned());
    }
    let mut pairs = vec![("grant_type", "client_credentials".to_owned())];
    if !oauth.scopes.is_empty() {
        pairs.push(("scope", oauth.scopes.join(" ")));
    }
    let answer = client
        .post(&oauth.token_url)
        .basic_auth(&oauth.client_id, Some(&oauth.client_secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(&pairs))
        .send()
        .await
        .map_err(|fault| format!("oauth2: {}", told(fault)))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("oauth2: cannot fetch token: {status}"));
    }
    let body = body(answer).await?;
    let json: Json = serde_json::from_slice(&body).map_err(|fault| format!("oauth2: {fault}"))?;
    let token = json.get("access_token").and_then(Json::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| "oauth2: server response missing access_token".to_owned())
}

/// Pairs as a form.
#[must_use]
pub fn form(pairs: &[(&str, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The body of an answer.
///
/// # Errors
/// It is too large, or ends early.
pub async fn body(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("the answer is larger than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
